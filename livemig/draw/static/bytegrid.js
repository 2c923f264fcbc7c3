// The byte grid's widget: traits in, DOM out, keys and clicks. What it shows is made by bytegrid_cells; bytegrid_panel has
// the commands.

import { aboutOf, bitsHtml, bytesOf, byteWords, countDifferences, fieldsInByte, gridHtml, hexAddress, hopsOf, hopsSvg, kindOf, optionsHtml, partnerOf, rowsOf, scopeOf, targetOf } from "./bytegrid_cells.js";
import { CommandPanel, commandPanelHtml } from "./bytegrid_panel.js";
import { keepsKey } from "./keys.js";
import { esc } from "./words.js";

const PAGE_ROWS = 10;
const HOP_WIDTH = 34;
let grids = 0;

const frameHtml = (/** @type {string} */ uid, /** @type {any} */ about) => `
  <div class="lm-head"><div><h2 data-el="outcome"></h2><p class="lm-state bg-note" data-el="note"></p></div>
  <div class="lm-tools"><button data-el="large" aria-pressed="false">Large type</button></div></div>
  <p class="lm-error" data-el="error" role="alert" hidden></p>
  <div class="bg-body">${about.editable ? commandPanelHtml(uid, about.can_save) : ""}
  <section class="lm-p bg-tab" aria-labelledby="${uid}h-tab"><header><h3 id="${uid}h-tab">Tables in RAM</h3><label>Table <select data-el="table"></select></label></header>
  <div class="bg-panes" data-el="panes"></div></section>
  <section class="lm-p bg-entry" aria-labelledby="${uid}h-entry"><header><h3 id="${uid}h-entry" data-el="entryName">Entry</h3><span class="mute" data-el="entryKind"></span></header>
  <div data-el="bits" role="img" aria-label=""></div><ul class="bg-fields" data-el="fields" role="listbox" tabindex="0" aria-labelledby="${uid}h-entry"></ul>
  <p class="lm-note" data-el="hint"></p></section></div><p class="sr" data-el="say" role="status" aria-live="polite"></p>`;

class Grid {
  constructor(model, el) {
    grids += 1;
    this.model = model;
    this.uid = `bg${Math.random().toString(36).slice(2, 8)}${grids}`;
    this.about = model.get("_about");
    this.layouts = model.get("_layouts");
    this.root = document.createElement("section");
    this.root.className = `lm lm-bg${this.about.editable ? " bg-edits" : ""}`;
    this.root.setAttribute("aria-label", this.about.title);
    this.root.tabIndex = -1;
    this.root.innerHTML = frameHtml(this.uid, this.about);
    /** @type {Record<string, any>} */
    this.el = {};
    for (const e of this.root.querySelectorAll("[data-el]")) this.el[e.dataset.el] ??= e;
    el.append(this.root);
    const chosen = model.get("selected");
    this.at = { pane: 0, row: 0, b: 0, field: chosen.field ?? "" };
    this.top = Math.max(0, this.tables.findIndex((t) => t.name === chosen.table));
    this.el.note.textContent = this.about.note;
    this.el.note.hidden = !this.about.note;
    this.commands = new CommandPanel(model, this.el, this.root, this.uid);
    this.listen();
    this.drawTables(chosen.index);
    this.resizer = new ResizeObserver(() => this.width !== this.root.clientWidth && this.resized());
    this.resizer.observe(this.root);
  }

  get tables() {
    return this.model.get("tables");
  }

  get others() {
    return this.model.get("compare");
  }

  get q() {
    return this.root.hasAttribute("data-large") ? 1.5 : 1;
  }

  // -- events ------------------------------------------------------------------------------------------------------
  listen() {
    const { el, model, root } = this;
    const on = (name, what) => {
      model.on(name, what);
      this.offs = [...(this.offs ?? []), () => model.off(name, what)];
    };
    on("change:tables", () => this.drawTables());
    on("change:compare", () => this.drawTables());
    on("change:_state", () => this.commands.showState());
    el.large.onclick = () => {
      root.toggleAttribute("data-large");
      el.large.setAttribute("aria-pressed", String(this.q > 1));
      this.resized();
    };
    el.table.onchange = () => this.open(Number(el.table.value));
    root.addEventListener("keydown", (e) => this.key(e));
    el.panes.addEventListener("focusin", (e) => this.focused(e.target));
    el.panes.addEventListener("click", (e) => this.clicked(e.target));
    for (const [where, what] of [[el.panes, "td.bg-b"], [el.fields, "[role=option]"], [el.bits, "b"]]) {
      where.addEventListener("mouseover", (e) => this.hover(e.target.closest(what)));
      where.addEventListener("mouseleave", () => this.hover(null));
    }
    el.fields.addEventListener("click", (e) => this.pickField(e.target.closest("[role=option]")?.dataset.field));
    el.bits.addEventListener("click", (e) => this.pickField(e.target.closest("[data-field]")?.dataset.field));
  }

