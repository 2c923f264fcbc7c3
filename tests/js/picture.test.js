import assert from "node:assert/strict";
import { test } from "node:test";

import { axisOf, bent, clipped, roundStep, spread } from "../../livemig/draw/static/axis.js";
import { runOf, stepAt } from "../../livemig/draw/static/scene.js";
import { sequenceSvg, stackWords } from "../../livemig/draw/static/sequence.js";
import { inkOf } from "../../livemig/draw/static/sheet.js";
import { timelineSheet } from "../../livemig/draw/static/timeline.js";
import { cancelled, converging, measure, recorded } from "./traces.js";

const RUNS = { converging: runOf(converging()), recorded: runOf(recorded()), cancelled: runOf(cancelled()), empty: runOf({ meta: {}, events: [] }) };
const style = (q) => ({ q, plot: 196, measure });

/** Labels that overlap each other or leave 0..width. */
function clashesOf(labels, width) {
  const boxes = labels.map(({ words, x, y, size, anchor }) => {
    const w = measure(words, size);
    const left = anchor === "end" ? x - w : anchor === "middle" ? x - w / 2 : x;
    return { words, left, right: left + w, top: y - size * 0.75, bottom: y + size * 0.2 };
  });
  assert.ok(boxes.length > 5);
  const bad = boxes.filter((b) => b.left < -1 || b.right > width + 1).map((b) => `cut: ${b.words}`);
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => {
    if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1) bad.push(`${a.words} / ${b.words}`);
  }));
  return bad;
}

/** The same of an SVG string. */
const clashes = (svg, width) => clashesOf(
  [...svg.matchAll(/<text x="([-\d.]+)" y="([-\d.]+)" text-anchor="(\w+)" font-size="([\d.]+)"[^>]*>([^<]+)</g)]
    .map(([, x, y, anchor, size, words]) => ({ x: Number(x), y: Number(y), anchor, size: Number(size), words })), width);

/** All numbers of a sheet. */
const numbersOf = (sheet) => [
  ...sheet.shapes.flatMap(({ box, points }) => box ?? points.flat()), ...sheet.texts.flatMap(({ x, y, size }) => [x, y, size]),
];

test("the x axis: seconds at the left, the lens at the right, and back again", () => {
  const run = RUNS.converging;
  const axis = axisOf(run, 1000, 1, "time");
  const [wide, near] = axis.regions;
  assert.equal(axis.left, 74);
  assert.equal(axis.right, 990);
  assert.ok(Math.abs(wide.x(0) - 74) < 1e-9);
  assert.ok(Math.abs(near.x(run.lens.a) - near.left) < 1e-9 && Math.abs(near.x(run.lens.b) - 990) < 1e-9);
  for (const t of [0, 0.4, 1.7, 1.99, 2, 2.004, 2.01]) {
    const share = (axis.cursor(t, stepAt(run, t)) - axis.left) / (axis.right - axis.left);
    assert.ok(Math.abs(axis.pick(share).t - t) < 1e-6, `t = ${t}`);
  }
  assert.ok(axis.zoom > 50);
});

test("even steps: each the same width, steps that share a time keep apart", () => {
  const run = RUNS.converging;
  const axis = axisOf(run, 1000, 1, "step");
  const last = run.steps.length - 1;
  run.steps.forEach((s, i) => assert.ok(Math.abs(axis.cursor(s.t, i) - (74 + (916 * i) / last)) < 1e-6));
  run.steps.forEach((s, i) => assert.equal(axis.pick(i / last).i, i));
});

test("a pinned run that took longer fits on the axis", () => {
  const axis = axisOf(RUNS.converging, 1000, 1, "time", RUNS.cancelled);
  assert.ok(axis.regions[0].x(5) <= axis.regions[0].right);
});

test("curves are cut to their region before a path is built", () => {
  const region = { id: "b", left: 500, right: 900, from: 2, to: 2.01, x: (t) => 500 + ((t - 2) / 0.01) * 400 };
  const points = clipped([[0, 10], [1, 20], [1.5, 30], [2.005, 40], [2.02, 50], [9, 60]], region);
  assert.deepEqual(points.map(([x]) => Math.round(x)), [500, 700, 900]);
  assert.ok(Math.abs(points[0][1] - (30 + (10 * 0.5) / 0.505)) < 1e-9);
  assert.deepEqual(clipped([[0, 1], [1, 2]], region).every(([x]) => x >= 480 && x <= 920), true);
});

test("labels spread without overlap and stay inside", () => {
  const items = [{ x: 10, w: 30 }, { x: 12, w: 30 }, { x: 14, w: 30 }, { x: 95, w: 30 }];
  const c = spread(items, 5, 0, 140);
  for (let i = 1; i < c.length; i += 1) assert.ok(c[i] - c[i - 1] >= 35 - 1e-9);
  assert.ok(c[0] >= 15 && c[3] <= 125);
});

test("a steep fall is a curve on the log scale, a short one stays a line", () => {
  const out = bent([[0, 1 << 20], [1, 0]], 0.1, 4096);
  assert.equal(out.length, 25);
  for (const [t, v] of out) assert.ok(Math.abs(v - (1 << 20) * (1 - t)) < 1e-6); // still the straight line in bytes
  assert.equal(bent([[0, 1 << 20], [1, 0]], 2, 4096).length, 2);
});

test("round axis steps", () => {
  assert.deepEqual([roundStep(5, 10), roundStep(60, 9), roundStep(0.0021, 10)], [0.5, 10, 0.0005]);
});

