// The time panel as SVG text: marks, passes, VM, thread, pending against the threshold. Pure, given a text measurer.

import { bent, clipped, roundStep, spread } from "./axis.js";
import { mergeSpans, thinLine } from "./thin.js";
import { bytes, digits, downtime, duration, esc } from "./words.js";

/** @typedef {import("./scene.js").Run} Run @typedef {import("./axis.js").Axis} Axis @typedef {import("./axis.js").Region} Region */
/** @typedef {(text: string, size: number, weight?: number) => number} Measure width in px */
/** @typedef {{q: number, plot: number, uid: string, measure: Measure}} Style plot: height of the pending plot before scaling */

const KIB = 1024;
const SEED_BYTES = 64 * KIB;
const SMALLEST = 4 * KIB;
const f1 = (/** @type {number} */ v) => v.toFixed(1);

/** @param {number} x @param {number} y @param {string} s @param {string} anchor @param {string} more attributes */
export const text = (x, y, s, anchor = "start", more = "") =>
  `<text x="${f1(x)}" y="${f1(y)}" text-anchor="${anchor}" ${more}>${esc(s)}</text>`;

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
 * Two layers: what stays while the cursor moves, and above it what follows the cursor; painting the first on each frame
 * would cost more than a frame.
 * @param {Run} run @param {Axis} axis @param {Run | null} pinned drawn dashed and grey beside it @param {Style} style
 * @returns {{svg: string, parts: string[], over: string, rows: ReturnType<typeof rowsOf>}} `parts`: the same picture in pieces
 */
export function timelineSvg(run, axis, pinned, style) {
  const rows = rowsOf(run, pinned, style);
  const pen = { run, axis, pinned: axis.kind === "time" ? pinned : null, style, rows, size: 11.5 * style.q, q: style.q };
  const parts = [definitions(pen), scales(pen), lensFrame(pen), ticks(pen)];
  for (const region of axis.regions) parts.push(bars(pen, region), curves(pen, region));
  parts.push(curveLabels(pen), barLabels(pen), markLabels(pen));
  const past = `<defs><clipPath id="${style.uid}past"><rect class="past" x="0" y="0" width="0" height="${rows.height}"/></clipPath></defs>`;
  const over = [past, ...axis.regions.map((region) => followers(pen, region)), cursorShapes(pen)];
  return { svg: parts.join(""), parts, over: over.join(""), rows };
}

/** @typedef {{run: Run, axis: Axis, pinned: Run | null, style: Style, rows: ReturnType<typeof rowsOf>, size: number, q: number}} Pen */

function definitions({ axis, rows, style, q }) {
  const clips = axis.regions
    .map((r) => `<clipPath id="${style.uid}c${r.id}"><rect x="${f1(r.left)}" y="0" width="${f1(r.right - r.left)}" height="${rows.height}"/></clipPath>`)
    .join("");
  return (
    `<defs><pattern id="${style.uid}hatch" width="${5 * q}" height="${5 * q}" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">` +
    `<rect width="100%" height="100%" fill="var(--paper)"/><path d="M0 0V${5 * q}" stroke="var(--ink)" stroke-width="${3 * q}"/></pattern>` +
    `${clips}</defs>`
  );
}

/** Row names, the byte scale with its own row for 0. @param {Pen} pen */
function scales({ axis, rows, size, q }) {
  const label = (/** @type {number} */ y, /** @type {string} */ s) => text(axis.left - 8 * q, y, s, "end", `font-size="${size}" class="mute"`);
  const line = (/** @type {number} */ y, /** @type {string} */ colour) =>
    axis.regions.map((r) => `<path d="M${f1(r.left)} ${f1(y)}H${f1(r.right)}" stroke="var(--${colour})"/>`).join("");
  let out = label(rows.pass + 15 * q, "Passes") + label(rows.vm + 12 * q, "VM") + label(rows.thread + 11 * q, "Thread");
  for (let v = SMALLEST; v <= rows.largest * 1.8; v *= 16) out += label(rows.y(v) + 4 * q, bytes(v)) + line(rows.y(v), "rule");
  return out + label(rows.zero + 4 * q, "0") + line(rows.zero, "edge");
}

