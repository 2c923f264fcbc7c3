"""A policy at work: what it is asked, what it may answer, and when its answers end the run.

Theory of operation. A policy is looked at as an operator's monitoring loop is: at each tick of its `interval_s` it gets
one answer of QEMU's monitor (`query_migrate`, flat, in QMP's names) and returns nothing, an `Action`, or several. Its
`Monitor` calls it, keeps the `memory` (a dict that is the policy's own for one run, so that policies can be frozen
objects), and refuses what no operator could mean: an exception, a command that QEMU would refuse, and a parameter that
goes up and down for ever. The same `Monitor` is asked by the engine's plan and by the lab's recorder.

A policy is an object with a method `look(sample, memory)`, or a function of the same arguments. It may have a `name`,
an `interval_s`, and `begins`: values of Scenario's fields that are set before the migration starts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from livemig.scenario import Action, Scenario

if TYPE_CHECKING:
    from livemig.engine.state import MigrationState

__all__ = ["INTERVAL_S", "MOST_COMMANDS", "MOST_TURNS", "Monitor", "Policy", "PolicyError", "applied", "policy_name",
           "query_migrate"]

INTERVAL_S = 0.5  # of a policy that names none
SHORTEST_INTERVAL_S = 0.01
MOST_TURNS = 20  # so often may a parameter change its direction
MOST_COMMANDS = 1000
# What a policy may do, and the least and the largest value (QEMU 10.0.13 migration/options.c migrate_params_check).
_ALLOWED: Mapping[str, tuple[float, float] | None] = {
    "cancel": None, "set_downtime_limit": (0.0, 2000.0), "set_bandwidth": (0.0, 1e14), "set_max_throttle": (1.0, 99.0)}

Policy = Any  # an object with look(sample, memory), or a function of these; see above
Answer = Action | Iterable[Action] | None


class PolicyError(ValueError):
    """A policy that cannot be asked, or whose answer ends its run; the message names it, the time and the reason."""


def policy_name(policy: Policy) -> str:
    """What a table calls a policy: its `name`, the name of its function, or of its class."""
    return str(getattr(policy, "name", None) or getattr(policy, "__name__", None) or type(policy).__name__)


def applied(policy: Policy | None, scenario: Scenario) -> Scenario:
    """The scenario with what a policy sets before the migration begins; raises `PolicyError` or `ScenarioError`."""
    begins = dict(getattr(policy, "begins", None) or {})
    if not begins:
        return scenario
    unknown = sorted(set(begins) - set(scenario.to_dict()))
    if unknown:
        raise PolicyError(f"policy {policy_name(policy)}: begins has {unknown[0]!r}, which is no input of a Scenario")
    return replace(scenario, **begins)


class Monitor:
    """One run's dialogue with a policy. `name` and `interval_s` are the policy's."""

    def __init__(self, policy: Policy) -> None:
        self.name = policy_name(policy)
        look = getattr(policy, "look", policy)
        if not callable(look) or isinstance(policy, type):
            raise PolicyError(f"policy {self.name}: expected an object with a method look(sample, memory), or a "
                              f"function of these, found {type(policy).__name__} {str(policy)[:60]!r}")
        interval_s = getattr(policy, "interval_s", INTERVAL_S)
        if isinstance(interval_s, bool) or not isinstance(interval_s, int | float) or not (
                SHORTEST_INTERVAL_S <= interval_s < math.inf):
            raise PolicyError(f"policy {self.name}: interval_s = {interval_s!r}: expected seconds, "
                              f"{SHORTEST_INTERVAL_S:g} at least")
        self.interval_s = float(interval_s)
        self._look: Callable[[Mapping[str, Any], dict[str, Any]], Answer] = look
        self._memory: dict[str, Any] = {}
        self._last: dict[str, float] = {}
        self._upward: dict[str, bool] = {}
        self._turns: dict[str, int] = {}
        self._commands = 0

    def look(self, sample: Mapping[str, Any]) -> tuple[Action, ...]:
        """What the policy does now; raises `PolicyError` when it fails or its answer makes no sense."""
        at = f"policy {self.name} at {sample.get('total-time', 0) / 1000:g} s"
        try:
            answer = self._look(dict(sample), self._memory)
            actions = () if answer is None else (answer,) if isinstance(answer, Action) else tuple(answer)
        except Exception as error:
            raise PolicyError(f"{at}: {type(error).__name__}: {error}") from error
        for action in actions:
            self._check(action, at)
        return actions

    def _check(self, action: Any, at: str) -> None:
        if not isinstance(action, Action) or action.do not in _ALLOWED:
            raise PolicyError(f"{at}: answered {getattr(action, 'do', action)!r}, expected an Action with do = "
                              f"{', '.join(_ALLOWED)}")
        self._commands += 1
        if self._commands > MOST_COMMANDS:
            raise PolicyError(f"{at}: gave more than {MOST_COMMANDS} commands")
        limits, value = _ALLOWED[action.do], action.value
        if limits is None:
            return
        if isinstance(value, bool) or not isinstance(value, int | float) or not limits[0] <= value <= limits[1]:
            raise PolicyError(f"{at}: {action.do} to {value!r}: expected a number from {limits[0]:g} to {limits[1]:g}")
        self._count_turns(action.do, float(value), at)

    def _count_turns(self, name: str, value: float, at: str) -> None:
        before = self._last.get(name)
        self._last[name] = value
        if before is None or value == before:
            return
        upward = value > before
        if self._upward.get(name, upward) != upward:
            self._turns[name] = self._turns.get(name, 0) + 1
            if self._turns[name] > MOST_TURNS:
                raise PolicyError(f"{at}: oscillates, {name} changed its direction more than {MOST_TURNS} times")
        self._upward[name] = upward


def query_migrate(s: MigrationState) -> dict[str, Any]:
    """What QEMU's monitor answers now, flat, in QMP's names and units (ms, bytes, Mbit/s, pages a second).

    Of query-migrate (QEMU 10.0.13 migration/migration.c populate_time_info, populate_ram_info), with base-memory of
    query-memory-size-summary and downtime-limit and max-bandwidth of query-migrate-parameters.
    """
    counters, page = s.counters, s.scenario.page_bytes
    throttle = s.throttle.percentage
    return {
        "status": s.status, "total-time": int(s.machine.t_s * 1000 + 1e-6),
        "setup-time": int((s.setup_time_s or 0) * 1000), "expected-downtime": s.expected_downtime_ms,
        "transferred": s.channel.sent_bytes, "remaining": s.pending_bytes, "total": s.memory.total_pages * page,
        "normal": counters.normal_pages, "duplicate": counters.duplicate_pages,
        "dirty-sync-count": counters.dirty_sync_count, "dirty-pages-rate": s.rates.dirty_pages_per_s,
        "mbps": s.mbps, "page-size": page, "base-memory": s.scenario.ram_bytes,
        "downtime-limit": round(s.downtime_limit_s * 1000), "max-bandwidth": int(s.bandwidth_limit_bytes_per_s or 0),
        **({"cpu-throttle-percentage": throttle} if s.scenario.auto_converge else {})}
