// The time panel as a sheet: marks, passes, VM, thread, pending against the threshold. Pure, given a text measurer.

import { bent, clipped, roundStep, spread } from "./axis.js";
import { Sheet } from "./sheet.js";
import { mergeSpans, thinLine } from "./thin.js";
import { bytes, digits, downtime, duration } from "./words.js";

/** @typedef {import("./scene.js").Run} Run @typedef {import("./axis.js").Axis} Axis @typedef {import("./axis.js").Region} Region */
/** @typedef {(text: string, size: number, weight?: number) => number} Measure width in px */
/** @typedef {{q: number, plot: number, measure: Measure}} Style plot: height of the pending plot before scaling */

const KIB = 1024;
const SEED_BYTES = 64 * KIB;
const SMALLEST = 4 * KIB;
/** Rows from the top and the log scale of bytes. @param {Run} run @param {Run | null} pinned @param {Style} style */
export function rowsOf(run, pinned, style) {
  const q = style.q;
  const top = 126 * q;
  const bottom = top + style.plot * q;
  const zero = bottom + 16 * q;
  const largest = Math.max(...[run, pinned].flatMap((r) => (r ? [maxOf(r.pending), maxOf(r.threshold)] : [])), 16 * SMALLEST);
  const low = Math.log2(SMALLEST);
  const high = Math.log2(largest) + 0.9;
  const y = (/** @type {number} */ v) =>
    v < 0.6 * SMALLEST ? zero : bottom - ((Math.log2(Math.max(v, SMALLEST)) - low) / (high - low)) * (bottom - top);
  return {
    mark: 12 * q, pass: 34 * q, passHeight: 22 * q, vm: 62 * q, vmHeight: 15 * q, thread: 82 * q, threadHeight: 13 * q,
    axis: 112 * q, top, bottom, zero, height: zero + 20 * q, y, largest,
  };
}

const maxOf = (/** @type {number[][]} */ points) => points.reduce((m, p) => Math.max(m, p[1]), 0);

/**
 * Everything but the cursor; what lies before the cursor is marked as `past` or `dated`.
 * @param {Run} run @param {Axis} axis @param {Run | null} pinned drawn dashed and grey beside it @param {Style} style
 * @returns {{sheet: Sheet, rows: ReturnType<typeof rowsOf>}}
 */
export function timelineSheet(run, axis, pinned, style) {
  const rows = rowsOf(run, pinned, style);
  const sheet = new Sheet();
  const pen = { run, axis, pinned: axis.kind === "time" ? pinned : null, style, rows, sheet, size: 11.5 * style.q, q: style.q };
  scales(pen);
  lensFrame(pen);
  ticks(pen);
  for (const region of axis.regions) {
    bars(pen, region);
    curves(pen, region);
    gapBands(pen, region);
  }
  curveLabels(pen);
  barLabels(pen);
  markLabels(pen);
  for (const region of axis.regions) exactCounts(pen, region);
  return { sheet, rows };
}

/** @typedef {{run: Run, axis: Axis, pinned: Run | null, style: Style, rows: ReturnType<typeof rowsOf>, sheet: Sheet, size: number, q: number}} Pen */

/** Row names, the byte scale with its own row for 0. @param {Pen} pen */
function scales({ axis, rows, sheet, size, q }) {
  const label = (/** @type {number} */ y, /** @type {string} */ s) => sheet.text(axis.left - 8 * q, y, s, size, { anchor: "end", look: "mute" });
  const line = (/** @type {number} */ y, /** @type {string} */ colour) => {
    for (const r of axis.regions) sheet.line([[r.left, y], [r.right, y]], { stroke: colour });
  };
  label(rows.pass + 15 * q, "Passes");
  label(rows.vm + 12 * q, "VM");
  label(rows.thread + 11 * q, "Thread");
  for (let v = SMALLEST; v <= rows.largest * 1.8; v *= 16) {
    label(rows.y(v) + 4 * q, bytes(v));
    line(rows.y(v), "rule");
  }
  label(rows.zero + 4 * q, "0");
  line(rows.zero, "edge");
}

/** @param {Pen} pen */
function lensFrame({ axis, rows, sheet, size, q }) {
  const [wide, near] = axis.regions;
  if (!near) return;
  const [x1, x2, x3, top, foot] = [wide.right, near.left, near.right, rows.pass - 4 * q, rows.zero + 4 * q];
  const zoom = axis.zoom >= 10 ? Math.round(Number(axis.zoom.toPrecision(2))).toLocaleString("en").replace(/,/g, "\u202f") : digits(axis.zoom, 2);
  sheet.rect(x2, top, x3 - x2, foot - top, { stroke: "edge", width: q });
  sheet.rect(x1, top, x2 - x1, foot - top, { fill: "well" });
  for (const y of [top, foot]) sheet.line([[x1, y], [x2, y]], { stroke: "edge", width: q });
  sheet.text((x1 + x2) / 2 + 4 * q, (rows.top + rows.bottom) / 2, `lens × ${zoom}`, size, { anchor: "middle", look: "mute", upright: true });
}

