// The migration thread in QEMU's functions and QEMU's order (livemig/engine/migration.py, main_thread.py).

import { MigrationError, passed, traced } from "./model_machine.js";
import {
  migration_bitmap_sync_precopy, qemu_savevm_maybe_send_switchover_start, qemu_savevm_state_complete_precopy, qemu_savevm_state_iterate,
  qemu_savevm_state_pending_estimate, qemu_savevm_state_pending_exact, qemu_savevm_state_setup, roundedEven,
  sentPages,
} from "./model_ram.js";
import { migrate_set_state, runstate_set } from "./model_state.js";
import { incoming, vm_start, vm_stop_force_state } from "./model_vmstop.js";

const STOPPING = ["cancelling", "cancelled", "failed"];

const isStopping = (/** @type {any} */ s) => STOPPING.includes(s.status.here);

// -- the main thread --------------------------------------------------------------------------------------------------
const migrate_init = traced("migrate_init", (s) => migrate_set_state(s, "setup"));

const migrate_prepare = traced("migrate_prepare", (s) => migrate_init(s));

export const qmp_migrate = traced("qmp_migrate", (s) => migrate_prepare(s));

const qemu_file_shutdown = traced("qemu_file_shutdown", (s) => {
  s.out.error ||= "the migration was cancelled";
});

export const migration_cancel = traced("migration_cancel", (s) => {
  migrate_set_state(s, "cancelling");
  qemu_file_shutdown(s);
});

// -- auto-converge's own sync, and its end ------------------------------------------------------------------------------
const cpu_throttle_dirty_sync_timer_tick = traced("cpu_throttle_dirty_sync_timer_tick", (s) => {
  const { counters } = s;
  if (counters.syncs > 1 && counters.syncs === s.syncsAtTimer) migration_bitmap_sync_precopy(s);
  s.syncsAtTimer = counters.syncs;
  armSyncTimer(s);
});

/** @param {any} s */
function armSyncTimer(s) {
  const period = s.rules.sync_timer_s;
  if (!period) return;
  s.syncTick = () => {
    s.syncDue = s.sending;
    if (s.sending || !s.syncTimerOn || s.pausedAt !== null || s.bigLock) return;
    s.thin?.tell(s);
    s.machine.on("main", () => cpu_throttle_dirty_sync_timer_tick(s));
  };
  s.machine.at(s.machine.t + period, s.syncTick);
}

const cpu_throttle_dirty_sync_timer = traced("cpu_throttle_dirty_sync_timer", (s, /** @type {boolean} */ enable) => {
  s.syncTimerOn = enable;
  if (!enable) return;
  s.syncsAtTimer = 0;
  armSyncTimer(s);
});

const cpu_throttle_stop = traced("cpu_throttle_stop", (s) => {
  s.throttle.stop(s.machine.t);
  cpu_throttle_dirty_sync_timer(s, false);
});

// -- cleanup ----------------------------------------------------------------------------------------------------------
const migration_cleanup = traced("migration_cleanup", (s) => {
  close_return_path_on_source(s);
  if (s.status.here === "cancelling") migrate_set_state(s, "cancelled");
});

export const migration_cleanup_bh = traced("migration_cleanup_bh", (s) => migration_cleanup(s));

// -- the thread's loop ------------------------------------------------------------------------------------------------
const update_iteration_initial_status = traced("update_iteration_initial_status", (s) => beginWindow(s));

/** @param {any} s */
function beginWindow(s) {
  s.windowStart = s.machine.t;
  s.windowInitial = s.out.sent;
}

const qemu_savevm_wait_unplug = traced("qemu_savevm_wait_unplug", (s) => migrate_set_state(s, "active"));

