// auto-converge: vCPUs that sleep a share of the time (livemig/engine/throttle.py). Times are the machine's.

export class Throttle {
  /** @param {number | null} catchUpS seconds of work that the guest makes good after a sleep; null: all @param {number} sliceS */
  constructor(catchUpS, sliceS) {
    this.percentage = 0;
    this.sleepEnd = 0;
    this.catchUpS = catchUpS ?? Infinity;
    this.sliceS = sliceS;
    this.sleepStart = 0;
    this.nextTick = Infinity;
    this.lost = 0;
    /** The last sleep, as long as it is not yet part of `lost`. */
    this.slept = 0;
  }

  /** A new percentage counts from the next tick on; the first one begins with a sleep. @param {number} percentage @param {number} t */
  set(percentage, t) {
    this.#advance(t);
    const active = this.percentage !== 0;
    this.percentage = percentage;
    if (!active) this.#tick(t);
  }

  /** @param {number} t */
  stop(t) {
    this.#advance(t);
    this.percentage = 0;
    this.nextTick = Infinity;
  }

  /** A vCPU that is asked to stop does not sleep on. @param {number} t */
  vmStops(t) {
    this.#advance(t);
    if (t >= this.sleepEnd) return;
    this.slept = t - this.sleepStart;
    this.sleepEnd = t;
  }

  /** Seconds in which the guest has worked. @param {number} t @returns {number} */
  workS(t) {
    this.#advance(t);
    if (t < this.sleepEnd) return this.sleepStart - this.lost;
    this.#settle();
    return t - this.lost;
  }

  /** When the vCPUs run again. @param {number} t @returns {number} */
  wakes(t) {
    this.#advance(t);
    return Math.max(t, this.sleepEnd);
  }

  /** @param {number} t */
  #tick(t) {
    const share = this.percentage / 100;
    this.slept = (share / (1 - share)) * this.sliceS;
    this.sleepStart = t;
    this.sleepEnd = t + this.slept;
    this.nextTick = t + this.sliceS / (1 - share);
  }

  /** @param {number} t */
  #advance(t) {
    while (this.nextTick <= t) {
      this.#settle();
      this.#tick(this.nextTick);
    }
  }

  #settle() {
    this.lost += Math.max(0, this.slept - this.catchUpS);
    this.slept = 0;
  }
}