/** Seconds on the left, milliseconds from the stop in the lens, marks only on even steps. @param {Pen} pen */
function ticks(pen) {
  const { run, axis, q } = pen;
  const [wide, near] = axis.regions;
  if (axis.kind === "step") {
    for (const m of run.marks) tick(pen, wide, m.t, "");
    return;
  }
  const step = roundStep(wide.to, (wide.right - wide.left) / (40 * q));
  for (let i = 0; i * step <= wide.to * (near ? 0.94 : 1); i += 1) tick(pen, wide, i * step, i ? String(Number((i * step).toFixed(6))) : "0 s");
  if (!near || !run.lens) return;
  const zero = run.lens.zero;
  const fine = roundStep(near.to - near.from, (near.right - near.left) / (50 * q));
  for (let i = Math.ceil((near.from - zero) / fine); zero + i * fine < near.to; i += 1) {
    const ms = Math.abs(Number((i * fine * 1e3).toPrecision(6)));
    tick(pen, near, zero + i * fine, i === 0 ? "0 ms" : `${i > 0 ? "+" : "−"}${ms}`);
  }
}

/** @param {Pen} pen @param {Region} region @param {number} t @param {string} label */
function tick({ axis, rows, sheet, size, q, style }, region, t, label) {
  const x = region.x(t);
  const half = style.measure(label, size) / 2;
  const cut = region.id === "b" ? x - half < region.left + 2 || x + half > region.right + 4 : x > region.right + 1 || x + half > region.right + 8 * q;
  if (cut || x < region.left - 1) return;
  sheet.line([[x, rows.axis - 13 * q], [x, rows.axis - 8 * q]], { stroke: "edge" });
  sheet.line([[x, rows.top], [x, rows.zero]], { stroke: "rule" });
  if (label) sheet.text(x, rows.axis + 2 * q, label, size, { anchor: "middle", look: "mute" });
}

const THREAD = { send: "send", handlers: "its", device: "edge" };

/** Passes, VM and thread in one region. @param {Pen} pen @param {Region} region */
function bars({ run, pinned, rows, sheet, q }, region) {
  const clip = [region.left, region.right];
  const box = (/** @type {number} */ a, /** @type {number} */ b, /** @type {number} */ y, /** @type {number} */ h, /** @type {number} */ least, /** @type {import("./sheet.js").Look} */ look) => {
    if (b < region.from || a > region.to) return;
    const left = Math.max(region.left, region.x(Math.max(a, region.from)));
    const right = Math.min(region.right, region.x(Math.min(b, region.to)));
    sheet.rect(left, y, Math.max(right - left - 0.5, least), h, { clip, ...look });
  };
  for (const p of run.passes) box(p.a, p.b, rows.pass, rows.passHeight, 0.8, { dated: [p.a, p.b] });
  if (pinned && region.id === "a") for (const p of pinned.passes) box(p.a, p.b, rows.pass + rows.passHeight + 2 * q, 3 * q, 0.8, { fill: "mute" });
  for (const s of run.vm) {
    if (s.what === "running") box(s.a, s.b, rows.vm, rows.vmHeight, 0, { fill: "run" });
    else box(s.a, Math.max(s.b, run.end), rows.vm + 0.5, rows.vmHeight - 1, 1.5, { fill: "hatch", stroke: "ink" });
  }
  const seen = (/** @type {{a: number, b: number}} */ s) => s.b >= region.from && s.a <= region.to;
  for (const s of mergeSpans(run.thread.filter(seen), region.x)) box(s.a, s.b, rows.thread, rows.threadHeight, s.what === "device" ? 0.6 : 1, { fill: THREAD[s.what] });
}

/** A curve in a region as px. @param {number[][]} points @param {Region} region @param {(v: number) => number} y */
function curveIn(points, region, y) {
  const least = (6 * (region.to - region.from)) / (region.right - region.left);
  return inPixels(thinLine(clipped(bent(points, least, SMALLEST), region)), y);
}

const inPixels = (/** @type {number[][]} */ points, /** @type {(v: number) => number} */ y) => points.map(([px, v]) => [px, y(v)]);