for (const [name, run] of Object.entries(RUNS)) {
  for (const width of [700, 1200, 1900]) {
    for (const q of [1, 1.5]) {
      test(`${name} at ${width} px, type ${q}: numbers are finite, labels neither overlap nor are cut`, () => {
        for (const kind of ["time", "step"]) {
          const { sheet, rows } = timelineSheet(run, axisOf(run, width, q, kind), null, style(q));
          assert.ok(numbersOf(sheet).every(Number.isFinite));
          assert.ok(!/NaN|undefined|Infinity/.test(sheet.texts.map((t) => t.words).join()));
          assert.ok(rows.height > 300 * q);
          assert.deepEqual(clashesOf(sheet.texts.filter((t) => !t.upright), width), []);
        }
        for (let i = 0; i < run.steps.length; i += 1) {
          const { svg } = sequenceSvg(run, i, { ...style(q), width: Math.max(560 * q, width / 2), row: 25 });
          assert.ok(!/NaN|undefined|Infinity/.test(svg), svg.match(/.{60}(NaN|undefined|Infinity)/)?.[0]);
          if (width >= 700 * q) assert.deepEqual(clashes(svg, Math.max(560 * q, width / 2)), []);
        }
      });
    }
  }
}

test("no drawn line leaves its region by more than a few pixels", () => {
  const axis = axisOf(RUNS.converging, 1000, 1, "time");
  const { shapes } = timelineSheet(RUNS.converging, axis, RUNS.cancelled, style(1)).sheet;
  const xs = shapes.flatMap(({ points }) => points?.map(([x]) => x) ?? []);
  assert.ok(xs.length > 50);
  assert.ok(Math.min(...xs) >= 40 && Math.max(...xs) <= 1020, `${Math.min(...xs)} .. ${Math.max(...xs)}`);
});

test("nothing is drawn across a gap, and the gap is marked", () => {
  const trace = converging();
  const at = trace.events.findIndex(([t]) => t >= 1);
  trace.events.splice(at, 0, [0.3, "gap", "migration", "gap", 0, { until_s: 0.9 }]);
  const run = runOf(trace);
  const axis = axisOf(run, 1000, 1, "time");
  const { sheet } = timelineSheet(run, axis, null, style(1));
  const [left, right] = [axis.regions[0].x(0.3), axis.regions[0].x(0.9)];
  const pending = sheet.shapes.filter(({ look }) => look.stroke === "dirty" && !look.fill);
  assert.ok(pending.length >= 4);
  for (const { points } of pending) for (const [x] of points) assert.ok(x <= left + 1e-6 || x >= right - 1e-6, `${x} in ${left}..${right}`);
  assert.ok(sheet.shapes.some(({ box, look }) => look.fill === "dots" && Math.abs(box[0] - left) < 1e-6));
});

test("the diagram: one row is now, the loop is ink inside, later rows are future", () => {
  const run = RUNS.converging;
  const at = (row) => sequenceSvg(run, run.steps.findIndex((s) => s.row === row), { ...style(1), width: 700, row: 25 });
  const save = at("save");
  assert.match(save.svg, /class="sq now">tables → guest RAM/);
  assert.match(save.svg, /class="sq past">do_vm_stop\(\)/);
  assert.match(save.svg, /class="sq future">send device state/);
  assert.equal((save.svg.match(/class="sq now"/g) ?? []).length, 1);
  assert.equal((save.svg.match(/class="pointer"/g) ?? []).length, 1);
  assert.match(at("send").svg, /pass 1 of 1/);
  assert.match(at("send").label, /Now: Sends 6 MiB/);
});

test("QEMU 7.2 has two frames less", () => {
  const trace = converging();
  trace.meta.qemu_version = "7.2";
  const run = runOf(trace);
  const { svg } = sequenceSvg(run, 0, { ...style(1), width: 700, row: 25 });
  assert.ok(!svg.includes("migration_completion_precopy()") && !svg.includes("migration_stop_vm()"));
  assert.ok(svg.includes("vm_stop_force_state()"));
});

test("the stack names function and file; a recording's says that it is derived", () => {
  const run = RUNS.converging;
  const words = stackWords(run, run.steps.findIndex((s) => s.row === "save"));
  assert.equal((words.items.match(/<li>/g) ?? []).length, 10);
  assert.equal(words.file, "hw/intc/arm_gicv3_its_kvm.c");
  assert.match(stackWords(RUNS.recorded, 3).file, /not observed/);
});

test("a label looks settled, now or still to come; only what lies on curves keeps them away", () => {
  const inks = (look, more = {}) => [0, 1.5, 3].map((t) => inkOf({ look, dated: [1, 2], ...more }, t));
  assert.deepEqual(inks("pass", { weight: 650 }).map(({ ink, weight }) => [ink, weight]), [["mute", 650], ["paper", 650], ["ink", 650]]);
  assert.deepEqual(inks("mark", { weight: 650 }).map(({ ink, weight }) => [ink, weight]), [["mute", 400], ["ink", 650], ["ink", 650]]);
  assert.deepEqual(inkOf({ look: "halo dirty", weight: 650 }, 0), { ink: "dirty", weight: 650, halo: true });
  assert.deepEqual(inkOf({ look: "halo" }, 0), { ink: "ink", weight: 400, halo: true });
  assert.deepEqual(inkOf({}, 0), { ink: "ink", weight: 400, halo: false });
});
