"""QEMU's trace points as Trace rows, one small function per trace point; what has no entry in the tables is left out.

Names of the trace points are those of QEMU 10.0.13 and 7.2.22 (migration/trace-events, softmmu or system/trace-events).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from livemig.lab.recording import rows
from livemig.trace import Event

__all__ = ["destination_events", "source_events"]

Record = Mapping[str, Any]
Fields = Mapping[str, Any]
Points = list[tuple[float, str, Fields]]
# QEMU restarts its count of dirty pages at a sync more than 1000 whole milliseconds after the last restart. One that
# restarted all the same (the times here are finer) is seen by its count: it is smaller than the one before.
RATE_PERIOD_S = 1.001

_STATES = re.compile(r"current_run_state \d+ \((?P<old>[^)]*)\) new_state \d+ \((?P<new>[^)]*)\)")
_LOAD = re.compile(r"idstr=(?P<name>\S+) instance_id=(?P<instance>\d+) downtime=(?P<us>\d+)")
# vm_state_notify has returned by the time that one of these is reached
_AFTER_NOTIFY = ("vm_stop_flush_all", "vmstate_downtime_checkpoint", "migrate_set_state", "migration_cleanup",
                 "loadvm_state_cleanup")


@dataclass
class _Side:
    """What has to be remembered from one trace point to the next."""

    lane: str
    page_bytes: int
    status: str = "none"
    stops: list[float] = field(default_factory=list)
    notified: dict[str, Any] | None = None
    # dirty log
    sync_start_s: float = 0.0
    estimated: bool = False
    syncs: int = 0
    period_pages: int = 0
    period_since_s: float | None = None
    left_pages: int = 0
    synced: bool = False
    stopping: bool = False
    switching: bool = False


def source_events(recording: Record) -> Iterator[Event]:
    """States, syncs, pending counts, thresholds and the marks Tn+1 .. Tn+4 of the source."""
    side = _Side("migration", int(recording["page_size"]))
    side.stops = [float(e[1]) for e in recording["events"] if e[2] == "src" and e[3] == "STOP"]
    yield from _walk(recording, "trace_src", side, _SOURCE)


def destination_events(recording: Record) -> Iterator[Event]:
    """States of the destination and what it loaded, in its order."""
    side = _Side("dst", int(recording["page_size"]))
    side.stops = [float(e[1]) for e in recording["events"] if e[2] == "dst" and e[3] == "STOP"]
    yield from _walk(recording, "trace_dst", side, _DESTINATION)


Handler = Callable[[_Side, float, Fields, Points, int], Iterator[Event]]


def _walk(recording: Record, key: str, side: _Side, handlers: Mapping[str, Handler]) -> Iterator[Event]:
    points = list(rows(recording, key))
    for i, (t_s, name, fields) in enumerate(points):
        if name in handlers:
            yield from handlers[name](side, t_s, fields, points, i)


def _set_state(side: _Side, t_s: float, fields: Fields, *_: Any) -> Iterator[Event]:
    old, side.status = side.status, fields["state"]
    yield Event(t_s, "state", side.lane, "status", 0, {"old": old, "new": side.status})
    if side.lane == "migration" and side.status == "completed":
        yield Event(t_s, "mark", side.lane, "Tn+4", 0, {"text": "the source is done: completed"})


def _runstate(side: _Side, t_s: float, fields: Fields, *_: Any) -> Iterator[Event]:
    names = _STATES.match(str(fields.get("text", "")))
    old, new = (names["old"], names["new"]) if names else (fields.get("old_str", "?"), fields.get("new_str", "?"))
    if side.lane == "migration" and new == "finish-migrate" and not side.stopping:  # 7.2 has no src-downtime-start
        side.stopping = True
        yield _stop_mark(t_s)
    yield Event(t_s, "state", side.lane, "runstate", 0, {"old": old, "new": new})


def _notify(side: _Side, t_s: float, fields: Fields, points: Points, i: int) -> Iterator[Event]:
    """`vm_state_notify` begins; its end was not traced, it lies before the next row that needs it to be over."""
    reason = str(fields.get("reason_str", ""))
    lane = "main" if side.lane == "migration" and reason not in ("finish-migrate", "running") else side.lane
    data = {"running": bool(fields["running"]), "reason": reason}
    yield Event(t_s, "call", lane, "vm_state_notify", 1, data)
    ends = [at for at, name, _ in points[i + 1:] if name in _AFTER_NOTIFY][:1]
    if not data["running"]:
        ends += [at for at in side.stops if at >= t_s]
    if ends:
        yield Event(max(min(ends), t_s), "return", lane, "vm_state_notify", 1, {"text": "over at the latest"})


def _stop_mark(t_s: float) -> Event:
    return Event(t_s, "mark", "migration", "Tn+2", 0, {"text": "the VM is stopped"})


def _checkpoint(side: _Side, t_s: float, fields: Fields, *_: Any) -> Iterator[Event]:
    if fields.get("text") == "src-downtime-start" and not side.stopping:
        side.stopping = True
        yield _stop_mark(t_s)
        yield Event(t_s, "call", "migration", "migration_stop_vm", 0, {})


def _vm_stopped(side: _Side, t_s: float, fields: Fields, points: Points, i: int) -> Iterator[Event]:
    if any(f.get("text") == "src-downtime-start" for _, name, f in points[:i] if name == "vmstate_downtime_checkpoint"):
        yield Event(t_s, "return", "migration", "migration_stop_vm", 0, {})


def _switchover(side: _Side, t_s: float, *_: Any) -> Iterator[Event]:
    if side.stopping and not side.switching:
        side.switching = True
        yield Event(t_s, "mark", "migration", "Tn+3", 0, {"text": "final sync, then the last pages and the devices"})


def _sync_start(side: _Side, t_s: float, _: Fields, points: Points, i: int) -> Iterator[Event]:
    side.sync_start_s = t_s
    side.estimated = i > 0 and points[i - 1][1] == "migrate_pending_estimate"
    yield from _switchover(side, t_s)


def _sync_end(side: _Side, t_s: float, fields: Fields, points: Points, i: int) -> Iterator[Event]:
    side.syncs += 1
    new = _new_dirty(side, t_s, int(fields["dirty_pages_period"]))
    exact = _exact_after(points[i + 1:])
    if exact is None:  # the final sync: nothing is counted after it
        side.left_pages += new
    else:
        if side.estimated:  # 10.0 counts just before and just after
            new = max(exact // side.page_bytes - side.left_pages, 0)
        side.left_pages = exact // side.page_bytes
    side.synced = True
    yield Event(t_s, "sync", "migration", "migration_bitmap_sync", 0, {
        "pass": side.syncs, "start_s": side.sync_start_s, "new_dirty_pages": new,
        "remaining_bytes": side.left_pages * side.page_bytes})


def _new_dirty(side: _Side, t_s: float, counted: int) -> int:
    """Pages that this sync found, from QEMU's running count, which restarts at most once a second."""
    restarted = side.period_since_s is None or counted < side.period_pages
    new = counted if restarted else counted - side.period_pages
    side.period_pages = counted
    if side.period_since_s is None:
        side.period_since_s = side.sync_start_s
    if t_s >= side.period_since_s + RATE_PERIOD_S:
        side.period_since_s, side.period_pages = t_s, 0
    return new


