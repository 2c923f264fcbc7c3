import assert from "node:assert/strict";
import { test } from "node:test";

import { markAt, pendingAt, runOf, saveAt, stepAt, stoppedAt, valueAt } from "../../livemig/draw/static/scene.js";
import { cancelled, converging, recorded } from "./traces.js";

const MIB = 1048576;

test("passes: sync to sync, the deciding sync has none, the final sync starts the last", () => {
  const { passes, loopPasses } = runOf(converging());
  assert.deepEqual(passes.map((p) => [p.label, p.a, p.b, p.todo / MIB, p.final]), [
    ["T1", 0.0005, 2, 8, false],
    ["T2", 2.0035, 2.008, 3, true],
  ]);
  assert.equal(loopPasses, 1);
});

test("VM and thread rows", () => {
  const run = runOf(converging());
  assert.deepEqual(run.vm, [{ what: "running", a: 0, b: 2 }, { what: "stopped", a: 2, b: 2.01 }, { what: "running", a: 2.01, b: 2.01 }]);
  assert.deepEqual(run.thread.map((s) => [s.what, s.a, s.b]), [
    ["send", 0.001, 0.1], ["send", 2.004, 2.008], ["device", 2.008, 2.009], ["handlers", 2, 2.003],
  ]);
  assert.equal(run.stopS, 2);
  assert.ok(Math.abs(run.stoppedS - 0.01) < 1e-12);
});

test("pending: flat, falling while sending, up at a sync, 0 after the last pages", () => {
  const run = runOf(converging());
  assert.equal(valueAt(run.pending, 0.0009), null);
  assert.equal(pendingAt(run, 0.1) / MIB, 2); // 8 MiB less 1536 pages
  assert.ok(Math.abs(pendingAt(run, 0.0505) / MIB - 5) < 1e-9); // half of the burst
  assert.equal(pendingAt(run, 1.5) / MIB, 3);
  assert.equal(pendingAt(run, 2.009), 0);
  for (let i = 1; i < run.pending.length; i += 1) assert.ok(run.pending[i][0] >= run.pending[i - 1][0]);
});

/** A log of polls: pending falls, nobody looks from 1 s to 3 s, then it is far lower. */
const logged = () => ({
  meta: { source: "recorded", id: "log", scenario: {}, outcome: { status: "active" } },
  events: [
    [0, "mark", "user", "T0", 0, { text: "migrate" }],
    [0.5, "pending", "migration", "estimate", 0, { size_bytes: 64 * MIB }],
    [1, "send", "migration", "ram", 0, { start_s: 0.5, pages: 1024, zero_pages: 0 }],
    [1, "gap", "migration", "gap", 0, { until_s: 3 }],
    [1, "pending", "migration", "estimate", 0, { size_bytes: 60 * MIB }],
    [3, "pending", "migration", "estimate", 0, { size_bytes: 8 * MIB }],
    [4, "send", "migration", "ram", 0, { start_s: 3, pages: 1024, zero_pages: 0 }],
    [4, "pending", "migration", "estimate", 0, { size_bytes: 4 * MIB }],
  ],
});

test("a gap: nothing is known of pending in it, and the curve begins anew behind it", () => {
  const run = runOf(logged());
  assert.deepEqual(run.gaps, [{ a: 1, b: 3 }]);
  assert.equal(pendingAt(run, 2), null);
  assert.equal(pendingAt(run, 0.75) / MIB, 62);
  assert.equal(pendingAt(run, 3.5) / MIB, 6);
  assert.deepEqual(run.pending.filter(([t]) => t > 1 && t < 3), []);
});

