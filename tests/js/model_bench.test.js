// How fast the model answers, as ratios inside one run: times on a shared machine mean nothing by themselves.

import assert from "node:assert/strict";
import { loadavg } from "node:os";
import { test } from "node:test";

import { simulate } from "../../livemig/draw/static/model.js";
import { goldenVectors, tablesOf } from "./model_vectors.js";

const file = goldenVectors();
const TABLES = tablesOf(file, file.vectors[0]);
const MIB = 2 ** 20;
const TOLERANCE = 1.6;

/** Processor time of one call: others on the machine count for less than with the clock. @param {() => unknown} run @returns {number} ms */
function milliseconds(run) {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e3;
}

/** The smallest time of each in ms, measured in turns. @param {(() => unknown)[]} runs @param {number} rounds @returns {number[]} */
function minima(runs, rounds) {
  const best = runs.map(() => Infinity);
  for (let i = 0; i < rounds; i += 1) {
    runs.forEach((run, k) => {
      best[k] = Math.min(best[k], milliseconds(run));
    });
  }
  return best;
}

const told = (/** @type {import("node:test").TestContext} */ t, /** @type {string} */ text) =>
  t.diagnostic(`BENCH ${text}, load ${loadavg()[0].toFixed(1)}`);

test("the default scenario costs no more than writing its rows as JSON twice", (t) => {
  const { events } = simulate({}, TABLES);
  const [model, json] = minima([() => simulate({}, TABLES), () => JSON.stringify(events)], 40);
  told(t, `default scenario ${model.toFixed(2)} ms, ${(model / json).toFixed(2)} x JSON.stringify of its rows (goal <= 2)`);
  assert.ok(model / json <= 2 * TOLERANCE);
});

test("corners of the sliders, against drawing as many random bytes", (t) => {
  const bytes = new Uint8Array(8 * MIB);
  const fill = () => {
    for (let i = 0, x = 1; i < bytes.length; i += 1) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      bytes[i] = x;
    }
  };
  const never = { dirty_rate_bytes_per_s: 512 * MIB, working_set_bytes: 192 * MIB };
  const corners = {
    "never converges, sequential": [never, 2],
    "never converges, uniform": [{ ...never, pattern: "uniform" }, 6],
    "never converges, zipf": [{ ...never, pattern: "zipf" }, 20],
    "64 GiB": [{ ram_bytes: 65536 * MIB }, 3],
    "64 GiB at 8 MiB/s": [{ ram_bytes: 65536 * MIB, bandwidth_bytes_per_s: 8 * MIB }, 25],
  };
  for (const [name, [fields, goal]] of Object.entries(corners)) {
    const [model, plain] = minima([() => simulate(/** @type {any} */ (fields), TABLES, { turns: 50 }), fill], 3);
    told(t, `${name} ${model.toFixed(1)} ms, ${(model / plain).toFixed(2)} x 8 M random bytes (goal <= ${goal})`);
    assert.ok(model / plain <= Number(goal) * TOLERANCE, name);
  }
});