/** @param {Pen} pen */
function lensFrame({ axis, rows, size, q }) {
  const [wide, near] = axis.regions;
  if (!near) return "";
  const [x1, x2, x3, top, foot] = [wide.right, near.left, near.right, rows.pass - 4 * q, rows.zero + 4 * q];
  const zoom = axis.zoom >= 10 ? Math.round(Number(axis.zoom.toPrecision(2))).toLocaleString("en").replace(/,/g, "\u202f") : digits(axis.zoom, 2);
  return (
    `<path d="M${x2} ${top}H${x3}V${foot}H${x2}Z" fill="none" stroke="var(--edge)" stroke-width="${q}"/>` +
    `<path d="M${x1} ${top}H${x2}V${foot}H${x1}Z" fill="var(--well)"/><path d="M${x1} ${top}H${x2}M${x1} ${foot}H${x2}" stroke="var(--edge)" stroke-width="${q}"/>` +
    `<g transform="translate(${f1((x1 + x2) / 2 + 4 * q)} ${f1((rows.top + rows.bottom) / 2)}) rotate(-90)">` +
    `${text(0, 0, `lens × ${zoom}`, "middle", `font-size="${size}" class="mute"`)}</g>`
  );
}

/** Seconds on the left, milliseconds from the stop in the lens, marks only on even steps. @param {Pen} pen */
function ticks(pen) {
  const { run, axis, q } = pen;
  const [wide, near] = axis.regions;
  if (axis.kind === "step") return run.marks.map((m) => tick(pen, wide, m.t, "")).join("");
  const step = roundStep(wide.to, (wide.right - wide.left) / (40 * q));
  let out = "";
  for (let i = 0; i * step <= wide.to * (near ? 0.94 : 1); i += 1) out += tick(pen, wide, i * step, i ? String(Number((i * step).toFixed(6))) : "0 s");
  if (!near || !run.lens) return out;
  const zero = run.lens.zero;
  const fine = roundStep(near.to - near.from, (near.right - near.left) / (50 * q));
  for (let i = Math.ceil((near.from - zero) / fine); zero + i * fine < near.to; i += 1) {
    const ms = Math.abs(Number((i * fine * 1e3).toPrecision(6)));
    out += tick(pen, near, zero + i * fine, i === 0 ? "0 ms" : `${i > 0 ? "+" : "−"}${ms}`);
  }
  return out;
}

/** @param {Pen} pen @param {Region} region @param {number} t @param {string} label */
function tick({ axis, rows, size, q, style }, region, t, label) {
  const x = region.x(t);
  const half = style.measure(label, size) / 2;
  const cut = region.id === "b" ? x - half < region.left + 2 || x + half > region.right + 4 : x > region.right + 1 || x + half > region.right + 8 * q;
  if (cut || x < region.left - 1) return "";
  return (
    `<path d="M${f1(x)} ${rows.axis - 13 * q}v${5 * q}" stroke="var(--edge)"/><path d="M${f1(x)} ${rows.top}V${f1(rows.zero)}" stroke="var(--rule)"/>` +
    text(x, rows.axis + 2 * q, label, "middle", `font-size="${size}" class="mute"`)
  );
}

