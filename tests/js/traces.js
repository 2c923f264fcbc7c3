// Small literal traces; every number in the tests that use them was worked out by hand from these rows.

const MIB = 1048576;

/** Two passes, then a switchover of 10 ms; calls as the engine writes them. */
export function converging() {
  const call = (t, name, depth, data = {}) => [t, "call", "migration", name, depth, data];
  const back = (t, name, depth) => [t, "return", "migration", name, depth, {}];
  return {
    meta: {
      source: "literal", id: "x1", qemu_version: "10.0", scenario: { page_bytes: 4096, switchover_rule: "qemu", downtime_limit_s: 0.1 },
      functions: { migration_stop_vm: "migration/migration.c", vm_change_state_handler: "hw/intc/arm_gicv3_its_kvm.c" },
      outcome: { status: "completed", total_time_s: 2.01, downtime_s: 0.01, transferred_bytes: 12 * MIB, dirty_sync_count: 3 },
    },
    events: [
      [0, "mark", "user", "T0", 0, { text: "migrate" }],
      [0, "command", "user", "migrate", 0, {}],
      [0, "call", "main", "qmp_migrate", 0, {}],
      [0, "return", "main", "qmp_migrate", 0, {}],
      call(0, "migration_thread", 0),
      [0.001, "sync", "migration", "migration_bitmap_sync", 1, { pass: 1, start_s: 0.0005, remaining_bytes: 8 * MIB }],
      [0.001, "mark", "migration", "T1", 1, { text: "pass 1" }],
      call(0.001, "migration_iteration_run", 1),
      [0.001, "pending", "migration", "estimate", 2, { size_bytes: 8 * MIB }],
      [0.1, "send", "migration", "ram", 2, { start_s: 0.001, pages: 1024, zero_pages: 512 }],
      back(0.1, "migration_iteration_run", 1),
      [0.1, "threshold", "migration", "threshold", 1, { size_bytes: 4 * MIB }],
      call(1, "migration_iteration_run", 1),
      [1, "pending", "migration", "estimate", 2, { size_bytes: 2 * MIB }],
      [1.001, "sync", "migration", "migration_bitmap_sync", 2, { pass: 2, start_s: 1, remaining_bytes: 3 * MIB }],
      [1.001, "pending", "migration", "exact", 2, { size_bytes: 3 * MIB }],
      [2, "mark", "migration", "Tn+1", 2, { text: "below" }],
      call(2, "migration_completion", 2),
      call(2, "migration_completion_precopy", 3),
      call(2, "migration_stop_vm", 4),
      [2, "mark", "migration", "Tn+2", 5, { text: "stop" }],
      call(2, "vm_stop_force_state", 5),
      call(2, "vm_stop", 6),
      call(2, "do_vm_stop", 7),
      call(2.001, "vm_state_notify", 8),
      call(2.001, "vm_change_state_handler", 9, { owner: "ITS" }),
      [2.002, "its", "its", "SAVE_TABLES", 0, { errno: 0, tables: [table("04e0ff0900001080")] }],
      back(2.002, "vm_change_state_handler", 9),
      call(2.002, "vm_change_state_handler", 9, { owner: "GICv3" }),
      back(2.002, "vm_change_state_handler", 9),
      back(2.002, "vm_state_notify", 8),
      [2.002, "event", "migration", "STOP", 8, {}],
      back(2.003, "do_vm_stop", 7),
      back(2.003, "vm_stop", 6),
      back(2.003, "vm_stop_force_state", 5),
      back(2.003, "migration_stop_vm", 4),
      [2.003, "mark", "migration", "Tn+3", 4, { text: "rest" }],
      call(2.003, "qemu_savevm_state_complete_precopy", 4),
      [2.004, "sync", "migration", "migration_bitmap_sync", 5, { pass: 3, start_s: 2.0035, remaining_bytes: 3 * MIB }],
      [2.008, "send", "migration", "ram", 5, { start_s: 2.004, pages: 768, zero_pages: 0 }],
      [2.009, "send", "migration", "arm_gicv3_its", 5, { start_s: 2.008 }],
      back(2.009, "qemu_savevm_state_complete_precopy", 4),
      [2.01, "its", "dst", "RESTORE_TABLES", 0, { errno: 0, tables: [table("04e0ff0900001000")] }],
      [2.01, "event", "dst", "RESUME", 0, {}],
      [2.01, "mark", "migration", "Tn+4", 3, { text: "done" }],
    ],
  };
}

export const table = (hex) => ({ name: "Device table", layout: "DTE", base: 0x4ff90000, entry_bytes: 8, entries: [[8, hex]] });

/** KVM's device table entry, as livemig.its.layout has it. */
export const DTE = {
  size_bytes: 8,
  fields: [
    { name: "valid", letter: "V", hi: 63, lo: 63, shift: 0, meaning: "1 = this DeviceID is mapped" },
    { name: "next", letter: "n", hi: 62, lo: 49, shift: 0, meaning: "distance" },
    { name: "itt_address", letter: "a", hi: 48, lo: 5, shift: 8, meaning: "address of the ITT" },
    { name: "size", letter: "s", hi: 4, lo: 0, shift: 0, meaning: "EventID bits - 1" },
  ],
};

/** The same run as a recording shows it: no calls but two. */
export function recorded() {
  const trace = converging();
  const kept = (r) => (r[1] !== "call" && r[1] !== "return") || r[3] === "migration_stop_vm";
  return { meta: { ...trace.meta, source: "recorded", functions: {} }, events: trace.events.filter(kept) };
}

/** One pass that goes on until it is cancelled. */
export function cancelled() {
  return {
    meta: { source: "literal", qemu_version: "10.0", outcome: { status: "cancelled", dirty_sync_count: 1 } },
    events: [
      [0, "mark", "user", "T0", 0, {}],
      [0.1, "sync", "migration", "migration_bitmap_sync", 0, { pass: 1, start_s: 0.1, remaining_bytes: MIB }],
      [0.1, "mark", "migration", "T1", 0, {}],
      [0.2, "pending", "migration", "estimate", 0, { size_bytes: MIB }],
      [5, "state", "migration", "status", 0, { old: "cancelling", new: "cancelled" }],
    ],
  };
}

/** Characters of one width: good enough to compare with itself. */
export const measure = (text, size) => text.length * size * 0.55;
