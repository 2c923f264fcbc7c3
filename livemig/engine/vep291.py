"""VEP 291's published measurements, and the engine run over what the document does not say.

kubevirt/enhancements veps/sig-compute/291-dynamic-downtime-tuning/vep.md gives: an 8 GiB guest (an idle OpenShift
worker), a 1 Gbit/s network, an average dirty rate of about 650 Mbit/s, the ramp's defaults, ten migrations with tuning
and ten without (300 ms). Two more inputs follow from its own table: the link carried 105.5 MiB/s (data over total time:
9,694 MiB in 92.2 s, 11,862 in 112.4), and the bulk copy was 7.1 GiB (the time before convergence times that; the rest
is zero pages).

What it does not give is assumed, and varied (`ASSUMPTIONS`): which pages are written (a hot set that takes most of the
writes, the rest anywhere in 1 GiB), how much the rate goes up and down and how fast, and what a stop costs beside the
last pages. The writer's raw rate is set so that 650 Mbit/s of distinct pages are written in a second. Nothing is
fitted beyond that, so a row is right if the published figure lies within the range over the assumptions.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from livemig.engine.coarse import simulate_coarse
from livemig.engine.monitor import Policy
from livemig.engine.policies import KubevirtRamp, Qemu
from livemig.scenario import MIB, Costs, Phase, Scenario

__all__ = ["ASSUMPTIONS", "PUBLISHED", "TUNED", "UNTUNED", "Assumption", "Migration", "Table", "figures_of", "guest",
           "idle_guest", "loaded_guest", "migrations", "tables"]

TUNED = KubevirtRamp()
UNTUNED = Qemu()
LINK_BYTES_PER_S = 105.5 * MIB
BULK_BYTES = 7270 * MIB  # 7.1 GiB, whole MiB
DIRTY_BYTES_PER_S = 650e6 / 8
SPREAD_BYTES = 1 << 30
GIVE_UP_S = 300.0
MOST_PAGES = 1 << 15
# Row: (with tuning, without).
PUBLISHED: Mapping[str, tuple[float, float]] = {
    "average total time, s": (92.2, 112.4),
    "average convergence time, s": (24.7, 45.0),
    "median convergence time, s": (24.3, 35.0),
    "average downtime, ms": (611.0, 451.0),
    "average iterations": (28.0, 69.0),
    "average data, MiB": (9694.0, 11862.0),
    "worst total time, s": (98.0, 161.0),
    "shortest convergence time, s": (19.0, 24.0),
    "longest convergence time, s": (30.0, 93.0),
}


@dataclass(frozen=True)
class Assumption:
    """`hot_share` of the writes go to `hot_bytes`; the rate is `swing` above and below for `phase_s` on average."""

    hot_bytes: int
    hot_share: float
    swing: float
    phase_s: float
    stop_s: float


ASSUMPTIONS: tuple[Assumption, ...] = tuple(
    Assumption(hot * MIB, share, swing, phase_s, stop_s)
    for hot, share in ((40, 0.8), (48, 0.9), (56, 0.9)) for swing in (0.25, 0.35) for phase_s, stop_s in (
        (2.0, 0.1), (5.0, 0.2)))


@dataclass(frozen=True)
class Migration:
    """One run. Not `over` within `GIVE_UP_S`: no downtime, and the other values are what it had come to by then."""

    over: bool
    total_time_s: float
    convergence_s: float
    downtime_s: float | None
    iterations: int
    transferred_bytes: int


Table = Mapping[str, float]


def guest(assumption: Assumption, seed: int) -> Scenario:
    """The worker node under an assumption; another seed is another migration of it."""
    rate = _raw_bytes_per_s(assumption)
    return Scenario(ram_bytes=8 << 30, filled_bytes=BULK_BYTES, working_set_bytes=SPREAD_BYTES, pattern="phases",
                    phases=tuple(_phases(assumption, rate, seed)), dirty_rate_bytes_per_s=rate,
                    hot_fraction=assumption.hot_bytes / SPREAD_BYTES, hot_share=assumption.hot_share, seed=seed,
                    **_HOST, costs=replace(Costs(), device_state_s=assumption.stop_s))


def loaded_guest(working_set_bytes: int, stop_s: float = 0.1) -> Scenario:
    """The document's constant load: about 900 Mbit/s, a little more than the link carries."""
    return Scenario(ram_bytes=8 << 30, filled_bytes=BULK_BYTES, working_set_bytes=working_set_bytes,
                    pattern="sequential", dirty_rate_bytes_per_s=900e6 / 8, **_HOST,
                    costs=replace(Costs(), device_state_s=stop_s))