/** Passes, VM and thread in one region. @param {Pen} pen @param {Region} region */
function bars({ run, pinned, rows, style, q }, region) {
  const box = (/** @type {number} */ a, /** @type {number} */ b, /** @type {number} */ y, /** @type {number} */ h, /** @type {number} */ least, /** @type {string} */ more) => {
    if (b < region.from || a > region.to) return "";
    const left = Math.max(region.left, region.x(Math.max(a, region.from)));
    const right = Math.min(region.right, region.x(Math.min(b, region.to)));
    return `<rect x="${f1(left)}" y="${f1(y)}" width="${f1(Math.max(right - left - 0.5, least))}" height="${f1(h)}" ${more}/>`;
  };
  let out = "";
  for (const p of run.passes) out += box(p.a, p.b, rows.pass, rows.passHeight, 0.8, `class="pass" data-a="${p.a}" data-b="${p.b}"`);
  if (pinned && region.id === "a") for (const p of pinned.passes) out += box(p.a, p.b, rows.pass + rows.passHeight + 2 * q, 3 * q, 0.8, 'fill="var(--mute)"');
  for (const s of run.vm) {
    if (s.what === "running") out += box(s.a, s.b, rows.vm, rows.vmHeight, 0, 'fill="var(--run)"');
    else out += box(s.a, Math.max(s.b, run.end), rows.vm + 0.5, rows.vmHeight - 1, 1.5, `fill="url(#${style.uid}hatch)" stroke="var(--ink)"`);
  }
  const colour = { send: "send", handlers: "its", device: "edge" };
  const seen = (/** @type {{a: number, b: number}} */ s) => s.b >= region.from && s.a <= region.to;
  for (const s of mergeSpans(run.thread.filter(seen), region.x)) out += box(s.a, s.b, rows.thread, rows.threadHeight, s.what === "device" ? 0.6 : 1, `fill="var(--${colour[s.what]})"`);
  return `<g clip-path="url(#${style.uid}c${region.id})">${out}</g>`;
}

/** @param {number[][]} points [px, bytes] @param {(v: number) => number} y */
const path = (points, y) => points.map(([px, v], i) => `${i ? "L" : "M"}${f1(px)} ${f1(y(v))}`).join("");

const line = (/** @type {string} */ d, /** @type {string} */ colour, /** @type {number} */ width, more = "") =>
  `<path d="${d}" fill="none" stroke="var(--${colour})" stroke-width="${width}" stroke-linejoin="round" ${more}/>`;

/** A curve in a region as path data. @param {number[][]} points @param {Region} region @param {(v: number) => number} y */
function curveIn(points, region, y) {
  const least = (6 * (region.to - region.from)) / (region.right - region.left);
  return path(thinLine(clipped(bent(points, least, SMALLEST), region)), y);
}

/** Pending, threshold, the seed's 64 KiB, the pinned run's pending. @param {Pen} pen @param {Region} region */
function curves({ run, pinned, rows, style, q }, region) {
  const y = rows.y;
  let out = line(`M${f1(region.left)} ${f1(y(SEED_BYTES))}H${f1(region.right)}`, "mute", 1.25 * q, `stroke-dasharray="${1.5 * q} ${4 * q}" stroke-linecap="round"`);
  if (pinned) out += line(curveIn(pinned.pending, region, y), "mute", 1.25 * q, `stroke-dasharray="${4 * q} ${2.5 * q}"`);
  out += line(path(clipped(stairs(run.threshold, run.end), region), y), "ink", 2 * q, `stroke-dasharray="${7 * q} ${3 * q}"`);
  out += line(curveIn(run.pending, region, y), "dirty", 1.1 * q);
  return `<g clip-path="url(#${style.uid}c${region.id})">${out}</g>`;
}

/** Pending up to the cursor, and the exact counts. @param {Pen} pen @param {Region} region */
function followers({ run, rows, style, q }, region) {
  const y = rows.y;
  const pending = line(curveIn(run.pending, region, y), "dirty", 2.6 * q);
  let out = `<g clip-path="url(#${style.uid}past)">${pending}</g>`;
  const z = 4.6 * q;
  for (const [t, v] of run.exact) {
    if (t < region.from || t > region.to) continue;
    out += `<path d="M${f1(region.x(t))} ${f1(y(v) - z)}l${z} ${z}l${-z} ${z}l${-z} ${-z}Z" fill="var(--paper)" stroke="var(--dirty)" stroke-width="${1.8 * q}"/>`;
  }
  return `<g clip-path="url(#${style.uid}c${region.id})">${out}</g>`;
}

/** Each value holds until the next. @param {number[][]} points @param {number} end */
export function stairs(points, end) {
  const out = points.flatMap((p, i) => (i && points[i - 1][1] !== p[1] ? [[p[0], points[i - 1][1]], p] : i ? [] : [p]));
  return points.length ? [...out, [Math.max(end, points[points.length - 1][0]), points[points.length - 1][1]]] : [];
}