/** Pending (thick up to the cursor), threshold, the document's 64 KiB, the pinned run's pending. @param {Pen} pen @param {Region} region */
function curves({ run, pinned, rows, sheet, q }, region) {
  const { y } = rows;
  const clip = [region.left, region.right];
  const seed = y(SEED_BYTES);
  sheet.line([[region.left, seed], [region.right, seed]], { clip, stroke: "mute", width: 1.25 * q, dash: [1.5 * q, 4 * q], cap: "round" });
  if (pinned) for (const piece of pendingIn(pinned, region, y)) sheet.line(piece, { clip, stroke: "mute", width: 1.25 * q, dash: [4 * q, 2.5 * q] });
  sheet.line(inPixels(clipped(stairs(run.threshold, run.end), region), y), { clip, stroke: "ink", width: 2 * q, dash: [7 * q, 3 * q] });
  const pending = pendingIn(run, region, y);
  for (const piece of pending) sheet.line(piece, { clip, stroke: "dirty", width: 1.1 * q, side: "ahead" });
  for (const piece of pending) sheet.line(piece, { clip, stroke: "dirty", width: 2.6 * q, side: "past" });
}

/** The pending curve of a run in pieces: nothing is drawn across a gap. @param {Run} run @param {Region} region @param {(v: number) => number} y */
function pendingIn(run, region, y) {
  if (!run.gaps.length) return [curveIn(run.pending, region, y)];
  const edges = [-Infinity, ...run.gaps.flatMap(({ a, b }) => [a, b]), Infinity];
  const out = [];
  for (let i = 0; i + 1 < edges.length; i += 2) {
    const [from, to] = [Math.max(region.from, edges[i]), Math.min(region.to, edges[i + 1])];
    const seen = run.pending.filter(([t]) => t >= edges[i] && t <= edges[i + 1]);
    if (from < to && seen.length) out.push(curveIn(seen, { ...region, from, to }, y));
  }
  return out;
}

/** Dots over what nobody observed, with words where they have room. @param {Pen} pen @param {Region} region */
function gapBands({ run, rows, sheet, style, size, q }, region) {
  const words = "not observed";
  for (const { a, b } of run.gaps) {
    if (b <= region.from || a >= region.to) continue;
    const [left, right] = [region.x(Math.max(a, region.from)), region.x(Math.min(b, region.to))];
    sheet.rect(left, rows.pass, Math.max(right - left, 1.5), rows.zero - rows.pass, { fill: "dots", stroke: "edge", dash: [2 * q, 2 * q] });
    if (right - left > style.measure(words, size) + 8 * q) sheet.text((left + right) / 2, (rows.top + rows.bottom) / 2, words, size, { anchor: "middle", look: "halo" });
  }
}

/** @param {Pen} pen @param {Region} region */
function exactCounts({ run, rows, sheet, q }, region) {
  const z = 4.6 * q;
  const look = { clip: [region.left, region.right], fill: "paper", stroke: "dirty", width: 1.8 * q };
  for (const [t, v] of run.exact) {
    if (t < region.from || t > region.to) continue;
    const [x, y] = [region.x(t), rows.y(v)];
    sheet.line([[x, y - z], [x + z, y], [x, y + z], [x - z, y]], look, true);
  }
}

/** Each value holds until the next. @param {number[][]} points @param {number} end */
export function stairs(points, end) {
  const out = points.flatMap((p, i) => (i && points[i - 1][1] !== p[1] ? [[p[0], points[i - 1][1]], p] : i ? [] : [p]));
  return points.length ? [...out, [Math.max(end, points[points.length - 1][0]), points[points.length - 1][1]]] : [];
}

