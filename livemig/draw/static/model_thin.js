// Long runs for drawing: hours of equal 100 ms windows are computed in full, but most of them without their rows.

/** @typedef {import("./model_ram.js").Sent} Sent */

/** Which turns of the migration thread's loop leave no rows; their sends become one row. */
export class Thinned {
  /** @param {number} every kept turns after which only every second one, then every fourth, .. is kept */
  constructor(every) {
    this.every = every;
    this.kept = 0;
    this.stride = 1;
    this.skipped = 0;
    /** Turns without rows in all. */
    this.turns = 0;
    /** @type {Sent | null} */
    this.sent = null;
  }

  /** A turn that only sends a slice, and is not one of those that are kept. @param {any} s @returns {boolean} */
  leavesOut(s) {
    const pending = s.pendingBytes();
    if (pending === 0 || pending < s.threshold || s.markedPass !== s.counters.syncs || s.out.error !== null) return false;
    if (this.skipped + 1 < this.stride) {
      this.skipped += 1;
      this.turns += 1;
      return true;
    }
    this.skipped = 0;
    this.kept += 1;
    if (this.kept % this.every === 0) this.stride *= 2;
    return false;
  }

  /** @param {Sent} sent */
  add(sent) {
    const all = this.sent;
    if (all === null) {
      this.sent = sent;
      return;
    }
    for (const key of /** @type {const} */ (["bytes", "pages", "zero_pages"])) all[key] += sent[key];
    all.last_page = sent.last_page;
    all.table_pages.push(...sent.table_pages);
  }

  /** The row of what was sent since the last turn that was kept. @param {any} s */
  tell(s) {
    if (this.sent === null) return;
    s.machine.emit("send", "ram", this.sent);
    this.sent = null;
  }
}