/** Names beside their curves, where neither another name nor the pending curve is. @param {Pen} pen */
function curveLabels({ run, axis, rows, size, q, style }) {
  const region = axis.regions[0];
  const curve = thinLine(clipped(run.pending, region)).map(([px, v]) => [px, rows.y(v)]);
  /** @type {number[][]} boxes in use: left, top, right, bottom */
  const used = [];
  const limit = clipped(stairs(run.threshold, run.end), region).map(([px, v]) => [px, rows.y(v)]);
  const place = (/** @type {string[]} */ variants, /** @type {number[]} */ wanted, /** @type {string} */ look, /** @type {number} */ weight) => {
    const spots = variants.flatMap((words) => {
      const w = style.measure(words, size, weight);
      const columns = [axis.left + 8 * q, (axis.left + region.right - w) / 2, region.right - w - 8 * q];
      return columns.flatMap((x) => wanted.map((y) => ({ words, x, y, box: [x, y - 10.5 * q, x + w, y + 3 * q] })));
    });
    const inside = spots.filter(({ x, y, box }) => x >= axis.left + 8 * q && y > rows.top && y < rows.zero && used.every((u) => !meet(u, box)));
    const spot = inside.find(({ box }) => !crosses(curve, box) && !crosses(limit, box)) ?? inside[0];
    if (!spot) return "";
    used.push(spot.box);
    return text(spot.x, spot.y, spot.words, "start", `font-size="${size}" font-weight="${weight}" class="halo ${look}"`);
  };
  const around = (/** @type {number} */ y) => [y - 6 * q, y + 15 * q, y - 22 * q, y + 31 * q, y + 47 * q, y - 38 * q];
  const first = run.pending[0] ? rows.y(run.pending[0][1]) : null;
  const last = run.threshold.at(-1)?.[1];
  const seed = rows.y(SEED_BYTES);
  let out = first === null ? "" : place(["pending"], [first + 17 * q, first - 7 * q], "dirty", 650);
  if (last != null) out += place([thresholdWords(run, last), `threshold ${bytes(last)}`], around(rows.y(last)), "", 650);
  if (last == null || Math.abs(rows.y(last) - seed) > 1) out += place(["the seed’s 64 KiB"], around(seed), "mute", 400);
  return out;
}

