"""The smallest value of a knob with which a migration converges: doubled until it does, then halved in, then checked.

The knobs are those that an operator has: max-bandwidth, downtime-limit, and slowing the guest down. A throttle of p %
is taken as the writer's rate times (1 - p/100); how QEMU's auto-converge gets there over time is another question.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from livemig.scenario import Scenario

__all__ = ["KNOBS", "Knob", "Suggestion", "smallest"]

MIB = 1 << 20
PRECISION = 1.05  # the search ends when the two ends are this near
_STEP = 1.05  # if a sample does not converge with what was found, this much more is tried
_STEPS = 12
_HARD = 4  # the search runs so many samples, the check all of them
_MOST_DOUBLINGS = 24


@dataclass(frozen=True)
class Knob:
    """Something that can be changed: `name` is Scenario's field (or throttle), `step` what it is rounded up to."""

    name: str
    label: str
    unit: str
    step: float
    applies: Callable[[Scenario], bool]
    now: Callable[[Scenario], float]
    most: Callable[[Scenario], float]
    apply: Callable[[Scenario, float], Scenario]

    def rounded_up(self, value: float, most: float) -> float:
        """As people would set it."""
        return min(math.ceil(value / self.step - 1e-9) * self.step, most)


@dataclass(frozen=True)
class Suggestion:
    """`value` None: not even `most` is enough. `converged` of `of` samples did with it; `downtime_s` is the longest."""

    name: str
    label: str
    unit: str
    now: float
    value: float | None
    most: float
    converged: int
    of: int
    downtime_s: float | None


def _set(name: str) -> Callable[[Scenario, float], Scenario]:
    def apply(scenario: Scenario, value: float) -> Scenario:
        changed: dict[str, Any] = {name: value}
        return replace(scenario, **changed)
    return apply


def _link(s: Scenario) -> float:
    return min(s.link_bytes_per_s or math.inf, s.costs.memory_bytes_per_s)


def _throttled(s: Scenario, percent: float) -> Scenario:
    return replace(s, dirty_rate_bytes_per_s=s.dirty_rate_bytes_per_s * (1 - percent / 100))


KNOBS: tuple[Knob, ...] = (
    Knob("bandwidth_bytes_per_s", "max-bandwidth", "bytes/s", MIB,
         lambda s: s.bandwidth_bytes_per_s is not None and s.bandwidth_bytes_per_s < _link(s),
         lambda s: s.bandwidth_bytes_per_s or 0.0, _link, _set("bandwidth_bytes_per_s")),
    Knob("downtime_limit_s", "downtime-limit", "s", 0.001, lambda s: s.switchover_rule == "qemu",
         lambda s: s.downtime_limit_s, lambda s: 2000.0, _set("downtime_limit_s")),
    Knob("fixed_threshold_bytes", "fixed threshold", "bytes", 4096, lambda s: s.switchover_rule == "fixed",
         lambda s: float(s.fixed_threshold_bytes), lambda s: float(s.ram_bytes + s.other_ram_bytes),
         lambda s, value: replace(s, fixed_threshold_bytes=int(value))),
    Knob("throttle_percent", "throttle", "%", 1.0, lambda s: s.pattern != "phases" and s.dirty_rate_bytes_per_s > 0,
         lambda s: 0.0, lambda s: 99.0, _throttled),
)

Run = Callable[[float, Any], tuple[bool, float | None]]


def smallest(knob: Knob, scenario: Scenario, cases: Sequence[Any], run: Run) -> Suggestion:
    """The smallest value of a knob with which all cases converge; `run(value, case)` says (converged, downtime).

    `cases`: the hardest first. Each value is a new run of the engine; the first case that fails ends a try.
    """
    hard = list(cases[:_HARD])
    now, most = knob.now(scenario), knob.most(scenario)

    def holds(value: float) -> bool:
        for place, case in enumerate(hard):
            if not run(value, case)[0]:
                hard.insert(0, hard.pop(place))  # the next value meets its hardest case first
                return False
        return True

    found = _bracketed(knob, now, most, holds)
    value: float | None = None if found is None else knob.rounded_up(found, most)
    for _ in range(_STEPS):
        if value is None:
            break
        ended = [run(value, case) for case in cases]
        converged = sum(ok for ok, _ in ended)
        longest = max((downtime for ok, downtime in ended if ok and downtime is not None), default=None)
        last = Suggestion(knob.name, knob.label, knob.unit, now, value, most, converged, len(cases), longest)
        if converged == len(cases) or value >= most:
            return last
        value = knob.rounded_up(max(value * _STEP, value + knob.step), most)
    else:
        return last
    return Suggestion(knob.name, knob.label, knob.unit, now, None, most, 0, len(cases), None)


def _bracketed(knob: Knob, now: float, most: float, holds: Callable[[float], bool]) -> float | None:
    """A value that holds, with one just below it that does not; None if not even `most` does."""
    low, high = now, max(2 * now, knob.step)
    if knob.unit == "%":
        low, high = 0.0, most
    for _ in range(_MOST_DOUBLINGS):
        high = min(high, most)
        if holds(high):
            break
        if high >= most:
            return None
        low, high = high, 2 * high
    while high - low > knob.step and (knob.unit == "%" or high > PRECISION * low):
        middle = (low + high) / 2 if knob.unit == "%" or low <= 0 else math.sqrt(low * high)
        middle = min(max(knob.rounded_up(middle, most), low + knob.step), high)
        if middle >= high:
            break
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
