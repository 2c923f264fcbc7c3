// The ITS in the browser's story. There is no ITS here: bytes, mappings and registers come from Python
// (livemig/engine/its_story.py); this file picks the state after k commands and says which pages they lie in.

import { itsAreaOffset } from "./model_coarse.js";

/** @typedef {Record<string, any>} Story as livemig.engine.its_story.its_story returns it */

const ENTRY_BYTES = 8;
const DIGITS = 2 * ENTRY_BYTES;
const AREA_STEP = 65536;
const NOTHING = "0".repeat(DIGITS);

/** Lowest byte first, and back. @param {string} hex @returns {string} */
const swapped = (hex) => (hex.match(/../g) ?? []).reverse().join("");

/** A value as it is with the tables `steps` x 64 KiB higher. @param {string} hex lowest byte first @param {number} step @param {number} steps @returns {string} */
function raised(hex, step, steps) {
  if (!step || hex === NOTHING) return hex;
  return swapped((BigInt(`0x${swapped(hex)}`) + BigInt(step) * BigInt(steps)).toString(16).padStart(DIGITS, "0"));
}

export class ItsPicked {
  /** @param {any} s the model's state @param {Story} story */
  constructor(s, story) {
    const f = s.fields;
    this.s = s;
    this.story = story;
    this.when = f.save_tables_when;
    this.period = f.its_command_period_s;
    this.offset = itsAreaOffset(f.ram_bytes, s.tables.its_area_bytes);
    this.base = story.ram_base + this.offset;
    this.steps = this.base / AREA_STEP;
    this.commands = 0;
    this.saves = 0;
    /** @type {number | null} commands done at the last save that still reached the stream */
    this.savedAt = null;
    this.pendingSaved = false;
    /** @type {number[][]} */
    this.restored = [];
    this.loaded = false;
    /** @type {number[]} pages that were saved after RAM had gone */
    this.latePages = [];
  }

