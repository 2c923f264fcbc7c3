"""Ratios inside one run: interleaved minima, because absolute times on a shared machine mean nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

TOLERANCE = 1.4  # performance.md: ratios of interleaved minima spread 1.30x over eight repetitions


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def processor_seconds(run: Callable[[], object], enough_s: float, at_most_s: float = 30.0) -> float:
    """The smallest processor time of a call: for a ratio to something that is not measured here (simulated time).

    Other work on the core's other half doubles even processor time, so this goes on, up to `at_most_s`, until a quiet
    moment has shown `enough_s`.
    """
    best, end = float("inf"), time.monotonic() + at_most_s
    while best > enough_s and time.monotonic() < end:
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def minima(*runs: Callable[[], object], repeat: int = 9) -> list[float]:
    """The smallest time of each, measured in turns."""
    best = [float("inf")] * len(runs)
    for _ in range(repeat):
        for i, run in enumerate(runs):
            best[i] = min(best[i], seconds(run))
    return best


def report(what: str, ratio: float, goal: str) -> None:
    """One line for the log, with the machine's load."""
    print(f"\nBENCH {what}: {ratio:.3g} (goal {goal}, load {os.getloadavg()[0]:.1f})")
