// RAM and devices in the stream (livemig/engine/ram.py, savevm.py).

import { MigrationError, called, passed, traced } from "./model_machine.js";

const noLimit = () => Infinity;

/** Python's round: halves go to the even number. @param {number} x @returns {number} */
export function roundedEven(x) {
  const down = Math.floor(x);
  const rest = x - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 !== 0) ? down + 1 : down;
}

const cpu_throttle_set = traced("cpu_throttle_set", (s, /** @type {number} */ percentage) => {
  s.throttle.set(percentage, s.machine.t);
  s.machine.emit("throttle", "cpu_throttle_set", { percentage });
});

const mig_throttle_guest_down = traced("mig_throttle_guest_down", (s) => {
  const { throttle_initial_pct: first, throttle_increment_pct: step } = s.fields;
  const now = s.throttle.percentage;
  cpu_throttle_set(s, now ? Math.min(now + step, s.throttleMaxPct) : first);
});

const migration_trigger_throttle = traced("migration_trigger_throttle", (s) => {
  const { rates } = s;
  const limit = Math.floor(((s.out.sent - rates.sentBefore) * s.fields.throttle_trigger_pct) / 100);
  if (rates.dirtyPages * s.fields.page_bytes <= limit) return;
  rates.high += 1;
  if (rates.high < 2) return;
  rates.high = 0;
  if (s.fields.auto_converge) mig_throttle_guest_down(s);
});

const memory_global_after_dirty_log_sync = traced("memory_global_after_dirty_log_sync", (s) => {
  if (s.fields.accelerator === "tcg" && s.pausedAt === null) s.machine.advanceTo(s.throttle.wakes(s.machine.t));
});

const memory_global_dirty_log_sync = traced("memory_global_dirty_log_sync", (s) => s.machine.spend(s.fields.costs.sync_s));

const migration_bitmap_sync = traced("migration_bitmap_sync", (s) => {
  const { machine, counters } = s;
  const start = machine.t;
  counters.syncs += 1;
  memory_global_dirty_log_sync(s);
  s.guestRuns();
  const fresh = s.memory.sync(s.guestS());
  memory_global_after_dirty_log_sync(s);
  s.rates.dirtyPages += fresh;
  const number = counters.syncs;
  machine.emit("sync", "migration_bitmap_sync", {
    pass: number, start_s: start, new_dirty_pages: fresh, remaining_bytes: s.pendingBytes(),
  });
  const { rates } = s;
  const ms = (/** @type {number} */ t) => Math.trunc(t * 1000);
  if (rates.start > 0 && ms(machine.t) > ms(rates.start) + s.tables.clock.rates_period_s * 1000) {
    migration_trigger_throttle(s);
    passed(s, "migration_update_rates");
    Object.assign(rates, { start: machine.t, dirtyPages: 0, sentBefore: s.out.sent });
  } else if (!rates.start) rates.start = machine.t;
  s.event("MIGRATION_PASS", { pass: number });
});

export const migration_bitmap_sync_precopy = traced("migration_bitmap_sync_precopy", (s) => {
  if (s.its && s.fields.save_tables_when === "each_sync" && s.pausedAt === null) s.its.saveTables();
  migration_bitmap_sync(s);
});

const ram_init_bitmaps = traced("ram_init_bitmaps", (s) => {
  s.memory.markAllDirty();
  passed(s, "memory_global_dirty_log_start");
  migration_bitmap_sync_precopy(s);
});

const ram_init_all = traced("ram_init_all", (s) => ram_init_bitmaps(s));

const ram_save_setup = traced("ram_save_setup", (s) => ram_init_all(s));

const ram_state_pending_estimate = traced("ram_state_pending_estimate", (s) => s.pendingBytes());

const ram_state_pending_exact = traced("ram_state_pending_exact", (s) => {
  migration_bitmap_sync_precopy(s);
  return s.pendingBytes();
});

/** A write to a broken stream fails. @param {any} s */
function writeOrFail(s) {
  if (s.out.error !== null) throw new MigrationError(s.out.error);
}

/** @typedef {{start_s: number, bytes: number, pages: number, zero_pages: number, first_page: number, last_page: number, table_pages: number[]}} Sent */

/** Send runs of dirty pages; without `gather` (the final pass) nothing limits them but the link. @param {any} s @param {any} gather */
function sendPages(s, gather) {
  writeOrFail(s);
  s.machine.emit("send", "ram", sentPages(s, gather));
  s.sentAll();
  writeOrFail(s);
}

