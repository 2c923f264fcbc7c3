// multifd: pages in packets over several channels (livemig/engine/multifd.py).

/** @typedef {import("./model_memory.js").SentRun} SentRun */

/** The packet that is being filled, what was handed to the channels, and what they have not yet counted. */
export class Packets {
  /** @param {number} channels @param {number} pageBytes @param {number} pages of all RAM blocks @param {number} taken small pages in one page @param {Record<string, number>} sizes */
  constructor(channels, pageBytes, pages, taken, sizes) {
    const full = sizes.packet_bytes;
    this.pages = pages;
    this.channels = channels;
    this.pageBytes = pageBytes;
    this.flushBytes = sizes.flush_bytes;
    this.pagesInPacket = Math.max(1, Math.floor(full / pageBytes));
    const list = sizes.offset_bytes * Math.max(1, Math.floor((full * taken) / pageBytes));
    this.headerBytes = (sizes.header_bytes + list) * Math.max(1, taken > 1 ? Math.floor(pageBytes / full) : 1);
    this.handed = 0;
    /** @type {number[]} */
    this.inFlight = [];
    this.queued = 0;
    this.queuedNormal = 0;
    this.block = -1;
    this.owed = channels * sizes.hello_bytes + this.endRound();
  }

  /** @returns {number} bytes that the channels have written and counted */
  counted() {
    return this.handed - this.inFlight.reduce((sum, size) => sum + size, 0);
  }

  /** Gather pages; the bytes of the packets that were handed over for them. @param {SentRun} run @param {number} block @returns {number} */
  put(run, block) {
    const before = this.handed - this.owed;
    this.owed = 0;
    if (block !== this.block && this.queued) this.#handOver();
    this.block = block;
    for (let left = run.count; left; ) {
      if (this.queued === this.pagesInPacket) this.#handOver();
      const take = Math.min(this.pagesInPacket - this.queued, left);
      this.queued += take;
      if (!run.zero) this.queuedNormal += take;
      left -= take;
    }
    return this.handed - before;
  }

  /** The scan has passed the last page. @returns {number} bytes */
  endRound() {
    const before = this.handed;
    if (this.queued) this.#handOver();
    this.handed += this.channels * this.headerBytes + this.flushBytes;
    this.inFlight.length = 0;
    return this.handed - before;
  }

  #handOver() {
    const size = this.headerBytes + this.queuedNormal * this.pageBytes;
    this.handed += size;
    this.inFlight.push(size);
    if (this.inFlight.length > this.channels) this.inFlight.shift();
    this.queued = 0;
    this.queuedNormal = 0;
  }

  /** After how many pages more than `budget` bytes are counted in all; `most` at most. @param {number} budget @param {boolean} zero @param {number} most @returns {number} */
  pagesUntil(budget, zero, most) {
    if (budget === Infinity) return most;
    const flight = [...this.inFlight];
    let { queued, queuedNormal: normal } = this;
    let counted = this.counted();
    let done = 0;
    while (done < most) {
      if (queued === this.pagesInPacket) {
        flight.push(this.headerBytes + normal * this.pageBytes);
        if (flight.length > this.channels) counted += /** @type {number} */ (flight.shift());
        queued = 1;
        normal = zero ? 0 : 1;
        done += 1;
        if (counted > budget) return done;
      }
      const take = Math.min(this.pagesInPacket - queued, most - done);
      queued += take;
      if (!zero) normal += take;
      done += take;
    }
    return most;
  }
}

/** One call of ram_save_iterate with multifd; as Gathered, but bytes count when a channel has sent them. */
export class GatheredPackets {
  /** @param {import("./model_channel.js").Outgoing} out @param {Packets} packets @param {number} budget @param {Record<string, number>} clock */
  constructor(out, packets, budget, clock) {
    packets.inFlight.length = 0;
    this.out = out;
    this.packets = packets;
    this.until = packets.handed + budget;
    this.clock = clock;
    this.pages = 0;
    this.elapsed = 0;
  }

  /** @returns {boolean} */
  done() {
    if (this.packets.counted() > this.until) return true;
    return this.pages % this.clock.slice_pages === 0 && this.elapsed >= this.clock.max_wait_s - 1e-9;
  }

  /** @param {boolean} zero @returns {number} */
  limit(zero) {
    const slice = this.clock.slice_pages;
    const left = Math.max(0, this.clock.max_wait_s - this.elapsed);
    const until = this.pages + Math.ceil(left / this.out.pageS(zero) - 1e-9);
    return this.packets.pagesUntil(this.until, zero, Math.min(this.packets.pages, Math.max(1, Math.ceil(until / slice) * slice - this.pages)));
  }

  /** @param {SentRun} run */
  add(run) {
    this.pages += run.count;
    this.elapsed += run.count * this.out.pageS(run.zero);
  }
}
