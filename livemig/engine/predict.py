"""Before a migration: does it converge, in what time, with what stop and bytes, and what would make it converge.

Theory of operation. What nobody knows before a migration is where the guest's writer stands, which pages it prefers and
often how many. So the engine runs the scenario many times: over patterns, working sets and positions that are spread
evenly (no chance: the same question has the same answer), and the range of the outcomes is the answer. A run that has
not converged at its time limit counts as not converging, as an operator would count it.

What would make it converge is sought with the engine too: one knob at a time, doubled until the hard samples converge
and then halved in, and the number found is run over all samples. A little more is not always better (facts about
leftover and newly dirty pages: QEMU 10.0.13 migration/ram.c, the scan goes on across a sync), so the answer says in how
many samples it held, and a smaller number may do now and then.

`sampling` runs a case; it says how large guests are kept affordable.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from livemig.engine.sampling import PATTERNS, Case, Sample, Sampler, cases
from livemig.engine.suggest import KNOBS, Knob, Suggestion, smallest
from livemig.scenario import Scenario

__all__ = ["MODEL_ERROR", "Prediction", "Range", "predict", "suggestions"]

MODEL_ERROR = 0.02  # times and bytes are this uncertain anyway: livemig validate's 90th percentiles, doubled
SAMPLES = 24

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Range:
    """The smallest, the middle and the largest of the samples that converged."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Prediction:
    """The answer; `to_json` has all of it. Ranges are None where no sample converged."""

    scenario: Scenario
    samples: tuple[Sample, ...]
    total_time_s: Range | None
    downtime_s: Range | None
    transferred_bytes: Range | None
    passes: Range | None
    suggestions: tuple[Suggestion, ...]
    time_limit_s: float
    page_bytes: int

    @property
    def converged(self) -> int:
        """In how many samples it converged."""
        return sum(sample.converged for sample in self.samples)

    @property
    def converges(self) -> bool:
        """Whether it converged in all samples."""
        return self.converged == len(self.samples)

    def to_json(self) -> dict[str, Any]:
        """Plain values (livemig-prediction/1)."""
        return {"schema": "livemig-prediction/1", "converges": self.converges, "converged": self.converged,
                "of": len(self.samples), **asdict(self)}


def predict(scenario: Scenario | None = None, *, patterns: Sequence[str] = PATTERNS,
            working_sets: Sequence[int] = (), positions: int | None = None, samples: int = SAMPLES,
            suggest: bool = True, progress: Progress | None = None) -> Prediction:
    """Run a scenario over what nobody knows of it, and look for what would make it converge if it does not.

    >>> import livemig
    >>> answer = livemig.predict(livemig.Scenario(ram_bytes=128 << 20), samples=3)
    >>> answer.converges, answer.converged
    (True, 3)

    `patterns`, `working_sets` (bytes; default: the scenario's) and `samples` say what is tried; with `positions` 1 the
    scenario's own `writer_start_writes` is the only one. `suggest` False: no search. `progress(what, done, of)` is
    called before each run, `of` 0 where nobody knows. Raises `ScenarioError` when a combination is impossible.
    """
    base = scenario or Scenario()
    tried = cases(base, patterns, working_sets or (base.working_set_bytes,), samples, positions)
    sampler = Sampler(base)
    found = []
    for number, case in enumerate(tried):
        if progress is not None:
            progress("sample", number, len(tried))
        found.append(sampler.run(base, case))
    converged = [sample for sample in found if sample.converged]
    answer = Prediction(
        base, tuple(found), _range(converged, "total_time_s", MODEL_ERROR), _range(converged, "downtime_s"),
        _range(converged, "transferred_bytes", MODEL_ERROR), _range(converged, "passes"), (),
        sampler.time_limit_s, sampler.page_bytes)
    return replace(answer, suggestions=tuple(suggestions(answer, progress))) if suggest else answer


def _range(samples: Sequence[Sample], name: str, margin: float = 0.0) -> Range | None:
    values = [float(getattr(sample, name)) for sample in samples]
    if not values:
        return None
    return Range(min(values) * (1 - margin), statistics.median(values), max(values) * (1 + margin))


# -- what would make it converge --------------------------------------------------------------------------------------
def suggestions(prediction: Prediction, progress: Progress | None = None) -> Iterator[Suggestion]:
    """For each knob the smallest value that makes it converge, one after the other; none where it converges anyway.

    The samples that were furthest from converging are tried first.
    """
    if prediction.converges:
        return
    scenario, sampler = prediction.scenario, Sampler(prediction.scenario)
    order = [one.case for one in sorted(prediction.samples, key=lambda one: (one.converged, -_far(one)))]
    for knob in KNOBS:
        if not knob.applies(scenario):
            continue

        def run(value: float, case: Case, knob: Knob = knob) -> tuple[bool, float | None]:
            if progress is not None:
                progress(knob.label, 0, 0)
            sample = sampler.run(knob.apply(scenario, value), case)
            return sample.converged, sample.downtime_s

        yield smallest(knob, scenario, order, run)


def _far(sample: Sample) -> float:
    """How far pending stayed above the threshold, as a factor; unknown is furthest."""
    if sample.least_pending_bytes is None or not sample.threshold_bytes:
        return math.inf
    return sample.least_pending_bytes / sample.threshold_bytes