/** One call's pages: taken out of the bitmap, counted, their time spent. @param {any} s @param {any} gather a Gathered, or null @returns {Sent} */
export function sentPages(s, gather) {
  const { out, memory, machine } = s;
  s.guestRuns();
  const sent = { start_s: machine.t, bytes: 0, pages: 0, zero_pages: 0, first_page: -1, last_page: -1, table_pages: /** @type {number[]} */ ([]) };
  const broken = () => out.error !== null;
  const limit = gather ? (/** @type {boolean} */ zero) => gather.limit(zero) : noLimit;
  s.sending = true;
  while (!(gather && gather.done())) {
    s.waitWhileSilent();
    if (out.error !== null) break;
    if (!memory.pending) {
      sent.bytes += out.endRound(); // the search for one more page goes once round
      break;
    }
    const before = memory.position;
    const run = memory.sendRun(limit);
    if (run === null || !run.count) break;
    gather?.add(run);
    if (run.first < before) sent.bytes += out.endRound();
    addRun(sent, run, out, run.first >= memory.ramPages ? 1 : 0);
    if (memory.waiting.size) sent.table_pages.push(...memory.gone());
    machine.spend(run.count * out.pageS(run.zero), broken);
  }
  sent.bytes += out.framingBytes;
  out.count(sent.bytes);
  s.counters.normal += sent.pages;
  s.counters.duplicate += sent.zero_pages;
  return sent;
}

/** @param {Sent} sent @param {import("./model_memory.js").SentRun} run @param {import("./model_channel.js").Outgoing} out @param {number} block */
function addRun(sent, run, out, block) {
  sent.bytes += out.put(run, block);
  if (run.zero) sent.zero_pages += run.count;
  else sent.pages += run.count;
  if (sent.first_page < 0) sent.first_page = run.first;
  sent.last_page = run.last;
}

const ram_save_iterate = traced("ram_save_iterate", (s) => sendPages(s, s.gathered()));

const ram_save_complete = traced("ram_save_complete", (s) => {
  migration_bitmap_sync_precopy(s);
  const before = s.out.sent;
  sendPages(s, null);
  s.counters.downtimeBytes += s.out.sent - before;
});

// -- savevm.c ---------------------------------------------------------------------------------------------------------
export const qemu_savevm_state_setup = traced("qemu_savevm_state_setup", (s) => {
  const { setup_s: setup, sync_s: sync } = s.fields.costs;
  s.machine.spend(Math.max(0, setup - sync));
  ram_save_setup(s);
});

export const qemu_savevm_state_pending_estimate = traced("qemu_savevm_state_pending_estimate", (s) => {
  const size = ram_state_pending_estimate(s);
  s.machine.emit("pending", "estimate", { size_bytes: size });
  return size;
});

export const qemu_savevm_state_pending_exact = traced("qemu_savevm_state_pending_exact", (s) => {
  const size = ram_state_pending_exact(s);
  s.machine.emit("pending", "exact", { size_bytes: size });
  return size;
});

export const qemu_savevm_state_iterate = traced("qemu_savevm_state_iterate", (s) => {
  try {
    ram_save_iterate(s);
  } catch (error) {
    if (!(error instanceof MigrationError)) throw error;
    s.out.error = error.message;
  }
});

const THE_REST = "the last dirty pages and the device state are sent";

export const qemu_savevm_maybe_send_switchover_start = traced("qemu_savevm_maybe_send_switchover_start", (s) => {
  if (!s.rules.has_switchover_start) return;
  s.mark("Tn+3", THE_REST);
  passed(s, "qemu_savevm_send_switchover_start");
});

const vmstate_save = traced("vmstate_save", (s, /** @type {string} */ section, /** @type {number} */ costS, /** @type {number} */ size) => {
  const start = s.machine.t;
  const preSave = s.tables.pre_save[section];
  if (preSave) called(s, preSave, {}, () => section === "arm_gicv3_its" && s.its?.preSave());
  s.machine.spend(costS + size / s.out.speed);
  s.waitWhileSilent();
  writeOrFail(s);
  s.out.count(size);
  s.counters.deviceBytes += size;
  s.machine.emit("send", section, { start_s: start, bytes: size });
});

const qemu_savevm_state_complete_precopy_non_iterable = traced("qemu_savevm_state_complete_precopy_non_iterable", (s) => {
  passed(s, "cpu_synchronize_all_states");
  const { device_state_s: seconds, device_state_bytes: bytes } = s.fields.costs;
  for (const [section, share] of s.tables.sections) vmstate_save(s, section, share * seconds, roundedEven(share * bytes));
});

const qemu_savevm_state_complete_precopy_iterable = traced("qemu_savevm_state_complete_precopy_iterable", (s) => ram_save_complete(s));

export const qemu_savevm_state_complete_precopy = traced("qemu_savevm_state_complete_precopy", (s) => {
  if (!s.rules.has_switchover_start) s.mark("Tn+3", THE_REST);
  qemu_savevm_state_complete_precopy_iterable(s);
  qemu_savevm_state_complete_precopy_non_iterable(s);
  s.allSent = true;
});
