// SVG as text, and writing to the page only what changed.

import { esc } from "./words.js";

/** @param {number} x @param {number} y @param {string} s @param {string} anchor @param {string} more attributes */
export const text = (x, y, s, anchor = "start", more = "") =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" ${more}>${esc(s)}</text>`;

/**
 * Parsing and laying out what is there already would cost more than comparing it.
 * @param {any} element @param {string} html @returns {boolean} whether it was another
 */
export function setHtml(element, html) {
  if (written.get(element) === html) return false;
  written.set(element, html);
  element.innerHTML = html;
  return true;
}

/** @type {WeakMap<object, string>} */
const written = new WeakMap();

/**
 * @param {any} svg @param {string | string[]} content in parts: only those that changed are written
 * @param {number} width @param {number} height @param {string} label
 */
export function showSvg(svg, content, width, height, label) {
  setAttribute(svg, "viewBox", `0 0 ${width} ${height}`);
  setAttribute(svg, "height", String(height));
  setAttribute(svg, "aria-label", label);
  if (typeof content === "string") setHtml(svg, content);
  else if (svg.childElementCount === content.length && partly.has(svg)) content.forEach((part, i) => setHtml(svg.children[i], part));
  else {
    partly.add(svg);
    svg.innerHTML = content.map((part) => `<g>${part}</g>`).join("");
    content.forEach((part, i) => written.set(svg.children[i], part));
  }
}

/** @type {WeakSet<object>} pictures that are written in parts */
const partly = new WeakSet();

export function setAttribute(/** @type {any} */ element, /** @type {string} */ name, /** @type {string} */ value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}
