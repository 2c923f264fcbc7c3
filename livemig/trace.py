"""The Trace: what happened in one migration, simulated or recorded.

Everything that is drawn, tabulated, replayed or checked reads a `Trace`. A trace is a tuple of `Event` rows in time
order and a `meta` dictionary. It imports nothing of livemig, so the engine (which writes traces) and the lab (which
converts recordings into traces) meet here and nowhere else. A renderer draws the events that are present and
invents none.

Kinds of events (`Event.kind`), with `Event.name` and the keys of `Event.data`:

=========== ========================= =============================================================================
kind        name                      data
=========== ========================= =============================================================================
mark        T0, T1 .. Tn, Tn+1 ..     text
command     migrate, migrate_cancel   arguments of the QMP command
call        a function                optional owner, priority, running (change-state handlers)
return      a function                optional error
state       status, runstate          old, new
event       a QMP event               its data
threshold   threshold                 size_bytes, bandwidth_bytes_per_s
pending     estimate, exact           size_bytes
sync        migration_bitmap_sync     pass, start_s, new_dirty_pages, remaining_bytes
send        ram, or a device section  start_s, bytes, pages, zero_pages, first_page, last_page
load        ram, or a device section  the destination has loaded it (lane dst)
throttle    cpu_throttle_set          percentage of the time that the vCPUs sleep (auto-converge)
its         SAVE_TABLES, SET CBASER   pages (numbers), tables (see `engine.devices`), errno
fault       what broke                text
sample      query-migrate             the QMP field names, verbatim
gap         gap                       until_s: nothing of this lane was observed from here to there (main: no answers to
                                      query-migrate; migration: nothing was known of the migration at all)
=========== ========================= =============================================================================

`lane` says where it happened: user, main, migration (the migration thread), vm (the source guest), its, dst.
All times are seconds since the `migrate` command (T0 = 0); sizes are bytes.
"""

from __future__ import annotations

import gzip
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCHEMA", "Event", "Mark", "Outcome", "Pass", "Span", "Trace", "TraceError"]

SCHEMA = "livemig-trace/1"
KINDS = (
    "mark",
    "command",
    "call",
    "return",
    "state",
    "event",
    "threshold",
    "pending",
    "sync",
    "send",
    "load",
    "throttle",
    "its",
    "fault",
    "sample",
    "gap",
)
COLUMNS = ("t_s", "kind", "lane", "name", "depth", "data")

_SERIES = {
    "pending": ("pending", None, "size_bytes"),
    "estimate": ("pending", "estimate", "size_bytes"),
    "exact": ("pending", "exact", "size_bytes"),
    "threshold": ("threshold", None, "size_bytes"),
    "bandwidth": ("threshold", None, "bandwidth_bytes_per_s"),
    "new_dirty_pages": ("sync", None, "new_dirty_pages"),
}


class TraceError(ValueError):
    """A trace or recording that cannot be read; the message names the file, the place and the reason."""


class Event(NamedTuple):
    """One row: when (seconds since T0), kind, lane, name, depth in the lane's call stack, details."""

    t_s: float
    kind: str
    lane: str
    name: str
    depth: int = 0
    data: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Mark:
    """A time point of the document's list: T0, T1 .. Tn, Tn+1 .. Tn+4."""

    label: str
    t_s: float
    text: str


@dataclass(frozen=True)
class Pass:
    """Sync to sync: `number` is QEMU's dirty-sync-count at its start; `final` is the one with the VM stopped."""

    number: int
    start_s: float
    end_s: float
    todo_bytes: int
    sent_bytes: int
    normal_pages: int
    zero_pages: int
    final: bool


@dataclass(frozen=True)
class Span:
    """A stretch of time in a row of the timeline: row is vm or thread; what is e.g. running, stopped, send, handler."""

    row: str
    what: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Outcome:
    """How the run ended; None where QEMU reports nothing (a cancelled run has no downtime)."""

    status: str
    reason: str = ""
    total_time_s: float | None = None
    setup_time_s: float | None = None
    downtime_s: float | None = None
    transferred_bytes: int | None = None
    downtime_bytes: int | None = None
    normal_pages: int | None = None
    duplicate_pages: int | None = None
    dirty_sync_count: int | None = None
    guest_runs_on: str | None = None


