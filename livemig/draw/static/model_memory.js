// Guest memory as migration sees it (livemig/engine/memory.py without real bytes): migration bitmap, dirty log, circular
// scan by address, and which pages a device wrote. One byte a page; nothing is allocated per page or per send.

/** @typedef {import("./model_coarse.js").Fields} Fields @typedef {import("./model_workload.js").Writer} Writer */
/** @typedef {{first: number, last: number, count: number, zero: boolean}} SentRun pages in scan order, all of one class */

const LONG_GAP = 24; // clean pages after which looking at eight at a time is faster

/** Pages [low, high) of RAM that hold something else than zeros at the start. @param {Fields} f @returns {[number, number]} */
function filledPages(f) {
  const low = Math.min(f.filled_offset_bytes, f.ram_bytes);
  const size = f.filled_bytes == null ? f.ram_bytes - low : Math.min(f.filled_bytes, f.ram_bytes - low);
  const first = Math.floor(low / f.page_bytes);
  return [first, size ? Math.floor((low + size) / f.page_bytes) : first];
}

export class GuestPages {
  /** @param {Fields} f @param {Writer} writer */
  constructor(f, writer) {
    this.ramPages = Math.floor(f.ram_bytes / f.page_bytes);
    this.totalPages = this.ramPages + Math.floor(f.other_ram_bytes / f.page_bytes);
    const buffer = new ArrayBuffer(Math.ceil(this.totalPages / 8) * 8);
    this.dirty = new Uint8Array(buffer);
    /** The same bytes, eight at a time: a word is 0 where none is dirty. */
    this.words = new Float64Array(buffer);
    this.pending = 0;
    /** The scan has not come round yet: pages that nobody wrote may be dirty. */
    this.inBulk = true;
    /** Dirty pages of the working set; -1: to be counted. */
    this.setDirty = 0;
    this.position = 0;
    this.writer = writer;
    this.setFirst = f.working_set_offset_bytes / f.page_bytes;
    this.setEnd = this.setFirst + writer.n;
    this.applied = writer.writesBy(0);
    this.data = filledPages(f);
    const overlap = this.setFirst < this.data[0] || this.setEnd > this.data[1];
    /** Where a write turns a zero page into a full one, writes are applied at once, to a log of their own. */
    this.touched = overlap ? new Uint8Array(this.ramPages) : null;
    this.log = overlap ? new Uint8Array(writer.n) : null;
    this.logged = 0;
    if (this.touched && this.applied > 0) this.#touchBeforeT0(this.touched, this.applied);
    /** @type {Set<number>} written by a device since the last sync */
    this.devicePages = new Set();
    /** @type {Set<number>} of those, counted and not sent yet */
    this.waiting = new Set();
    /** @type {SentRun} */
    this.run = { first: 0, last: 0, count: 0, zero: false };
  }

  markAllDirty() {
    this.dirty.fill(1, 0, this.totalPages);
    this.pending = this.totalPages;
    this.setDirty = this.setEnd - this.setFirst;
    this.inBulk = true;
  }

  /** Apply writes whose bytes matter before the next sync. @param {number} guestS */
  guestRunsUntil(guestS) {
    if (this.log) this.logged += this.#apply(guestS, this.log, 0, this.logged);
  }