def _exact_after(later: Points) -> int | None:
    """The bytes counted after a sync, before anything else was sent or synced."""
    for _, name, fields in later:
        if name.startswith("migrate_pending"):
            return int(fields["size"])
        if name in ("migration_bitmap_sync_start", "savevm_section_end"):
            return None
    return None


def _pending(name: str) -> Handler:
    def handler(side: _Side, t_s: float, fields: Fields, *_: Any) -> Iterator[Event]:
        # 7.2 has one trace point for both: it is exact right after a sync
        what = name or ("exact" if side.synced and side.syncs > 1 else "estimate")
        side.synced = False
        side.left_pages = int(fields["size"]) // side.page_bytes
        yield Event(t_s, "pending", "migration", what, 0, {"size_bytes": int(fields["size"])})
    return handler


def _threshold(side: _Side, t_s: float, fields: Fields, *_: Any) -> Iterator[Event]:
    yield Event(t_s, "threshold", "migration", "threshold", 0, {
        "size_bytes": int(fields["threshold"]), "bandwidth_bytes_per_s": int(fields["bandwidth"]) * 1000})


def _low_pending(side: _Side, t_s: float, fields: Fields, *_: Any) -> Iterator[Event]:
    text = f"{fields['pending']} bytes pending are below the threshold"
    yield Event(t_s, "mark", "migration", "Tn+1", 0, {"text": text})


def _throttle(side: _Side, t_s: float, fields: Fields, *_: Any) -> Iterator[Event]:
    yield Event(t_s, "throttle", "migration", "cpu_throttle_set", 0, {"percentage": int(fields["pct"])})


def _error(side: _Side, t_s: float, fields: Fields, *_: Any) -> Iterator[Event]:
    text = str(fields.get("text", "")).removeprefix("error=")
    yield Event(t_s, "fault", side.lane, "migrate_error", 0, {"text": text})


def _loaded(side: _Side, t_s: float, fields: Fields, *_: Any) -> Iterator[Event]:
    if found := _LOAD.search(str(fields.get("text", ""))):
        data = {"start_s": t_s - int(found["us"]) / 1e6, "instance": int(found["instance"])}
        yield Event(t_s, "load", "dst", found["name"], 0, data)


_SOURCE: Mapping[str, Handler] = {
    "migrate_set_state": _set_state, "runstate_set": _runstate, "vm_state_notify": _notify,
    "vmstate_downtime_checkpoint": _checkpoint, "migration_completion_vm_stop": _vm_stopped,
    "savevm_send_switchover_start": _switchover, "migration_bitmap_sync_start": _sync_start,
    "migration_bitmap_sync_end": _sync_end, "migrate_pending_estimate": _pending("estimate"),
    "migrate_pending_exact": _pending("exact"), "migrate_pending": _pending(""), "migrate_transferred": _threshold,
    "migration_thread_low_pending": _low_pending, "migrate_error": _error, "cpu_throttle_set": _throttle,
}
_DESTINATION: Mapping[str, Handler] = {
    "migrate_set_state": _set_state, "runstate_set": _runstate, "vm_state_notify": _notify, "migrate_error": _error,
    "vmstate_downtime_load": _loaded,
}