class Trace:
    """An immutable run: `meta` (source, qemu_version, scenario, functions, outcome) and `events` in time order.

    >>> import livemig
    >>> trace = livemig.simulate()
    >>> [mark.label for mark in trace.marks()][-4:]
    ['Tn+1', 'Tn+2', 'Tn+3', 'Tn+4']
    >>> trace.stack_at(trace.mark("Tn+2"))[-3:]
    ('vm_stop', 'do_vm_stop', 'pause_all_vcpus')
    >>> sum(one.sent_bytes for one in trace.passes() if one.final) <= trace.outcome.downtime_bytes
    True
    """

    def __init__(self, meta: Mapping[str, Any], events: Sequence[Event]) -> None:
        self.meta = dict(meta)
        self.events = tuple(events)

    def __repr__(self) -> str:
        outcome = self.outcome
        return (
            f"<Trace {self.meta.get('source', '?')} {self.meta.get('id', '')}: {outcome.status}, "
            f"{len(self.events)} events, {self.end_s:.3f} s>"
        )

    # -- reading ---------------------------------------------------------------------------------------------------
    @property
    def end_s(self) -> float:
        """Time of the last event, in seconds since T0."""
        return self.events[-1].t_s if self.events else 0.0

    @cached_property
    def outcome(self) -> Outcome:
        """Final status, times, bytes and pages as QEMU's query-migrate would report them."""
        try:
            return Outcome(**self.meta.get("outcome", {"status": "unknown"}))
        except TypeError as error:
            raise TraceError(f"meta.outcome is not an outcome: {error}") from error

    def select(self, kind: str | None = None, name: str | None = None, lane: str | None = None) -> Iterator[Event]:
        """The events of one kind, name and lane, in order; None means any."""
        for event in self.events:
            if (
                (kind is None or event.kind == kind)
                and (name is None or event.name == name)
                and (lane is None or event.lane == lane)
            ):
                yield event

    def marks(self) -> tuple[Mark, ...]:
        """T0, T1 .. Tn (the syncs that start a pass), Tn+1 .. Tn+4, in time order."""
        return tuple(Mark(e.name, e.t_s, str(e.data.get("text", ""))) for e in self.select("mark"))

    def mark(self, label: str) -> float | None:
        """Time of one mark in seconds, None if the run never got there."""
        return next((e.t_s for e in self.select("mark", label)), None)

    def passes(self) -> tuple[Pass, ...]:
        """Sync to sync; the sync that decided the switchover has no pass of its own, the final sync has the last."""
        syncs = list(self.select("sync"))
        if not syncs:
            return ()
        stop_s = self.mark("Tn+2")
        decided_s = self.mark("Tn+1")
        decisive = None if decided_s is None or len(syncs) < 2 else _last_before(syncs, decided_s)
        starts: list[tuple[Event, bool]] = []
        for sync in syncs:
            final = stop_s is not None and sync.t_s > stop_s
            decides = not final and sync is decisive
            if not decides or sync is syncs[0]:
                starts.append((sync, final))
        sends = list(self.select("send", "ram", "migration"))
        send_ends = [e.t_s for e in sends]  # a slice ends before the next sync; a recorded one may begin before its own
        bounds = [float(s.data.get("start_s", s.t_s)) for s, _ in starts] + [float("inf")]
        passes = []
        for (sync, final), begin, following in zip(starts, bounds, bounds[1:], strict=False):
            mine = sends[bisect_right(send_ends, begin) : bisect_right(send_ends, following)]
            end = min(following, self.end_s)
            if not final and decided_s is not None and begin <= decided_s < end:
                end = decided_s
            if final:
                end = max((e.t_s for e in mine), default=end)
            todo_bytes = int(sync.data.get("remaining_bytes") or 0)
            sent, pages, zero = (sum(int(e.data.get(key, 0)) for e in mine) for key in ("bytes", "pages", "zero_pages"))
            passes.append(Pass(int(sync.data["pass"]), begin, end, todo_bytes, sent, pages, zero, final))
        return tuple(passes)

    def spans(self) -> tuple[Span, ...]:
        """Rows of the timeline: the VM running or stopped, and what the migration thread is busy with."""
        return tuple(_vm_spans(self)) + tuple(_thread_spans(self))

    def series(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times (s) and values of pending, estimate, exact, threshold (bytes), bandwidth, or a field of samples."""
        kind, event_name, key = _SERIES.get(name, ("sample", None, name))
        rows = [(e.t_s, e.data[key]) for e in self.select(kind, event_name) if e.data.get(key) is not None]
        if not rows and name not in _SERIES and not any(name in e.data for e in self.select("sample")):
            known = ", ".join(_SERIES)
            raise TraceError(f"series {name!r}: neither one of {known} nor a field of this trace's samples")
        array = np.asarray(rows, dtype=np.float64).reshape(-1, 2)
        return array[:, 0], array[:, 1]

    def gaps(self, lane: str = "migration") -> tuple[tuple[float, float], ...]:
        """Stretches (from, to) in seconds in which nothing of a lane was observed; no line may be drawn across them."""
        return tuple((e.t_s, float(e.data["until_s"])) for e in self.select("gap", lane=lane))

    def stack_at(self, t_s: float, lane: str = "migration") -> tuple[str, ...]:
        """The functions on the lane's call stack at a time, outermost first."""
        stack: list[str] = []
        for event in self.events:
            if event.t_s > t_s:
                break
            if event.lane == lane and event.kind in ("call", "return"):
                del stack[event.depth :]
                if event.kind == "call":
                    stack.append(event.name)
        return tuple(stack)

    def to_frame(self) -> pd.DataFrame:
        """All events as a pandas DataFrame with the columns t_s, kind, lane, name, depth, data."""
        import pandas as pd  # heavy, and only needed by those who ask

        return pd.DataFrame(list(self.events), columns=list(COLUMNS))

    # -- input and output ------------------------------------------------------------------------------------------
    def to_json(self) -> dict[str, Any]:
        """A plain dictionary of the form livemig-trace/1."""
        return {"schema": SCHEMA, "meta": self.meta, "columns": list(COLUMNS), "events": [list(e) for e in self.events]}

    @classmethod
    def from_json(cls, data: Any, where: str = "trace") -> Trace:
        """The inverse of `to_json`; raises `TraceError` that names the row and what is wrong with it."""
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            found = data.get("schema") if isinstance(data, dict) else type(data).__name__
            raise TraceError(f"{where}: schema is {found!r}, expected {SCHEMA!r}")
        if data.get("columns") != list(COLUMNS):
            raise TraceError(f"{where}: columns are {data.get('columns')!r}, expected {list(COLUMNS)!r}")
        for key, kind in (("meta", dict), ("events", list)):
            if not isinstance(data.get(key), kind):
                raise TraceError(f"{where}: {key} is {type(data.get(key)).__name__}, expected {kind.__name__}")
        events = []
        for i, row in enumerate(data["events"]):
            try:
                event = Event(float(row[0]), str(row[1]), str(row[2]), str(row[3]), int(row[4]), dict(row[5]))
            except (TypeError, ValueError, LookupError, OverflowError) as error:
                raise TraceError(f"{where}: event {i} is not [t_s, kind, lane, name, depth, data]: {error}") from error
            if event.kind not in KINDS:
                raise TraceError(f"{where}: event {i} has kind {event.kind!r}, expected one of {', '.join(KINDS)}")
            events.append(event)
        return cls(data.get("meta", {}), events)

    def save(self, path: str | Path) -> None:
        """Write the trace as JSON; a name ending in .gz is compressed."""
        target = Path(path)
        text = json.dumps(self.to_json(), separators=(",", ":"))
        if target.suffix == ".gz":
            target.write_bytes(gzip.compress(text.encode(), mtime=0))
        else:
            target.write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read what `save` wrote; raises `TraceError` when it is cut off, not JSON or of another format."""
        source = Path(path)
        raw = source.read_bytes()
        try:
            data = json.loads(gzip.decompress(raw) if source.suffix == ".gz" else raw)
        except (ValueError, OSError, EOFError) as error:
            raise TraceError(f"{source}: not a complete JSON file: {error}") from error
        return cls.from_json(data, str(source))


def _last_before(syncs: list[Event], t_s: float) -> Event | None:
    return next((s for s in reversed(syncs) if s.t_s <= t_s), None)


def _vm_spans(trace: Trace) -> Iterator[Span]:
    """VM rows from the runstate of source and destination: stopped begins when the vCPUs are out (vm_state_notify)."""
    changes = [
        (e.t_s, "running" if e.name == "RESUME" else "stopped")
        for e in trace.select("event")
        if e.name in ("STOP", "RESUME")
    ]
    stop_s = trace.mark("Tn+2")
    start, what = 0.0, "running"
    for t_s, now in changes:
        if now == what:
            continue
        if now == "stopped" and stop_s is not None and start <= stop_s <= t_s:
            t_s = stop_s  # STOP is sent after the handlers; the guest stood still before
        yield Span("vm", what, start, t_s)
        start, what = t_s, now
    yield Span("vm", what, start, max(trace.end_s, start))


def _thread_spans(trace: Trace) -> Iterator[Span]:
    """What the migration thread did: send (RAM), handlers (from Tn+2 until the stop is done), device (sections)."""
    for event in trace.select("send", lane="migration"):
        what = "send" if event.name == "ram" else "device"
        yield Span("thread", what, float(event.data.get("start_s", event.t_s)), event.t_s)
    stop_s, done_s = trace.mark("Tn+2"), _stop_done_s(trace)
    if stop_s is not None and done_s is not None:
        yield Span("thread", "handlers", stop_s, done_s)


def _stop_done_s(trace: Trace) -> float | None:
    """When migration_stop_vm returned (7.2: vm_stop_force_state); without calls in the trace, the STOP event."""
    for kind, name in (("return", "migration_stop_vm"), ("return", "vm_stop_force_state"), ("event", "STOP")):
        for event in trace.select(kind, name):
            if event.lane != "dst":
                return event.t_s
    return None