  key(e) {
    const enter = e.key === "Enter" && !(e.ctrlKey || e.metaKey || e.altKey || e.shiftKey);
    if (!keepsKey(e) && !enter) return;
    e.stopPropagation();
    const cell = e.target.closest("td.bg-b");
    if (cell && this.cellKey(cell, e)) e.preventDefault();
    else if (e.target === this.el.fields && this.fieldKey(e.key)) e.preventDefault();
  }

  /** Arrows go from byte to byte and row to row; Enter follows an entry to its table. @returns {boolean} */
  cellKey(cell, e) {
    const pane = this.panes[Number(cell.closest("[data-pane]").dataset.pane)];
    const [row, b] = [Number(cell.dataset.row), Number(cell.dataset.b)];
    const [lastRow, lastByte] = [pane.rows.length - 1, pane.layout.size_bytes - 1];
    const to = {
      ArrowLeft: [row, b - 1], ArrowRight: [row, b + 1], ArrowUp: [row - 1, b], ArrowDown: [row + 1, b],
      Home: [e.ctrlKey ? 0 : row, 0], End: [e.ctrlKey ? lastRow : row, lastByte],
      PageUp: [row - PAGE_ROWS, b], PageDown: [row + PAGE_ROWS, b],
    }[e.key];
    if (to) this.cellAt(pane, Math.max(0, Math.min(lastRow, to[0])), Math.max(0, Math.min(lastByte, to[1]))).focus();
    else if (e.key === "Enter") this.follow(pane);
    return Boolean(to) || e.key === "Enter";
  }

  fieldKey(key) {
    const names = this.entry?.layout.fields.map((f) => f.name) ?? [];
    const i = names.indexOf(this.at.field);
    const to = { ArrowUp: i - 1, ArrowLeft: i - 1, ArrowDown: i + 1, ArrowRight: i + 1, Home: 0, End: names.length - 1 }[key];
    if (to === undefined) return false;
    this.pickField(names[Math.max(0, Math.min(names.length - 1, to))]);
    return true;
  }

  focused(target) {
    const cell = target.closest("td.bg-b");
    if (!cell) return;
    this.choose(Number(cell.closest("[data-pane]").dataset.pane), Number(cell.dataset.row), Number(cell.dataset.b));
  }

  clicked(target) {
    if (target.closest("[data-act=closer]")) return this.open(this.tables.indexOf(this.panes[1].table));
    const cell = target.closest("td.bg-b") ?? target.closest("tr[data-row]")?.querySelector("td.bg-b");
    cell?.focus();
    return undefined;
  }

  // -- tables ------------------------------------------------------------------------------------------------------
  open(number) {
    this.top = number;
    this.at = { pane: 0, row: 0, b: 0, field: "" };
    [this.panes, this.entry] = [[], null];
    this.drawTables();
  }

  /** Enter: from an entry into the table it points to; from there, that table comes to the front. */
  follow(pane) {
    if (pane.number === 1) {
      const index = pane.rows[this.at.row].index;
      this.open(this.tables.indexOf(pane.table));
      this.at.row = Math.max(0, this.panes[0].rows.findIndex((row) => row.index === index));
      this.choose(0, this.at.row, 0);
      this.cellAt(this.panes[0], this.at.row, 0)?.focus();
    } else if (this.panes[1]?.rows.length) {
      this.cellAt(this.panes[1], 0, 0).focus();
    }
  }

  paneOf(number, table) {
    return { number, table, layout: this.layouts[table.layout], rows: rowsOf(table, partnerOf(table, this.others)) };
  }