export const migration_thread = traced("migration_thread", (s) => {
  update_iteration_initial_status(s);
  passed(s, "qemu_savevm_state_header");
  if (s.fields.return_path) {
    passed(s, "qemu_savevm_send_open_return_path");
    passed(s, "qemu_savevm_send_ping");
  }
  if (s.fields.auto_converge && s.rules.sync_timer_s) cpu_throttle_dirty_sync_timer(s, true);
  qemu_savevm_state_setup(s);
  markPass(s);
  qemu_savevm_wait_unplug(s);
  s.setupS = s.machine.t;
  while (s.status.here === "active") {
    if (s.thin?.leavesOut(s)) {
      if (leftOut(s)) break;
      continue;
    }
    s.thin?.tell(s);
    if (s.out.used <= s.windowLimit() && migration_iteration_run(s)) break;
    if (migration_detect_error(s)) break;
    migration_rate_limit(s);
  }
  s.thin?.tell(s);
  migration_iteration_finish(s);
});

/** One turn of the loop without its rows; true when the loop is to end. @param {any} s @returns {boolean} */
function leftOut(s) {
  if (s.out.used <= s.windowLimit()) {
    s.thin.add(sentPages(s, s.gathered()));
    s.sentAll();
  }
  if (s.out.error !== null || isStopping(s)) {
    s.thin.tell(s);
    return migration_detect_error(s);
  }
  if (measured(s)) beginWindow(s);
  sleepIfUsedUp(s);
  return false;
}

/** True when the loop is to end. */
const migration_iteration_run = traced("migration_iteration_run", (s) => {
  if (s.rules.has_can_switchover) passed(s, "migration_can_switchover");
  let pending = qemu_savevm_state_pending_estimate(s);
  if (pending < s.threshold) pending = qemu_savevm_state_pending_exact(s);
  if (pending === 0 || pending < s.threshold) {
    s.mark("Tn+1", "pending is below the threshold");
    migration_completion(s);
    return true;
  }
  markPass(s);
  qemu_savevm_state_iterate(s);
  return false;
});

/** @param {any} s */
function markPass(s) {
  const number = s.counters.syncs;
  if (number <= s.markedPass) return;
  s.markedPass = number;
  s.mark(`T${number}`, `pass ${number}: ${number === 1 ? "everything is sent" : "what was dirtied meanwhile"}`);
}

const migrate_set_error = traced("migrate_set_error", (s, /** @type {string} */ text) => {
  s.reason ||= text;
});

const migration_detect_error = traced("migration_detect_error", (s) => {
  if (isStopping(s)) return true;
  if (s.out.error === null) return false;
  migrate_set_error(s, s.out.error);
  migrate_set_state(s, "failed");
  return true;
});

const migration_rate_limit = traced("migration_rate_limit", (s) => {
  migration_update_counters(s);
  sleepIfUsedUp(s);
});

/** @param {any} s */
function sleepIfUsedUp(s) {
  if (s.out.used <= s.windowLimit()) return;
  const end = s.windowStart + s.tables.clock.buffer_delay_s;
  s.machine.advanceTo(Math.max(s.machine.t, end) + s.fields.costs.wakeup_s);
}

const migration_update_counters = traced("migration_update_counters", (s) => {
  const now = measured(s);
  if (now === null) return;
  s.machine.emit("threshold", "threshold", now);
  update_iteration_initial_status(s);
});

/** At most once in 100 ms: the window's bandwidth, and from it the threshold. @param {any} s @returns {{size_bytes: number, bandwidth_bytes_per_s: number} | null} */
function measured(s) {
  const spentMs = Math.trunc((s.machine.t - s.windowStart) * 1000 + 1e-6);
  if (spentMs < s.tables.clock.buffer_delay_s * 1000) return null;
  const bandwidth = ((s.out.sent - s.windowInitial) / spentMs) * 1000;
  s.threshold = thresholdOf(s, bandwidth);
  s.out.used = 0;
  return { size_bytes: s.threshold, bandwidth_bytes_per_s: bandwidth };
}

