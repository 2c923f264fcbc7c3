// Playing: frame by frame in real time, or from mark to mark for those who asked for less motion.

import { advance, toMark } from "./player.js";

/** @typedef {{run: import("./scene.js").Run, cursor: {t: number, i: number}, axisKind: "time" | "step", speed: number}} Now */

const MARK_MS = 1500;
const LONGEST_FRAME_MS = 200; // a page that was hidden does not jump

export class Playback {
  /** @param {() => Now} now @param {(cursor: {t: number, i: number}, isMark: boolean) => void} show stops this at the end */
  constructor(now, show) {
    this.now = now;
    this.show = show;
    this.playing = false;
  }

  start() {
    this.playing = true;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.nextMark();
    else this.nextFrame(performance.now());
  }

  nextFrame(/** @type {number} */ before) {
    this.frame = requestAnimationFrame((time) => {
      if (!this.playing) return;
      const { run, cursor, axisKind, speed } = this.now();
      const dt = (Math.min(LONGEST_FRAME_MS, Math.max(0, time - before)) / 1000) * speed;
      this.show(advance(run, cursor, dt, axisKind), false);
      if (this.playing) this.nextFrame(time);
    });
  }

  nextMark() {
    const { run, cursor } = this.now();
    this.show(toMark(run, cursor, 1), true);
    if (this.playing) this.timer = setTimeout(() => this.nextMark(), MARK_MS);
  }

  stop() {
    this.playing = false;
    cancelAnimationFrame(this.frame ?? 0);
    clearTimeout(this.timer);
  }
}
