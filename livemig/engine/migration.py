"""The migration thread, in QEMU's functions and QEMU's order (QEMU 10.0.13 migration/migration.c).

Theory of operation. `migration_thread` sets up and then loops: `migration_iteration_run` looks at
what is pending and either sends a slice or, below the threshold, enters `migration_completion`; `migration_rate_limit`
measures the bandwidth once in 100 ms and sleeps when the window's budget is used up. Completion stops the VM, which
runs the change-state handlers, sends what is left and ends. Errors travel as `MigrationError` where QEMU returns a
negative number. BQL, RCU and semaphores are not modelled.
"""

from __future__ import annotations

from livemig.engine.incoming import process_incoming_migration_bh, process_incoming_migration_co
from livemig.engine.machine import traced
from livemig.engine.rules import BUFFER_DELAY_S, switchover_allowed, threshold_bytes
from livemig.engine.savevm import (
    qemu_savevm_maybe_send_switchover_start,
    qemu_savevm_send_open_return_path,
    qemu_savevm_send_ping,
    qemu_savevm_state_complete_precopy,
    qemu_savevm_state_header,
    qemu_savevm_state_iterate,
    qemu_savevm_state_pending_estimate,
    qemu_savevm_state_pending_exact,
    qemu_savevm_state_setup,
)
from livemig.engine.state import MigrationError, MigrationState
from livemig.engine.status import migrate_set_state, migration_block_activate, migration_block_inactivate
from livemig.engine.throttle import cpu_throttle_dirty_sync_timer, cpu_throttle_stop
from livemig.engine.vmstop import runstate_set, vm_start, vm_stop_force_state

__all__ = ["incoming", "migration_thread"]

MOST_ROWS = 2_000_000  # some 300 MB: a threshold below what a sync finds makes thousands of syncs a second
_STOPPING = ("cancelling", "cancelled", "failed")
_LEAST_FOR_EXPECTED_BYTES = 10_000  # a window that sent less says nothing of the expected downtime


# -- the thread -------------------------------------------------------------------------------------------------------
@traced("migration/migration.c")
def migration_thread(s: MigrationState) -> None:
    """Set up, loop until a break, finish."""
    update_iteration_initial_status(s)
    qemu_savevm_state_header(s)
    if s.scenario.return_path:
        qemu_savevm_send_open_return_path(s)
        qemu_savevm_send_ping(s)
    if s.scenario.auto_converge and s.rules.sync_timer_s:
        cpu_throttle_dirty_sync_timer(s, True)
    qemu_savevm_state_setup(s)
    _mark_pass(s)
    qemu_savevm_wait_unplug(s)
    s.setup_time_s = s.machine.t_s
    while migration_is_active(s):
        if s.channel.used_bytes <= s.window_limit_bytes and migration_iteration_run(s) == "break":
            break
        if migration_detect_error(s):
            break
        migration_rate_limit(s)
    migration_iteration_finish(s)


def migration_is_active(s: MigrationState) -> bool:
    """The loop's condition: a cancel ends it at the next turn."""
    if len(s.machine.rows) > MOST_ROWS and s.plan is not None and s.status == "active":
        s.plan.give_up(s, f"the run has more than {MOST_ROWS:,} events")
    return s.status == "active"


@traced("migration/migration.c")
def update_iteration_initial_status(s: MigrationState) -> None:
    """A new window begins: remember its start."""
    s.window_start_s = s.machine.t_s
    s.window_initial_bytes = s.channel.sent_bytes


@traced("migration/migration.c")
def qemu_savevm_wait_unplug(s: MigrationState) -> None:
    """No device to unplug: active at once."""
    migrate_set_state(s, "active")


@traced("migration/migration.c")
def migration_iteration_run(s: MigrationState) -> str:
    """Estimate; below the threshold count exactly; below it again: complete (`break`), else send a slice (`resume`)."""
    can_switchover = migration_can_switchover(s) if s.rules.has_can_switchover else True
    pending = qemu_savevm_state_pending_estimate(s)
    if pending < s.threshold_bytes:
        pending = qemu_savevm_state_pending_exact(s)
    if switchover_allowed(pending, s.threshold_bytes) and can_switchover:
        s.mark("Tn+1", "pending is below the threshold")
        migration_completion(s)
        return "break"
    _mark_pass(s)
    qemu_savevm_state_iterate(s)
    return "resume"


