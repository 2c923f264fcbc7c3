// How large the stage is, and in which theme: measured once a picture, and anew when either changes under it.

import { textMeasure } from "./measure.js";

const THEME_MS = 500; // a theme's last colours are there
const THEME = "data-jp-theme-light";

export class Fit {
  /** @param {HTMLElement} root @param {Record<string, any>} el its parts @param {() => void} redraw everything, at the new size */
  constructor(root, el, redraw) {
    Object.assign(this, { root, el, redraw, width: 0, font: "", theme: "", colours: "" });
    /** @type {Record<string, number>} */
    this.widths = {};
    this.measure = textMeasure(() => this.font);
    this.resizer = new ResizeObserver(() => this.isStale() && redraw());
    for (const element of [root, el.time.parentElement]) this.resizer.observe(element);
    this.themed = new MutationObserver(() => this.themeNow !== this.theme && this.themeChanged());
    this.themed.observe(document.body, { attributes: true, attributeFilter: [THEME] });
  }

  get themeNow() {
    return this.root.closest(`[${THEME}]`)?.getAttribute(THEME) ?? "";
  }

  /** A new picture begins. */
  take() {
    this.width = this.root.clientWidth;
    const css = getComputedStyle(this.root);
    this.font = css.fontFamily;
    this.colours = `${this.themeNow} ${css.backgroundColor} ${css.color}`; // what canvases were painted with
    this.widths = {};
    this.theme = this.themeNow;
  }

  /** The width of a part; asked once, because it lays out the page. @param {string} name @param {number} otherwise where it is not shown */
  widthOf(name, otherwise) {
    return (this.widths[name] ||= this.el[name].clientWidth) || otherwise;
  }

  isStale() {
    return this.width !== this.root.clientWidth || Object.entries(this.widths).some(([name, width]) => width !== this.el[name].clientWidth);
  }

  /** Its style sheets come one after the other: what is measured between two frames nobody sees, and nobody reports. */
  themeChanged() {
    this.theme = this.themeNow;
    this.forget();
    this.frame = requestAnimationFrame(() => this.redraw());
    this.timer = setTimeout(() => this.redraw(), THEME_MS);
  }

  forget() {
    cancelAnimationFrame(this.frame ?? 0);
    clearTimeout(this.timer);
  }

  remove() {
    this.forget();
    this.resizer.disconnect();
    this.themed.disconnect();
  }
}
