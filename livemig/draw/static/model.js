// The engine's rules in the browser: simulate(fields, tables) -> livemig-trace/1, equal to livemig.engine.simulate.
//
// Theory of operation. Python is the reference; every file model_*.js mirrors one of livemig/engine and names it. Facts
// (names, constants, ITS bytes) come in as `tables`, made by livemig.engine.model_tables; this code has the flow only.
// The order of floating-point operations is Python's, so times come out equal; whole numbers beyond 2^32 stay below 2^53
// or are BigInt. Out of scope: real bytes (`contents`), users' own handlers, checking of inputs.

import { coarseFields } from "./model_coarse.js";
import { MigrationError, ModelLimit, PeerIsSilent } from "./model_machine.js";
import { migration_cleanup_bh, migration_thread, qmp_migrate } from "./model_migration.js";
import { PlanOfRun } from "./model_plan.js";
import { ModelState, TransitionRefused } from "./model_state.js";
import { incoming } from "./model_vmstop.js";
import { reasonOf } from "./model_words.js";

/** @typedef {import("./model_coarse.js").Fields} Fields @typedef {import("./model_state.js").ModelTables} ModelTables */
/** @typedef {{meta: Record<string, any>, events: import("./model_machine.js").Row[]}} ModelTrace */
/**
 * A run that needs more rows or draws ends early, and meta.cut_off says why. `turns`: with 100, after 100 turns of the
 * migration thread's loop only every second one leaves rows, after 100 more every fourth, and so on; everything else is
 * as without it, and meta.turns_without_rows says how many there were. Without `turns` the trace is Python's.
 * @typedef {{rows?: number, draws?: number, turns?: number}} MostOf
 */

const FORMAT = "livemig-model-tables/1";
const LIMITS = { rows: 1_000_000, draws: 300_000_000, turns: Infinity };

/**
 * One migration from T0 to its end.
 * @param {Fields} fields of livemig.scenario.Scenario; what is left out has the default
 * @param {ModelTables} tables made for the same its_devices and its_events_per_device
 * @param {MostOf} [most] @returns {ModelTrace}
 */
export function simulate(fields, tables, most = {}) {
  const full = completed(fields, tables);
  const f = coarseFields(full, tables.most_pages, tables.its_area_bytes);
  checkTables(f, tables);
  const s = new ModelState(f, f.page_bytes / full.page_bytes, tables, { ...LIMITS, ...most });
  s.plan = new PlanOfRun(s);
  const ended = migrated(s);
  return { meta: metaOf(s, f === full ? null : f.page_bytes, ended), events: s.machine.rows };
}

/** With the defaults of what is left out. @param {Fields} fields @param {ModelTables} tables @returns {Fields} */
function completed(fields, { defaults, action }) {
  const plan = (fields.plan ?? defaults.plan).map((/** @type {Fields} */ one) => ({ ...action, ...one }));
  return { ...defaults, ...fields, plan, costs: { ...defaults.costs, ...fields.costs } };
}

/** @param {Fields} f @param {ModelTables} tables */
function checkTables(f, tables) {
  if (tables.format !== FORMAT) throw new RangeError(`tables have the format ${tables.format}, expected ${FORMAT}`);
  if (!f.its_devices || f.accelerator !== "kvm") return;
  const { its } = tables;
  if (its?.devices === f.its_devices && its?.events === f.its_events_per_device) return;
  throw new RangeError(
    `tables are for ${its ? `${its.devices} x ${its.events}` : "no"} mappings, the scenario has ${f.its_devices} x ` +
      `${f.its_events_per_device}: fetch model_tables for its_devices and its_events_per_device`,
  );
}

/** Run to the end; what ended it early, if anything. @param {ModelState} s @returns {Record<string, string>} */
function migrated(s) {
  try {
    migrate(s);
    return {};
  } catch (error) {
    if (error instanceof ModelLimit) return { cut_off: error.message };
    if (error instanceof PeerIsSilent) {
      s.reason = `the peer is silent and nothing times out: the source waits, status ${s.status.here}`;
      return {};
    }
    if (error instanceof TransitionRefused) return { error: error.message };
    throw error;
  }
}

/** @param {any} s */
function migrate(s) {
  s.mark("T0", "the user says migrate; the VM runs on");
  s.machine.emit("command", "migrate", {}, "user");
  s.plan.arm("time");
  s.plan.armGiveUp();
  qmp_migrate(s);
  if (s.its && s.fields.save_tables_when === "t0") s.its.saveTables();
  s.machine.on("migration", () => migration_thread(s));
  if (s.status.here === "completed") loadedLater(s);
  s.machine.alarms.length = 0;
  migration_cleanup_bh(s);
}

/** The source has completed; if the destination dies now it cannot know. @param {any} s */
function loadedLater(s) {
  try {
    incoming(s);
  } catch (error) {
    if (!(error instanceof MigrationError)) throw error;
  }
}

/** @param {any} s @param {number | null} coarsePage @param {Record<string, string>} ended @returns {Record<string, any>} */
function metaOf(s, coarsePage, ended) {
  const isCompleted = s.status.here === "completed";
  const meta = {
    source: "simulated", id: "model", qemu_version: s.rules.version, scenario: s.fields,
    functions: s.tables.functions, outcome: outcomeOf(s, isCompleted), memory: { different_pages: s.differentPages },
    ...ended,
  };
  if (s.thin?.turns) Object.assign(meta, { turns_without_rows: s.thin.turns });
  if (coarsePage !== null) Object.assign(meta, { coarsened_page_bytes: coarsePage });
  if (s.its) {
    const report = isCompleted && !("cut_off" in ended) ? s.its.report() : null;
    Object.assign(meta, { its: { guest_commands: s.its.commands, saves: s.its.saves, report } });
  }
  return meta;
}

/** As QEMU's query-migrate would say it. @param {any} s @param {boolean} isCompleted @returns {Record<string, any>} */
function outcomeOf(s, isCompleted) {
  const { counters } = s;
  return {
    status: s.status.here,
    reason: reasonOf(s),
    total_time_s: s.totalS,
    setup_time_s: s.setupS,
    downtime_s: isCompleted ? s.downtimeS : null,
    transferred_bytes: s.out.sent - (s.rules.counts_device_bytes ? 0 : counters.deviceBytes),
    downtime_bytes: counters.downtimeBytes,
    normal_pages: counters.normal,
    duplicate_pages: counters.duplicate,
    dirty_sync_count: counters.syncs,
    guest_runs_on: s.destinationRuns ? "destination" : s.runstate.here === "running" ? "source" : null,
  };
}
