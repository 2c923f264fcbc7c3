// Slides one at a time. The address says which (#slide-5), so that a reload stays and a link leads there.
{
  const slides = [...document.querySelectorAll(".slide")];
  const place = document.querySelector("[data-place]");
  const more = document.querySelector("[data-more]");
  const keys = document.querySelector("[data-keys]");
  const OWNERS = "[data-widget], input, select, textarea";
  let at = 0;

  function show(number) {
    at = Math.max(0, Math.min(slides.length - 1, number));
    slides.forEach((slide, i) => (slide.hidden = i !== at));
    place.textContent = `${at + 1} / ${slides.length}`;
    slides[at].focus({ preventScroll: true });
    grown.disconnect();
    [slides[at], ...slides[at].children].forEach((part) => grown.observe(part)); // a stage comes later than its slide
    tellMore();
    if (location.hash !== `#${slides[at].id}`) history.replaceState(null, "", `#${slides[at].id}`);
  }

  const below = () => slides[at].scrollHeight - slides[at].clientHeight - slides[at].scrollTop;
  const tellMore = () => (more.hidden = below() <= 2);
  const grown = new ResizeObserver(tellMore);
  for (const slide of slides) slide.addEventListener("scroll", tellMore);

  function turn(by) {
    const to = at + by;
    if (to < 0 || to >= slides.length) return;
    show(to);
    slides[at].scrollTop = 0;
  }

  /** By screens, so that nothing of a high slide is passed over: first to its end, then to the next one. */
  function read(by) {
    const slide = slides[at];
    const left = by > 0 ? below() : slide.scrollTop;
    if (left > 2) slide.scrollBy({ top: by * Math.min(left, 0.85 * slide.clientHeight) });
    else turn(by);
  }

  const KEYS = {
    ArrowRight: () => turn(1), ArrowLeft: () => turn(-1), PageDown: () => read(1), PageUp: () => read(-1),
    Home: () => show(0), End: () => show(slides.length - 1),
  };

  document.addEventListener("keydown", (e) => {
    if (e.key === "Escape") slides[at].focus();
    const inside = e.target.closest?.("input, select, textarea, button, summary, a, [data-widget]");
    if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || inside) return;
    const act = e.key === " " ? () => read(e.shiftKey ? -1 : 1) : KEYS[e.key];
    if (!act) return;
    e.preventDefault();
    act();
  });
  for (const button of document.querySelectorAll("[data-turn]")) {
    button.onclick = () => turn(Number(button.dataset.turn)); // and the keys are the slides' again
  }

  more.onclick = () => {
    read(1);
    slides[at].focus({ preventScroll: true });
  };
  // Who has the keys is said as long as it is not the slides.
  const tellKeys = () => (keys.textContent = document.activeElement?.closest(OWNERS) ? "Keys are the picture's. Esc, then → turns the slide." : "");
  addEventListener("focusin", tellKeys);
  addEventListener("focusout", () => setTimeout(tellKeys));

  function fromAddress() {
    const slide = document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest(".slide");
    show(slide ? slides.indexOf(slide) : 0);
  }
  addEventListener("hashchange", fromAddress);
  fromAddress();
}
