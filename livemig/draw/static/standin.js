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

/** Draw every widget of one kind on this page. */
function mount(kind, widget) {
  const places = [...document.querySelectorAll(`[data-widget="${kind}"]`)];
  places.forEach((place, i) => {
    const values = JSON.parse(place.querySelector('script[type="application/json"]').textContent);
    const el = document.createElement("div");
    place.prepend(el); // in the page, because a widget measures itself
    widget.render({ model: standIn(values), el });
    while (el.nextSibling) el.nextSibling.remove();
    if (places.length > 1) distinguish(el.firstElementChild, `${kind}-${i + 1}`, i + 1);
    place.dataset.ready = "true";
  });
}

/** Readers go from region to region by their names: of several widgets each and its regions say which one it is. */
function distinguish(root, id, number) {
  root.id = id;
  for (const part of [root, ...root.querySelectorAll("[role=region][aria-label]")]) part.setAttribute("aria-label", `${part.getAttribute("aria-label")}, ${number}`);
  for (const part of root.querySelectorAll("section[aria-labelledby]")) part.setAttribute("aria-labelledby", `${part.getAttribute("aria-labelledby")} ${id}`);
}