  /** @param {number} offset in the ITS's area @returns {number} page number */
  #page(offset) {
    return Math.floor((this.offset + offset) / this.s.fields.page_bytes);
  }

  /** The state after k commands. @param {number} k @returns {number} */
  #index(k) {
    const { cycle } = this.story;
    return k < cycle ? k : cycle + ((k - cycle) % cycle);
  }

  /** @param {number} k @returns {{event: number, mapping: number[], value: string}[]} the spare device's events */
  #spare(k) {
    const { spare } = this.story;
    return spare.states[this.#index(k)].map((/** @type {number[]} */ [mapping, value]) => ({
      event: spare.mappings[mapping][1], mapping: spare.mappings[mapping], value: spare.values[value],
    }));
  }

  /** Events whose entries commands from .. to-1 zero in RAM. @returns {Set<number>} */
  #discarded(/** @type {number} */ from, /** @type {number} */ to) {
    const { discards } = this.story.spare;
    const events = new Set();
    // two rounds show all there is: the first may still be the one in which nothing is mapped yet
    for (let k = from; k < Math.min(to, from + 2 * this.story.cycle); k += 1) events.add(discards[this.#index(k)]);
    events.delete(-1);
    return events;
  }

  /** @param {number} guestS */
  guestRunsUntil(guestS) {
    if (!this.period) return;
    const due = Math.trunc(guestS / this.period);
    if (due <= this.commands) return;
    for (const event of this.#discarded(this.commands, due)) {
      this.s.memory.deviceWrites(this.#page(this.story.spare.offset + ENTRY_BYTES * event));
    }
    this.commands = due;
  }

  saveTables() {
    this.guestRunsUntil(this.s.guestS());
    const pages = this.#write(this.#savedOffsets());
    this.s.machine.spend(this.s.fields.costs.save_tables_s / 2);
    this.saves += 1;
    this.savedAt = this.commands;
    const spare = new Map(this.#spare(this.commands).map(({ event, value }) => [event, value]));
    this.s.machine.emit("its", "SAVE_TABLES", { pages, errno: 0, tables: this.#shown(true, spare) }, "its");
  }

  savePending() {
    const pages = this.#write(this.pendingSaved ? [] : this.story.pending.offsets);
    this.pendingSaved = true;
    this.s.machine.spend(this.s.fields.costs.save_tables_s / 2);
    this.s.machine.emit("its", "SAVE_PENDING_TABLES", { pages, errno: 0 }, "its");
  }

  /** Bytes of all entries that a save writes. @returns {number[]} */
  #savedOffsets() {
    const { tables, spare } = this.story;
    const offsets = [];
    for (const table of tables) for (const id of table.ids) offsets.push(table.offset + ENTRY_BYTES * id);
    for (const { event } of this.#spare(this.commands)) offsets.push(spare.offset + ENTRY_BYTES * event);
    return offsets;
  }

  /** Mark the pages; returns those that no device had written since the last sync. @param {number[]} offsets @returns {number[]} */
  #write(offsets) {
    const before = new Set(this.s.memory.devicePages);
    const pages = new Set(offsets.map((offset) => this.#page(offset)));
    for (const page of pages) this.s.memory.deviceWrites(page);
    return [...pages].filter((page) => !before.has(page)).sort((a, b) => a - b);
  }

  preSave() {
    if (this.when === "pre_save") {
      this.saveTables();
      this.savedAt = null; // too late: RAM has been sent
      this.latePages = [...new Set(this.#savedOffsets().map((offset) => this.#page(offset)))].sort((a, b) => a - b);
    }
    for (const [name, value] of this.#registers()) this.s.machine.emit("its", `GET ${name.slice(5)}`, { value }, "its");
  }

  /** @returns {Map<string, string>} name -> value in hex */
  #registers() {
    return new Map(this.story.registers.map((/** @type {[string, string, number]} */ [name, value, step]) =>
      [name, step ? `0x${(BigInt(value) + BigInt(step) * BigInt(this.steps)).toString(16)}` : value]));
  }

  /** post_load on the destination. */
  restoreThere() {
    const registers = this.#registers();
    for (const step of this.story.load_order) {
      if (step === "RESTORE_TABLES") this.#restoreTables();
      else this.s.machine.emit("its", `SET ${step.slice(5)}`, { value: registers.get(step) }, "dst");
    }
  }

  /** What lies in the destination's RAM: the last save, without the entries that were zeroed after it. */
  #restoreTables() {
    const saved = this.savedAt;
    this.loaded = true;
    const gone = saved === null ? new Set() : this.#discarded(saved, this.commands);
    const left = saved === null ? [] : this.#spare(saved).filter(({ event }) => !gone.has(event));
    this.restored = left.map(({ mapping }) => mapping);
    const bytes = new Map(left.map(({ event, value }) => [event, value]));
    const mappings = (saved === null ? 0 : this.#fixed().length) + left.length;
    this.s.machine.emit("its", "RESTORE_TABLES", { errno: 0, mappings, tables: this.#shown(saved !== null, bytes) }, "dst");
  }

  /** Entries of what is mapped now; zeros where RAM has none. @param {boolean} there the tables that stay @param {Map<number, string>} spareBytes by event */
  #shown(there, spareBytes) {
    const { tables, spare } = this.story;
    const shown = tables.map((/** @type {any} */ table) => this.#table(table, table.ids.map((/** @type {number} */ id, /** @type {number} */ i) =>
      [id, there ? raised(table.values.slice(DIGITS * i, DIGITS * (i + 1)), table.step, this.steps) : NOTHING])));
    const events = this.#spare(this.commands).map(({ event }) => [event, spareBytes.get(event) ?? NOTHING]);
    return [...shown, this.#table(spare, events)];
  }

  /** @param {any} table @param {any[][]} entries */
  #table(table, entries) {
    return { name: table.name, layout: table.layout, base: this.base + table.offset, entry_bytes: ENTRY_BYTES, entries };
  }

  /** @returns {number[][]} mappings that stay: DeviceID, EventID, LPI, ICID, VCPU */
  #fixed() {
    const { mappings } = this.story;
    return Array.from({ length: mappings.length / 5 }, (_, i) => mappings.slice(5 * i, 5 * i + 5));
  }

  /** Mappings that the destination lost, has stale or has wrong. */
  report() {
    const fixed = this.#fixed();
    const want = this.#spare(this.commands).map(({ mapping }) => mapping);
    const have = new Map(this.restored.map((m) => [m[1], m]));
    const hasFixed = this.loaded && this.savedAt !== null; // a destination that died has nothing
    const wanted = new Set(want.map((m) => m[1]));
    return {
      mapped_at_source: fixed.length + want.length,
      mapped_at_destination: (hasFixed ? fixed.length : 0) + have.size,
      lost: [...(hasFixed ? [] : fixed), ...want.filter((m) => !have.has(m[1]))],
      stale: [...have.values()].filter((m) => !wanted.has(m[1])),
      wrong: want.filter((m) => have.has(m[1]) && String(have.get(m[1])) !== String(m)).map((m) => [m, have.get(m[1])]),
      pending_lost: hasFixed ? [] : this.story.pending.lpis,
      restore_error: null,
    };
  }
}
