// The map of guest RAM: one cell for a stretch of pages, drawn on a canvas (512 cells change at once). Says in words what
// it shows, and what of it is derived.

import { OPAQUE } from "./paint.js";
import { CELLS, Replay } from "./replay.js";
import { bytes } from "./words.js";

/** @typedef {import("./scene.js").Run} Run */

const COLUMNS = 32;
const LABELS_EVERY = 4; // rows
const INKS = ["paper", "ink", "mute", "edge", "send", "send-t", "dirty", "its"];

export class MapPanel {
  /** @param {Record<string, any>} el @param {() => any} tables */
  constructor(el, tables) {
    this.el = el;
    this.tables = tables;
    this.context = el.map.getContext("2d", OPAQUE);
    /** @type {Replay | null} */
    this.replay = null;
  }

  /** A new run, or another size or theme. @param {Run} run @param {number} t @param {any} style width, q, font, theme */
  show(run, t, style) {
    this.style = style;
    this.t = t;
    if (run !== this.run) this.play(run);
    this.frame = null;
    this.size();
    this.moveTo(t);
  }

  play(/** @type {Run} */ run) {
    this.run = run;
    this.failed = "";
    if (run.scenario.ram_bytes == null) {
      this.replay = null;
      this.failed = "the log does not say where the guest's memory and its writer are";
      return;
    }
    try {
      this.replay = new Replay(run, this.tables());
    } catch (error) {
      this.replay = null;
      this.failed = error.message;
    }
  }

  /** @param {number} t the cursor's time */
  moveTo(t) {
    this.t = t;
    const { replay } = this;
    if (!replay) {
      this.el.mapNote.textContent = this.failed ? `No map: ${this.failed}.` : "";
      this.context.clearRect(0, 0, this.el.map.width, this.el.map.height);
      return;
    }
    try {
      const frame = replay.at(t);
      if (frame !== this.frame) this.draw(frame);
      this.frame = frame;
    } catch (error) {
      this.failed = error.message;
      this.replay = null;
      this.moveTo(t);
    }
  }

  size() {
    const { el, style, replay } = this;
    if (!replay) return;
    const ratio = globalThis.devicePixelRatio || 1;
    const rows = Math.ceil(replay.cells / COLUMNS);
    this.left = 44 * style.q;
    this.cellWidth = (style.width - this.left) / COLUMNS;
    this.cellHeight = Math.min(14 * style.q, this.cellWidth);
    const height = rows * this.cellHeight + 2;
    const [w, h] = [Math.round(style.width * ratio), Math.round(height * ratio)];
    if (el.map.width !== w || el.map.height !== h) {
      [el.map.width, el.map.height] = [w, h];
      el.map.style.height = `${height}px`;
    }
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.theme !== style.theme) this.readInks();
    el.mapScale.textContent = `${bytes(replay.cellPages * replay.pageBytes)} a cell, offsets in MiB`;
  }

  readInks() {
    const css = getComputedStyle(this.el.map);
    this.theme = this.style.theme;
    this.ink = Object.fromEntries(INKS.map((name) => [name, css.getPropertyValue(`--${name}`).trim()]));
    this.ink.paper = css.getPropertyValue("--paper").trim() || "#fff";
  }

  draw(/** @type {any} */ frame) {
    const { context: c, replay, cellWidth: w, cellHeight: h, left, ink, style } = this;
    c.fillStyle = ink.paper;
    c.fillRect(0, 0, style.width, 2000);
    c.font = `${11.5 * style.q}px ${style.font}`;
    c.textAlign = "right";
    c.fillStyle = ink.mute;
    const mib = (replay.cellPages * replay.pageBytes * COLUMNS) / 1048576;
    for (let row = 0; row * COLUMNS < replay.cells; row += LABELS_EVERY) c.fillText(String(Number((row * mib).toPrecision(5))), left - 8 * style.q, row * h + 0.8 * h);
    const count = { dirty: 0, sent: 0, again: 0 };
    for (let i = 0; i < replay.cells; i += 1) {
      const x = left + (i % COLUMNS) * w;
      const y = Math.floor(i / COLUMNS) * h + 1;
      this.cell(x, y, w - 1.5, h - 1.5, frame.dirty[i] / replay.cellPages, frame.times[i]);
      count.dirty += frame.dirty[i] > 0 ? 1 : 0;
      count.sent += frame.times[i] === 1 ? 1 : 0;
      count.again += frame.times[i] > 1 ? 1 : 0;
    }
    c.strokeStyle = ink.its;
    c.lineWidth = 2 * style.q;
    for (const i of frame.its) c.strokeRect(left + (i % COLUMNS) * w, Math.floor(i / COLUMNS) * h + 1, w - 1.5, h - 1.5);
    this.tell(count, frame.its);
  }

  /** @param {number} x @param {number} y @param {number} w @param {number} h @param {number} share dirty @param {number} times sent */
  cell(x, y, w, h, share, times) {
    const { context: c, ink } = this;
    if (times) {
      c.fillStyle = ink["send-t"];
      c.fillRect(x, y, w, h);
    } else if (share < 1) {
      c.strokeStyle = ink.edge;
      c.lineWidth = 1;
      c.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
    }
    if (share > 0) {
      const full = Math.max(2, Math.round(share * h));
      c.fillStyle = ink.dirty;
      c.fillRect(x, y + h - full, w, full);
    }
    c.fillStyle = share > 0.5 ? ink.paper : ink.send;
    const bar = Math.max(1.5, 0.14 * h);
    if (times === 2) c.fillRect(x + 0.25 * w, y + 0.5 * (h - bar), 0.5 * w, bar);
    if (times > 2) for (const k of [0.25, 0.75]) c.fillRect(x + 0.25 * w, y + k * h - bar / 2, 0.5 * w, bar);
  }

  /** @param {{dirty: number, sent: number, again: number}} count cells @param {number[]} its */
  tell(count, its) {
    const { el, run } = this;
    const where = its.length ? `; ITS tables in ${its.length} ${its.length === 1 ? "cell" : "cells"}` : "";
    el.map.setAttribute("aria-label", `Guest RAM in ${this.replay?.cells ?? CELLS} cells: ${count.dirty} with dirty pages, ${count.sent} sent once, ${count.again} with pages sent again${where}`);
    const derived = "Places are derived: recorded counts, the circular scan, and where the guest's writer stood; which pages no recording tells.";
    const note = run?.source === "recorded" ? derived : "";
    if (el.mapNote.textContent !== note) el.mapNote.textContent = note;
  }
}