  /** What the guest wrote before the migration is not zero any more. @param {Uint8Array} touched @param {number} last */
  #touchBeforeT0(touched, last) {
    const log = new Uint8Array(this.writer.n);
    this.writer.mark(0, last, { log, offset: 0, touched, first: this.setFirst }, 0);
  }

  /** @param {number} guestS @param {Uint8Array} log @param {number} offset @param {number} marked @returns {number} */
  #apply(guestS, log, offset, marked) {
    const last = this.writer.writesBy(guestS);
    if (last <= this.applied) return 0;
    const first = this.applied;
    this.applied = last;
    return this.writer.mark(first, last, { log, offset, touched: this.touched, first: this.setFirst }, marked);
  }

  /** A device writes RAM. @param {number} page */
  deviceWrites(page) {
    this.devicePages.add(page);
    if (this.touched) this.touched[page] = 1;
  }

  /** OR what was written since the last sync into the bitmap. @param {number} guestS @returns {number} newly set pages */
  sync(guestS) {
    let fresh = this.log ? this.#syncLog(guestS, this.log) : this.#syncSet(guestS);
    for (const page of this.devicePages) {
      fresh += 1 - this.dirty[page];
      this.dirty[page] = 1;
      this.waiting.add(page);
    }
    this.devicePages.clear();
    this.pending += fresh;
    return fresh;
  }

  /** The writes go straight into the bitmap. @param {number} guestS */
  #syncSet(guestS) {
    const { dirty, setFirst, setEnd } = this;
    if (this.setDirty < 0) {
      this.setDirty = 0;
      for (let i = setFirst; i < setEnd; i += 1) this.setDirty += dirty[i];
    }
    const fresh = this.#apply(guestS, dirty, setFirst, this.setDirty);
    this.setDirty += fresh;
    return fresh;
  }

  /** @param {number} guestS @param {Uint8Array} log */
  #syncLog(guestS, log) {
    this.guestRunsUntil(guestS);
    const { dirty, setFirst } = this;
    let fresh = 0;
    for (let i = 0; i < log.length; i += 1) {
      fresh += log[i] & (dirty[setFirst + i] ^ 1);
      dirty[setFirst + i] |= log[i];
    }
    log.fill(0);
    this.logged = 0;
    return fresh;
  }

  /**
   * Send the next dirty pages of one class from the scan position on: their bits are cleared, the position moves on.
   * @param {(zero: boolean) => number} limit pages of one class @returns {SentRun | null} valid until the next call
   */
  sendRun(limit) {
    if (!this.pending) return null;
    const first = this.#firstDirty();
    const [low, high] = this.data;
    const region = first < low ? low : first < high ? high : this.totalPages;
    const inData = first >= low && first < high;
    const { run } = this;
    run.first = first;
    run.zero = !inData;
    if (inData) this.#take(region, limit(false));
    else if (!this.touched || first >= this.ramPages) this.#take(region, limit(true));
    else this.#takeAlike(Math.min(region, this.ramPages), limit);
    this.pending -= run.count;
    this.position = run.last + 1;
    if (first >= this.setFirst && run.last < this.setEnd) this.setDirty -= run.count;
    else if (first < this.setEnd && run.last >= this.setFirst) this.setDirty = -1;
    return run;
  }

  #firstDirty() {
    const at = this.#nextDirty(this.position % this.totalPages, this.totalPages);
    if (at < this.totalPages) return at;
    this.inBulk = false;
    return this.#nextDirty(0, this.totalPages);
  }

  /** The first dirty page in from .. end-1, or end. After the bulk only the guest and its devices make pages dirty. @param {number} from @param {number} end @returns {number} */
  #nextDirty(from, end) {
    if (this.inBulk) return this.#search(from, end);
    const low = Math.max(from, this.setFirst);
    const high = Math.min(end, this.setEnd);
    let at = low < high ? this.#search(low, high) : high;
    if (at >= high) at = end;
    for (const page of this.waiting) if (page >= from && page < at && this.dirty[page]) at = page;
    return at;
  }

  /** @param {number} from @param {number} end @returns {number} */
  #search(from, end) {
    const { dirty, words } = this;
    let at = from;
    while (at < end && at % 8 && !dirty[at]) at += 1;
    if (at >= end || dirty[at]) return at;
    let word = at / 8;
    const last = Math.floor(end / 8);
    while (word < last && words[word] === 0) word += 1;
    at = word * 8;
    while (at < end && !dirty[at]) at += 1;
    return at;
  }

  /** @param {number} end @param {number} limit pages, at least 1 */
  #take(end, limit) {
    const { dirty, run } = this;
    const most = Math.min(limit, this.pending); // nothing is left behind the last dirty page
    let count = 0;
    let gap = 0;
    for (let at = run.first; at < end && count < most; at += 1) {
      if (dirty[at]) {
        dirty[at] = 0;
        count += 1;
        run.last = at;
        gap = 0;
      } else if ((gap += 1) > LONG_GAP) {
        at = this.#nextDirty(at, end) - 1;
        gap = 0;
      }
    }
    run.count = count;
  }

  /** In a region of zeros that the guest writes: stop where written pages begin or end. */
  #takeAlike(/** @type {number} */ end, /** @type {(zero: boolean) => number} */ limit) {
    const { run } = this;
    const touched = /** @type {Uint8Array} */ (this.touched);
    const kind = touched[run.first];
    run.zero = !kind;
    const most = kind ? Math.min(limit(false), limit(true)) : limit(true);
    let count = 0;
    for (let at = run.first; at < end && count < most; at += 1) {
      if (!this.dirty[at]) continue;
      if (touched[at] !== kind) break;
      this.dirty[at] = 0;
      count += 1;
      run.last = at;
    }
    run.count = count;
  }

  /** Device pages that have gone since they were last counted, ascending. @returns {number[]} */
  gone() {
    if (!this.waiting.size) return [];
    const pages = [...this.waiting].filter((page) => !this.dirty[page]).sort((a, b) => a - b);
    for (const page of pages) this.waiting.delete(page);
    return pages;
  }
}
