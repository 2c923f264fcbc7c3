"""A log of somebody else's migration as a Trace: what was seen at the polls, what was not seen between them.

Theory of operation. `logs` reads the file, `polls` puts its answers on one clock (0 is `migrate`, by QEMU's own
total-time) and picks one migration of the log. Here they become rows: each answer a `sample` and a pending count (its
`remaining` is QEMU's estimate); between two answers a `send` with the difference of the counters; a rise of
dirty-sync-count is a sync, at the time of its MIGRATION_PASS event if the log has it, else at the last answer before it
was seen, with all that was sent since then behind it. Where answers are missing for more than three usual intervals
there is a gap and nothing else.

Of a completed migration total-time and downtime say when the guest was stopped and when all was over; these marks say
that they come from there. A rise of dirty-sync-count in the last stretch ends with the sync that decided and the one
with the guest stopped, because QEMU always makes these (migration/migration.c, ram.c); thresholds, calls and device
sections are in no such log, so there are none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livemig.lab.logs import read_log
from livemig.lab.polls import Migration, migrations
from livemig.lab.recording import RecordingError, recording_name
from livemig.lab.samples import TERMINAL, Answer, Log
from livemig.trace import Event, Trace

__all__ = ["BrokenLog", "replay", "to_trace"]

GAP_POLLS = 3.0  # so many usual intervals without an answer are a gap
_AFTER_S = 1e-6  # the final sync comes after the stop
_HEADER_BYTES = 8  # in the stream before each page
_PAGE_BYTES = 4096
_SHOWN_PROBLEMS = 20
_MOST_SYNCS = 1000  # between two answers; a log of days asks seldom, and rows for each of a million help nobody


class BrokenLog(RecordingError):
    """Lines of a log that cannot be read. `trace` holds what all the others say, `problems` (line, what is wrong)."""

    def __init__(self, where: str, problems: Sequence[tuple[int, str]], trace: Trace) -> None:
        self.problems = tuple(problems)
        self.trace = trace
        what = "1 place" if len(problems) == 1 else f"{len(problems)} places"
        lines = [f"  line {line}: {text}" for line, text in problems[:_SHOWN_PROBLEMS]]
        more = len(problems) - _SHOWN_PROBLEMS
        lines += [f"  ... and {more} more"] if more > 0 else []
        super().__init__(f"{where}: {what} could not be read; the rest is kept:\n" + "\n".join(lines))


def replay(path: str | Path, migration: int = 0, gap_s: float | None = None) -> Trace:
    """The Trace of a log: query-migrate replies as JSON lines, `virsh domjobinfo` text, or libvirt's job statistics.

    `migration`: which one, from 1, where the log has several (0: the last). `gap_s`: so long without an answer is a gap
    (default: three usual intervals). Raises `RecordingError` when the file cannot be read or holds no migration, and
    `BrokenLog`, whose `trace` has all that could be read, when some lines are broken.
    """
    log = read_log(path)
    trace = to_trace(log, recording_name(path), migration, gap_s)
    if log.problems:
        raise BrokenLog(str(path), sorted(log.problems), trace)
    return trace


def to_trace(log: Log, name: str = "log", migration: int = 0, gap_s: float | None = None) -> Trace:
    """The Trace of a log that was read; what does not fit the others is added to `log.problems`."""
    found = migrations(log)
    if not found:
        said = "; ".join(f"line {line}: {text}" for line, text in sorted(log.problems)[:2])
        raise RecordingError(f"{name}: no answer of a migration in it: expected query-migrate replies as JSON, virsh "
                             f"domjobinfo text, or libvirt's job statistics{f' ({said})' if said else ''}")
    if not 0 <= migration <= len(found):
        raise RecordingError(f"{name}: migration {migration} of {len(found)}: expected 1 to {len(found)}")
    one = found[migration - 1]
    patience_s = GAP_POLLS * one.interval_s if gap_s is None else gap_s
    events = sorted(_Rows(one, patience_s).rows(), key=lambda event: event.t_s)
    gaps = sum(event.kind == "gap" and event.lane == "migration" for event in events)
    return Trace(_meta(log, one, name, len(found), gaps), events)


class _Rows:
    """The rows of one migration; `end_s` is when it was over (or the last answer), `stop_s` when the guest stopped."""

    def __init__(self, one: Migration, patience_s: float) -> None:
        self.one, self.answers, self.patience_s = one, one.answers, patience_s
        last = self.answers[-1]
        self.count = 0  # dirty-sync-count of the answers so far
        self.page_bytes = int(next((n for a in self.answers if (n := a.number("page-size"))), _PAGE_BYTES))
        self.end_s = _at_s(last)
        self.passes = {int(h.data["pass"]): h.t_s for h in one.happened
                       if h.name == "MIGRATION_PASS" and isinstance(h.data.get("pass"), int)}
        self.stop_s = self._stop_s(last)

    def _stop_s(self, last: Answer) -> float | None:
        """The stop for the switchover; none in a postcopy migration, where downtime ended long before the end."""
        downtime = last.number("downtime")
        postcopy = any(answer.status.startswith("postcopy") for answer in self.answers)
        if last.status != "completed" or downtime is None or postcopy:
            return None
        return max(self.end_s - downtime / 1000, 0.0)

    def rows(self) -> Iterator[Event]:
        yield Event(0.0, "mark", "user", "T0", 0, {"text": self.one.zero_text})
        yield Event(0.0, "command", "user", "migrate")
        yield from self._beginning()
        before: Answer | None = None
        for answer in self.answers:
            yield from self._between(before, answer)
            yield from self._at(answer, before)
            before = answer
        yield from self._switchover()
        yield from self._happened()

    def _beginning(self) -> Iterator[Event]:
        first = self.answers[0]
        if first.status in TERMINAL or _at_s(first) > self.patience_s:
            yield from self._gap(0.0, self.end_s if first.status in TERMINAL else _at_s(first))

    def _gap(self, from_s: float, to_s: float) -> Iterator[Event]:
        if to_s > from_s:
            for lane in ("migration", "main"):
                yield Event(from_s, "gap", lane, "gap", 0, {"until_s": to_s, "text": "query-migrate was not answered"})

    # -- an answer -------------------------------------------------------------------------------------------------
    def _at(self, answer: Answer, before: Answer | None) -> Iterator[Event]:
        t_s = _at_s(answer)
        old = before.status if before else "none"
        if answer.status != old:
            yield Event(t_s, "state", "migration", "status", 0, {"old": old, "new": answer.status})
        yield Event(t_s, "sample", "main", "query-migrate", 0, dict(answer.data))
        left = answer.number("remaining")
        if left is not None and answer.status not in TERMINAL:
            yield Event(t_s, "pending", "migration", "estimate", 0, {"size_bytes": int(left)})

    # -- between two answers ---------------------------------------------------------------------------------------
    def _between(self, before: Answer | None, answer: Answer) -> Iterator[Event]:
        from_s, to_s = _at_s(before) if before else 0.0, _at_s(answer)
        seen = before is not None and to_s - from_s <= self.patience_s
        if before is not None and not seen:
            yield from self._gap(from_s, to_s)
        syncs = self._new_syncs(answer)
        if answer.status == "completed" and self.stop_s is not None:
            yield from self._last_stretch(before if seen else None, answer, from_s, syncs)
            return
        sent = _Sent.between(before if seen else None, answer)
        left = answer.number("remaining")
        start_s = from_s
        for number in syncs:
            start_s = self._sync_s(number, from_s if seen else to_s, to_s)
            known = number == syncs[-1] and left is not None
            todo = int(left or 0) + sent.all_pages * self.page_bytes if known else None
            yield from self._sync(number, start_s, todo)
        if sent.bytes:
            yield sent.event(start_s, to_s)

    def _new_syncs(self, answer: Answer) -> range:
        """Numbers of the syncs since the last answer."""
        last = int(answer.number("dirty-sync-count") or 0)
        if last <= self.count:
            return range(0)
        # Where the log begins later, nobody saw when the syncs before it were.
        first = last if self.count == 0 else max(self.count + 1, last - _MOST_SYNCS)
        self.count = last
        return range(first, last + 1)

    def _sync_s(self, number: int, otherwise_s: float, latest_s: float) -> float:
        """When a sync was: at its MIGRATION_PASS event, the first at T0, any other at `otherwise_s`."""
        return min(self.passes.get(number, 0.0 if number == 1 else otherwise_s), latest_s)

    def _sync(self, number: int, t_s: float, todo: int | None, marked: bool = True) -> Iterator[Event]:
        data = {"pass": number, "start_s": t_s} | ({} if todo is None else {"remaining_bytes": todo})
        yield Event(t_s, "sync", "migration", "migration_bitmap_sync", 0, data)
        if marked:
            text = f"dirty-sync-count rose to {number}"
            exact = number in self.passes or number == 1
            yield Event(t_s, "mark", "migration", f"T{number}", 0, {"text": text if exact else f"{text} from here on"})

    def _last_stretch(self, before: Answer | None, answer: Answer, from_s: float, syncs: range) -> Iterator[Event]:
        """From the last answer of the running migration to its end: the stop lies in it, at a time that is known."""
        stop_s = self.stop_s or 0.0
        sent = _Sent.between(before, answer)
        final, rest = sent.split(int(answer.number("downtime-bytes") or 0), self.page_bytes)
        todo = final.pages * self.page_bytes if before is not None else None
        start_s = from_s
        for number in syncs:
            if number == syncs[-1]:
                t_s = min(max(self._sync_s(number, 0.0, self.end_s), stop_s + _AFTER_S), self.end_s)
                yield from self._sync(number, t_s, todo, marked=False)
            elif number == syncs[-1] - 1:
                yield from self._sync(number, self._sync_s(number, stop_s, stop_s), None, marked=False)
            else:
                start_s = self._sync_s(number, from_s, stop_s)
                yield from self._sync(number, start_s, None)
        if rest.bytes:
            yield rest.event(min(start_s, stop_s), stop_s)
        if final.bytes:
            yield final.event(stop_s + _AFTER_S, self.end_s)

    # -- the end ---------------------------------------------------------------------------------------------------
    def _switchover(self) -> Iterator[Event]:
        if self.answers[-1].status != "completed":
            return
        if self.stop_s is not None:
            told = "by QEMU's total-time and downtime"
            for mark, text in (("Tn+1", "below the threshold at the latest here"), ("Tn+2", "the VM is stopped")):
                yield Event(self.stop_s, "mark", "migration", mark, 0, {"text": f"{text}, {told}"})
            if not any(h.name == "STOP" for h in self.one.happened):
                yield Event(self.stop_s, "event", "migration", "STOP", 0, {"text": told})
        yield Event(self.end_s, "mark", "migration", "Tn+4", 0, {"text": "the source is done: completed"})

    def _happened(self) -> Iterator[Event]:
        for happened in self.one.happened:
            if happened.kind == "event" or happened.name != "migrate":
                lane = "migration" if happened.kind == "event" else "user"
                yield Event(max(happened.t_s, 0.0), happened.kind, lane, happened.name, 0, dict(happened.data))


@dataclass(frozen=True)
class _Sent:
    """By how much the counters rose between two answers."""

    bytes: int = 0
    pages: int = 0
    zero_pages: int = 0

    @classmethod
    def between(cls, before: Answer | None, answer: Answer) -> _Sent:
        if before is None:
            return cls()
        return cls(*(_risen(before, answer, name) for name in ("transferred", "normal", "duplicate")))

    @property
    def all_pages(self) -> int:
        return self.pages + self.zero_pages

    def split(self, final_bytes: int, page_bytes: int) -> tuple[_Sent, _Sent]:
        """What went with the guest stopped (by downtime-bytes), and what went before."""
        final = min(final_bytes, self.bytes)
        pages = min(round(final / (page_bytes + _HEADER_BYTES)), self.pages)
        return _Sent(final, pages), _Sent(self.bytes - final, self.pages - pages, self.zero_pages)

    def event(self, from_s: float, to_s: float) -> Event:
        data = {"start_s": from_s, "bytes": self.bytes, "pages": self.pages, "zero_pages": self.zero_pages}
        return Event(to_s, "send", "migration", "ram", 0, data)


def _at_s(answer: Answer) -> float:
    return answer.t_s or 0.0


def _risen(before: Answer, answer: Answer, name: str) -> int:
    then, now = before.number(name), answer.number(name)
    return 0 if then is None or now is None else max(int(now - then), 0)


def _meta(log: Log, one: Migration, name: str, of: int, gaps: int) -> dict[str, Any]:
    last = one.answers[-1]
    page_bytes = next((int(n) for a in one.answers if (n := a.number("page-size"))), None)
    return {
        "source": "recorded",
        "id": name,
        **({"qemu_version": version} if (version := _version(log)) else {}),
        "scenario": {} if page_bytes is None else {"page_bytes": page_bytes},
        "functions": {},
        "log": {"form": log.form, "answers": len(one.answers), "interval_s": one.interval_s, "gaps": gaps,
                "migration": one.number, "of": of, "zero": one.zero_text},
        "outcome": _outcome(last),
    }


def _version(log: Log) -> str:
    """QEMU's version where the log has the greeting of the monitor or an answer to query-version."""
    for reply in log.replies:
        found = (reply.get("QMP") or reply).get("version") if isinstance(reply.get("QMP"), Mapping) else reply
        numbers = found.get("qemu") if isinstance(found, Mapping) else None
        if isinstance(numbers, Mapping) and isinstance(numbers.get("major"), int):
            return ".".join(str(numbers.get(part, 0)) for part in ("major", "minor", "micro"))
    return ""


def _outcome(last: Answer) -> dict[str, Any]:
    """The fields of `Outcome`, from the last answer; None where it says nothing."""
    done = last.status in TERMINAL
    reason = str(last.data.get("error-desc", "")) if done else f"the log ends while the migration is {last.status}"

    def seconds(field: str) -> float | None:
        value = last.number(field)
        return None if value is None or not done else value / 1000

    def whole(field: str) -> int | None:
        value = last.number(field)
        return None if value is None else int(value)

    return {
        "status": last.status, "reason": reason, "total_time_s": seconds("total-time"),
        "setup_time_s": None if last.number("setup-time") is None else (last.number("setup-time") or 0.0) / 1000,
        "downtime_s": seconds("downtime"), "transferred_bytes": whole("transferred"),
        "downtime_bytes": whole("downtime-bytes"), "normal_pages": whole("normal"),
        "duplicate_pages": whole("duplicate"), "dirty_sync_count": whole("dirty-sync-count"), "guest_runs_on": None,
    }
