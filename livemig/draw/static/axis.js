// The time panel's x axis: the whole run in seconds, beside it the lens on the switchover in milliseconds, or even
// steps. Pure: widths in, positions out.

import { stepAt } from "./scene.js";

/** @typedef {import("./scene.js").Run} Run */
/** @typedef {{id: string, left: number, right: number, from: number, to: number, x: (t: number) => number}} Region */
/**
 * @typedef {object} Axis
 * @property {"time" | "step"} kind @property {Region[]} regions @property {number} left @property {number} right
 * @property {(t: number) => number} x @property {(t: number, i: number) => number} cursor where the cursor stands
 * @property {(share: number) => {t: number, i: number}} pick share of the width -> cursor
 * @property {(t: number) => boolean} inLens @property {number} zoom how much the lens magnifies, 1 without one
 */

/**
 * @param {Run} run @param {number} width of the panel, px @param {number} q type scale (1, large type 1.5)
 * @param {"time" | "step"} kind @param {Run | null} [pinned] a run beside it, on the same seconds @returns {Axis}
 */
export function axisOf(run, width, q, kind, pinned = null) {
  const left = 74 * q;
  const right = Math.max(left + 40, width - 10 * q);
  if (kind === "step") return stepAxis(run, left, right);
  const end = Math.max(run.end, pinned?.end ?? 0) * 1.004;
  const gap = 26 * q;
  const split = run.lens ? left + (right - left - gap) * 0.54 : right;
  const start = split + gap;
  const [a, b] = run.lens ? [run.lens.a, run.lens.b] : [Infinity, Infinity];
  const wide = (/** @type {number} */ t) => left + ((split - left) * t) / end;
  const near = (/** @type {number} */ t) => start + ((right - start) * (t - a)) / (b - a);
  /** @type {Region[]} */
  const regions = [{ id: "a", left, right: split, from: 0, to: end, x: wide }];
  if (run.lens) regions.push({ id: "b", left: start, right, from: a, to: b, x: near });
  const inLens = (/** @type {number} */ t) => t >= a && t <= b;
  const x = (/** @type {number} */ t) => (inLens(t) ? near(t) : wide(t));
  const cursor = (/** @type {number} */ t) => (t > b ? right : x(t)); // after the lens it would jump back to the left
  const timeAt = (/** @type {number} */ px) => {
    if (run.lens && px >= start) return clamp(a + ((px - start) / (right - start)) * (b - a), a, Math.min(b, run.end));
    const t = clamp(((Math.min(px, split) - left) / (split - left)) * end, 0, run.end);
    return inLens(t) ? Math.max(0, a - 1e-6) : t;
  };
  const pick = (/** @type {number} */ share) => {
    const t = timeAt(left + share * (right - left));
    return { t, i: stepAt(run, t) };
  };
  const zoom = run.lens ? (right - start) / (b - a) / ((split - left) / end) : 1;
  return { kind, regions, left, right, x, cursor, pick, inLens, zoom };
}

const clamp = (/** @type {number} */ v, /** @type {number} */ low, /** @type {number} */ high) => Math.max(low, Math.min(high, v));

/** Each step has the same width; between two steps time runs on evenly. @returns {Axis} */
function stepAxis(/** @type {Run} */ run, /** @type {number} */ left, /** @type {number} */ right) {
  const last = Math.max(1, run.steps.length - 1);
  const timeOf = (/** @type {number} */ i) => run.steps[Math.min(i, run.steps.length - 1)].t;
  const cursor = (/** @type {number} */ t, /** @type {number} */ i) => {
    const [a, b] = [timeOf(i), timeOf(i + 1)];
    return left + ((right - left) * Math.min(last, i + (b > a ? clamp((t - a) / (b - a), 0, 1) : 0))) / last;
  };
  const x = (/** @type {number} */ t) => cursor(t, stepAt(run, t));
  const pick = (/** @type {number} */ share) => {
    const at = clamp(share, 0, 1) * last;
    const i = Math.floor(at + 1e-9);
    return { t: timeOf(i) + (timeOf(i + 1) - timeOf(i)) * (at - i), i };
  };
  const regions = [{ id: "a", left, right, from: 0, to: run.end, x }];
  return { kind: "step", regions, left, right, x, cursor, pick, inLens: () => false, zoom: 1 };
}

