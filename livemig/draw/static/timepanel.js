// The time panel in the page: shapes on a canvas, words as SVG above it (on the canvas while a slider is dragged), and the
// scrubber's range.

import { axisOf } from "./axis.js";
import { fillsOf, paint, readInks, sized, write } from "./paint.js";
import { markAt } from "./scene.js";
import { inkOf } from "./sheet.js";
import { setAttribute } from "./svg.js";
import { cursorShapes, timelineName, timelineSheet } from "./timeline.js";
import { exactSeconds } from "./words.js";

/** @typedef {import("./scene.js").Run} Run @typedef {import("./sheet.js").Label} Label @typedef {{t: number, i: number}} Cursor */

const SVG = "http://www.w3.org/2000/svg";
const HALO = 3.5; // px, as in stage.css

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
   * @param {any} style q, measure, plot, axisKind, width, theme, font @param {string} sentence
   * @param {boolean} moving one of many: `rest` follows
   */
  show(run, beside, style, sentence, moving) {
    const { el } = this;
    const { q, width } = style;
    Object.assign(this, { run, q, moving, sentence, font: style.font });
    this.axis = axisOf(run, width, q, style.axisKind, beside);
    const { sheet, rows } = timelineSheet(run, this.axis, beside, style);
    Object.assign(this, { shapes: sheet.shapes, texts: sheet.texts, rows });
    this.context = sized(el.shapes, width, rows.height);
    const look = `${style.theme} ${q}`;
    if (look !== this.look || !this.fills) this.fills = fillsOf(this.context, readInks(el.shapes), q);
    this.look = look;
    if (width !== this.width || q !== this.placed) this.place(width, q);
    el.time.toggleAttribute("data-moving", moving);
    if (!moving) this.showWords();
  }

  /** The slider rests: the words go from the canvas into the SVG. */
  rest() {
    if (!this.moving) return;
    this.moving = false;
    this.showWords();
    this.el.time.removeAttribute("data-moving");
    this.draw();
  }

  /** The scrubber and the legend stand exactly under the axis. */
  place(/** @type {number} */ width, /** @type {number} */ q) {
    const { el, axis } = this;
    [this.width, this.placed] = [width, q];
    el.scrub.style.left = `${axis.left - 8}px`;
    el.scrub.style.width = `${axis.right - axis.left + 16}px`;
    el.legend.style.paddingLeft = `${axis.left}px`;
  }

  /** One element a label, used again: only what changed is written. */
  showWords() {
    const { el, run, rows, texts: labels } = this;
    setAttribute(el.time, "viewBox", `0 0 ${this.width} ${rows.height}`);
    setAttribute(el.time, "height", String(rows.height));
    setAttribute(el.time, "aria-label", timelineName(run, this.sentence));
    while (this.words.length < labels.length) {
      this.words.push({ element: document.createElementNS(SVG, "text"), label: null });
      this.el.time.append(this.words[this.words.length - 1].element);
    }
    while (this.words.length > labels.length) this.words.pop()?.element.remove();
    labels.forEach((label, i) => this.showLabel(this.words[i], label));
    this.dated = this.words.filter(({ label }) => label?.dated);
    if (this.cursor) this.dateWords();
  }

  dateWords() {
    for (const word of this.dated) this.ink(word);
  }

  ink(/** @type {{element: any, label: Label}} */ { element, label }) {
    const { ink, weight, halo } = inkOf(label, this.cursor?.t ?? 0);
    setAttribute(element, "class", halo ? `halo ${ink}` : ink);
    setAttribute(element, "font-weight", String(weight));
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
    if (!label.dated) this.ink({ element, label });
  }

  /** The cursor moved. @param {Cursor} cursor @param {boolean} held the scrubber is being dragged: leave it alone */
  moveTo(cursor, held) {
    const { axis, el, run } = this;
    this.cursor = cursor;
    this.x = axis.cursor(cursor.t, cursor.i);
    this.draw();
    if (!held) el.scrub.value = String((this.x - axis.left) / (axis.right - axis.left));
    if (this.moving) return;
    setAttribute(el.scrub, "aria-valuetext", `${exactSeconds(cursor.t)}, ${markAt(run, cursor.t)}`);
    this.dateWords();
  }

  draw() {
    const { axis, rows, q, x, fills, context } = this;
    const t = this.cursor.t;
    paint(context, [...this.shapes, ...cursorShapes(rows, axis, x, t, q)], { width: this.width, height: rows.height, fills, t, x });
    if (this.moving) write(context, this.texts, { fills, t, font: this.font, halo: HALO * q });
  }
}
