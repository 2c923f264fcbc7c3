// Random page numbers, the same as livemig/engine/workload.py makes: a counter-based 32-bit hash, and the lab guest's
// xorshift64 in two halves. Each function marks the pages it draws and returns how many were new.

import { ModelLimit } from "./model_machine.js";

/**
 * Where draws go: `log` counts from the working set's first page at index `offset`; `touched` may be null.
 * @typedef {{log: Uint8Array, offset: number, touched: Uint8Array | null, first: number}} Target
 * @typedef {{seed: number, n: number, table?: any}} Draw
 */

const CHOOSER = 0x5bd1e995;
const HALF = 4294967296;
const LAB_SEED = [3418323524, 20529293]; // low and high half of 88172645463325252
const LAB_STEP = 1 << 14;

/** The finish of the hash. @param {number} x @returns {number} 0 .. 2^32 - 1 */
function mixed(x) {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** What a hash adds for the seed and the counter's high half. @param {number} seed @param {number} high @returns {number} */
const seedPart = (seed, high) => (Math.imul(high, 0x7f4a7c15) + seed) | 0;

/** The hash of (seed, counter). @param {number} seed @param {number} low @param {number} high @returns {number} */
export const hash32 = (seed, low, high = 0) => mixed((Math.imul(low, 0x9e3779b1) + seedPart(seed, high)) | 0);

/** @param {Draw} d @param {Target} to @param {number} low @param {number} high @param {number} count @param {number} room @returns {number} */
export function drawUniform(d, to, low, high, count, room) {
  const { log, offset, touched, first } = to;
  const base = seedPart(d.seed, high);
  const scale = d.n / HALF;
  let fresh = 0;
  for (let i = 0; i < count && fresh < room; i += 1) {
    const page = (mixed((Math.imul(low + i, 0x9e3779b1) + base) | 0) * scale) | 0;
    fresh += 1 - log[offset + page];
    log[offset + page] = 1;
    if (touched !== null) touched[first + page] = 1;
  }
  return fresh;
}

/** The hot part and how often it is hit. @param {import("./model_coarse.js").Fields} f @param {number} n */
export function hotPart(f, n) {
  const hot = Math.min(n, Math.max(1, Math.trunc(n * f.hot_fraction)));
  return { hot, limit: hot === n ? HALF : Math.trunc(f.hot_share * HALF) };
}

/** @param {Draw} d @param {Target} to @param {number} low @param {number} high @param {number} count @param {number} room @returns {number} */
export function drawHotCold(d, to, low, high, count, room) {
  const { log, offset, touched, first } = to;
  const { hot, limit } = d.table;
  const base = seedPart(d.seed, high);
  const chooser = seedPart(d.seed ^ CHOOSER, high);
  const hotScale = hot / HALF;
  const coldScale = Math.max(1, d.n - hot) / HALF;
  let fresh = 0;
  for (let i = 0; i < count && fresh < room; i += 1) {
    const k = Math.imul(low + i, 0x9e3779b1);
    const where = mixed((k + base) | 0);
    const page = mixed((k + chooser) | 0) < limit ? (where * hotScale) | 0 : hot + ((where * coldScale) | 0);
    fresh += 1 - log[offset + page];
    log[offset + page] = 1;
    if (touched !== null) touched[first + page] = 1;
  }
  return fresh;
}

/** Bins of ranks with their cumulative probabilities; `guide` finds the bin from a hash's upper 16 bits. @param {number} n @param {number} exponent @param {number} binCount */
export function zipfTable(n, exponent, binCount) {
  const starts = [0];
  for (let last = 0; last < n; starts.push(last)) last = Math.min(n, last + Math.max(1, Math.ceil((last * 16) / binCount)));
  const weights = starts.slice(1).map((high, i) => (high - starts[i]) / rankPower((starts[i] + 1 + high) / 2, exponent));
  const total = weights.reduce((sum, w) => sum + w, 0);
  let running = 0;
  const ends = Float64Array.from(weights, (w) => Math.trunc(((running += w) / total) * HALF));
  ends[ends.length - 1] = HALF;
  const scales = Float64Array.from(ends, (_, bin) => (starts[bin + 1] - starts[bin]) / HALF);
  return { starts: Int32Array.from(starts), ends, scales, guide: guideOf(ends), pageOf: scattered(n) };
}

function rankPower(/** @type {number} */ middle, /** @type {number} */ exponent) {
  let power = (2 * exponent) % 2 ? Math.sqrt(middle) : 1;
  for (let i = 0; i < Math.trunc(exponent); i += 1) power *= middle;
  return power;
}

function guideOf(/** @type {Float64Array} */ ends) {
  const guide = new Uint16Array(1 << 16);
  let bin = 0;
  for (let i = 0; i < guide.length; i += 1) {
    while (ends[bin] <= i * 65536) bin += 1;
    guide[i] = bin;
  }
  return guide;
}

/** Rank -> page: a stride coprime to n, so that neighbouring ranks are not neighbouring pages. @param {number} n */
function scattered(n) {
  let stride = Math.max(1, Math.trunc(n * 0.6180339887498949));
  while (divisor(stride, n) !== 1) stride += 1;
  const pageOf = new Int32Array(n);
  for (let rank = 1, page = 0; rank < n; rank += 1) pageOf[rank] = page = (page + stride) % n;
  return pageOf;
}

const divisor = (/** @type {number} */ a, /** @type {number} */ b) => {
  while (b) [a, b] = [b, a % b];
  return a;
};

/** @param {Draw} d @param {Target} to @param {number} low @param {number} high @param {number} count @param {number} room @returns {number} */
export function drawZipf(d, to, low, high, count, room) {
  const { log, offset, touched, first } = to;
  const { starts, ends, scales, guide, pageOf } = d.table;
  const base = seedPart(d.seed, high);
  const chooser = seedPart(d.seed ^ CHOOSER, high);
  let fresh = 0;
  for (let i = 0; i < count && fresh < room; i += 1) {
    const k = Math.imul(low + i, 0x9e3779b1);
    const chosen = mixed((k + chooser) | 0);
    let bin = guide[chosen >>> 16];
    while (ends[bin] <= chosen) bin += 1;
    const page = pageOf[starts[bin] + ((mixed((k + base) | 0) * scales[bin]) | 0)];
    fresh += 1 - log[offset + page];
    log[offset + page] = 1;
    if (touched !== null) touched[first + page] = 1;
  }
  return fresh;
}

/** States of the lab guest's generator at every LAB_STEP-th step, shared by all runs. @type {[number, number][]} */
const labStates = [[LAB_SEED[0], LAB_SEED[1]]];

/** The lab guest's xorshift64: a place in its sequence, and the draws from there. */
export class LabDraws {
  constructor() {
    this.position = 0;
    [this.low, this.high] = LAB_SEED;
  }

  /** @param {number} first @param {number} mostSteps limit of the way from the nearest known state */
  seek(first, mostSteps) {
    if (first === this.position) return;
    const known = Math.min(labStates.length - 1, Math.floor(first / LAB_STEP));
    if (first - known * LAB_STEP > mostSteps) throw new ModelLimit(`more than ${mostSteps} draws`);
    if (first < this.position || known * LAB_STEP > this.position) {
      this.position = known * LAB_STEP;
      [this.low, this.high] = labStates[known];
    }
    while (this.position < first) this.step();
  }

  step() {
    let { low, high } = this;
    high ^= (high << 13) | (low >>> 19);
    low ^= low << 13;
    low ^= (low >>> 7) | (high << 25);
    high ^= high >>> 7;
    high ^= (high << 17) | (low >>> 15);
    low ^= low << 17;
    this.low = low;
    this.high = high;
    this.position += 1;
    if (this.position === labStates.length * LAB_STEP) labStates.push([low, high]);
  }

  /** Pages of writes `first` and following. @param {number} n @param {Target} to @param {number} first @param {number} count @param {number} mostSteps @returns {number} */
  draw(n, to, first, count, mostSteps) {
    this.seek(first, mostSteps);
    const { log, offset, touched } = to;
    let fresh = 0;
    for (let i = 0; i < count; i += 1) {
      this.step();
      const carry = Math.floor(((this.low >>> 0) * n) / HALF);
      const page = Math.floor(((this.high >>> 0) * n + carry) / HALF);
      fresh += 1 - log[offset + page];
      log[offset + page] = 1;
      if (touched !== null) touched[to.first + page] = 1;
    }
    return fresh;
  }
}
