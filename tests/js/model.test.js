import assert from "node:assert/strict";
import { test } from "node:test";

import { simulate } from "../../livemig/draw/static/model.js";
import { hash32, LabDraws } from "../../livemig/draw/static/model_draws.js";
import { roundedEven } from "../../livemig/draw/static/model_ram.js";
import { general, oneDecimal } from "../../livemig/draw/static/model_words.js";
import { goldenVectors, rowsOfVector, tablesOf, unequal } from "./model_vectors.js";

const file = goldenVectors();

test("every golden vector: order and whole numbers equal, times to 1e-9", async (t) => {
  assert.ok(file.vectors.length >= 200);
  for (const vector of file.vectors) {
    await t.test(vector.name, () => {
      const { meta, events } = simulate(vector.fields, tablesOf(file, vector));
      if ("error" in vector) {
        assert.equal(meta.error, vector.error);
        return;
      }
      assert.deepEqual(unequal(rowsOfVector(file, vector), events, "events").slice(0, 5), []);
      const { functions, ...rest } = meta;
      assert.deepEqual(unequal(vector.meta, JSON.parse(JSON.stringify(rest)), "meta"), []);
      for (const row of events) if (row[1] === "call") assert.ok(functions[row[3]], `${row[3]} has a source file`);
    });
  }
});

test("the comparison sees a changed order, a whole number and a time", () => {
  const vector = file.vectors[0];
  const rows = rowsOfVector(file, vector);
  const changed = () => structuredClone(rows);
  const swapped = changed();
  [swapped[10], swapped[11]] = [swapped[11], swapped[10]];
  assert.ok(unequal(rows, swapped).length);
  const counted = changed();
  counted.find((r) => r[1] === "sync")[5].new_dirty_pages += 1;
  assert.equal(unequal(rows, counted).length, 1);
  const late = changed();
  late.at(-1)[0] *= 1 + 3e-9;
  assert.equal(unequal(rows, late).length, 1);
});

test("two runs of one scenario are equal: nothing is left behind by the first", () => {
  for (const vector of file.vectors.slice(0, 40)) {
    const [one, two] = [0, 1].map(() => simulate(vector.fields, tablesOf(file, vector)));
    assert.deepEqual(one.events, two.events);
  }
});

test("a run that needs too much ends, keeps its rows and says so", () => {
  const tables = tablesOf(file, file.vectors[0]);
  const rows = simulate({}, tables, { rows: 500 });
  assert.match(rows.meta.cut_off, /500 events/);
  assert.ok(rows.events.length < 520);
  assert.deepEqual(rows.events.slice(0, 400), simulate({}, tables).events.slice(0, 400));
  const draws = simulate({ pattern: "uniform" }, tables, { draws: 1000 });
  assert.match(draws.meta.cut_off, /random writes/);
  const late = simulate({ pattern: "lab_random", writer_start_writes: 1e15 }, tables, { draws: 1e6 });
  assert.match(late.meta.cut_off, /draws/);
});

test("the loop stays whole when rows run out: calls and returns pair up", () => {
  const { events } = simulate({}, tablesOf(file, file.vectors[0]), { rows: 777 });
  const calls = events.filter((r) => r[1] === "call").length;
  assert.equal(calls, events.filter((r) => r[1] === "return").length);
});

const NOT_IN_THE_LOOP = ["mark", "state", "sync", "command", "its", "load", "fault", "event"];

test("with fewer turns in the rows, everything outside the loop's turns is the same", () => {
  let left = 0;
  for (const vector of file.vectors) {
    const tables = tablesOf(file, vector);
    const all = simulate(vector.fields, tables);
    const few = simulate(vector.fields, tables, { turns: 2 });
    const told = (/** @type {any} */ trace) => trace.events.filter((/** @type {any[]} */ r) => NOT_IN_THE_LOOP.includes(r[1]) && r[2] !== "user" && r[2] !== "main");
    const plainRows = (/** @type {any} */ trace) => told(trace).map((/** @type {any[]} */ [t, kind, lane, name, , data]) => [t, kind, lane, name, data]);
    assert.deepEqual(plainRows(few), plainRows(all), vector.name);
    const { turns_without_rows: turns = 0, ...meta } = few.meta;
    left += turns;
    assert.deepEqual(meta, all.meta, vector.name);
    for (const key of ["bytes", "pages", "zero_pages"]) assert.equal(sum(few, key), sum(all, key), vector.name);
    assert.ok(few.events.every((r, i) => !i || r[0] >= few.events[i - 1][0]));
  }
  assert.ok(left > 300, `${left} turns without rows`);
});

const sum = (/** @type {any} */ trace, /** @type {string} */ key) =>
  trace.events.reduce((/** @type {number} */ n, /** @type {any[]} */ r) => n + (r[1] === "send" ? (r[5][key] ?? 0) : 0), 0);

test("an hour and more of windows leaves few rows", () => {
  const tables = tablesOf(file, file.vectors[0]);
  const slow = { ram_bytes: 2 ** 36, bandwidth_bytes_per_s: 2 ** 23, pattern: "idle" };
  const { events, meta } = simulate(slow, tables, { turns: 50 });
  assert.equal(meta.outcome.status, "completed");
  assert.ok(meta.turns_without_rows > 50_000);
  assert.ok(events.length < 20_000);
});

test("tables of another guest are refused with both numbers", () => {
  assert.throws(() => simulate({ its_devices: 5 }, tablesOf(file, file.vectors[0])), /6 x 4.*5 x 4/);
});

// The finish of MurmurHash3 in BigInt; the first two numbers of xorshift64 (13, 7, 17) from Python's integers.
test("hash and generator against literals", () => {
  const reference = (seed, k) => {
    const mask = 0xffffffffn;
    let x = ((k & mask) * 0x9e3779b1n + (k >> 32n) * 0x7f4a7c15n + seed) & mask;
    x ^= x >> 16n;
    x = (x * 0x85ebca6bn) & mask;
    x ^= x >> 13n;
    x = (x * 0xc2b2ae35n) & mask;
    return Number(x ^ (x >> 16n));
  };
  for (const [seed, k] of [[0n, 0n], [1n, 1n], [4294967295n, 4294967295n], [7n, (123n << 32n) + 4000000000n]]) {
    assert.equal(hash32(Number(seed), Number(k & 0xffffffffn), Number(k >> 32n)), reference(seed, k));
  }
  const draws = new LabDraws();
  draws.step();
  assert.equal((BigInt(draws.high >>> 0) << 32n) | BigInt(draws.low >>> 0), 8748534153485358512n);
  draws.step();
  assert.equal((BigInt(draws.high >>> 0) << 32n) | BigInt(draws.low >>> 0), 3040900993826735515n);
});

test("numbers in words as Python writes them, halves to even", () => {
  const told = { 0: "0", 0.125: "0.125", 20.125: "20.12", 20.375: "20.38", 1e5: "1e+05", 99999: "1e+05", 0.0001: "0.0001", 0.00001234: "1.234e-05", 62: "62" };
  for (const [x, text] of Object.entries(told)) assert.equal(general(Number(x), 4), text);
  assert.equal(general(Infinity, 4), "inf");
  const tenths = [[0, "0.0"], [0.25, "0.2"], [0.75, "0.8"], [0.04, "0.0"], [0.06, "0.1"], [1048576.05, "1048576.1"], [384, "384.0"]];
  for (const [x, text] of tenths) assert.equal(oneDecimal(x), text);
  assert.deepEqual([0.5, 1.5, 2.5, 2.4999, 300].map(roundedEven), [0, 2, 2, 2, 300]);
});
