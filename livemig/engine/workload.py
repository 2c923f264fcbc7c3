"""Who writes which pages when.

A workload answers two questions: how many page writes the guest has made by a time, and which pages the writes number
`first` up to `last` touched. Nothing is stored in between, so a dirty log can be computed when it is read. Page numbers
are relative to the working set. Random patterns use a counter-based 32-bit hash (no state), which another language can
compute exactly: integers only, and floats only through + - * / sqrt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from livemig.scenario import Phase, Scenario

__all__ = ["PageRange", "Pages", "Workload", "hash32", "make_workload"]

_ZIPF_BINS = 256
_DRAWS_PER_PAGE = 32  # more draws than this between two syncs change nothing one could see; only the last are made
_BLOCK = 1 << 20


@dataclass(frozen=True)
class PageRange:
    """`count` pages from `start` on, wrapping at the end of the working set."""

    start: int
    count: int


Pages = PageRange | NDArray[np.int64]


def hash32(seed: int, counter: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """A 32-bit hash of (seed, counter), the same in Python and JavaScript (multiply, shift, xor modulo 2^32)."""
    x = (counter & np.uint64(0xFFFFFFFF)).astype(np.uint32) * np.uint32(0x9E3779B1)
    x += (counter >> np.uint64(32)).astype(np.uint32) * np.uint32(0x7F4A7C15) + np.uint32(seed & 0xFFFFFFFF)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> np.uint32(16)
    return x


def _scale(h: NDArray[np.uint32], n: int) -> NDArray[np.int64]:
    """Map 32-bit hashes evenly on 0 .. n-1."""
    return ((h.astype(np.uint64) * np.uint64(n)) >> np.uint64(32)).astype(np.int64)


def _uniform(s: Scenario, n: int, k: NDArray[np.uint64]) -> NDArray[np.int64]:
    return _scale(hash32(s.seed, k), n)


def _hot_cold(s: Scenario, n: int, k: NDArray[np.uint64]) -> NDArray[np.int64]:
    hot = min(n, max(1, int(n * s.hot_fraction)))
    chooser = hash32(s.seed ^ 0x5BD1E995, k)
    where = hash32(s.seed, k)
    limit = int(s.hot_share * 4294967296.0)
    to_hot = chooser.astype(np.uint64) < np.uint64(limit)
    if hot == n:
        to_hot[:] = True
    return np.where(to_hot, _scale(where, hot), hot + _scale(where, max(1, n - hot)))


@lru_cache(maxsize=8)
def _zipf_bins(n: int, exponent: float) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """Cumulative probabilities (32 bit) of at most 256 bins of ranks, their first ranks and widths.

    Widths grow with the rank, so that inside a bin the probability hardly changes.
    """
    starts = [0]
    while starts[-1] < n:
        starts.append(min(n, starts[-1] + max(1, -(-starts[-1] * 16 // _ZIPF_BINS))))
    weights = []
    for low, high in pairwise(starts):
        middle = (low + 1 + high) / 2.0
        power = math.sqrt(middle) if (2 * exponent) % 2 else 1.0
        for _ in range(int(exponent)):
            power *= middle
        weights.append((high - low) / power)
    total = 0.0
    for weight in weights:
        total += weight
    running, cumulative = 0.0, []
    for weight in weights:
        running += weight
        cumulative.append(int(running / total * 4294967296.0))
    cumulative[-1] = 1 << 32
    first = np.array(starts[:-1], dtype=np.int64)
    return np.array(cumulative, dtype=np.uint64), first, np.array([b - a for a, b in pairwise(starts)], dtype=np.int64)


def _scatter_stride(n: int) -> int:
    """A stride coprime to n: neighbouring ranks are not neighbouring pages."""
    stride = max(1, int(n * 0.6180339887498949))
    while math.gcd(stride, n) != 1:
        stride += 1
    return stride


def _zipf(s: Scenario, n: int, k: NDArray[np.uint64]) -> NDArray[np.int64]:
    cumulative, first, width = _zipf_bins(n, s.zipf_exponent)
    bins = np.searchsorted(cumulative, hash32(s.seed ^ 0x5BD1E995, k).astype(np.uint64), side="right")
    inside = (hash32(s.seed, k).astype(np.uint64) * width[bins].astype(np.uint64)) >> np.uint64(32)
    return ((first[bins] + inside.astype(np.int64)) * _scatter_stride(n)) % n


_DRAW: dict[str, Callable[[Scenario, int, NDArray[np.uint64]], NDArray[np.int64]]] = {
    "uniform": _uniform,
    "hot_cold": _hot_cold,
    "zipf": _zipf,
}


class Workload:
    """One pattern at one rate; `writes_by` counts writes since T0, numbers go on from `writer_start_writes`."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.pages_in_set = scenario.working_set_bytes // scenario.page_bytes
        self.rate_pages_per_s = (
            0.0 if scenario.pattern == "idle" else scenario.dirty_rate_bytes_per_s / scenario.page_bytes
        )
        self.start = scenario.writer_start_writes

    def writes_by(self, t_s: float) -> int:
        """Number of the last page write made by time `t_s` (seconds since T0)."""
        return int(self.start + self.rate_pages_per_s * t_s)

    def pages(self, first: int, last: int) -> Iterator[Pages]:
        """The pages touched by writes first .. last-1, in order, in blocks."""
        yield from self._pattern_pages(self.scenario.pattern, first, last)

    def _pattern_pages(self, pattern: str, first: int, last: int) -> Iterator[Pages]:
        n = self.pages_in_set
        if last <= first or pattern == "idle" or not n:
            return
        if pattern == "sequential":
            begin = max(first, last - n)
            yield PageRange(begin % n, last - begin)
            return
        begin = max(first, last - _DRAWS_PER_PAGE * n)
        for block in range(begin, last, _BLOCK):
            k = np.arange(block, min(last, block + _BLOCK), dtype=np.uint64)
            yield _DRAW[pattern](self.scenario, n, k)


