"""The textbook's model of pre-copy, as a formula: what is left when QEMU's rules are taken away.

Rounds follow each other without windows: each sends what the last one left, and leaves what the guest dirtied
meanwhile, at most its working set. As soon as that fits into bandwidth x downtime-limit the guest is stopped and the
rest is sent at the same bandwidth. There are no zero pages, no headers, no quantum, no leftover, no positions;
`livemig validate` shows beside the engine what they are worth.
"""

from __future__ import annotations

from dataclasses import dataclass

from livemig.scenario import Scenario

__all__ = ["MOST_ROUNDS", "Textbook", "textbook", "textbook_of"]

MOST_ROUNDS = 100_000  # a dirty rate within a millionth of the bandwidth needs more


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
    """`textbook` of a scenario: RAM without other blocks, the slower of max-bandwidth and the link."""
    s = scenario
    speeds = [speed for speed in (s.bandwidth_bytes_per_s, s.link_bytes_per_s) if speed]
    rate = 0.0 if s.pattern == "idle" else s.dirty_rate_bytes_per_s
    return textbook(
        s.ram_bytes,
        rate,
        s.working_set_bytes,
        min(speeds, default=s.costs.memory_bytes_per_s),
        s.downtime_limit_s,
    )
