// The ITS panel's DOM: which table and which entry are chosen, and when to draw anew.

import { bitsSvg, entriesHtml, fieldOf, fieldsHtml, layoutOf, littleEndian, tablesAt, tablesNote } from "./itsbytes.js";
import { saveAt } from "./scene.js";
import { setHtml, showSvg } from "./svg.js";
import { esc } from "./words.js";

/** @typedef {import("./scene.js").Run} Run */

export class ItsPanel {
  /** @param {Record<string, any>} el elements by data-el @param {Record<string, import("./itsbytes.js").Layout>} layouts */
  constructor(el, layouts) {
    this.el = el;
    this.layouts = layouts;
    this.table = 0;
    this.row = 0;
    this.drawn = "";
    el.table.onchange = () => this.choose(Number(el.table.value), 0);
    el.hex.addEventListener("click", (/** @type {any} */ e) => {
      const button = e.target.closest("button");
      if (!button) return;
      this.choose(this.table, Number(button.dataset.row));
      el.hex.querySelector(`[data-row="${this.row}"]`).focus();
    });
  }

  choose(/** @type {number} */ table, /** @type {number} */ row) {
    [this.table, this.row] = [table, row];
    this.draw();
  }

  /** The cursor moved: draw only when other bytes lie in RAM. @param {Run} run @param {number} t @param {any} style */
  moveTo(run, t, style) {
    this.at = { run, t, style };
    if (this.state() !== this.drawn) this.draw();
  }

  /** A new run, width or type size. @param {Run} run @param {number} t @param {any} style */
  show(run, t, style) {
    this.at = { run, t, style };
    this.draw();
  }

  state() {
    const { run, t } = this.at;
    return `${saveAt(run, t)?.t} ${Boolean(tablesAt(run, t).there)}`;
  }

  draw() {
    const { el, layouts } = this;
    const { run, t } = this.at;
    this.drawn = this.state();
    const shown = tablesAt(run, t);
    const none = shown.tables.length === 0;
    for (const name of ["tableLabel", "hexWrap", "bits", "fields"]) el[name].toggleAttribute("hidden", none);
    setHtml(el.itsNote, esc(tablesNote(run, shown, t)));
    if (none) return;
    if (this.table >= shown.tables.length) [this.table, this.row] = [0, 0];
    const table = shown.tables[this.table];
    this.row = Math.max(0, Math.min(this.row, table.entries.length - 1));
    setHtml(el.table, shown.tables.map((one, i) => `<option value="${i}">${esc(one.name)}</option>`).join(""));
    if (el.table.value !== String(this.table)) el.table.value = String(this.table);
    setHtml(el.hex, entriesHtml(shown, this.table, this.row, layouts));
    for (const name of ["bits", "fields"]) el[name].toggleAttribute("hidden", !table.entries.length);
    if (table.entries.length) this.drawEntry(table, shown.live);
  }

  /** @param {import("./itsbytes.js").Table} table @param {boolean} live */
  drawEntry(table, live) {
    const { el } = this;
    const { q, measure } = this.at.style;
    const layout = layoutOf(this.layouts, table);
    const [id, hex] = table.entries[this.row];
    const width = this.at.style.fit.widthOf("bits", 480);
    const { svg, height } = bitsSvg(layout, hex, live, { width, q, measure });
    const value = littleEndian(hex);
    const words = layout.fields.map((f) => `${f.name} ${fieldOf(value, f)}`).join(", ");
    showSvg(el.bits, svg, width, height, live ? `${layout.size_bytes * 8} bits of the entry: ${words}` : "The entry's bits, not written yet");
    setHtml(el.fields, fieldsHtml(layout, id, hex, live));
  }
}