test("a step for each thing that happens, on its row, with its stack", () => {
  const run = runOf(converging());
  assert.deepEqual(run.steps.map((s) => s.row).join(" "), [
    "migrate migrate start start iter pend send", // T0, the first sync, the loop; a burst stands at its beginning
    "iter pend pend conv", // the estimate is low, the exact count follows
    "compl complp stopvm vsfs vs dvs vsn hand save vsn ret ret final final final dev done done",
  ].join(" "));
  const save = run.steps.find((s) => s.row === "save");
  assert.deepEqual(save.stack, [
    "migration_thread", "migration_iteration_run", "migration_completion", "migration_completion_precopy", "migration_stop_vm",
    "vm_stop_force_state", "vm_stop", "do_vm_stop", "vm_state_notify", "vm_change_state_handler",
  ]);
  assert.equal(save.derived, false);
});

test("the GIC's handler is not the ITS's row", () => {
  const rows = runOf(converging()).steps.filter((s) => s.text.includes("vm_change_state_handler")).map((s) => s.row);
  assert.deepEqual(rows, ["hand", "vsn"]);
});

test("a recording invents no step; its stacks are derived and say so", () => {
  const run = runOf(recorded());
  assert.equal(run.calls, false);
  assert.ok(run.steps.every((s) => s.derived));
  assert.equal(run.steps.some((s) => ["compl", "complp", "vs", "hand"].includes(s.row)), false);
  const stop = run.steps.find((s) => s.row === "stopvm");
  assert.equal(stop.stack.at(-1), "migration_stop_vm");
  const save = run.steps.findIndex((s) => s.row === "save");
  assert.equal(run.seen.hand, save); // SAVE_TABLES was seen, so the handler was called before it
  assert.ok(run.seen.vsn <= save);
});

test("where the cursor stands", () => {
  const run = runOf(converging());
  assert.equal(markAt(run, 0), "T0");
  assert.equal(markAt(run, 2.0025), "Tn+2");
  assert.equal(stoppedAt(run, 1.999), false);
  assert.equal(stoppedAt(run, 2.005), true);
  assert.equal(run.steps[stepAt(run, 0.05)].row, "send");
  assert.equal(saveAt(run, 2.0019), null);
  assert.equal(saveAt(run, 2.002).tables.length, 1);
});

test("a run that never stopped has no lens and never stands still", () => {
  const run = runOf(cancelled());
  assert.equal(run.lens, null);
  assert.equal(run.stopS, null);
  assert.equal(run.stoppedS, 0);
  assert.deepEqual(run.vm, [{ what: "running", a: 0, b: 5 }]);
  assert.deepEqual(run.passes.map((p) => [p.a, p.b]), [[0.1, 5]]);
});

test("the lens holds the whole switchover", () => {
  const { lens } = runOf(converging());
  assert.ok(lens.a < 2 && lens.a > 1.99);
  assert.ok(lens.b > 2.01 && lens.b < 2.02);
  assert.equal(lens.zero, 2);
});

test("an empty trace is drawn as one step at 0", () => {
  const run = runOf({ meta: {}, events: [] });
  assert.equal(run.steps.length, 1);
  assert.ok(run.end > 0);
});

test("commands and throttling under way stand in the loop, a cancel at the end", () => {
  const trace = converging();
  const at = trace.events.findIndex(([t]) => t >= 1);
  trace.events.splice(at, 0,
    [0.5, "command", "user", "migrate-set-parameters", 0, { "downtime-limit": 0.5 }],
    [0.6, "throttle", "migration", "cpu_throttle_set", 1, { percentage: 20 }]);
  const run = runOf(trace);
  const told = run.steps.filter((s) => s.t === 0.5 || s.t === 0.6);
  assert.deepEqual(told.map((s) => s.row), ["pend", "pend"]);
  assert.match(told[0].text, /migrate-set-parameters<\/b> downtime-limit = 0.5/);
  assert.match(told[1].text, /sleep <b>20 %/);
  assert.ok(run.seen.done > run.steps.findIndex((s) => s.t >= 1)); // the last row is still to come
  const cancelledRun = runOf({ meta: {}, events: [[1, "command", "user", "migrate_cancel", 0, {}]] });
  assert.equal(cancelledRun.steps[0].row, "done");
});