const meet = (/** @type {number[]} */ a, /** @type {number[]} */ b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

/** Whether a polyline (px, py) runs through a box. @returns {boolean} */
function crosses(/** @type {number[][]} */ line, /** @type {number[]} */ [left, top, right, bottom]) {
  return line.some(([x, y], i) => {
    const [px, py] = line[Math.max(0, i - 1)];
    return Math.max(x, px) >= left && Math.min(x, px) <= right && Math.max(y, py) >= top && Math.min(y, py) <= bottom;
  });
}

function thresholdWords(/** @type {Run} */ run, /** @type {number} */ size) {
  if (run.scenario.switchover_rule === "fixed") return `threshold ${bytes(size)}, fixed`;
  const limit = run.scenario.downtime_limit_s;
  return `threshold ${bytes(size)}${limit == null ? "" : ` = rate × ${duration(limit)}`}`;
}

/** Names on the bars: full, short or none, by what fits. @param {Pen} pen */
function barLabels(pen) {
  const { run, axis, rows, size, q, style } = pen;
  let out = "";
  for (const region of axis.regions) {
    for (const p of run.passes) out += passLabel(pen, region, p);
    for (const s of run.vm) out += vmLabel(pen, region, s);
  }
  const never = !run.vm.some((s) => s.what === "stopped");
  const wide = axis.regions[0];
  const words = "never stopped";
  if (never && wide.x(run.end) - wide.left > style.measure(words, size) + style.measure("VM running", size) + 30 * q) {
    out += text(wide.x(run.end) - 4 * q, rows.vm + 11.5 * q, words, "end", `font-size="${size}" class="paper"`);
  }
  return out;
}

/** @param {Pen} pen @param {Region} region @param {import("./scene.js").Pass} p */
function passLabel({ rows, size, q, style }, region, p) {
  if (p.b <= region.from || p.a >= region.to) return "";
  const a = Math.max(region.left, region.x(p.a));
  const width = Math.min(region.right, region.x(p.b)) - a;
  const name = p.final ? "last pages" : p.label;
  const at = `font-size="${size}" class="pt" data-a="${p.a}" data-b="${p.b}"`;
  const y = f1(rows.pass + 15 * q);
  const amount = p.todo ? bytes(p.todo) : "";
  if (amount && region.id === "a" && width > style.measure(`${name}  ${amount}`, size, 650) + 12 * q) {
    return `<text x="${f1(a + 6 * q)}" y="${y}" ${at}><tspan font-weight="650">${name}</tspan><tspan dx="${6 * q}">${amount}</tspan></text>`;
  }
  return width > style.measure(name, size, 650) + 5 * q ? text(a + width / 2, Number(y), name, "middle", at) : "";
}

/** @param {Pen} pen @param {Region} region @param {import("./scene.js").Span} s */
function vmLabel({ run, rows, size, q, style }, region, s) {
  if (s.b <= region.from || s.a >= region.to) return "";
  const a = Math.max(region.left, region.x(s.a));
  const width = Math.min(region.right, region.x(Math.min(s.b, region.to))) - a;
  const y = rows.vm + 11.5 * q;
  if (s.what === "running") {
    const words = region.id === "a" && s.a === 0 ? "VM running" : "running";
    return width > style.measure(words, size) + 10 * q ? text(a + 6 * q, y, words, "start", `font-size="${size}" class="paper"`) : "";
  }
  const words = `stopped ${run.stopS === s.a ? downtime(run) : duration(s.b - s.a)}`;
  const w = style.measure(words, size, 650);
  if (width < w + 10 * q) return "";
  const plate = `<rect x="${f1(a + (width - w) / 2 - 4 * q)}" y="${rows.vm + 1}" width="${f1(w + 8 * q)}" height="${rows.vmHeight - 2}" fill="var(--paper)"/>`;
  return plate + text(a + width / 2, y, words, "middle", `font-size="${size}" font-weight="650"`);
}

/** Empty shapes; `moveCursor` fills them. @param {Pen} pen */
function cursorShapes({ q }) {
  return (
    `<path class="cursor" stroke="var(--ink)" stroke-width="${1.6 * q}" fill="none"/><path class="head" fill="var(--ink)"/>` +
    `<path class="twin" stroke-dasharray="${2 * q} ${2 * q}" stroke="var(--ink)" stroke-width="${1.6 * q}" fill="none"/>`
  );
}

/** T0 .. Tn+4 above the bars; those of the switchover always, the others where there is room. @param {Pen} pen */
function markLabels(pen) {
  const { run, axis, q } = pen;
  const [wide, near] = axis.regions;
  const outside = run.marks.filter((m) => !axis.inLens(m.t));
  let out = marksIn(pen, outside, wide, axis.left - 10 * q, near ? wide.right + 10 * q : axis.right + 6 * q);
  if (near) out += marksIn(pen, run.marks.filter((m) => axis.inLens(m.t)), near, near.left, near.right + 4 * q);
  return out;
}

/** @param {Pen} pen @param {import("./scene.js").Mark[]} marks @param {Region} region @param {number} low @param {number} high */
function marksIn({ rows, size, q, style }, marks, region, low, high) {
  const named = thinned(marks.map((m) => ({ m, label: m.label, x: region.x(m.t), w: style.measure(m.label, size, 650) })), 6 * q, style.measure("T0 T1", size, 650));
  const centres = spread(named, 5 * q, low, high);
  return named
    .map(({ m, label, x }, i) => {
      const foot = rows.mark + 4 * q;
      const leader = `M${f1(x)} ${rows.pass - 1}V${rows.pass - 6 * q}L${f1(centres[i])} ${rows.mark + 7 * q}V${foot}`;
      return (
        `<path d="${leader}" fill="none" stroke="var(--ink)" stroke-width="${q}"/>` +
        text(centres[i], rows.mark, label, "middle", `font-size="${size}" font-weight="650" class="mk" data-t="${m.t}"`)
      );
    })
    .join("");
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
