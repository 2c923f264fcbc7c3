// Where the cursor goes: in real time, by event, by pass, and onto a new run. Pure.

import { stepAt } from "./scene.js";

/** @typedef {import("./scene.js").Run} Run */
/** @typedef {{t: number, i: number}} Cursor seconds and index into the steps (several steps may share a time) */

const LENS_S = 9; // the switchover takes this long to play, whatever the run
const STEPS_PER_S = 12;
const HALF_US = 6e-7; // times arrive rounded to microseconds
const IN_LOOP = ["migrate", "start", "iter", "pend", "send"];

/** @param {Run} run @param {number} t @returns {Cursor} */
export function toTime(run, t) {
  const at = Math.max(0, Math.min(lastTime(run), t));
  return { t: at, i: stepAt(run, at) };
}

/** A moment that somebody names: the first of the steps that share it. @param {Run} run @param {number} t @returns {Cursor} */
export function toMoment(run, t) {
  const cursor = toTime(run, t + HALF_US);
  const time = run.steps[cursor.i].t;
  if (Math.abs(time - t) > 2 * HALF_US) return toTime(run, t);
  while (cursor.i > 0 && run.steps[cursor.i - 1].t > time - HALF_US) cursor.i -= 1;
  return { t: time, i: cursor.i };
}

/** @param {Run} run @param {number} i @returns {Cursor} */
export function toStep(run, i) {
  const at = Math.max(0, Math.min(run.steps.length - 1, i));
  return { t: run.steps[at].t, i: at };
}

/** The next or previous mark. @param {Run} run @param {Cursor} cursor @param {1 | -1} way @returns {Cursor} */
export function toMark(run, cursor, way) {
  const times = run.marks.map((m) => m.t);
  if (way > 0) return toMoment(run, times.find((t) => t > cursor.t + 5e-7) ?? lastTime(run));
  return toMoment(run, times.filter((t) => t < cursor.t - 5e-7).at(-1) ?? 0);
}

const lastTime = (/** @type {Run} */ run) => run.steps[run.steps.length - 1].t;

/** @param {Run} run @param {Cursor} cursor @returns {boolean} */
export const atEnd = (run, cursor) => cursor.i >= run.steps.length - 1;

/**
 * The cursor after `dt` seconds of playing: real time, the lens stretched to 9 s, or evenly from step to step.
 * @param {Run} run @param {Cursor & {share?: number}} cursor @param {number} dt already times the speed @param {"time" | "step"} axis
 * @returns {Cursor & {share?: number}}
 */
export function advance(run, cursor, dt, axis) {
  if (axis === "step") {
    const share = (cursor.share ?? 0) + dt * STEPS_PER_S;
    return { ...toStep(run, cursor.i + Math.floor(share)), share: share % 1 };
  }
  const lens = run.lens;
  if (!lens || cursor.t >= lens.b) return toTime(run, cursor.t + dt);
  if (cursor.t < lens.a - 1e-6) return toTime(run, Math.min(cursor.t + dt, lens.a));
  return toTime(run, cursor.t + (dt * (lens.b - lens.a)) / LENS_S);
}

/**
 * The same moment in another run: the same row of the diagram in the switchover, the same time before it.
 * @param {Run} before @param {Cursor} cursor @param {Run} run @returns {Cursor}
 */
export function moved(before, cursor, run) {
  const row = before.steps[cursor.i].row;
  if (IN_LOOP.includes(row)) return toTime(run, cursor.t);
  const same = row === "done" ? run.steps.length - 1 : run.steps.findIndex((s) => s.row === row);
  return same < 0 ? toStep(run, run.steps.length - 1) : toStep(run, same);
}
