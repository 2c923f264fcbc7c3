"""auto-converge: a guest that writes too fast is slowed down by letting its vCPUs sleep.

Theory of operation. A timer ticks; at each tick the vCPUs leave the guest and sleep, then they run for one time slice
of 10 ms. With p percent a turn takes 10 ms / (1 - p/100), of which the sleep is the p percent. `Throttle.work_s` is the
time that the guest has really worked: it stands while the vCPUs sleep. The guest's clock does not stand, so a guest
whose work is due by the clock catches some of it up when it wakes (`Scenario.catch_up_s`). At a sync, but at most
once a second, `migration_trigger_throttle` decides whether to sleep more. A second timer (10.0) syncs the dirty log
each five seconds if no pass has.

Sources: QEMU 10.0.13 migration/cpu-throttle.c, migration/ram.c migration_trigger_throttle, mig_throttle_guest_down.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from livemig.engine.machine import traced

if TYPE_CHECKING:
    from livemig.engine.state import MigrationState

__all__ = [
    "SLICE_S",
    "Throttle",
    "cpu_throttle_dirty_sync_timer",
    "cpu_throttle_stop",
    "mig_throttle_guest_down",
]

SLICE_S = 0.010  # migration/cpu-throttle.c CPU_THROTTLE_TIMESLICE_NS


class Throttle:
    """The vCPUs' sleeps; times are the machine's. Asked about times that never go back."""

    def __init__(self, catch_up_s: float | None) -> None:
        self.percentage = 0
        self.sleep_end_s = 0.0
        self._catch_up_s = math.inf if catch_up_s is None else catch_up_s
        self._sleep_start_s = 0.0
        self._next_tick_s = math.inf
        self._lost_s = 0.0
        self._slept_s = 0.0  # the last sleep, as long as it is not yet part of _lost_s

    def set(self, percentage: int, t_s: float) -> None:
        """Throttling begins with a sleep at once; a new percentage counts from the next tick on."""
        self._advance(t_s)
        active = self.percentage != 0
        self.percentage = percentage
        if not active:
            self._tick(t_s)

    def stop(self, t_s: float) -> None:
        """No further sleep; one that has begun goes on to its end."""
        self._advance(t_s)
        self.percentage = 0
        self._next_tick_s = math.inf

    def vm_stops(self, t_s: float) -> None:
        """A vCPU that is asked to stop does not sleep on."""
        self._advance(t_s)
        if t_s < self.sleep_end_s:
            self._slept_s = t_s - self._sleep_start_s
            self.sleep_end_s = t_s

    def work_s(self, t_s: float) -> float:
        """Seconds in which the guest has worked, with what it has caught up."""
        self._advance(t_s)
        if t_s < self.sleep_end_s:
            return self._sleep_start_s - self._lost_s
        self._settle()
        return t_s - self._lost_s

    def wakes_s(self, t_s: float) -> float:
        """When the vCPUs run again: now, unless they sleep."""
        self._advance(t_s)
        return max(t_s, self.sleep_end_s)

    def _tick(self, t_s: float) -> None:
        share = self.percentage / 100
        self._slept_s = share / (1 - share) * SLICE_S
        self._sleep_start_s = t_s
        self.sleep_end_s = t_s + self._slept_s
        self._next_tick_s = t_s + SLICE_S / (1 - share)

    def _advance(self, t_s: float) -> None:
        while self._next_tick_s <= t_s:
            self._settle()
            self._tick(self._next_tick_s)

    def _settle(self) -> None:
        self._lost_s += max(0.0, self._slept_s - self._catch_up_s)
        self._slept_s = 0.0


@traced("migration/ram.c")
def mig_throttle_guest_down(s: MigrationState) -> None:
    """The first step, or one more, to the largest at most."""
    scenario, now = s.scenario, s.throttle.percentage
    if not now:
        cpu_throttle_set(s, scenario.throttle_initial_pct)
    else:
        cpu_throttle_set(s, min(now + scenario.throttle_increment_pct, s.throttle_max_pct))


@traced("migration/cpu-throttle.c")
def cpu_throttle_set(s: MigrationState, percentage: int) -> None:
    """From now on the vCPUs sleep that share of the time."""
    s.throttle.set(percentage, s.machine.t_s)
    s.machine.emit("throttle", "cpu_throttle_set", {"percentage": percentage})


@traced("migration/cpu-throttle.c")
def cpu_throttle_stop(s: MigrationState) -> None:
    """The guest runs at its full speed again."""
    s.throttle.stop(s.machine.t_s)
    cpu_throttle_dirty_sync_timer(s, False)


@traced("migration/cpu-throttle.c")
def cpu_throttle_dirty_sync_timer(s: MigrationState, enable: bool) -> None:
    """Start or stop the timer that syncs where a pass takes longer than its period."""
    s.sync_timer_on = enable
    if enable:
        s.syncs_at_timer = 0
        s.arm_sync_timer()
