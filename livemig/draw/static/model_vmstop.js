// How a VM stops and starts, and what the destination does (livemig/engine/vmstop.py, incoming.py).

import { MigrationError, called, passed, traced } from "./model_machine.js";
import { migrate_set_state, runstate_set } from "./model_state.js";

/** What the handlers of a stop do, by owner; all others only show that they are called. @type {Record<string, (s: any) => void>} */
const AT_A_STOP = {
  ITS: (s) => s.fields.save_tables_when === "stop" && s.its?.saveTables(),
  GICv3: (s) => s.its?.savePending(),
};

const all_vcpus_paused = traced("all_vcpus_paused", (s) => s.pausedAt !== null);

const bdrv_flush_all = traced("bdrv_flush_all", (s) => s.machine.spend(0.2 * s.fields.costs.stop_s));

const pause_all_vcpus = traced("pause_all_vcpus", (s) => {
  passed(s, "cpu_pause");
  all_vcpus_paused(s);
  s.machine.spend(0.4 * s.fields.costs.stop_s);
  s.pauseGuest();
  all_vcpus_paused(s);
});

/** Ascending by priority on start, the reverse on stop. */
const vm_state_notify = traced("vm_state_notify", (s, /** @type {boolean} */ running) => {
  const list = s.tables.handlers[s.fields.accelerator];
  for (const { name, owner, priority, file } of running ? list : [...list].reverse()) {
    called(s, name, { owner, priority, running, phase: "callback", file }, () => {
      if (!running) AT_A_STOP[owner]?.(s);
    });
  }
});

const do_vm_stop = traced("do_vm_stop", (s, /** @type {string} */ state) => {
  runstate_set(s, state);
  passed(s, "cpu_disable_ticks");
  pause_all_vcpus(s);
  vm_state_notify(s, false);
  s.event("STOP");
  passed(s, "bdrv_drain_all");
  bdrv_flush_all(s);
});

const vm_stop = traced("vm_stop", (s, /** @type {string} */ state) => do_vm_stop(s, state));

export const vm_stop_force_state = traced("vm_stop_force_state", (s, /** @type {string} */ state) => {
  if (s.runstate.here === "running") {
    vm_stop(s, state);
    return;
  }
  passed(s, "bdrv_drain_all");
  runstate_set(s, state);
  bdrv_flush_all(s);
});

const vm_prepare_start = traced("vm_prepare_start", (s) => {
  s.event("RESUME");
  passed(s, "cpu_enable_ticks");
  runstate_set(s, "running");
  vm_state_notify(s, true);
});

const resume_all_vcpus = traced("resume_all_vcpus", (s) => {
  passed(s, "cpu_resume");
  if (s.machine.lane === "dst") s.destinationRuns = true;
  else s.resumeGuest();
});

export const vm_start = traced("vm_start", (s) => {
  vm_prepare_start(s);
  resume_all_vcpus(s);
});

const qemu_loadvm_section_start_full = traced("qemu_loadvm_section_start_full", (s, /** @type {string} */ section) => {
  if (section === "arm_gicv3_its") s.its?.restoreThere();
  s.machine.emit("load", section);
});

const qemu_loadvm_state_main = traced("qemu_loadvm_state_main", (s) => {
  s.machine.emit("load", "ram");
  for (const [section, share] of s.tables.sections) {
    s.machine.spend(share * s.fields.costs.load_s);
    if (s.destinationDied) throw new MigrationError("the destination died before it had loaded everything");
    qemu_loadvm_section_start_full(s, section);
  }
});

const qemu_loadvm_state = traced("qemu_loadvm_state", (s) => qemu_loadvm_state_main(s));

const process_incoming_migration_co = traced("process_incoming_migration_co", (s) => qemu_loadvm_state(s));

const process_incoming_migration_bh = traced("process_incoming_migration_bh", (s) => {
  passed(s, "migration_block_activate");
  s.destinationLoaded = true;
  if (s.fields.destination_paused) runstate_set(s, "paused");
  else vm_start(s);
  migrate_set_state(s, "completed");
});

/** The destination loads what has arrived and starts the guest (once). @param {any} s */
export function incoming(s) {
  if (s.destinationLoaded) return;
  s.differentPages = s.its?.latePages ?? [];
  s.machine.on("dst", () => {
    process_incoming_migration_co(s);
    process_incoming_migration_bh(s);
  });
}