def _mark_pass(s: MigrationState) -> None:
    number = s.counters.dirty_sync_count
    if number > s.marked_pass:
        s.marked_pass = number
        what = "everything is sent" if number == 1 else "what was dirtied meanwhile"
        s.mark(f"T{number}", f"pass {number}: {what}")


@traced("migration/migration.c")
def migration_can_switchover(s: MigrationState) -> bool:
    """True unless switchover-ack is on and no ACK came yet (the destination ACKs when the return path opens)."""
    return True


@traced("migration/migration.c")
def migration_detect_error(s: MigrationState) -> bool:
    """True when the thread has to end: a write failed, or somebody cancels."""
    if s.status in _STOPPING:
        return True
    if s.channel.error is None:
        return False
    migrate_set_error(s, s.channel.error)
    migrate_set_state(s, "failed")
    return True


@traced("migration/migration.c")
def migrate_set_error(s: MigrationState, text: str) -> None:
    """Keep the first error for query-migrate."""
    s.reason = s.reason or text


@traced("migration/migration.c")
def migration_rate_limit(s: MigrationState) -> None:
    """Measure; when the window's budget is used up, sleep to the window's end."""
    migration_update_counters(s)
    if s.channel.used_bytes > s.window_limit_bytes:
        s.machine.advance_to(max(s.machine.t_s, s.window_start_s + BUFFER_DELAY_S) + s.scenario.costs.wakeup_s)


@traced("migration/migration.c")
def migration_update_counters(s: MigrationState) -> None:
    """At most once in 100 ms: bandwidth of the window, and from it the threshold; then a new window."""
    spent_ms = int((s.machine.t_s - s.window_start_s) * 1000.0 + 1e-6)
    if spent_ms < BUFFER_DELAY_S * 1000.0:
        return
    transferred = s.channel.sent_bytes - s.window_initial_bytes
    bandwidth = transferred / spent_ms * 1000.0
    s.threshold_bytes = threshold_bytes(
        s.scenario.switchover_rule,
        s.scenario.fixed_threshold_bytes,
        bandwidth,
        s.downtime_limit_s,
        s.scenario.avail_switchover_bandwidth_bytes_per_s,
    )
    s.machine.emit("threshold", "threshold", {"size_bytes": s.threshold_bytes, "bandwidth_bytes_per_s": bandwidth})
    s.mbps = transferred * 8 / spent_ms / 1000
    if s.rates.dirty_pages_per_s and transferred > _LEAST_FOR_EXPECTED_BYTES:
        switchover_bandwidth = s.scenario.avail_switchover_bandwidth_bytes_per_s or bandwidth
        s.expected_downtime_ms = int(s.bytes_at_last_sync / (switchover_bandwidth / 1000))
    s.channel.used_bytes = 0
    update_iteration_initial_status(s)


# -- the switchover ---------------------------------------------------------------------------------------------------
@traced("migration/migration.c")
def migration_completion(s: MigrationState) -> None:
    """Stop, send the rest, complete; or fail. 7.2 has no migration_completion_precopy and does all of it here.

    The big lock is held from here to the end of the stop-copy, but for a pause: QMP commands wait.
    """
    s.big_lock = True
    try:
        if s.rules.completion_stops_vm:
            _stop_and_send_7_2(s)
        else:
            migration_completion_precopy(s)
        s.big_lock = False
        close_return_path_on_source(s)
    except MigrationError as error:
        s.big_lock = False
        if s.status in _STOPPING:
            return
        migrate_set_error(s, str(error))
        migrate_set_state(s, "failed")
        return
    migration_completion_end(s)


def _stop_and_send_7_2(s: MigrationState) -> None:
    _begin_downtime(s)
    vm_stop_force_state(s, "finish-migrate")
    migration_maybe_pause(s)
    s.begin_stop_copy()
    qemu_savevm_state_complete_precopy(s)


@traced("migration/migration.c")
def migration_maybe_pause(s: MigrationState) -> None:
    """7.2: the wait of pause-before-switchover, and only then state device."""
    if s.scenario.pause_before_switchover:
        _pause(s)
        migrate_set_state(s, "device")


