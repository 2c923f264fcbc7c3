"""simulate(scenario) -> Trace: one migration from T0 to its end, deterministic, without I/O."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Never

from livemig.engine.devices import ItsModel
from livemig.engine.machine import FUNCTIONS
from livemig.engine.main_thread import migration_cleanup_bh, qmp_migrate
from livemig.engine.migration import incoming, migration_thread
from livemig.engine.monitor import Monitor, Policy, applied
from livemig.engine.plan import Plan
from livemig.engine.state import MigrationError, MigrationState, PeerIsSilent
from livemig.engine.vmstop import Handler, HandlerError, default_handlers, qemu_add_vm_change_state_handler
from livemig.scenario import Scenario
from livemig.trace import Outcome, Trace

__all__ = ["run", "simulate"]

_MIB = 1 << 20
_KIB = 1 << 10


def simulate(scenario: Scenario | None = None, handlers: Iterable[Handler] = (), policy: Policy | None = None,
             **misplaced: Never) -> Trace:
    """Run one migration and return its Trace.

    >>> import livemig
    >>> livemig.simulate(livemig.Scenario(downtime_limit_s=0.03)).outcome.dirty_sync_count
    7

    `policy` watches it and may change it or cancel it (`engine.monitor`); one that fails ends the run as cancelled.
    `handlers` are registered behind the machine's own, by their priority. Raises `HandlerError` when one of them raises
    (its `trace` holds what happened until then). A run that does not converge ends at its give-up time as cancelled.
    """
    for name in misplaced:
        raise TypeError(f"simulate has no argument {name!r}: pass a Scenario, as in simulate(Scenario({name}=...))")
    return run(MigrationState(applied(policy, scenario or Scenario())), handlers, policy)


def run(s: MigrationState, handlers: Iterable[Handler] = (), policy: Policy | None = None) -> Trace:
    """As `simulate`, on a state that the caller keeps (to look into its memories afterwards)."""
    scenario = s.scenario
    s.handlers.extend(default_handlers(scenario.accelerator))
    for handler in handlers:
        qemu_add_vm_change_state_handler(s.handlers, handler)
    if scenario.its_devices and scenario.accelerator == "kvm":
        s.its = ItsModel(s)
    monitor = None if policy is None else Monitor(policy)
    plan = s.plan = Plan(scenario.plan, monitor)
    try:
        _migrate(s, plan)
    except PeerIsSilent:
        s.reason = f"the peer is silent and nothing times out: the source waits, status {s.status}"
    except HandlerError as error:
        error.trace = _trace(s)
        raise
    return _trace(s)


def _migrate(s: MigrationState, plan: Plan) -> None:
    s.mark("T0", "the user says migrate; the VM runs on")
    s.machine.emit("command", "migrate", {}, lane="user")
    plan.arm(s, "time")
    plan.arm_give_up(s)
    plan.arm_policy(s)
    qmp_migrate(s)
    if s.its is not None and s.scenario.save_tables_when == "t0":
        s.its.save_tables(s)  # the experiment "too early", not QEMU
    with s.machine.on("migration"):
        migration_thread(s)
    if s.status == "completed":
        with suppress(MigrationError):  # the source cannot know: it has completed
            incoming(s)
    s.machine.alarms.clear()
    migration_cleanup_bh(s)


def _trace(s: MigrationState) -> Trace:
    scenario = s.scenario
    meta: dict[str, Any] = {
        "source": "simulated",
        "id": "model",
        "qemu_version": s.rules.version,
        "scenario": scenario.to_dict(),
        "functions": dict(FUNCTIONS),
        "outcome": asdict(_outcome(s)),
        "memory": {"different_pages": [int(p) for p in s.different_pages] if s.different_pages is not None else None},
    }
    if s.plan is not None and s.plan.policy is not None:
        meta["policy"] = {"name": s.plan.policy, "error": s.plan.policy_error}
    if s.its is not None:
        meta["its"] = {
            "guest_commands": s.its.commands_done,
            "saves": s.its.saves,
            "report": s.its.report() if s.status == "completed" else None,
        }
    return Trace(meta, s.machine.rows)


def _outcome(s: MigrationState) -> Outcome:
    counters = s.counters
    transferred = s.channel.sent_bytes - (0 if s.rules.counts_device_bytes else counters.device_bytes)
    completed = s.status == "completed"
    return Outcome(
        status=s.status,
        reason=_reason(s),
        total_time_s=s.total_time_s,
        setup_time_s=s.setup_time_s,
        downtime_s=s.downtime_s if completed else None,
        transferred_bytes=transferred,
        downtime_bytes=counters.downtime_bytes,
        normal_pages=counters.normal_pages,
        duplicate_pages=counters.duplicate_pages,
        dirty_sync_count=counters.dirty_sync_count,
        guest_runs_on="destination" if s.destination_runs else ("source" if s.runstate == "running" else None),
    )


def _reason(s: MigrationState) -> str:
    if not (s.plan and s.plan.gave_up):
        return s.reason
    exact = [int(r.data["size_bytes"]) for r in s.machine.rows if r.kind == "pending" and r.name == "exact"]
    start = f"gave up {s.plan.gave_up}: "
    if s.channel.silent:
        return start + "the peer is silent, so a write did not come to its end"
    if not exact:
        return start + f"the first pass was not done, {s.pending_bytes / _MIB:.1f} MiB were still to send"
    limit = s.bandwidth_limit_bytes_per_s
    speed = min(limit or float("inf"), s.channel.speed_bytes_per_s) / _MIB
    scenario = s.scenario
    return start + (
        f"pending was never below the threshold of {_small(s.threshold_bytes)} when it was counted "
        f"({len(exact)} times, smallest {_small(min(exact))}); the guest writes "
        f"{scenario.dirty_rate_bytes_per_s / _MIB:.4g} MiB/s in a working set of "
        f"{scenario.working_set_bytes / _MIB:.4g} MiB, "
        f"the migration sends {speed:.4g} MiB/s"
    )


def _small(size_bytes: float) -> str:
    """In KiB below 1 MiB: a threshold of 64 KiB is not known as 0.0625 MiB. model_words.js has the same rule."""
    return f"{size_bytes / _MIB:.3g} MiB" if size_bytes >= _MIB else f"{size_bytes / _KIB:.3g} KiB"