/** @param {any} s @param {number} bandwidth measured @returns {number} bytes */
function thresholdOf(s, bandwidth) {
  const { switchover_rule: rule, fixed_threshold_bytes: fixed, avail_switchover_bandwidth_bytes_per_s: avail } = s.fields;
  if (rule === "fixed") return fixed;
  const limitMs = roundedEven(s.downtimeLimitS * 1000);
  if (avail != null) return Math.floor(Math.trunc(avail) / 1000) * limitMs;
  return Math.trunc((bandwidth / 1000) * limitMs);
}

// -- the switchover ---------------------------------------------------------------------------------------------------
const migration_completion = traced("migration_completion", (s) => {
  s.bigLock = true;
  try {
    if (s.rules.completion_stops_vm) stopAndSend72(s);
    else migration_completion_precopy(s);
    s.bigLock = false;
    close_return_path_on_source(s);
  } catch (error) {
    if (!(error instanceof MigrationError)) throw error;
    s.bigLock = false;
    if (isStopping(s)) return;
    migrate_set_error(s, error.message);
    migrate_set_state(s, "failed");
    return;
  }
  migration_completion_end(s);
});

/** @param {any} s */
function stopAndSend72(s) {
  beginDowntime(s);
  vm_stop_force_state(s, "finish-migrate");
  migration_maybe_pause(s);
  s.plan.arm("stop-copy");
  qemu_savevm_state_complete_precopy(s);
}

const migration_maybe_pause = traced("migration_maybe_pause", (s) => {
  if (!s.fields.pause_before_switchover) return;
  waitForContinue(s);
  migrate_set_state(s, "device");
});

/** @param {any} s */
function beginDowntime(s) {
  s.mark("Tn+2", "the VM is stopped, the handlers run, the ITS tables are saved");
  s.downtimeStart = s.machine.t;
}

/** @param {any} s */
function waitForContinue(s) {
  migrate_set_state(s, "pre-switchover");
  s.bigLock = false;
  s.plan.waitInPreSwitchover();
  s.bigLock = true;
  if (isStopping(s)) throw new MigrationError("cancelled in pre-switchover");
}

const migration_completion_precopy = traced("migration_completion_precopy", (s) => {
  migration_stop_vm(s, "finish-migrate");
  migration_switchover_start(s);
  s.plan.arm("stop-copy");
  qemu_savevm_state_complete_precopy(s);
});

const migration_downtime_start = traced("migration_downtime_start", (s) => beginDowntime(s));

const migration_stop_vm = traced("migration_stop_vm", (s, /** @type {string} */ state) => {
  migration_downtime_start(s);
  passed(s, "global_state_store");
  vm_stop_force_state(s, state);
  s.machine.spend(0.4 * s.fields.costs.stop_s);
});

const migration_switchover_prepare = traced("migration_switchover_prepare", (s) => {
  if (s.fields.pause_before_switchover) waitForContinue(s);
  migrate_set_state(s, "device");
});

const migration_switchover_start = traced("migration_switchover_start", (s) => {
  migration_switchover_prepare(s);
  passed(s, "migration_block_inactivate");
  passed(s, "precopy_notify_complete");
  qemu_savevm_maybe_send_switchover_start(s);
});

const close_return_path_on_source = traced("close_return_path_on_source", (s) => {
  if (!s.fields.return_path || !["active", "device"].includes(s.status.here)) return;
  incoming(s);
  s.waitWhileSilent(); // its answer does not come
});

const migration_downtime_end = traced("migration_downtime_end", (s) => {
  s.downtimeS = s.machine.t - s.downtimeStart;
});

const migration_completion_end = traced("migration_completion_end", (s) => {
  migration_downtime_end(s);
  s.totalS = s.machine.t;
  migrate_set_state(s, "completed");
  s.mark("Tn+4", "completed");
});

const migration_iteration_finish = traced("migration_iteration_finish", (s) => {
  if (s.fields.auto_converge) cpu_throttle_stop(s);
  if (s.status.here === "completed") runstate_set(s, "postmigrate");
  else {
    passed(s, "migration_block_activate");
    if (s.runstate.here === "finish-migrate") vm_start(s);
  }
  passed(s, "migration_bh_schedule");
});