class PhasedWorkload(Workload):
    """A list of patterns with durations; the last one goes on. Writes are numbered through."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self._starts: list[tuple[float, float, Phase]] = []
        t_s, count = 0.0, float(self.start)
        for phase in scenario.phases:
            self._starts.append((t_s, count, phase))
            t_s += phase.duration_s
            count += phase.duration_s * self._rate(phase)

    def _rate(self, phase: Phase) -> float:
        return 0.0 if phase.pattern == "idle" else phase.dirty_rate_bytes_per_s / self.scenario.page_bytes

    def writes_by(self, t_s: float) -> int:
        begin_s, count, phase = next(p for p in reversed(self._starts) if p[0] <= max(t_s, 0.0))
        return int(count + (t_s - begin_s) * self._rate(phase))

    def pages(self, first: int, last: int) -> Iterator[Pages]:
        bounds = [int(count) for _, count, _ in self._starts[1:]] + [last]
        low = first
        for (_, _, phase), high in zip(self._starts, bounds, strict=True):
            if low < min(high, last):
                yield from self._pattern_pages(phase.pattern, low, min(high, last))
                low = min(high, last)


class _Xorshift:
    """The states of the lab guest's generator, made once for all runs and kept (8 bytes a write)."""

    def __init__(self, seed: int) -> None:
        self._last = seed
        self._states = np.empty(0, dtype=np.uint64)

    def states(self, first: int, last: int) -> NDArray[np.uint64]:
        """States number first .. last-1."""
        if last > len(self._states):
            self._extend(max(last, 2 * len(self._states)))
        return self._states[first:last]

    def _extend(self, count: int) -> None:
        x, mask = self._last, (1 << 64) - 1
        more = []
        for _ in range(count - len(self._states)):
            x ^= (x << 13) & mask
            x ^= x >> 7
            x ^= (x << 17) & mask
            more.append(x)
        self._last = x
        self._states = np.concatenate((self._states, np.array(more, dtype=np.uint64)))


_LAB_GUEST = _Xorshift(88172645463325252)


class LabRandomWorkload(Workload):
    """The lab guest's own random order: xorshift64, page = high half of state x pages (livemig/lab/guest/guest.S)."""

    def pages(self, first: int, last: int) -> Iterator[Pages]:
        if last > first and self.pages_in_set:
            n = np.uint64(self.pages_in_set)
            x = _LAB_GUEST.states(first, last)
            low, high = x & np.uint64(0xFFFFFFFF), x >> np.uint64(32)
            yield ((high * n + ((low * n) >> np.uint64(32))) >> np.uint64(32)).astype(np.int64)


_KINDS: dict[str, type[Workload]] = {"phases": PhasedWorkload, "lab_random": LabRandomWorkload}


def make_workload(scenario: Scenario) -> Workload:
    """The workload that a scenario's `pattern` names."""
    return _KINDS.get(scenario.pattern, Workload)(scenario)
