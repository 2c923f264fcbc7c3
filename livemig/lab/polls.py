"""Answers on one clock: which belong to which migration, when each was given, how often somebody asked.

0 is the `migrate` command. QEMU says with each answer how long ago that was (total-time, libvirt's time elapsed), so
the log's own clock counts only where an answer does not say it, and for events; its offset is the median over the
answers that have both.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from livemig.lab.samples import ONGOING, TERMINAL, Answer, Happened, Log

__all__ = ["Migration", "migrations"]

_SLACK_S = 1.0  # events so long before T0 and after the end belong to the migration
_BY_QEMU = "migrate, by QEMU's total-time"


@dataclass(frozen=True)
class Migration:
    """One migration of a log: `number` from 1; answers and events in order, their `t_s` now seconds since T0."""

    number: int
    answers: tuple[Answer, ...]
    happened: tuple[Happened, ...]
    zero_text: str
    interval_s: float


def migrations(log: Log) -> list[Migration]:
    """The migrations of a log, in order; answers that do not fit are added to `log.problems` and left out."""
    found: list[Migration] = []
    for group in _groups(log):
        one = _on_one_clock(len(found) + 1, group, log)
        if one.answers:
            found.append(one)
    return found


def _groups(log: Log) -> Iterator[list[Answer]]:
    """A new migration begins where one is over and another is under way, or where the counters go back."""
    group: list[Answer] = []
    for answer in _in_order(log):
        if answer.status == "none":
            continue
        if group and _begins_anew(group[-1], answer):
            yield group
            group = []
        if group and group[-1].status in TERMINAL:  # the same end again; a later answer may tell more of it
            group[-1] = replace(group[-1], data={**group[-1].data, **answer.data})
        else:
            group.append(answer)
    yield group


def _begins_anew(before: Answer, answer: Answer) -> bool:
    if before.status in TERMINAL:
        return answer.status in ONGOING
    return any((now := answer.number(name)) is not None and (then := before.number(name)) is not None and now < then
               for name in ("dirty-sync-count", "transferred"))


def _in_order(log: Log) -> Iterator[Answer]:
    """The answers without those whose time goes back."""
    last: Answer | None = None
    for answer in log.answers:
        if answer.t_s is not None and last is not None and last.t_s is not None and answer.t_s < last.t_s:
            log.problems.append((answer.line, f"its time is {last.t_s - answer.t_s:.3f} s before that of line "
                                              f"{last.line}; left out"))
            continue
        last = answer if answer.t_s is not None else last
        yield answer


def _on_one_clock(number: int, group: Sequence[Answer], log: Log) -> Migration:
    zero_s, text = _zero(group, log.happened)
    kept: list[Answer] = []
    for answer in group:
        before_s = kept[-1].t_s or 0.0 if kept else 0.0
        t_s = _time(answer, zero_s, before_s)
        if t_s is None:
            log.problems.append((answer.line, "it has neither a time nor a total-time; left out"))
        else:
            kept.append(replace(answer, t_s=max(t_s, before_s)))
    times = [answer.t_s or 0.0 for answer in kept]
    steps = [b - a for a, b in pairwise(times)]
    happened = _events(number, log.happened, zero_s, times[-1] if times else 0.0)
    return Migration(number, tuple(kept), happened, text, statistics.median(steps) if steps else 0.0)


def _zero(group: Sequence[Answer], happened: Sequence[Happened]) -> tuple[float | None, str]:
    """T0 on the log's clock, and in words where it comes from; None: there is no clock but QEMU's."""
    told = [answer.t_s - elapsed for answer in group if answer.status in ONGOING and answer.t_s is not None
            and (elapsed := answer.elapsed_s) is not None]
    if told:
        return statistics.median(told), _BY_QEMU
    timed = [answer.t_s for answer in group if answer.t_s is not None]
    if not timed:
        return None, _BY_QEMU
    begun = [one.t_s for one in happened if _begins(one) and timed[0] - 3600.0 <= one.t_s <= timed[-1]]
    if begun:
        return min(begun[-1], timed[0]), "migrate, by the log's events"
    if group[0].status in TERMINAL and group[0].elapsed_s is not None:
        return timed[0] - group[0].elapsed_s, _BY_QEMU
    return timed[0], "the first answer (the log does not say when migrate was)"


def _begins(one: Happened) -> bool:
    return one.name == "migrate" or (one.name == "MIGRATION" and one.data.get("status") == "setup")


def _time(answer: Answer, zero_s: float | None, before_s: float) -> float | None:
    """Seconds since T0: by QEMU's own count where it reports one, else by the log's clock."""
    if answer.elapsed_s is not None:
        return answer.elapsed_s
    if answer.t_s is None or zero_s is None:
        return before_s if answer.status in TERMINAL else None
    return max(answer.t_s - zero_s, 0.0)


def _events(number: int, happened: Sequence[Happened], zero_s: float | None, end_s: float) -> tuple[Happened, ...]:
    """Events and commands of the migration. On a clock of their own they are placed by when the migration began."""
    for zero in (zero_s, _own_zero(number, happened)):
        if zero is not None:
            mine = [replace(one, t_s=one.t_s - zero) for one in happened
                    if -_SLACK_S <= one.t_s - zero <= end_s + _SLACK_S]
            if mine:
                return tuple(mine)
    return ()


def _own_zero(number: int, happened: Sequence[Happened]) -> float | None:
    begun = [one.t_s for one in happened if _begins(one)]
    return begun[min(number, len(begun)) - 1] if begun else None
