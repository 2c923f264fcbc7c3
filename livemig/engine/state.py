"""MigrationState: everything the engine's functions share, as QEMU's struct of the same name does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from livemig.engine.channel import Channel
from livemig.engine.machine import Machine
from livemig.engine.memory import GuestMemory
from livemig.engine.rules import RULES, QemuRules
from livemig.engine.runstate import MIGRATION_TRANSITIONS, RUNSTATE_TRANSITIONS, check_transition
from livemig.engine.throttle import Throttle
from livemig.engine.workload import make_workload
from livemig.scenario import Scenario

if TYPE_CHECKING:
    from livemig.engine.devices import ItsModel
    from livemig.engine.plan import Plan
    from livemig.engine.vmstop import Handler

__all__ = ["Counters", "MigrationError", "MigrationState", "PeerIsSilent", "Rates"]


class MigrationError(Exception):
    """The engine's `goto fail`: the migration cannot go on; caught where QEMU's function checks the error."""


class PeerIsSilent(Exception):
    """The migration thread waits for the peer, and nothing will ever end that: the run is over, the wait is not."""


@dataclass
class Rates:
    """What is counted from one look at the rates to the next (QEMU's RAMState, the `period` fields)."""

    start_s: float = 0.0
    dirty_pages: int = 0
    sent_before_bytes: int = 0
    high: int = 0  # looks at which too much was dirty, since the last step of the throttle
    dirty_pages_per_s: int = 0  # dirty-pages-rate: of the last period

    def restart(self, t_s: float, sent_bytes: int) -> None:
        """A new period begins."""
        self.start_s, self.dirty_pages, self.sent_before_bytes = t_s, 0, sent_bytes


@dataclass
class Counters:
    """What query-migrate counts."""

    normal_pages: int = 0
    duplicate_pages: int = 0
    precopy_bytes: int = 0
    downtime_bytes: int = 0
    device_bytes: int = 0
    dirty_sync_count: int = 0


@dataclass
class MigrationState:
    """One migration's mutable state (QEMU 10.0.13 migration/migration.h struct MigrationState, the parts used here).

    `threshold_bytes` is 0 until the first window was measured. `guest_s` counts the time in which the vCPUs ran.
    """

    scenario: Scenario
    machine: Machine = field(default_factory=Machine)
    status: str = "none"
    status_there: str = "active"
    runstate: str = "running"
    runstate_there: str = "inmigrate"
    handlers: list[Handler] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)
    its: ItsModel | None = None
    threshold_bytes: int = 0
    window_start_s: float = 0.0
    window_initial_bytes: int = 0
    downtime_start_s: float | None = None
    downtime_s: float | None = None
    total_time_s: float | None = None
    setup_time_s: float | None = None
    mbps: float = 0.0
    bytes_at_last_sync: int = 0
    rates: Rates = field(default_factory=Rates)
    paused_at_s: float | None = None
    paused_guest_s: float = 0.0
    paused_total_s: float = 0.0
    sync_timer_on: bool = False
    syncs_at_timer: int = 0
    sync_due: bool = False
    sending: bool = False
    big_lock: bool = False
    reason: str = ""
    marked_pass: int = 0
    all_sent: bool = False
    destination_runs: bool = False
    destination_loaded: bool = False
    destination_died: bool = False
    waits_for_peer: bool = False
    different_pages: NDArray[np.intp] | None = None
    plan: Plan | None = None

    def __post_init__(self) -> None:
        self.rules: QemuRules = RULES[self.scenario.qemu_version]
        self.workload = make_workload(self.scenario)
        self.memory = GuestMemory(self.scenario, self.workload)
        self.channel = Channel(self.scenario)
        self.throttle = Throttle(self.scenario.catch_up_s)
        self.bandwidth_limit_bytes_per_s = self.scenario.bandwidth_bytes_per_s
        self.downtime_limit_s = self.scenario.downtime_limit_s
        self.expected_downtime_ms = round(self.downtime_limit_s * 1000)
        self.throttle_max_pct = self.scenario.throttle_max_pct
        if self.scenario.switchover_rule == "fixed":
            self.threshold_bytes = self.scenario.fixed_threshold_bytes  # the document's threshold needs no measurement

    # -- time in which the guest runs ------------------------------------------------------------------------------
    @property
    def guest_s(self) -> float:
        """Seconds of guest time: the clock without the stretches in which the vCPUs stood still or slept."""
        if self.paused_at_s is not None:
            return self.paused_guest_s
        return self.throttle.work_s(self.machine.t_s) - self.paused_total_s

    def pause_guest(self) -> None:
        """The vCPUs are out; what they wrote until now is in the dirty log."""
        if self.paused_at_s is None:
            self.guest_runs()
            self.paused_guest_s = self.guest_s
            self.throttle.vm_stops(self.machine.t_s)
            self.paused_at_s = self.machine.t_s

    def resume_guest(self) -> None:
        """The vCPUs run on (on the source)."""
        if self.paused_at_s is not None:
            self.paused_total_s += self.machine.t_s - self.paused_at_s
            self.paused_at_s = None

    def guest_runs(self) -> None:
        """Apply what the guest did up to now: its ITS commands, and its writes where their bytes matter already."""
        if self.its is not None:
            self.its.guest_runs_until(self.guest_s)
        self.memory.guest_runs_until(self.guest_s)

    # -- moments of the plan ---------------------------------------------------------------------------------------
    def wait_in_pre_switchover(self) -> None:
        """Wait for migrate-continue or for a cancel, with the guest stopped."""
        if self.plan is not None:
            self.plan.wait_in_pre_switchover(self)

    def begin_stop_copy(self) -> None:
        """The stop-copy begins: faults that were planned for it fall due."""
        if self.plan is not None:
            self.plan.arm(self, "stop-copy")

    def wait_while_silent(self) -> None:
        """A write to a peer that reads nothing blocks until the connection ends, without any timeout."""
        while self.channel.silent and self.channel.error is None:
            if not self.machine.alarms:
                self.waits_for_peer = True
                raise PeerIsSilent
            self.machine.advance_to(self.machine.alarms[0][0])

    def sent(self) -> None:
        """A burst is over; a sync that waited for it comes now."""
        self.sending = False
        if self.sync_due and self.plan is not None:
            self.sync_due = False
            self.plan.sync_timer(self)

    def arm_sync_timer(self) -> None:
        """The next tick of auto-converge's own sync; see `Plan.sync_timer`."""
        if self.plan is not None and self.rules.sync_timer_s:
            self.plan.arm_sync_timer(self)

    # -- sizes -----------------------------------------------------------------------------------------------------
    @property
    def pending_bytes(self) -> int:
        """What the migration bitmap still holds, every page at its full size (as QEMU counts)."""
        return self.memory.pending_pages * self.scenario.page_bytes

    @property
    def window_limit_bytes(self) -> float:
        """Bytes that a window may send."""
        limit = self.bandwidth_limit_bytes_per_s
        return float("inf") if limit is None else float(int(limit) // 10)

    # -- states ----------------------------------------------------------------------------------------------------
    def set_runstate(self, new: str) -> None:
        """Change this side's run state; only transitions of the table are allowed."""
        old = self.runstate_there if self._there else self.runstate
        check_transition(RUNSTATE_TRANSITIONS, old, new)
        if self._there:
            self.runstate_there = new
        else:
            self.runstate = new
        self.machine.emit("state", "runstate", {"old": old, "new": new})

    def set_status(self, new: str) -> None:
        """Change this side's migration status; only transitions of the table are allowed."""
        old = self.status_there if self._there else self.status
        check_transition(MIGRATION_TRANSITIONS, old, new)
        if self._there:
            self.status_there = new
        else:
            self.status = new
        self.machine.emit("state", "status", {"old": old, "new": new})

    @property
    def _there(self) -> bool:
        return self.machine.lane == "dst"

    def mark(self, label: str, text: str) -> None:
        """A time point of the document's list."""
        self.machine.emit("mark", label, {"text": text})

    def event(self, name: str, data: dict[str, Any] | None = None) -> None:
        """A QMP event, sent from the monitor's own thread while the present one goes on."""
        self.machine.emit("event", name, data or {})
