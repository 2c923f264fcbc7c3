"""Rounds of pre-copy for many migrations at once, where no formula gives the end: any curve of dirtying, throttling.

Theory of operation. A round of t seconds leaves U(t) bytes, the distinct bytes that the guest writes in t seconds.
The textbook's U is rate x t up to the working set (`Linear`); guests that write at random meet pages again, so their
U saturates (`Uniform`, `HotCold`), and measured guests follow a power of t (`PowerLaw`). All scenarios of a block go
through a round together; those that have ended are taken out (compaction), so that a round costs as much as there are
migrations still running. A migration whose round leaves no less than it sent never ends, for U grows with t; unless
its guest is throttled further, as auto-converge does when in two rounds the dirty bytes are more than the trigger's
share of those sent (QEMU 10.0.13 migration/ram.c, migration_trigger_throttle; decided here after each round).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["MOST_ROUNDS", "Counted", "Curve", "HotCold", "Linear", "PowerLaw", "Throttling", "Uniform", "broadcast",
           "check_positive", "count_rounds", "empty_counted"]

MOST_ROUNDS = 100_000  # a dirty rate within a millionth of the bandwidth needs more
_BLOCK = 16384  # scenarios at a time: their arrays stay in the cache
_KEEP = 0.75  # those that have ended are taken out when so few still run: taking out costs about as much as a round

Floats = NDArray[np.float64]


class Counted(NamedTuple):
    """Arrays with the meaning of the fields of `closed_form.Textbook`, an element a migration. `part` is a view."""

    converges: NDArray[np.bool_]
    rounds: NDArray[np.int32]
    total_time_s: Floats
    downtime_s: Floats
    transferred_bytes: Floats
    dirty_bytes: Floats

    def part(self, here: slice) -> Counted:
        """A stretch of all arrays."""
        return Counted(self.converges[here], self.rounds[here], self.total_time_s[here], self.downtime_s[here],
                       self.transferred_bytes[here], self.dirty_bytes[here])


def empty_counted(size: int) -> Counted:
    """Room for the answers of `size` migrations."""
    return Counted(np.empty(size, np.bool_), np.empty(size, np.int32), *(np.empty(size) for _ in range(4)))


@dataclass(frozen=True)
class Curve:
    """U(t): distinct bytes that each guest writes in t seconds; the fields are arrays, an element a guest."""

    def __call__(self, work_s: Floats) -> Floats:
        """Bytes after `work_s` seconds of the guest's work."""
        raise NotImplementedError

    def take(self, chosen: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Self:
        """The curves of some of the guests."""
        return replace(self, **{item.name: getattr(self, item.name)[chosen] for item in fields(self)})


@dataclass(frozen=True)
class Linear(Curve):
    """The textbook's: at the rate until the working set is full."""

    rate_bytes_per_s: Floats
    working_set_bytes: Floats

    def __call__(self, work_s: Floats) -> Floats:
        """min(rate t, W)."""
        return np.minimum(self.rate_bytes_per_s * work_s, self.working_set_bytes)


@dataclass(frozen=True)
class PowerLaw(Curve):
    """first_second_bytes t^exponent until the working set is full; measured guests have exponents of 0.65 to 0.77."""

    first_second_bytes: Floats
    exponent: Floats
    working_set_bytes: Floats

    def __call__(self, work_s: Floats) -> Floats:
        """min(a t^b, W)."""
        return np.minimum(self.first_second_bytes * work_s**self.exponent, self.working_set_bytes)


@dataclass(frozen=True)
class Uniform(Curve):
    """Random pages of the working set, each as likely: W (1 - e^(-rate t / W)); an empty set stays empty."""

    rate_bytes_per_s: Floats
    working_set_bytes: Floats

    def __call__(self, work_s: Floats) -> Floats:
        """The expected distinct bytes of many small pages."""
        return _uniform(self.rate_bytes_per_s, self.working_set_bytes, work_s)


@dataclass(frozen=True)
class HotCold(Curve):
    """Two parts of the working set, each uniform: `hot_share` of the writes go to `hot_fraction` of the pages."""

    rate_bytes_per_s: Floats
    working_set_bytes: Floats
    hot_fraction: Floats
    hot_share: Floats

    def __call__(self, work_s: Floats) -> Floats:
        """The sum of both parts."""
        hot = _uniform(self.rate_bytes_per_s * self.hot_share, self.working_set_bytes * self.hot_fraction, work_s)
        return hot + _uniform(self.rate_bytes_per_s * (1.0 - self.hot_share),
                              self.working_set_bytes * (1.0 - self.hot_fraction), work_s)


def _uniform(rate: Floats, most: Floats, work_s: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found = most * -np.expm1(-(rate * work_s) / most)
    return np.where(most > 0.0, found, 0.0)


@dataclass(frozen=True)
class Throttling(Curve):
    """auto-converge's parameters in percent, as arrays; `trigger_pct` above 100 never throttles."""

    initial_pct: Floats
    increment_pct: Floats
    max_pct: Floats
    trigger_pct: Floats


def broadcast(*given: ArrayLike) -> tuple[Floats, ...]:
    """The arguments as float arrays of one common dimension."""
    return tuple(np.atleast_1d(*np.broadcast_arrays(*(np.asarray(one, dtype=np.float64) for one in given))))


def check_positive(name: str, values: Floats) -> None:
    """Raise `ValueError` with the first value that is not above 0."""
    wrong = ~(values > 0)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"{name}[{at}] = {values[at]:g}: must be above 0")


def count_rounds(
    ram_bytes: ArrayLike,
    curve: Curve,
    bandwidth_bytes_per_s: ArrayLike,
    downtime_limit_s: ArrayLike,
    *,
    stop_bandwidth_bytes_per_s: ArrayLike | None = None,
    throttling: Throttling | None = None,
    most_rounds: int = MOST_ROUNDS,
) -> Counted:
    """Count the rounds of many migrations; the meaning of the answer is that of `closed_form.Textbook`.

    `curve` and `throttling` hold arrays as long as the others. `stop_bandwidth_bytes_per_s`: what the stopped guest's
    rest is sent at (default: the bandwidth). Raises `ValueError` for a bandwidth that is not above 0.
    """
    ram, speed, limit_s = broadcast(ram_bytes, bandwidth_bytes_per_s, downtime_limit_s)
    check_positive("bandwidth_bytes_per_s", speed)
    stop = speed if stop_bandwidth_bytes_per_s is None else np.broadcast_to(
        np.asarray(stop_bandwidth_bytes_per_s, dtype=np.float64), speed.shape)
    check_positive("stop_bandwidth_bytes_per_s", stop)
    out = empty_counted(len(ram))
    for start in range(0, len(ram), _BLOCK):
        here = slice(start, start + _BLOCK)
        block = out.part(here)
        slowed = None if throttling is None else throttling.take(here)
        _count(ram[here], curve.take(here), speed[here], limit_s[here], slowed, most_rounds, block)
        np.divide(block.dirty_bytes, stop[here], out=block.downtime_s, where=block.converges)
        np.add(block.total_time_s, block.downtime_s, out=block.total_time_s)
    return out


def _count(ram: Floats, curve: Curve, speed: Floats, limit_s: Floats, throttling: Throttling | None,
           most_rounds: int, out: Counted) -> None:
    """The rounds of one block. `out` gets all but the stop's time."""
    at = np.arange(len(ram))
    todo, time_s, threshold = ram, np.zeros(len(ram)), speed * limit_s
    slowed = None if throttling is None else _Slowed(throttling)
    out.downtime_s[:] = 0.0
    running, left, number = np.ones(len(ram), np.bool_), len(ram), 0
    while left:
        number += 1
        round_s = todo / speed
        dirty = curve(round_s if slowed is None else round_s * slowed.work_share())
        time_s += round_s
        fits = dirty <= threshold
        stuck = dirty >= todo
        if slowed is not None:
            stuck &= slowed.decide(dirty, todo)
        stuck |= fits
        stuck &= running
        ended = np.flatnonzero(stuck if number < most_rounds else running)
        if len(ended):
            where, good, rest = at[ended], fits[ended], dirty[ended]
            out.converges[where], out.rounds[where] = good, number
            out.total_time_s[where], out.dirty_bytes[where] = time_s[ended], rest
            out.transferred_bytes[where] = time_s[ended] * speed[ended] + rest * good
            running[ended] = False
            left -= len(ended)
        if left < _KEEP * len(at):
            keep = np.flatnonzero(running)
            at, dirty, time_s, running = at[keep], dirty[keep], time_s[keep], running[keep]
            speed, threshold, curve = speed[keep], threshold[keep], curve.take(keep)
            if slowed is not None:
                slowed.take(keep)
        todo = dirty


class _Slowed:
    """How far each guest of a block is throttled."""

    def __init__(self, throttling: Throttling) -> None:
        self._with = throttling
        self._pct = np.zeros(len(throttling.max_pct))
        self._high = np.zeros(len(throttling.max_pct), np.int64)

    def work_share(self) -> Floats:
        """The part of a round in which the guest works."""
        return 1.0 - self._pct / 100.0

    def decide(self, dirty: Floats, sent: Floats) -> NDArray[np.bool_]:
        """Throttle further where a second round has dirtied too much; returns where nothing more can come."""
        w = self._with
        over = dirty > sent * w.trigger_pct / 100.0
        self._high += over
        more = over & (self._high >= 2)
        self._high[more] = 0
        raised = np.minimum(np.where(self._pct > 0, self._pct + w.increment_pct, w.initial_pct), w.max_pct)
        spent = self._pct >= w.max_pct
        self._pct = np.where(more, raised, self._pct)
        return spent | ~over  # dirty >= sent and not over the trigger: the trigger is above 100 %

    def take(self, keep: NDArray[np.intp]) -> None:
        """Keep some of the guests."""
        self._with = self._with.take(keep)
        self._pct, self._high = self._pct[keep], self._high[keep]
