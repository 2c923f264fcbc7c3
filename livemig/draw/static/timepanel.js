// The time panel in the page: shapes on a canvas, words as SVG above it, the scrubber's range between them.

import { axisOf } from "./axis.js";
import { fillsOf, paint, readInks, sized } from "./paint.js";
import { markAt } from "./scene.js";
import { timeOf } from "./sheet.js";
import { setAttribute } from "./svg.js";
import { cursorShapes, timelineName, timelineSheet } from "./timeline.js";
import { exactSeconds } from "./words.js";

/** @typedef {import("./scene.js").Run} Run @typedef {import("./sheet.js").Label} Label @typedef {{t: number, i: number}} Cursor */

const SVG = "http://www.w3.org/2000/svg";

export class TimePanel {
  /** @param {Record<string, any>} el */
  constructor(el) {
    this.el = el;
    /** @type {{element: any, label: Label | null}[]} */
    this.words = [];
    this.look = "";
    this.width = 0;
  }

  /**
   * Another run, axis, size or theme. @param {Run} run @param {Run | null} beside
   * @param {any} style q, measure, plot, axisKind, width, theme @param {string} sentence
   */
  show(run, beside, style, sentence) {
    const { el } = this;
    const { q, width } = style;
    Object.assign(this, { run, q });
    this.axis = axisOf(run, width, q, style.axisKind, beside);
    const { sheet, rows } = timelineSheet(run, this.axis, beside, style);
    Object.assign(this, { shapes: sheet.shapes, rows });
    this.context = sized(el.shapes, width, rows.height);
    const look = `${style.theme} ${q}`;
    if (look !== this.look || !this.fills) this.fills = fillsOf(this.context, readInks(el.shapes), q);
    this.look = look;
    setAttribute(el.time, "viewBox", `0 0 ${width} ${rows.height}`);
    setAttribute(el.time, "height", String(rows.height));
    setAttribute(el.time, "aria-label", timelineName(run, sentence));
    if (width !== this.width || q !== this.placed) this.place(width, q);
    this.showWords(sheet.texts);
  }

  /** The scrubber and the legend stand exactly under the axis. */
  place(/** @type {number} */ width, /** @type {number} */ q) {
    const { el, axis } = this;
    [this.width, this.placed] = [width, q];
    el.scrub.style.left = `${axis.left - 8}px`;
    el.scrub.style.width = `${axis.right - axis.left + 16}px`;
    el.legend.style.paddingLeft = `${axis.left}px`;
  }

  /** One element a label, used again: only what changed is written. @param {Label[]} labels */
  showWords(labels) {
    while (this.words.length < labels.length) {
      this.words.push({ element: document.createElementNS(SVG, "text"), label: null });
      this.el.time.append(this.words[this.words.length - 1].element);
    }
    while (this.words.length > labels.length) this.words.pop()?.element.remove();
    labels.forEach((label, i) => this.showLabel(this.words[i], label));
    this.dated = this.words.filter(({ label }) => label?.dated);
  }

  showLabel(/** @type {{element: any, label: Label | null}} */ word, /** @type {Label} */ label) {
    const { element, label: before } = word;
    word.label = label;
    if (before?.words !== label.words) element.textContent = label.words;
    const x = label.x.toFixed(1);
    const y = label.y.toFixed(1);
    setAttribute(element, "x", label.upright ? "0" : x);
    setAttribute(element, "y", label.upright ? "0" : y);
    setAttribute(element, "transform", label.upright ? `translate(${x} ${y}) rotate(-90)` : "");
    setAttribute(element, "text-anchor", label.anchor);
    setAttribute(element, "font-size", String(label.size));
    setAttribute(element, "font-weight", String(label.weight ?? 400));
    if (!label.dated) setAttribute(element, "class", label.look ?? "");
  }

  /** The cursor moved. @param {Cursor} cursor @param {boolean} held the scrubber is being dragged: leave it alone */
  moveTo({ t, i }, held) {
    const { axis, rows, q, el, run } = this;
    const x = axis.cursor(t, i);
    const at = { width: this.width, height: rows.height, fills: this.fills, t, x };
    paint(this.context, [...this.shapes, ...cursorShapes(rows, axis, x, t, q)], at);
    if (!held) el.scrub.value = String((x - axis.left) / (axis.right - axis.left));
    setAttribute(el.scrub, "aria-valuetext", `${exactSeconds(t)}, ${markAt(run, t)}`);
    for (const { element, label } of this.dated) setAttribute(element, "class", `${label.look} ${timeOf(label.dated, t)}`);
  }
}