/** Names beside their curves, where neither another name nor the pending curve is. @param {Pen} pen */
function curveLabels({ run, axis, rows, sheet, size, q, style }) {
  const region = axis.regions[0];
  const curve = inPixels(thinLine(clipped(run.pending, region)), rows.y);
  /** @type {number[][]} boxes in use: left, top, right, bottom */
  const used = [];
  const limit = inPixels(clipped(stairs(run.threshold, run.end), region), rows.y);
  const place = (/** @type {string[]} */ variants, /** @type {number[]} */ wanted, /** @type {string} */ look, /** @type {number} */ weight) => {
    const spots = variants.flatMap((words) => {
      const w = style.measure(words, size, weight);
      const columns = [axis.left + 8 * q, (axis.left + region.right - w) / 2, region.right - w - 8 * q];
      return columns.flatMap((x) => wanted.map((y) => ({ words, x, y, box: [x, y - 10.5 * q, x + w, y + 3 * q] })));
    });
    const inside = spots.filter(({ x, y, box }) => x >= axis.left + 8 * q && y > rows.top && y < rows.zero && used.every((u) => !meet(u, box)));
    const spot = inside.find(({ box }) => !crosses(curve, box) && !crosses(limit, box)) ?? inside[0];
    if (!spot) return;
    used.push(spot.box);
    sheet.text(spot.x, spot.y, spot.words, size, { weight, look: `halo ${look}`.trim() });
  };
  const around = (/** @type {number} */ y) => [y - 6 * q, y + 15 * q, y - 22 * q, y + 31 * q, y + 47 * q, y - 38 * q];
  const first = run.pending[0] ? rows.y(run.pending[0][1]) : null;
  const last = run.threshold.at(-1)?.[1];
  const seed = rows.y(SEED_BYTES);
  if (first !== null) place(["pending"], [first + 17 * q, first - 7 * q], "dirty", 650);
  if (last != null) place([thresholdWords(run, last), `threshold ${bytes(last)}`], around(rows.y(last)), "", 650);
  if (last == null || Math.abs(rows.y(last) - seed) > 1) place(["the document’s 64 KiB"], around(seed), "mute", 400);
}

