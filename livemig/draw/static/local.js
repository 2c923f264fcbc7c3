// The model in the browser, as the stage uses it: fields in, a Run or a reason out. What it cannot do goes to the kernel.

import { problemOf } from "./checks.js";
import { simulate } from "./model.js";
import { runOf } from "./scene.js";

/** @typedef {import("./scene.js").Run} Run @typedef {import("./controls.js").Control} Control @typedef {Record<string, any>} Fields */

/** Whether model.js covers a scenario with these tables: not real bytes, not another number of mappings. @param {Fields} f @param {Fields | null} tables */
export function covers(f, tables) {
  if (!tables?.format || f.contents) return false;
  const { its } = tables;
  const needed = f.its_devices && f.accelerator === "kvm";
  return !needed || (its?.devices === f.its_devices && its?.events === f.its_events_per_device);
}

/**
 * One run computed here. @param {Fields} f @param {Fields} tables @param {Control[]} controls
 * @param {import("./model.js").MostOf} [most] with `turns` long runs have fewer rows, and the same outcome
 * @returns {{run: Run | null, error: string, thinned?: boolean}}
 */
export function computed(f, tables, controls, most = {}) {
  const error = problemOf(f, controls, tables.its_area_bytes);
  if (error) return { run: null, error };
  const trace = simulate(f, tables, most);
  if (trace.meta.error) return { run: null, error: trace.meta.error };
  return { run: runOf(trace), error: "", thinned: Boolean(trace.meta.turns_without_rows) };
}
