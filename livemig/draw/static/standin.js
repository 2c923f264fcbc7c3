// Widgets on a page that has no kernel. Each place holds its values as JSON, and what is shown where no script runs.

/** What a widget asks of its model: values are kept, and who observes one is told. Nothing is sent anywhere. */
function standIn(values) {
  const heard = {};
  return {
    get: (name) => values[name],
    set(name, value) {
      if (values[name] === value) return;
      values[name] = value;
      for (const tell of heard[`change:${name}`] ?? []) tell();
    },
    save_changes() {},
    send() {},
    on: (name, tell) => (heard[name] ??= []).push(tell),
    off: (name, tell) => (heard[name] = (heard[name] ?? []).filter((one) => one !== tell)),
  };
}

/** Draw every widget of one kind on this page. Labels of regions are made unique: a reader of the page chooses by them. */
function mount(kind, widget) {
  document.querySelectorAll(`[data-widget="${kind}"]`).forEach((place, number) => {
    const values = JSON.parse(place.querySelector('script[type="application/json"]').textContent);
    const el = document.createElement("div");
    place.prepend(el); // in the page, because a widget measures itself
    widget.render({ model: standIn(values), el });
    while (el.nextSibling) el.nextSibling.remove();
    const region = el.firstElementChild;
    if (number) region.setAttribute("aria-label", `${region.getAttribute("aria-label")}, ${number + 1}`);
    place.dataset.ready = "true";
  });
}