/**
 * Label centres without overlap, as near to their places as possible.
 * @param {{x: number, w: number}[]} items in order @param {number} gap @param {number} low @param {number} high @returns {number[]}
 */
export function spread(items, gap, low, high) {
  const c = items.map((i) => clamp(i.x, low + i.w / 2, high - i.w / 2));
  const need = (/** @type {number} */ j) => (items[j - 1].w + items[j].w) / 2 + gap;
  for (let j = 1; j < c.length; j += 1) c[j] = Math.max(c[j], c[j - 1] + need(j));
  const over = c.length ? c[c.length - 1] + items[items.length - 1].w / 2 - high : 0;
  if (over > 0) {
    c[c.length - 1] -= over;
    for (let j = c.length - 2; j >= 0; j -= 1) c[j] = Math.min(c[j], c[j + 1] - need(j + 1));
  }
  return c;
}

/**
 * The part of a polyline that a region needs: one point before it to one after it. A path drawn from far outside would be
 * millions of pixels long in lens units and cost 100 ms a frame although it is clipped.
 * @param {number[][]} points [t, value], t ascending @param {Region} region @returns {number[][]} [px, value], px near the region
 */
export function clipped(points, region) {
  const out = [];
  const { from, to, x, left, right } = region;
  for (let i = 0; i < points.length; i += 1) {
    const before = i + 1 < points.length && points[i + 1][0] < from;
    if (before) continue;
    if (i > 0 && points[i - 1][0] > to) break;
    out.push(points[i]);
  }
  return cutEnds(out, from, to).map(([t, v]) => [clamp(x(t), left - 20, right + 20), v]);
}

/** Points outside [from, to] move along their segment to its edge. @returns {number[][]} */
function cutEnds(/** @type {number[][]} */ points, /** @type {number} */ from, /** @type {number} */ to) {
  if (points.length < 2) return points;
  const cut = (/** @type {number[]} */ outer, /** @type {number[]} */ inner, /** @type {number} */ edge) =>
    inner[0] === outer[0] ? outer : [edge, outer[1] + ((inner[1] - outer[1]) * (edge - outer[0])) / (inner[0] - outer[0])];
  const out = points.map((p) => [...p]);
  const n = out.length;
  if (out[0][0] < from && out[1][0] >= from) out[0] = cut(out[0], out[1], from);
  if (out[n - 1][0] > to && out[n - 2][0] <= to) out[n - 1] = cut(out[n - 1], out[n - 2], to);
  return out;
}

const BENDS = 24;

/**
 * A line that falls evenly in bytes is a curve on a log scale: steep segments get points at even ratios.
 * @param {number[][]} points [t, bytes] @param {number} least shortest segment that is bent, seconds @param {number} floor of the scale
 */
export function bent(points, least, floor) {
  const out = points.slice(0, 1);
  for (let i = 1; i < points.length; i += 1) {
    const [[ta, va], [tb, vb]] = [points[i - 1], points[i]];
    const ratio = Math.max(vb, floor) / va;
    for (let j = 1; tb - ta > least && va > 0 && ratio < 0.7 && j < BENDS; j += 1) {
      const v = va * ratio ** (j / BENDS);
      out.push([ta + ((tb - ta) * (va - v)) / (va - vb), v]);
    }
    out.push(points[i]);
  }
  return out;
}

/** A round step for an axis. @param {number} span @param {number} most number of ticks @returns {number} */
export function roundStep(span, most) {
  const raw = span / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999) ?? 10 * power;
}
