"""Cases that nobody can know before a migration, made definite, and one run of the engine for each.

Theory of operation. A case is a pattern, a working set and where the writer stands; positions lie evenly (multiples of
the golden ratio modulo 1), so that the same question has the same answer. Three things keep a run affordable without
changing what it answers: pages are taken together (`coarse`) as long as a window and the working set keep enough of
them; the ITS's commands are left out; and most of the memory that nobody writes is left out of the guest and added
again as the time and the bytes of its copy, which is measured as the difference of two runs of an idle guest. So much
of it is kept that the first pass still takes as long as the writer needs to touch its whole set.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from livemig.engine.coarse import coarsened, simulate_coarse
from livemig.scenario import LONGEST_RUN_S, Scenario, its_area_offset

__all__ = ["PATTERNS", "Case", "Sample", "Sampler", "cases", "no_collector", "speed_bytes_per_s",
           "time_limit_s", "with_case", "working_set_range"]

PATTERNS = ("sequential", "uniform", "hot_cold")  # what is tried where nobody knows
# The time limit: the bulk copy, and two more if that is no more than ten minutes, else one; a minute more at least.
PATIENCE_BULKS = 2.0
PATIENCE_S = (60.0, 600.0)
_FINE_PAGES = 1 << 16  # more than so many pages are taken together, as long as ...
_WINDOW_PAGES = 64  # ... a window of 100 ms has so many
_SET_PAGES = 256  # ... and the working set so many
_GOLDEN = 0.6180339887498949  # its multiples modulo 1 lie evenly, however many they are
_TOUCHES = 4.0  # so many writes a page leave 2 % of a random writer's set untouched
_COLD_S = 10.0  # memory whose copy is shorter is not worth leaving out


@dataclass(frozen=True)
class Case:
    """The pattern, the working set, and where the writer stands: 0 to 1 of its set, negative: as the scenario says."""

    pattern: str
    working_set_bytes: int
    position: float


@dataclass(frozen=True)
class Sample:
    """How one case ended; times and bytes are None where it did not converge within the time limit."""

    case: Case
    converged: bool
    total_time_s: float | None
    downtime_s: float | None
    transferred_bytes: int | None
    passes: int
    least_pending_bytes: int | None
    threshold_bytes: int | None


def cases(scenario: Scenario, patterns: Sequence[str], working_sets: Sequence[int], samples: int,
          positions: int | None = None) -> list[Case]:
    """At least `samples` cases, as many positions for each pattern and working set; a guest that is idle needs one."""
    if not scenario.dirty_rate_bytes_per_s and "phases" not in patterns:
        return [Case("idle", scenario.working_set_bytes, -1.0)]
    kinds = [(pattern, size) for pattern in patterns for size in working_sets]
    if positions == 1:
        return [Case(pattern, size, -1.0) for pattern, size in kinds]
    each = positions or max(1, -(-samples // len(kinds)))
    return [Case(pattern, size, (0.5 + (k * each + i) * _GOLDEN) % 1.0)
            for k, (pattern, size) in enumerate(kinds) for i in range(each)]


def working_set_range(scenario: Scenario, seconds: float = 1.0) -> tuple[int, ...]:
    """Working sets that a dirty rate allows: what it dirties in `seconds` is a part of it, all of RAM the most."""
    s = scenario
    end = its_area_offset(s.ram_bytes) if s.its_devices and s.accelerator == "kvm" else s.ram_bytes
    most = max((end - s.working_set_offset_bytes) // s.page_bytes, 1)
    least = min(max(math.ceil(s.dirty_rate_bytes_per_s * seconds / s.page_bytes), 1), most)
    return tuple(sorted({pages * s.page_bytes for pages in (least, round(math.sqrt(least * most)), most)}))


def speed_bytes_per_s(s: Scenario) -> float:
    """What the migration can send at most."""
    return min(s.bandwidth_bytes_per_s or math.inf, s.link_bytes_per_s or math.inf, s.costs.memory_bytes_per_s)


class Sampler:
    """Runs cases of a scenario; the copies of memory that is left out are measured once and kept."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.time_limit_s = time_limit_s(scenario)
        self.page_bytes = _coarse(scenario).page_bytes
        self._copies: dict[Scenario, tuple[float, int]] = {}

    def run(self, scenario: Scenario, case: Case) -> Sample:
        """One case of the scenario, or of the scenario with a knob turned."""
        full = with_case(scenario, case)
        small = full if case.position < 0 else _without_cold(full)
        cold_s, cold_bytes = (0.0, 0) if small is full else self._cold(full, small)
        limit_s = scenario.give_up_s or time_limit_s(scenario)
        chosen = _placed(replace(small, give_up_s=max(limit_s - cold_s, 1.0)), case, cold_s)
        with no_collector():
            trace = simulate_coarse(chosen, _most_pages(chosen))
        outcome = trace.outcome
        exact = [int(event.data["size_bytes"]) for event in trace.select("pending", "exact")]
        threshold = next((int(e.data["size_bytes"]) for e in reversed(trace.events) if e.kind == "threshold"), None)
        total_s, sent = outcome.total_time_s, outcome.transferred_bytes
        ended = outcome.status == "completed" and total_s is not None and sent is not None
        return Sample(case, ended, (total_s or 0.0) + cold_s if ended else None, outcome.downtime_s,
                      (sent or 0) + cold_bytes if ended else None, outcome.dirty_sync_count or 0,
                      min(exact, default=None), threshold)

    def _cold(self, full: Scenario, small: Scenario) -> tuple[float, int]:
        """Seconds and bytes of copying what `small` leaves out."""
        (full_s, full_bytes), (small_s, small_bytes) = self._copy(full), self._copy(small)
        return full_s - small_s, full_bytes - small_bytes

    def _copy(self, scenario: Scenario) -> tuple[float, int]:
        idle = replace(scenario, pattern="idle", dirty_rate_bytes_per_s=0.0, give_up_s=LONGEST_RUN_S)
        if idle not in self._copies:
            outcome = simulate_coarse(idle, _most_pages(idle)).outcome
            self._copies[idle] = outcome.total_time_s or 0.0, outcome.transferred_bytes or 0
        return self._copies[idle]