def _begin_downtime(s: MigrationState) -> None:
    s.mark("Tn+2", "the VM is stopped, the handlers run, the ITS tables are saved")
    s.downtime_start_s = s.machine.t_s


def _pause(s: MigrationState) -> None:
    migrate_set_state(s, "pre-switchover")
    s.big_lock = False
    s.wait_in_pre_switchover()
    s.big_lock = True
    if s.status in _STOPPING:
        raise MigrationError("cancelled in pre-switchover")


@traced("migration/migration.c")
def migration_completion_precopy(s: MigrationState) -> None:
    """The VM is stopped here, and only here; then the switchover, then the rest of the stream."""
    migration_stop_vm(s, "finish-migrate")
    migration_switchover_start(s)
    s.begin_stop_copy()
    qemu_savevm_state_complete_precopy(s)


@traced("migration/migration.c")
def migration_stop_vm(s: MigrationState, state: str) -> None:
    """The downtime begins; the chain down to the change-state handlers."""
    migration_downtime_start(s)
    global_state_store(s)
    vm_stop_force_state(s, state)
    s.machine.spend(0.4 * s.scenario.costs.stop_s)


@traced("migration/migration.c")
def migration_downtime_start(s: MigrationState) -> None:
    """QEMU's downtime counts from here."""
    _begin_downtime(s)


@traced("migration/global_state.c")
def global_state_store(s: MigrationState) -> None:
    """Remember the run state for the destination."""


@traced("migration/migration.c")
def migration_switchover_start(s: MigrationState) -> None:
    """State device, disks given away, the destination told."""
    migration_switchover_prepare(s)
    migration_block_inactivate(s)
    precopy_notify_complete(s)
    qemu_savevm_maybe_send_switchover_start(s)


@traced("migration/migration.c")
def migration_switchover_prepare(s: MigrationState) -> None:
    """With pause-before-switchover: wait for migrate-continue, with the guest stopped already. Then state device."""
    if s.scenario.pause_before_switchover:
        _pause(s)
    migrate_set_state(s, "device")


@traced("migration/migration.c")
def precopy_notify_complete(s: MigrationState) -> None:
    """Tell the listeners that pre-copy is over."""


@traced("migration/migration.c")
def close_return_path_on_source(s: MigrationState) -> None:
    """With a return path: wait until the destination has loaded and started."""
    if s.scenario.return_path and s.status in ("active", "device"):
        incoming(s)
        s.wait_while_silent()  # its answer does not come


@traced("migration/migration.c")
def migration_completion_end(s: MigrationState) -> None:
    """Downtime ends, total time, state completed: Tn+4."""
    migration_downtime_end(s)
    s.total_time_s = s.machine.t_s
    migrate_set_state(s, "completed")
    s.mark("Tn+4", "completed")


@traced("migration/migration.c")
def migration_downtime_end(s: MigrationState) -> None:
    """QEMU's downtime counts to here."""
    assert s.downtime_start_s is not None
    s.downtime_s = s.machine.t_s - s.downtime_start_s


@traced("migration/migration.c")
def migration_iteration_finish(s: MigrationState) -> None:
    """Completed: postmigrate. Otherwise the disks come back, and if the VM was stopped for this it runs on here."""
    if s.scenario.auto_converge:
        cpu_throttle_stop(s)
    if s.status == "completed":
        runstate_set(s, "postmigrate")
    else:
        migration_block_activate(s)
        if s.runstate == "finish-migrate":
            vm_start(s)
    migration_bh_schedule(s)


@traced("migration/migration.c")
def migration_bh_schedule(s: MigrationState) -> None:
    """Cleanup goes to the main thread."""


# -- destination ------------------------------------------------------------------------------------------------------
def incoming(s: MigrationState) -> None:
    """The destination loads what has arrived and starts the guest (once); `MigrationError` when it dies first."""
    if s.destination_loaded:
        return
    # Compare now: RESTORE_TABLES takes pending bits out of the destination's RAM.
    s.different_pages = s.memory.different_pages()
    with s.machine.on("dst"):
        process_incoming_migration_co(s)
        process_incoming_migration_bh(s)
