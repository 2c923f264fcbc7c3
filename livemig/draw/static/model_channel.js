// The stream to the destination: what is counted, how long bytes take, when a call of ram_save_iterate ends
// (livemig/engine/channel.py, rules.py).

import { GatheredPackets, Packets } from "./model_multifd.js";

/** @typedef {import("./model_coarse.js").Fields} Fields @typedef {import("./model_memory.js").SentRun} SentRun */

/** @param {Fields} f @returns {number} pages of all RAM blocks */
const pagesOf = (f) => Math.floor(f.ram_bytes / f.page_bytes) + Math.floor(f.other_ram_bytes / f.page_bytes);

/** The outgoing socket. */
export class Outgoing {
  /** @param {Fields} f @param {Record<string, number>} wire header, zero page, block name and framing bytes @param {number} taken small pages in one page @param {Record<string, number>} multifd sizes */
  constructor(f, wire, taken, multifd) {
    this.headerBytes = wire.header_bytes * taken;
    this.zeroBytes = this.headerBytes + wire.zero_page_extra_bytes * taken;
    this.normalBytes = this.headerBytes + f.page_bytes;
    this.nameBytes = wire.block_name_bytes;
    this.framingBytes = wire.framing_bytes;
    this.speed = Math.min(f.costs.memory_bytes_per_s, f.link_bytes_per_s ?? Infinity);
    this.packets = f.multifd_channels ? new Packets(f.multifd_channels, f.page_bytes, pagesOf(f), taken, multifd) : null;
    const share = this.packets ? this.packets.headerBytes / this.packets.pagesInPacket : 0;
    this.zeroS = f.costs.zero_page_s + (this.packets ? share : this.zeroBytes) / this.speed;
    this.normalS = (this.packets ? share + f.page_bytes : this.normalBytes) / this.speed;
    this.sent = 0;
    this.used = 0;
    /** @type {string | null} */
    this.error = null;
    /** The peer reads nothing: writes block. */
    this.silent = false;
    this.block = -1;
  }

  /** Seconds of one page, sent back to back. @param {boolean} zero @returns {number} */
  pageS(zero) {
    return zero ? this.zeroS : this.normalS;
  }

  /** @param {boolean} zero @returns {number} bytes of one page */
  pageBytes(zero) {
    return zero ? this.zeroBytes : this.normalBytes;
  }

  /** Bytes of the block's name where the RAM block changes. @param {number} block @returns {number} */
  blockChange(block) {
    if (block === this.block) return 0;
    this.block = block;
    return this.nameBytes;
  }

  /** Send a run of a RAM block's pages; the bytes that leave for it. @param {SentRun} run @param {number} block @returns {number} */
  put(run, block) {
    if (this.packets) return this.packets.put(run, block);
    return run.count * this.pageBytes(run.zero) + this.blockChange(block);
  }

  /** The scan has passed the last page. @returns {number} bytes */
  endRound() {
    return this.packets ? this.packets.endRound() : 0;
  }

  /** Begin a call of ram_save_iterate. @param {number} flushPages @param {number} budget @param {Record<string, number>} clock @returns {Gathered | GatheredPackets} */
  gather(flushPages, budget, clock) {
    if (this.packets) return new GatheredPackets(this, this.packets, budget, clock);
    return new Gathered(this, flushPages, budget, clock);
  }

  /** @param {number} bytes */
  count(bytes) {
    this.sent += bytes;
    this.used += bytes;
  }
}

/** One call of ram_save_iterate: what was gathered, what was flushed and so counts, pages and time used. */
export class Gathered {
  /** @param {Outgoing} out @param {number} flushPages @param {number} budget bytes, Infinity without a limit @param {Record<string, number>} clock */
  constructor(out, flushPages, budget, clock) {
    this.out = out;
    this.flushPages = flushPages;
    this.budget = budget;
    this.clock = clock;
    this.flushed = 0;
    this.unflushed = 0;
    this.gatheredPages = 0;
    this.buffered = 0;
    this.pages = 0;
    this.elapsed = 0;
  }

  /** @returns {boolean} the budget is used up, or 50 ms are over at a look at the clock */
  done() {
    if (this.flushed > this.budget) return true;
    return this.pages % this.clock.slice_pages === 0 && this.elapsed >= this.clock.max_wait_s - 1e-9;
  }

  /** How many pages of one class can go before bytes or clock end this call. @param {boolean} zero @returns {number} */
  limit(zero) {
    return Math.min(this.#byBytes(zero), this.#byTime(this.out.pageS(zero)));
  }

  /** @param {SentRun} run */
  add(run) {
    const cost = this.out.pageBytes(run.zero);
    const inBuffer = run.zero ? cost : this.out.headerBytes;
    const first = this.#firstFlush(run.zero);
    this.unflushed += run.count * cost;
    if (run.count >= first) {
      const rest = (run.count - first) % this.#perFlush(run.zero);
      this.flushed += this.unflushed - rest * cost;
      this.unflushed = rest * cost;
      this.gatheredPages = run.zero ? 0 : rest;
      this.buffered = rest * inBuffer;
    } else {
      this.gatheredPages += run.zero ? 0 : run.count;
      this.buffered += run.count * inBuffer;
    }
    this.pages += run.count;
    this.elapsed += run.count * this.out.pageS(run.zero);
  }

  /** Pages between two flushes. @param {boolean} zero @returns {number} */
  #perFlush(zero) {
    if (this.flushPages === 1) return 1;
    return zero ? Math.ceil(this.clock.buffer_bytes / this.out.zeroBytes) : this.flushPages;
  }

  /** Pages until the next flush. @param {boolean} zero @returns {number} */
  #firstFlush(zero) {
    if (this.flushPages === 1) return 1;
    const left = zero
      ? Math.ceil((this.clock.buffer_bytes - this.buffered) / this.out.zeroBytes)
      : this.flushPages - this.gatheredPages;
    return Math.max(1, left);
  }

  /** @param {boolean} zero @returns {number} */
  #byBytes(zero) {
    if (this.budget === Infinity) return Infinity;
    const cost = this.out.pageBytes(zero);
    const perFlush = this.#perFlush(zero);
    const first = this.#firstFlush(zero);
    const after = this.flushed + this.unflushed + first * cost;
    if (after > this.budget) return first;
    return first + (Math.floor((this.budget - after) / (perFlush * cost)) + 1) * perFlush;
  }

  /** The clock is looked at every 64 pages. @param {number} pageS @returns {number} */
  #byTime(pageS) {
    const slice = this.clock.slice_pages;
    const until = this.pages + Math.ceil(Math.max(0, this.clock.max_wait_s - this.elapsed) / pageS - 1e-9);
    const pages = Math.ceil(until / slice) * slice - this.pages;
    return pages > 1 ? pages : 1;
  }
}