@contextmanager
def no_collector() -> Iterator[None]:
    """A run makes many rows and no cycles; looking through them again and again would be a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def time_limit_s(s: Scenario) -> float:
    """How long a run is waited for: the scenario's give-up time, or what `PATIENCE_BULKS` and `PATIENCE_S` say."""
    bulk_s = s.ram_bytes / speed_bytes_per_s(s)
    patience_s = max(PATIENCE_S[0], min(PATIENCE_BULKS * bulk_s, max(bulk_s, PATIENCE_S[1])))
    return s.give_up_s or min(bulk_s + patience_s, LONGEST_RUN_S)


def with_case(s: Scenario, case: Case) -> Scenario:
    """The scenario of a case; what is written is not zero, and nothing that only the ITS needs takes time."""
    changes: dict[str, Any] = {"pattern": case.pattern, "working_set_bytes": case.working_set_bytes,
                               "its_devices": 0, "contents": False}
    if s.filled_bytes is not None and case.pattern != "idle":
        written = s.working_set_offset_bytes + case.working_set_bytes - s.filled_offset_bytes
        changes["filled_bytes"] = max(s.filled_bytes, written)
    return replace(s, **changes)


def _without_cold(s: Scenario) -> Scenario:
    """The scenario without most of what nobody writes; itself where that would save little or is not known."""
    if s.pattern == "phases" or not s.dirty_rate_bytes_per_s:
        return s
    speed = speed_bytes_per_s(s)
    touched_s = _TOUCHES * s.working_set_bytes / s.dirty_rate_bytes_per_s
    needed = max(s.working_set_offset_bytes + s.working_set_bytes, int(touched_s * speed))
    page = _coarse(s).page_bytes
    ram_bytes = -(-needed // page) * page
    return s if (s.ram_bytes - ram_bytes) / speed < _COLD_S else replace(s, ram_bytes=ram_bytes)


def _placed(s: Scenario, case: Case, ahead_s: float) -> Scenario:
    """The writer where the case has it, in the pages that the run will have; another seed for another position.

    What it writes while the memory that is left out is copied (`ahead_s`) is already written when the run begins, so
    that it stands at the end of the first pass where it would have stood.
    """
    if case.position < 0 or case.pattern == "idle":
        return s
    coarse = _coarse(s)
    pages = coarse.working_set_bytes // coarse.page_bytes
    writes = int(case.position * pages) + int(ahead_s * coarse.dirty_rate_bytes_per_s / coarse.page_bytes)
    return replace(s, writer_start_writes=float(writes),
                   seed=(s.seed + int(case.position * 1e6)) % (1 << 32))


def _most_pages(s: Scenario) -> int:
    """As few pages as the windows and the working set can be told apart with."""
    window = speed_bytes_per_s(s) / 10
    page = max(s.page_bytes, min(window / _WINDOW_PAGES, (s.working_set_bytes or s.ram_bytes) / _SET_PAGES))
    return max(_FINE_PAGES, math.ceil(s.ram_bytes / page))


def _coarse(s: Scenario) -> Scenario:
    return coarsened(s, _most_pages(s))