  /** All anew, the chosen entry kept where it still is. @param {number} [index] of the entry to choose */
  drawTables(index) {
    const { tables, others, el } = this;
    const kept = index ?? this.entry?.row.index;
    const name = this.panes?.[0]?.table.name;
    const held = this.root.contains(document.activeElement) && document.activeElement?.closest?.("td.bg-b");
    if (name) this.top = Math.max(0, tables.findIndex((t) => t.name === name));
    this.showSentence();
    el.table.innerHTML = tables.map((t, i) => {
      const { differ } = countDifferences([t], others);
      return `<option value="${i}">${esc(t.name)}${differ ? ` (≠ ${differ})` : ""}</option>`;
    }).join("");
    this.panes = [];
    el.panes.innerHTML = "";
    this.entry = null;
    if (!tables.length) return this.showNothing();
    this.top = Math.min(this.top, tables.length - 1);
    el.table.value = String(this.top);
    const pane = this.paneOf(0, tables[this.top]);
    this.at.pane = 0;
    this.at.row = Math.max(0, pane.rows.findIndex((row) => row.index === kept));
    this.addPane(pane, scopeOf(pane.table));
    if (!pane.rows.length) return this.showNothing();
    this.choose(0, this.at.row, Math.min(this.at.b, pane.layout.size_bytes - 1));
    if (held) this.cellAt(this.panes[0], this.at.row, this.at.b)?.focus();
    return undefined;
  }

  addPane(pane, scope) {
    const div = document.createElement("div");
    div.className = "bg-pane";
    div.dataset.pane = String(pane.number);
    const closer = pane.number ? ` <button data-act="closer">Look closer</button>` : "";
    const body = pane.rows.length
      ? `<div class="lm-hexwrap"><div class="bg-rel"><svg class="bg-hops" aria-hidden="true"></svg>${gridHtml(pane.table, pane.layout, pane.rows, this.about.compare_label)}</div></div>`
      : '<p class="bg-empty">Nothing is written here: every byte is as it was before.</p>';
    div.innerHTML = `<p class="bg-name"><span>${pane.number ? `<b>${esc(pane.table.name)}</b>, where the chosen entry points: ` : ""}<span class="mute">${esc(scope)}</span></span>${closer}</p>${body}`;
    this.el.panes.append(div);
    pane.el = div;
    this.panes[pane.number] = pane;
    this.drawHops(pane);
  }

  drawHops(pane) {
    const svg = pane.el.querySelector(".bg-hops");
    if (!svg) return;
    const hops = hopsOf(pane.layout, pane.rows);
    const width = HOP_WIDTH * this.q;
    const rows = [...pane.el.querySelectorAll("tbody tr")];
    const height = pane.el.querySelector("table").offsetHeight;
    svg.setAttribute("width", String(width));
    svg.setAttribute("height", String(height));
    pane.el.querySelector(".bg-rel").classList.toggle("no-hops", hops.length === 0);
    const selected = this.at.pane === pane.number ? this.at.row : -1;
    svg.innerHTML = hopsSvg(rows.map((row) => row.offsetTop + row.offsetHeight / 2), hops, { width, q: this.q, selected });
  }

  cellAt(pane, row, b) {
    return pane.el.querySelector(`td.bg-b[data-row="${row}"][data-b="${b}"]`);
  }

  /** Choose an entry and a byte of it; the field stays if the byte holds some of it. */
  choose(number, row, b) {
    const pane = this.panes[number];
    const inByte = fieldsInByte(pane.layout, b).map((f) => f.name);
    const field = inByte.includes(this.at.field) ? this.at.field : (inByte[0] ?? "");
    this.at = { pane: number, row, b, field };
    this.entry = { ...pane, row: pane.rows[row] };
    if (number === 0) this.showTarget(pane, pane.rows[row]);
    for (const one of this.panes) this.markRow(one);
    this.drawEntry();
    this.say(`${kindOf(pane.table.layout)} ${pane.rows[row].index}. ${byteWords(pane.layout, pane.table.layout, pane.rows[row], b, this.about.compare_label)}`);
    this.tell();
  }

  showTarget(pane, row) {
    const target = targetOf(this.tables, pane.layout, row.hex);
    if (target === (this.panes[1]?.table ?? null)) return;
    this.panes[1]?.el.remove();
    this.panes.length = 1;
    if (target) this.addPane(this.paneOf(1, target), scopeOf(target));
  }

  markRow(pane) {
    const chosen = pane.number === this.at.pane;
    for (const tr of pane.el.querySelectorAll("tbody tr")) {
      const on = chosen && Number(tr.dataset.row) === this.at.row;
      tr.classList.toggle("sel", on);
      tr.setAttribute("aria-selected", String(on));
    }
    for (const td of pane.el.querySelectorAll('td.bg-b[tabindex="0"]')) td.tabIndex = -1;
    const reach = chosen ? this.cellAt(pane, this.at.row, this.at.b) : pane.el.querySelector("td.bg-b");
    if (reach) reach.tabIndex = 0;
    this.drawHops(pane);
  }

