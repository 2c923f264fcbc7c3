"""The textbook's model of pre-copy, as a formula: what is left when QEMU's rules are taken away.

Rounds follow each other without windows: each sends what the last one left, and leaves what the guest dirtied
meanwhile, at most its working set. As soon as that fits into bandwidth x downtime-limit (QEMU: is less than that) the
guest is stopped and the rest is sent at the same bandwidth. There are no zero pages, no headers, no quantum, no
leftover, no positions; `livemig validate` shows beside the engine what they are worth.

Theory of operation. `textbook` counts the rounds of one migration one by one. `textbooks` gives the same for arrays
of migrations without counting. In seconds on the link, v0 = RAM / B is the first round, v1 = min(lambda v0, W / B)
the second with lambda = rate / B, and from then on v_k = v1 lambda^(k-1) as long as lambda < 1; so the first v_k that
is at most the downtime limit L is k = 1 + ceil(ln(L / v1) / ln lambda), and the rounds in between are a geometric sum.
With lambda >= 1 no round after the second leaves less than the one before. Where the logarithm is so near to a whole
number that rounding could decide, where there is none (L = 0), and where lambda is 1 to the last bit,
`rounds.count_rounds` counts those migrations, so that both say the same number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from livemig.engine.rounds import MOST_ROUNDS, Counted, Linear, broadcast, check_positive, count_rounds, empty_counted
from livemig.scenario import Scenario

__all__ = ["MOST_ROUNDS", "Textbook", "textbook", "textbook_of", "textbooks"]

_BLOCK = 8192  # scenarios at a time: their temporary arrays stay in the cache
_NEAR_ONE = 0.05
_TIE = 1e-9  # so near to a whole number of rounds the rounds themselves are counted

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Textbook:
    """What the textbook says of a migration; times and bytes are those up to the last round if it does not converge.

    `rounds`: rounds while the guest ran. `dirty_bytes`: what the stop-copy sends.
    """

    converges: bool
    rounds: int
    total_time_s: float
    downtime_s: float
    transferred_bytes: float
    dirty_bytes: float

    @property
    def dirty_sync_count(self) -> int:
        """As QEMU would count: one sync at the start, one at the end of each round, one after the stop."""
        return self.rounds + 2


def textbook(
    ram_bytes: float,
    dirty_rate_bytes_per_s: float,
    working_set_bytes: float,
    bandwidth_bytes_per_s: float,
    downtime_limit_s: float,
) -> Textbook:
    """Whole rounds in continuous time: dirty = min(rate x time, working set), stop when dirty <= bandwidth x limit.

    All inputs are bytes, seconds and bytes per second; the bandwidth must be above 0 (`ValueError` otherwise). It
    converges exactly when the working set fits under the threshold, or the guest writes slower than the link sends.
    """
    if not bandwidth_bytes_per_s > 0:
        raise ValueError(f"bandwidth_bytes_per_s = {bandwidth_bytes_per_s}: must be above 0")
    threshold_bytes = bandwidth_bytes_per_s * downtime_limit_s
    todo_bytes, time_s, sent_bytes, rounds = float(ram_bytes), 0.0, 0.0, 0
    while rounds < MOST_ROUNDS:
        round_s = todo_bytes / bandwidth_bytes_per_s
        dirty_bytes = min(dirty_rate_bytes_per_s * round_s, working_set_bytes)
        rounds, time_s, sent_bytes = rounds + 1, time_s + round_s, sent_bytes + todo_bytes
        if dirty_bytes <= threshold_bytes:
            last_s = dirty_bytes / bandwidth_bytes_per_s
            return Textbook(True, rounds, time_s + last_s, last_s, sent_bytes + dirty_bytes, dirty_bytes)
        if dirty_bytes >= todo_bytes:  # no round leaves less than the one before
            break
        todo_bytes = dirty_bytes
    return Textbook(False, rounds, time_s, 0.0, sent_bytes, dirty_bytes)


def textbook_of(scenario: Scenario) -> Textbook:
    """`textbook` of a scenario: RAM without other blocks, the slower of max-bandwidth and the link.

    With the document's fixed threshold the limit is the time that so many bytes take.
    """
    s = scenario
    speeds = [speed for speed in (s.bandwidth_bytes_per_s, s.link_bytes_per_s) if speed]
    rate = 0.0 if s.pattern == "idle" else s.dirty_rate_bytes_per_s
    speed = min(speeds, default=s.costs.memory_bytes_per_s)
    limit_s = s.fixed_threshold_bytes / speed if s.switchover_rule == "fixed" else s.downtime_limit_s
    return textbook(s.ram_bytes, rate, s.working_set_bytes, speed, limit_s)


def textbooks(
    ram_bytes: ArrayLike,
    dirty_rate_bytes_per_s: ArrayLike,
    working_set_bytes: ArrayLike,
    bandwidth_bytes_per_s: ArrayLike,
    downtime_limit_s: ArrayLike,
    *,
    stop_bandwidth_bytes_per_s: ArrayLike | None = None,
    most_rounds: int = MOST_ROUNDS,
    out: Counted | None = None,
) -> Counted:
    """`textbook` for arrays (anything that broadcasts to one dimension), as arrays; about 0.02 us a migration.

    `stop_bandwidth_bytes_per_s`: what the stopped guest's rest is sent at, where that is not the bandwidth of pre-copy
    (QEMU lifts max-bandwidth for it: migration/migration.c). `most_rounds`: a migration with more counts as not
    converging. `out`: arrays to write into, of `rounds.empty_counted`, instead of new ones (new memory costs a fifth
    of the time). Raises `ValueError` for a bandwidth that is not above 0.
    """
    ram, rate, most, speed, limit_s = broadcast(ram_bytes, dirty_rate_bytes_per_s, working_set_bytes,
                                                bandwidth_bytes_per_s, downtime_limit_s)
    check_positive("bandwidth_bytes_per_s", speed)
    stop = None
    if stop_bandwidth_bytes_per_s is not None:
        stop = np.broadcast_to(np.asarray(stop_bandwidth_bytes_per_s, dtype=np.float64), ram.shape)
        check_positive("stop_bandwidth_bytes_per_s", stop)
    made = empty_counted(len(ram)) if out is None else out
    if len(made.rounds) != len(ram):
        raise ValueError(f"out: room for {len(made.rounds)} migrations, there are {len(ram)}")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for start in range(0, len(ram), _BLOCK):
            here = slice(start, start + _BLOCK)
            _block(ram[here], rate[here], most[here], speed[here], limit_s[here],
                   None if stop is None else stop[here], most_rounds, made.part(here))
    return made


def _block(ram: Floats, rate: Floats, most: Floats, speed: Floats, limit_s: Floats, stop: Floats | None,
           most_rounds: int, out: Counted) -> None:
    """One block, written into `out`; see the theory of operation for the symbols."""
    v0, factor = ram / speed, rate / speed
    first = np.minimum(rate * v0, most)  # what the first round leaves, and its tests, to the bit as the loop has them
    v1 = first / speed
    log_factor = np.log(factor)
    gap = speed - rate  # exact where the two are near, unlike the factor, whose rounding would count in every round
    near_one = np.flatnonzero(np.abs(gap) < _NEAR_ONE * speed)
    log_factor[near_one] = np.log1p(-gap[near_one] / speed[near_one])
    logs = np.divide(limit_s, v1)
    np.log(logs, out=logs)
    logs /= log_factor
    steps = np.ceil(logs)  # the k - 1 of the text; meaningless where v1 <= L (then 0) or lambda >= 1
    at_once, grows = first <= speed * limit_s, rate >= speed
    plain = at_once | grows
    np.subtract(steps, logs, out=logs)
    logs -= 0.5
    np.abs(logs, out=logs)
    counted = ~((logs < 0.5 - _TIE) | plain)  # nan and infinity, too
    np.logical_or(at_once, (steps < most_rounds) & ~grows, out=out.converges)
    np.minimum(steps, most_rounds - 1, out=steps)
    np.copyto(steps, 0.0, where=plain)
    np.copyto(log_factor, 0.0, where=plain)  # minus infinity for a guest that writes nothing
    log_factor *= steps
    np.exp(log_factor, out=log_factor)
    vn = np.multiply(log_factor, v1, out=log_factor)
    between = v1 - vn
    between *= speed
    between /= gap
    np.copyto(between, 0.0, where=plain)
    if most_rounds > 1 and grows.any():  # a second round, as large as the next, shows that nothing helps
        twice = np.flatnonzero(grows & ~at_once & (first < ram))
        between[twice] = v1[twice]
        steps[twice] = 1.0
        counted[twice[first[twice] < most[twice]]] = True  # lambda is 1, and rounding makes rounds shrink
    counted[near_one[np.abs(gap[near_one]) < 1e-15 * speed[near_one]]] = True
    steps += 1.0
    out.rounds[:] = steps
    between += v0
    np.multiply(vn, speed, out=out.dirty_bytes)
    vn *= out.converges
    np.add(between, vn, out=out.total_time_s)
    np.multiply(out.total_time_s, speed, out=out.transferred_bytes)
    out.downtime_s[:] = vn
    if stop is not None:
        np.multiply(vn, speed / stop, out=out.downtime_s)
        np.add(between, out.downtime_s, out=out.total_time_s)
    if counted.any():
        at = np.flatnonzero(counted)
        exact = count_rounds(ram[at], Linear(rate[at], most[at]), speed[at], limit_s[at], most_rounds=most_rounds,
                             stop_bandwidth_bytes_per_s=None if stop is None else stop[at])
        out.converges[at], out.rounds[at] = exact.converges, exact.rounds
        for mine, theirs in zip(out[2:], exact[2:], strict=True):
            mine[at] = theirs