def idle_guest(working_set_bytes: int, rate_bytes_per_s: float, stop_s: float) -> Scenario:
    """The document's idle guest: a small set is written now and then."""
    return Scenario(ram_bytes=8 << 30, filled_bytes=2048 * MIB, working_set_bytes=working_set_bytes, pattern="uniform",
                    dirty_rate_bytes_per_s=rate_bytes_per_s, **_HOST, costs=replace(Costs(), device_state_s=stop_s))


_HOST: Mapping[str, Any] = {"bandwidth_bytes_per_s": None, "link_bytes_per_s": LINK_BYTES_PER_S, "return_path": True,
                            "its_devices": 0, "give_up_s": GIVE_UP_S}


def migrations(scenario: Scenario, policy: Policy) -> Migration:
    """One migration; it converges from the end of the bulk copy on, which is the second sync."""
    trace = simulate_coarse(scenario, MOST_PAGES, policy)
    outcome, bulk_s = trace.outcome, trace.mark("T2")
    total_s = outcome.total_time_s or trace.end_s
    since_s = bulk_s if bulk_s is not None else trace.mark("Tn+1") or 0.0
    return Migration(outcome.status == "completed", total_s, total_s - since_s, outcome.downtime_s,
                     outcome.dirty_sync_count or 0, outcome.transferred_bytes or 0)


def figures_of(runs: Sequence[Migration], unfinished: bool = False) -> Table:
    """The published rows of the migrations that were over in time, none if none was.

    `unfinished`: the others too, with what they had come to (their rows would only be larger); the downtime is of those
    that had one.
    """
    done = [run for run in runs if run.over or unfinished]
    downtimes = [run.downtime_s for run in done if run.downtime_s is not None]
    if not downtimes:
        return {}
    total, convergence, mean = [r.total_time_s for r in done], [r.convergence_s for r in done], statistics.fmean
    return dict(zip(PUBLISHED, (
        mean(total), mean(convergence), statistics.median(convergence), mean(downtimes) * 1000,
        mean(float(run.iterations) for run in done), mean(float(run.transferred_bytes) for run in done) / MIB,
        max(total), min(convergence), max(convergence)), strict=True))


def tables(seeds: Sequence[int] = tuple(range(1, 11)), assumptions: Sequence[Assumption] = ASSUMPTIONS,
           ) -> Iterator[tuple[Assumption, list[Migration], list[Migration]]]:
    """For each assumption so many migrations with tuning, and as many without."""
    for assumption in assumptions:
        guests = [guest(assumption, seed) for seed in seeds]
        yield (assumption, [migrations(one, TUNED) for one in guests], [migrations(one, UNTUNED) for one in guests])


def _raw_bytes_per_s(assumption: Assumption) -> float:
    """The rate of writes of which `DIRTY_BYTES_PER_S` are distinct pages in a second (halved in)."""
    low, high = DIRTY_BYTES_PER_S, 100 * DIRTY_BYTES_PER_S
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _distinct(assumption, middle) < DIRTY_BYTES_PER_S else (low, middle)
    return low


def _distinct(assumption: Assumption, raw_bytes: float) -> float:
    """Bytes of distinct pages that so many random writes touch (a large set: 1 - exp)."""
    hot, cold = assumption.hot_bytes, SPREAD_BYTES - assumption.hot_bytes
    to_hot = assumption.hot_share * raw_bytes
    return hot * -math.expm1(-to_hot / hot) + cold * -math.expm1(-(raw_bytes - to_hot) / cold)


def _phases(assumption: Assumption, rate: float, seed: int) -> Iterator[Phase]:
    """Busy and quiet stretches in turn, of random lengths, to the end of the longest run."""
    chance, t_s = random.Random(seed), 0.0
    busy = chance.random() < 0.5
    while t_s < GIVE_UP_S:
        duration_s = 0.2 + chance.expovariate(1 / assumption.phase_s)
        yield Phase(duration_s, "hot_cold", rate * (1 + assumption.swing if busy else 1 - assumption.swing))
        busy, t_s = not busy, t_s + duration_s
