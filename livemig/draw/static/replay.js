// Which page was dirty when: a run's syncs, sends and ITS saves played again on the model's memory. Pure.
//
// Theory of operation. A Trace says how many pages went and when, not which. The scan is circular and the writer is
// deterministic, so the same memory (model_memory.js) with the same writer gives the places. Of the model's own run that
// is exact (a test compares each sync's count of new pages); of a recording it is derived, and the panel says so.

import { coarseFields } from "./model_coarse.js";
import { ModelState } from "./model_state.js";

/** @typedef {import("./scene.js").Run} Run @typedef {Record<string, any>} Fields */

export const CELLS = 512;
const MOST_FRAMES = 4000; // of 1 KiB each
const MOST_DRAWS = 20_000_000; // a map is not worth a second of waiting
const MOST_TIMES = 3;
const LONG_GAP = 64;

/** @param {Fields} f of the run, perhaps without defaults @param {Fields} tables @returns {Fields} */
function wholeFields(f, tables) {
  const full = { ...tables.defaults, ...f, plan: [], costs: { ...tables.defaults.costs, ...f.costs } };
  return coarseFields(full, tables.most_pages, tables.its_area_bytes);
}

export class Replay {
  /** @param {Run} run @param {Fields} tables */
  constructor(run, tables) {
    const f = wholeFields(run.scenario, tables);
    const known = f.its_devices === tables.its?.devices && f.its_events_per_device === tables.its?.events;
    const state = new ModelState(known ? f : { ...f, its_devices: 0 }, 1, tables, { rows: 10, draws: MOST_DRAWS });
    this.run = run;
    this.its = state.its;
    this.memory = state.memory;
    this.throttle = state.throttle;
    this.ramPages = this.memory.ramPages;
    this.pageBytes = f.page_bytes;
    this.syncS = f.costs.sync_s;
    this.cellPages = Math.max(1, Math.ceil(this.ramPages / CELLS));
    this.cells = Math.ceil(this.ramPages / this.cellPages);
    this.position = 0;
    this.sent = new Uint8Array(this.memory.totalPages);
    this.dirtyIn = new Int32Array(CELLS);
    this.timesIn = new Uint8Array(CELLS);
    this.rows = run.events.filter(([, kind, lane, name]) => (kind === "sync" || kind === "throttle" || (kind === "send" && name === "ram") || kind === "its") && lane !== "dst");
    this.stride = Math.ceil(this.rows.length / MOST_FRAMES);
    this.done = 0;
    /** @type {number[]} new pages of each sync, as played */
    this.fresh = [];
    /** @type {Set<number>} cells that hold ITS tables, once they were written */
    this.itsCells = new Set();
    this.memory.markAllDirty();
    /** @type {{t: number, dirty: Int32Array, times: Uint8Array, its: number[]}[]} */
    this.frames = [];
    this.#count(0, this.ramPages);
    this.#keep(0);
  }

  /** The frame at time t; what was not played yet is played up to there. @param {number} t */
  at(t) {
    while (this.done < this.rows.length && this.rows[this.done][0] <= t + 1e-9) this.#play();
    let low = 0;
    let high = this.frames.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.frames[middle].t <= t + 1e-9) low = middle;
      else high = middle - 1;
    }
    return this.frames[low];
  }

  #play() {
    const [t, kind, , , , data] = this.rows[this.done];
    this.done += 1;
    if (kind === "sync") this.#sync(this.#logReadAt(t, data));
    else if (kind === "throttle") this.throttle.set(data.percentage, t);
    else if (kind === "send") this.#send(data);
    else this.#saved(data);
    if (kind !== "send" || this.done % this.stride === 0 || this.done === this.rows.length) this.#keep(t);
  }

  /** A sync may go on for a while after it has read the log: a sleeping vCPU is waited for. @param {number} t @param {Fields} data */
  #logReadAt(t, data) {
    return this.run.source === "simulated" ? Math.min(t, data.start_s + this.syncS) : t;
  }

  /** Seconds in which the guest worked until t; a throttle ends with the first pause. @param {number} t */
  #guestS(t) {
    const { pauses } = this.run;
    const end = pauses.length && pauses[0][0] < t ? pauses[0][0] : t;
    return pauses.reduce((sum, [a, b]) => sum - Math.max(0, Math.min(b, t) - a), this.throttle.workS(end) + (t - end));
  }

  #sync(/** @type {number} */ t) {
    const { memory } = this;
    const guestS = this.#guestS(t);
    this.its?.guestRunsUntil(guestS);
    memory.guestRunsUntil(guestS);
    const device = [...memory.devicePages];
    this.fresh.push(memory.sync(guestS));
    this.#count(memory.setFirst, memory.setEnd);
    for (const page of device) this.#count(page, page + 1);
  }

  /** The next pages of the circular scan, as many as the row has. @param {Fields} data */
  #send(data) {
    const { memory, sent, cellPages, ramPages } = this;
    const { dirty } = memory;
    let left = Math.min(memory.pending, (data.pages ?? 0) + (data.zero_pages ?? 0));
    memory.pending -= left;
    memory.setDirty = -1;
    memory.guestRunsUntil(0);
    let gap = 0;
    let at = this.position % memory.totalPages;
    while (left > 0) {
      if (!dirty[at]) {
        gap += 1;
        at = gap > LONG_GAP ? dirty.indexOf(1, at) : at + 1;
        if (at < 0 || at >= memory.totalPages) at = 0;
        continue;
      }
      gap = 0;
      left -= 1;
      dirty[at] = 0;
      if (sent[at] < MOST_TIMES) sent[at] += 1;
      if (at < ramPages) {
        const cell = Math.floor(at / cellPages);
        this.dirtyIn[cell] -= 1;
        if (sent[at] > this.timesIn[cell]) this.timesIn[cell] = sent[at];
      }
      at = at + 1 < memory.totalPages ? at + 1 : 0;
    }
    this.position = at;
  }

  #saved(/** @type {Fields} */ data) {
    for (const page of data.pages ?? []) {
      this.memory.deviceWrites(page);
      this.itsCells.add(Math.floor(page / this.cellPages));
    }
  }

  /** Dirty pages of the cells that hold pages [first, end). */
  #count(/** @type {number} */ first, /** @type {number} */ end) {
    const { dirty } = this.memory;
    const last = Math.min(end, this.ramPages);
    for (let cell = Math.floor(first / this.cellPages); cell * this.cellPages < last; cell += 1) {
      let sum = 0;
      const stop = Math.min(this.ramPages, (cell + 1) * this.cellPages);
      for (let page = cell * this.cellPages; page < stop; page += 1) sum += dirty[page];
      this.dirtyIn[cell] = sum;
    }
  }

  #keep(/** @type {number} */ t) {
    this.frames.push({ t, dirty: this.dirtyIn.slice(), times: this.timesIn.slice(), its: [...this.itsCells] });
  }
}
