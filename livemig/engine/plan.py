"""What happens when: the scenario's plan of user commands and faults, beside the migration thread.

A policy is a part of it: an alarm asks its `Monitor` at its interval, and what it answers is done as a user's command.
"""

from __future__ import annotations

from livemig.engine.main_thread import cpu_throttle_dirty_sync_timer_tick, migration_cancel
from livemig.engine.monitor import Monitor, PolicyError, query_migrate
from livemig.engine.state import MigrationState
from livemig.scenario import LONGEST_RUN_S, Action

__all__ = ["Plan", "give_up_after_s"]

_BULK_COPIES = 10
_OVER = ("completed", "failed", "cancelled", "cancelling")
_BROKEN = "Unable to write to socket: Broken pipe"
_SETUP_S = 1e-3  # a policy is first asked when there is something to see
_PARAMETERS = {"set_downtime_limit": "downtime-limit", "set_bandwidth": "max-bandwidth",
               "set_max_throttle": "max-cpu-throttle"}


class Plan:
    """Arms the machine's alarms; `released` says how a wait in pre-switchover ended."""

    def __init__(self, actions: tuple[Action, ...], monitor: Monitor | None = None) -> None:
        self._actions = actions
        self._monitor = monitor
        self.policy = None if monitor is None else monitor.name
        self.policy_error = ""
        self.released = False
        self.gave_up = ""

    def arm(self, s: MigrationState, moment: str) -> None:
        """Actions at a time count from T0, the others from now on."""
        base_s = 0.0 if moment == "time" else s.machine.t_s
        for action in self._actions:
            if action.at == moment:
                s.machine.at(base_s + action.at_s, lambda action=action: self.act(s, action))  # type: ignore[misc]

    def arm_policy(self, s: MigrationState, t_s: float = 0.0) -> None:
        """The next look of the policy, if there is one."""
        monitor = self._monitor
        if monitor is not None:
            s.machine.at(t_s, lambda: self.ask_policy(s, monitor, t_s))

    def ask_policy(self, s: MigrationState, monitor: Monitor, due_s: float) -> None:
        """One look, and what comes of it; while the big lock is held QEMU does not answer."""
        if s.status in _OVER or (s.big_lock and not self._will_pause(s)):
            return
        if s.status == "setup":
            self.arm_policy(s, due_s + _SETUP_S)
            return
        if not s.big_lock:
            sample = query_migrate(s)
            s.machine.emit("sample", "query-migrate", sample, lane="main")
            try:
                for action in monitor.look(sample):
                    _check_throttle(s, monitor, action)
                    self.act(s, action, f"policy {monitor.name}: migrate_cancel")
            except PolicyError as error:
                self._policy_failed(s, str(error))
        if s.status not in _OVER:
            self.arm_policy(s, due_s + monitor.interval_s)

    def _will_pause(self, s: MigrationState) -> bool:
        return s.scenario.pause_before_switchover and s.status == "active"

    def _policy_failed(self, s: MigrationState, text: str) -> None:
        """Nobody watches any more: the migration is cancelled, and its end says why."""
        s.machine.emit("fault", "policy", {"text": text}, lane="user")
        self.policy_error = s.reason = text
        self._cancel(s)

    def arm_give_up(self, s: MigrationState) -> None:
        """QEMU would go on for ever; the model cancels."""
        s.machine.at(give_up_after_s(s), lambda: self.give_up(s, ""))

    def arm_sync_timer(self, s: MigrationState) -> None:
        """A timer of the main thread."""
        s.machine.at(s.machine.t_s + s.rules.sync_timer_s, lambda: self.sync_timer(s))

    def sync_timer(self, s: MigrationState) -> None:
        """A tick: it measures the guest's time, needs the big lock, and waits for the burst that holds the bitmap."""
        if s.sending:
            s.sync_due = True
        elif s.sync_timer_on and s.paused_at_s is None and not s.big_lock:
            with s.machine.on("main"):
                cpu_throttle_dirty_sync_timer_tick(s)

    def act(self, s: MigrationState, action: Action, why: str = "migrate_cancel") -> None:
        """Run one action now; `why` is the reason of a run that it cancels."""
        if action.do == "destination_dies":
            self._destination_dies(s)
        if s.status in _OVER or action.do == "destination_dies":
            return
        if action.do == "cancel":
            self._cancel_by_user(s, why)
        elif action.do == "continue":
            s.machine.emit("command", "migrate-continue", {"state": "pre-switchover"}, lane="user")
            self.released = True
        elif action.do == "link_failure":
            s.machine.emit("fault", "link failure", {"text": "the connection to the destination is gone"}, lane="dst")
            if not s.all_sent:
                s.channel.error = s.channel.error or _BROKEN
        elif action.do == "silent_peer":
            s.machine.emit("fault", "silent peer", {"text": "the peer reads nothing and does not close"}, lane="dst")
            s.channel.silent = True
        else:
            self._set_parameter(s, action)

    def _set_parameter(self, s: MigrationState, action: Action) -> None:
        assert action.value is not None
        s.machine.emit("command", "migrate-set-parameters", {_PARAMETERS[action.do]: action.value}, lane="user")
        if action.do == "set_downtime_limit":
            s.downtime_limit_s = action.value
        elif action.do == "set_max_throttle":
            s.throttle_max_pct = int(action.value)
        else:
            s.bandwidth_limit_bytes_per_s = action.value or None

    def _destination_dies(self, s: MigrationState) -> None:
        if s.destination_runs or s.destination_died or s.status in ("failed", "cancelled"):
            return
        s.machine.emit("fault", "process killed", {"text": "the destination process is gone"}, lane="dst")
        s.destination_died = True
        s.channel.error = s.channel.error or _BROKEN

    def _cancel_by_user(self, s: MigrationState, why: str) -> None:
        """The command needs the big lock; when the stop-copy gives it back the destination has everything."""
        if s.all_sent or s.big_lock:
            s.machine.emit("command", "migrate_cancel", {}, lane="user")
            return
        s.reason = s.reason or why
        self._cancel(s)

    def _cancel(self, s: MigrationState) -> None:
        s.machine.emit("command", "migrate_cancel", {}, lane="user")
        with s.machine.on("main"):
            migration_cancel(s)
        self.released = True

    def give_up(self, s: MigrationState, why: str) -> None:
        """Cancel a run that has not come to its switchover; `why` says more than its time being over."""
        if s.status in ("setup", "active", "pre-switchover") and not (s.big_lock or s.all_sent):
            self.gave_up = f"at {s.machine.t_s:.6g} s, {why}" if why else f"after {give_up_after_s(s):.6g} s"
            self._cancel(s)

    def wait_in_pre_switchover(self, s: MigrationState) -> None:
        """Let time pass from alarm to alarm until migrate-continue or a cancel."""
        self.arm(s, "pre-switchover")
        while not self.released and s.machine.alarms:
            s.machine.advance_to(s.machine.alarms[0][0])


def _check_throttle(s: MigrationState, monitor: Monitor, action: Action) -> None:
    least = s.scenario.throttle_initial_pct
    if action.do == "set_max_throttle" and (action.value is None or action.value < least):
        raise PolicyError(f"policy {monitor.name} at {s.machine.t_s:g} s: set_max_throttle to {action.value}: QEMU "
                          f"refuses less than cpu-throttle-initial, {least}")


def give_up_after_s(s: MigrationState) -> float:
    """The scenario's give-up time; by default ten bulk copies, but a minute at least and an hour at most."""
    if s.scenario.give_up_s is not None:
        return s.scenario.give_up_s
    speed = min(s.bandwidth_limit_bytes_per_s or float("inf"), s.channel.speed_bytes_per_s)
    bulk_s = s.scenario.ram_bytes / speed
    return min(max(60.0, min(_BULK_COPIES * bulk_s, 3600.0), 1.5 * bulk_s), LONGEST_RUN_S)