const meet = (/** @type {number[]} */ a, /** @type {number[]} */ b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

/** Whether a polyline (px, py) runs through a box. @returns {boolean} */
function crosses(/** @type {number[][]} */ line, /** @type {number[]} */ [left, top, right, bottom]) {
  for (let i = 0; i < line.length; i += 1) {
    const [x, y] = line[i];
    const [px, py] = line[i && i - 1];
    if (Math.max(x, px) >= left && Math.min(x, px) <= right && Math.max(y, py) >= top && Math.min(y, py) <= bottom) return true;
  }
  return false;
}

function thresholdWords(/** @type {Run} */ run, /** @type {number} */ size) {
  if (run.scenario.switchover_rule === "fixed") return `threshold ${bytes(size)}, fixed`;
  const limit = run.scenario.downtime_limit_s;
  return `threshold ${bytes(size)}${limit == null ? "" : ` = rate × ${duration(limit)}`}`;
}

/** Names on the bars: full, short or none, by what fits. @param {Pen} pen */
function barLabels(pen) {
  const { run, axis, rows, sheet, size, q, style } = pen;
  for (const region of axis.regions) {
    for (const p of run.passes) passLabel(pen, region, p);
    for (const s of run.vm) vmLabel(pen, region, s);
  }
  const never = !run.ok && !run.vm.some((s) => s.what === "stopped"); // a log of polls may not say when it was
  const wide = axis.regions[0];
  const words = "never stopped";
  if (never && wide.x(run.end) - wide.left > style.measure(words, size) + style.measure("VM running", size) + 30 * q) {
    sheet.text(wide.x(run.end) - 4 * q, rows.vm + 11.5 * q, words, size, { anchor: "end", look: "paper" });
  }
}

/** @param {Pen} pen @param {Region} region @param {import("./scene.js").Pass} p */
function passLabel({ rows, sheet, size, q, style }, region, p) {
  if (p.b <= region.from || p.a >= region.to) return;
  const a = Math.max(region.left, region.x(p.a));
  const width = Math.min(region.right, region.x(p.b)) - a;
  const name = p.final ? "last pages" : p.label;
  const dated = /** @type {[number, number]} */ ([p.a, p.b]);
  const y = rows.pass + 15 * q;
  const amount = p.todo ? bytes(p.todo) : "";
  const named = style.measure(name, size, 650);
  if (amount && region.id === "a" && width > style.measure(`${name}  ${amount}`, size, 650) + 12 * q) {
    sheet.text(a + 6 * q, y, name, size, { look: "pass", weight: 650, dated });
    sheet.text(a + 12 * q + named, y, amount, size, { look: "pass", dated });
  } else if (width > named + 5 * q) sheet.text(a + width / 2, y, name, size, { anchor: "middle", look: "pass", dated });
}

/** @param {Pen} pen @param {Region} region @param {import("./scene.js").Span} s */
function vmLabel({ run, rows, sheet, size, q, style }, region, s) {
  if (s.b <= region.from || s.a >= region.to) return;
  const a = Math.max(region.left, region.x(s.a));
  const width = Math.min(region.right, region.x(Math.min(s.b, region.to))) - a;
  const y = rows.vm + 11.5 * q;
  if (s.what === "running") {
    const words = region.id === "a" && s.a === 0 ? "VM running" : "running";
    if (width > style.measure(words, size) + 10 * q) sheet.text(a + 6 * q, y, words, size, { look: "paper" });
    return;
  }
  const words = stoppedWords(run, s).find((one) => width >= style.measure(one, size, 650) + 26 * q); // its texture is to be seen
  if (!words) return;
  const w = style.measure(words, size, 650);
  sheet.rect(a + (width - w) / 2 - 4 * q, rows.vm + 1, w + 8 * q, rows.vmHeight - 2, { fill: "paper" });
  sheet.text(a + width / 2, y, words, size, { anchor: "middle", weight: 650 });
}

/** QEMU's downtime ends when the source is done; the guest stands until it runs at the destination. @returns {string[]} the longest first */
function stoppedWords(/** @type {Run} */ run, /** @type {import("./scene.js").Span} */ s) {
  const length = duration(s.b - s.a);
  if (run.stopS !== s.a) return [`stopped ${length}`];
  const counted = run.outcome.downtime_s;
  if (counted == null || counted > 0.9 * (s.b - s.a)) return [`stopped ${downtime(run)}`];
  return [`stopped ${length} (QEMU counts ${downtime(run)})`, `stopped ${length}`];
}

/** The cursor's shapes: the line through all rows, its head, and in the lens its twin on the left. @param {ReturnType<typeof rowsOf>} rows */
export function cursorShapes(rows, /** @type {Axis} */ axis, /** @type {number} */ x, /** @type {number} */ t, /** @type {number} */ q) {
  const sheet = new Sheet();
  const line = { stroke: "ink", width: 1.6 * q };
  sheet.line([[x, rows.pass - 7 * q], [x, rows.axis - 9 * q]], line);
  sheet.line([[x, rows.axis + 5 * q], [x, rows.zero + 8]], line);
  sheet.line([[x - 5 * q, rows.pass - 8 * q], [x + 5 * q, rows.pass - 8 * q], [x, rows.pass - q]], { fill: "ink" }, true);
  const twin = axis.regions[1] && x >= axis.regions[1].left ? axis.regions[0].x(t) : null;
  if (twin !== null) sheet.line([[twin, rows.pass - 4], [twin, rows.zero + 4]], { ...line, dash: [2 * q, 2 * q] });
  return sheet.shapes;
}

/** T0 .. Tn+4 above the bars; those of the switchover always, the others where there is room. @param {Pen} pen */
function markLabels(pen) {
  const { run, axis, q } = pen;
  const [wide, near] = axis.regions;
  const outside = run.marks.filter((m) => !axis.inLens(m.t));
  marksIn(pen, outside, wide, axis.left - 10 * q, near ? wide.right + 10 * q : axis.right + 6 * q);
  if (near) marksIn(pen, run.marks.filter((m) => axis.inLens(m.t)), near, near.left, near.right + 4 * q);
}

/** @param {Pen} pen @param {import("./scene.js").Mark[]} marks @param {Region} region @param {number} low @param {number} high */
function marksIn({ rows, sheet, size, q, style }, marks, region, low, high) {
  const named = thinned(marks.map((m) => ({ m, label: m.label, x: region.x(m.t), w: style.measure(m.label, size, 650) })), 6 * q, style.measure("T0 T1", size, 650));
  const centres = spread(named, 5 * q, low, high);
  named.forEach(({ m, label, x }, i) => {
    const c = centres[i];
    sheet.line([[x, rows.pass - 1], [x, rows.pass - 6 * q], [c, rows.mark + 7 * q], [c, rows.mark + 4 * q]], { stroke: "ink", width: q });
    sheet.text(c, rows.mark, label, size, { anchor: "middle", weight: 650, look: "mark", dated: [m.t, m.t] });
  });
}

/** @template {{m: import("./scene.js").Mark, label: string, x: number, w: number}} N @param {N[]} marks @param {number} gap @param {number} both */
function thinned(marks, gap, both) {
  const must = marks.filter((n) => n.label === "T0" || n.label.startsWith("Tn"));
  const kept = [...must];
  for (const n of marks) {
    if (must.includes(n)) continue;
    const first = kept.find((k) => k.label === "T0");
    if (n.label === "T1" && first && n.x - first.x < (n.w + first.w) / 2 + gap) [first.label, first.w] = ["T0 T1", both];
    else if (kept.every((k) => Math.abs(k.x - n.x) > (k.w + n.w) / 2 + gap)) kept.push(n);
  }
  return kept.sort((a, b) => a.m.t - b.m.t);
}

/** @param {Run} run @param {string} sentence @returns {string} the picture in words */
export const timelineName = (run, sentence) =>
  `Timeline of ${run.passes.length} passes; pending and threshold on a logarithmic scale. ${sentence}.`;