  drawEntry() {
    const { el, entry, uid } = this;
    const { table, layout, row } = entry;
    el.entryName.textContent = `${kindOf(table.layout)} ${row.index} of ${table.name}`;
    el.entryKind.textContent = `${table.layout} at ${hexAddress(row.address)}, ${aboutOf(table.layout, layout, row) || `${8 * layout.size_bytes} bits`}`;
    el.bits.innerHTML = bitsHtml(layout, row);
    el.fields.innerHTML = optionsHtml(table.layout, layout, row, uid);
    el.hint.textContent = `${layout.source ? `${layout.source}. ` : ""}Arrows: bytes and entries; in the list, fields.${this.panes[1] ? " Enter: into the table that the entry points to." : ""}`;
    this.markField();
  }

  pickField(name) {
    if (!name || !this.entry) return;
    this.at.field = name;
    this.markField();
    const option = this.el.fields.querySelector('[aria-selected="true"]');
    this.say(option?.textContent ?? "");
    this.tell();
  }

  markField() {
    const { el, entry, at, uid } = this;
    const words = [];
    for (const option of el.fields.children) {
      option.setAttribute("aria-selected", String(option.dataset.field === at.field));
      words.push(option.children[1].textContent.trim(), option.children[2].textContent);
    }
    el.fields.setAttribute("aria-activedescendant", at.field ? `${uid}f-${at.field}` : "");
    el.bits.setAttribute("aria-label", `${8 * entry.layout.size_bytes} bits: ${words.join(" ")}`);
    this.light("chosen", at.field);
  }

  hover(target) {
    const name = target && (target.dataset.field ?? fieldsInByte(this.layouts[this.panes[Number(target.closest("[data-pane]").dataset.pane)].table.layout], Number(target.dataset.b))[0]?.name);
    const here = target && (!target.dataset.b || Number(target.dataset.row) === this.at.row);
    this.light("hot", here ? name : "");
  }

  /** Mark one field of the chosen entry in bits, bytes and list. */
  light(kind, name) {
    const field = this.entry?.layout.fields.find((f) => f.name === name);
    for (const e of this.root.querySelectorAll(`.${kind}`)) e.classList.remove(kind);
    if (!field) return;
    for (const e of [...this.el.bits.querySelectorAll(`b[data-field="${name}"]`), ...this.el.fields.querySelectorAll(`[data-field="${name}"]`)]) e.classList.add(kind);
    const [first, last] = bytesOf(field);
    for (let b = first; b <= last; b += 1) this.cellAt(this.panes[this.at.pane], this.at.row, b)?.classList.add(kind);
  }

  showNothing() {
    const { el } = this;
    el.entryName.textContent = "No entry";
    el.entryKind.textContent = "";
    for (const name of ["bits", "fields", "hint"]) el[name].innerHTML = "";
    el.bits.setAttribute("aria-label", "No entry is chosen");
    el.fields.removeAttribute("aria-activedescendant");
  }

  showSentence() {
    const { differ, of } = countDifferences(this.tables, this.others);
    const { title, compare_label: label } = this.about;
    const words = differ ? `<b>${differ} of ${of} bytes differ</b> from ${esc(label)} (≠)` : `<b>all ${of} bytes equal</b> ${esc(label)}`;
    const entries = this.tables.reduce((n, t) => n + t.entries.length, 0);
    this.el.outcome.innerHTML = `${esc(title)}: ${this.others.length ? words : `${this.tables.length} tables, ${entries} entries`}`;
  }

  say(text) {
    this.el.say.textContent = text;
  }

  /** The chosen entry becomes a trait, so that Python and linked widgets can follow. */
  tell() {
    clearTimeout(this.telling);
    this.telling = setTimeout(() => {
      this.model.set("selected", { table: this.entry.table.name, index: this.entry.row.index, field: this.at.field });
      this.model.save_changes();
    }, 150);
  }

  // -- size --------------------------------------------------------------------------------------------------------
  resized() {
    this.width = this.root.clientWidth;
    const width = this.width / this.q;
    this.root.dataset.size = width >= 1540 ? "l" : width >= 940 ? "m" : "s";
    for (const pane of this.panes) this.drawHops(pane);
  }

  remove() {
    clearTimeout(this.telling);
    this.resizer.disconnect();
    for (const off of this.offs) off();
  }
}

export default {
  render({ model, el }) {
    const grid = new Grid(model, el);
    return () => grid.remove();
  },
};
