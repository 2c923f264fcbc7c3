// Who writes which pages when (livemig/engine/workload.py): how many writes by a time, and which pages they touch.

import { LabDraws, drawHotCold, drawUniform, drawZipf, hotPart, zipfTable } from "./model_draws.js";
import { ModelLimit } from "./model_machine.js";

/** @typedef {import("./model_coarse.js").Fields} Fields @typedef {import("./model_draws.js").Target} Target */
/** @typedef {{from: number, count: number, rate: number, pattern: string}} Stretch a phase: from when, writes before it */

const TWO32 = 4294967296;
const MOST_WRITES = 2 ** 62; // a phase's rate has no limit, the hash's counter has

/** @type {Record<string, (d: any, to: Target, low: number, high: number, count: number, room: number) => number>} */
const DRAWS = { uniform: drawUniform, hot_cold: drawHotCold, zipf: drawZipf };

/** first + i as two 32-bit halves; numbers above 2^53 are whole doubles, so BigInt adds exactly. */
function halves(/** @type {bigint} */ k) {
  return [Number(k & 0xffffffffn), Number((k >> 32n) & 0xffffffffn)];
}

/** The guest's writer. Page numbers are relative to the working set. */
export class Writer {
  /** @param {Fields} f @param {{zipf_bins: number, per_page: number}} draws @param {number} mostDraws */
  constructor(f, draws, mostDraws) {
    this.fields = f;
    this.n = f.working_set_bytes / f.page_bytes;
    this.draws = draws;
    this.drawsLeft = mostDraws;
    this.lab = f.pattern === "lab_random" ? new LabDraws() : null;
    this.stretches = f.pattern === "phases" ? phasesOf(f) : [stretchOf(f, 0, f.writer_start_writes, f.pattern, f.dirty_rate_bytes_per_s)];
    /** @type {Record<string, {seed: number, n: number, table?: any}>} */
    this.made = {};
  }

  /** Number of the last page write made by guest time t. @param {number} t seconds @returns {number} */
  writesBy(t) {
    const list = this.stretches;
    let i = list.length - 1;
    while (i > 0 && list[i].from > Math.max(t, 0)) i -= 1;
    const { from, count, rate } = list[i];
    const writes = count + rate * (t - from);
    return writes > 0 ? Math.trunc(Math.min(writes, MOST_WRITES)) : 0;
  }

  /**
   * Mark the pages of writes first .. last-1.
   * @param {number} first @param {number} last @param {Target} to
   * @param {number} marked pages of the working set that are marked already @returns {number} pages newly marked
   */
  mark(first, last, to, marked) {
    let low = first;
    let fresh = 0;
    this.stretches.forEach((stretch, i) => {
      const next = this.stretches[i + 1];
      const high = Math.min(last, next ? Math.trunc(next.count) : last);
      if (low >= high) return;
      fresh += this.#markStretch(stretch.pattern, low, high, to, marked + fresh);
      low = high;
    });
    return fresh;
  }

  /** @param {string} pattern @param {number} first @param {number} last @param {Target} to @param {number} marked */
  #markStretch(pattern, first, last, to, marked) {
    const { n } = this;
    if (pattern === "idle" || !n) return 0;
    if (pattern === "sequential") return markRange(first, last, n, to);
    if (this.lab) {
      this.#spend(last - first);
      return this.lab.draw(n, to, first, last - first, this.drawsLeft);
    }
    const count = Math.min(last - first, this.draws.per_page * n);
    if (marked === n) return 0;
    return this.#drawn(pattern, BigInt(last) - BigInt(count), count, to, n - marked);
  }

  /** @param {string} pattern @param {bigint} begin @param {number} count @param {Target} to @param {number} room */
  #drawn(pattern, begin, count, to, room) {
    const draw = DRAWS[pattern];
    const what = (this.made[pattern] ??= this.#table(pattern));
    let fresh = 0;
    for (let done = 0; done < count && fresh < room; ) {
      const [low, high] = halves(begin + BigInt(done));
      const part = Math.min(count - done, TWO32 - low, 1 << 20);
      this.#spend(part);
      fresh += draw(what, to, low, high, part, room - fresh);
      done += part;
    }
    return fresh;
  }

  /** @param {string} pattern */
  #table(pattern) {
    const { fields, n } = this;
    const made = { seed: fields.seed, n };
    if (pattern === "zipf") return { ...made, table: zipfTable(n, fields.zipf_exponent, this.draws.zipf_bins) };
    return pattern === "hot_cold" ? { ...made, table: hotPart(fields, n) } : made;
  }

  /** @param {number} count */
  #spend(count) {
    this.drawsLeft -= count;
    if (!(this.drawsLeft >= 0)) throw new ModelLimit("more random writes than a browser can draw");
  }
}

/** @returns {Stretch} */
function stretchOf(/** @type {Fields} */ f, /** @type {number} */ from, /** @type {number} */ count, /** @type {string} */ pattern, /** @type {number} */ bytesPerS) {
  return { from, count, pattern, rate: pattern === "idle" ? 0 : bytesPerS / f.page_bytes };
}

function phasesOf(/** @type {Fields} */ f) {
  const list = [];
  let from = 0;
  let count = f.writer_start_writes;
  for (const phase of f.phases) {
    const stretch = stretchOf(f, from, count, phase.pattern, phase.dirty_rate_bytes_per_s);
    list.push(stretch);
    from += phase.duration_s;
    count += phase.duration_s * stretch.rate;
  }
  return list;
}

/** `last - first` pages in order, wrapping at the end of the working set; a whole round is as good as many. */
function markRange(/** @type {number} */ first, /** @type {number} */ last, /** @type {number} */ n, /** @type {Target} */ to) {
  const count = Math.min(n, last - first);
  const start = Number((BigInt(last) - BigInt(count)) % BigInt(n));
  const end = start + count;
  return markPages(start, Math.min(end, n), to) + (end > n ? markPages(0, end - n, to) : 0);
}

function markPages(/** @type {number} */ from, /** @type {number} */ end, /** @type {Target} */ to) {
  const { log, offset } = to;
  let fresh = 0;
  for (let i = offset + from; i < offset + end; i += 1) fresh += 1 - log[i];
  log.fill(1, offset + from, offset + end);
  if (to.touched) to.touched.fill(1, to.first + from, to.first + end);
  return fresh;
}
