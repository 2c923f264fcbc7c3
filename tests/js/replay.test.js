import assert from "node:assert/strict";
import { test } from "node:test";

import { problemOf } from "../../livemig/draw/static/checks.js";
import { computed, covers } from "../../livemig/draw/static/local.js";
import { simulate } from "../../livemig/draw/static/model.js";
import { Replay } from "../../livemig/draw/static/replay.js";
import { runOf } from "../../livemig/draw/static/scene.js";
import { mergeSpans, thinLine } from "../../livemig/draw/static/thin.js";
import { goldenVectors, tablesOf } from "./model_vectors.js";

const MIB = 1048576;
const file = goldenVectors();
const ordinary = file.vectors.filter((v) => !("error" in v));
const tables = tablesOf(file, ordinary[0]);

test("played again, each sync of every golden vector finds as many new pages as the engine counted", () => {
  let syncs = 0;
  for (const vector of ordinary) {
    const own = tablesOf(file, vector);
    const trace = simulate(vector.fields, own);
    if (trace.meta.cut_off) continue;
    const replay = new Replay(runOf(trace), own);
    replay.at(Infinity);
    const counted = trace.events.filter((r) => r[1] === "sync").map((r) => r[5].new_dirty_pages);
    assert.deepEqual(replay.fresh, counted, vector.name);
    syncs += counted.length;
  }
  assert.ok(syncs > 1000);
});

test("the map's frames: all dirty at first, nothing at the end, and going back is what going forward was", () => {
  const run = runOf(simulate({}, tables));
  const replay = new Replay(run, tables);
  assert.equal(replay.at(0).dirty.reduce((sum, n) => sum + n, 0), 65536);
  const half = structuredClone(replay.at(run.end / 2));
  const last = replay.at(run.end);
  assert.equal(last.dirty.reduce((sum, n) => sum + n, 0), 0);
  assert.ok(last.times.every((n) => n >= 1));
  assert.ok(last.its.length >= 1);
  assert.deepEqual(replay.at(run.end / 2), half);
  const pending = run.exact.at(-1)[1] / run.page; // all of it lies in RAM: the other blocks are never written
  assert.equal(replay.at(run.exact.at(-1)[0]).dirty.reduce((sum, n) => sum + n, 0), pending);
});

test("cells grow with the guest", () => {
  const big = runOf(simulate({ ram_bytes: 4096 * MIB, bandwidth_bytes_per_s: null }, tables));
  const replay = new Replay(big, tables);
  assert.equal(replay.cellPages * replay.pageBytes, 8 * MIB);
  const small = new Replay(runOf(simulate({ ram_bytes: 64 * MIB, working_set_bytes: 16 * MIB }, tables)), tables);
  assert.equal(small.cellPages * small.pageBytes, MIB / 8);
});

test("what the browser's model covers", () => {
  const fields = tables.defaults;
  assert.equal(covers(fields, tables), true);
  assert.equal(covers({ ...fields, contents: true }, tables), false);
  assert.equal(covers({ ...fields, its_devices: 9 }, tables), false);
  assert.equal(covers({ ...fields, its_devices: 0 }, tables), true);
  assert.equal(covers(fields, {}), false);
});

test("an impossible input is a sentence and no run", () => {
  const { run, error } = computed({ ...tables.defaults, ram_bytes: 32 * MIB }, tables, []);
  assert.equal(run, null);
  assert.match(error, /working_set_bytes = 67108864: larger than the 31457280 bytes/);
  const rate = { name: "r", kind: "number", limits: [0, 10], field_unit: "bytes/s", source: "here" };
  assert.equal(problemOf({ ...tables.defaults, r: -1 }, [rate], 0), "r = -1 bytes/s: below the smallest allowed value, 0 (here)");
});

test("thin lines keep the first, lowest, highest and last point of a column", () => {
  const points = Array.from({ length: 3000 }, (_, i) => [i / 1000, i % 7]);
  const thin = thinLine(points);
  assert.ok(thin.length <= 16);
  assert.deepEqual([thin[0], thin.at(-1)], [points[0], points.at(-1)]);
  for (let column = 0; column < 4; column += 1) {
    const inside = thin.filter((p) => Math.floor(p[0] / 0.75) === column).map((p) => p[1]);
    assert.deepEqual([Math.min(...inside), Math.max(...inside)], [0, 6]);
  }
  assert.equal(thinLine(points.slice(0, 50)).length, 50);
});

test("spans that would touch become one; others and other kinds stay", () => {
  const spans = Array.from({ length: 120 }, (_, i) => ({ what: i === 60 ? "handlers" : "send", a: i, b: i + 0.9 }));
  assert.deepEqual(mergeSpans(spans, (t) => t).map((s) => [s.what, s.a, s.b]), [["send", 0, 59.9], ["handlers", 60, 60.9], ["send", 61, 119.9]]);
  assert.equal(mergeSpans(spans, (t) => 20 * t).length, 120);
});
