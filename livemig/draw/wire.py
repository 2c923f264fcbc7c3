"""A Trace as the stage's browser side receives it: only the rows that are drawn, in few bytes.

Rows refer to a table of heads (kind, lane, name, depth), times are steps of whole microseconds, tables of ITS bytes
that are written again unchanged are sent once. `static/wire.js` turns it back into livemig-trace/1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from livemig.trace import Event, Trace

__all__ = ["pack"]

# What the stage draws of each kind; a kind that is missing here is not sent (samples).
_DRAWN: dict[str, tuple[str, ...]] = {
    "mark": ("text",),
    "command": (),
    "call": ("owner",),
    "return": (),
    "state": ("old", "new"),
    "event": (),
    "threshold": ("size_bytes",),
    "pending": ("size_bytes",),
    "sync": ("pass", "start_s", "remaining_bytes"),
    "send": ("start_s", "pages", "zero_pages"),
    "its": ("errno", "tables", "pages"),
    "load": (),
    "fault": ("text",),
    "gap": ("until_s",),
}
_EVENTS = ("STOP", "RESUME")
_THREADS = {"dst": "dst", "main": "main", "user": "main"}  # the handlers run in the migration thread
_LOOP = ("qmp_migrate", "migration_thread", "migration_iteration_run")
_META = ("source", "id", "qemu_version", "outcome", "its", "scenario", "coarsened_page_bytes")


def pack(trace: Trace) -> dict[str, Any]:
    """The trace for the browser: meta, heads, steps_us, head (one number a row), data (by row), pool (tables)."""
    heads: dict[tuple[str, str, str, int], int] = {}
    steps_us: list[int] = []
    rows: list[int] = []
    data: dict[str, Mapping[str, Any]] = {}
    pool: dict[str, int] = {}
    before_us = 0
    for event in _drawn(trace.events):
        t_us = round(event.t_s * 1e6)
        steps_us.append(t_us - before_us)
        before_us = t_us
        rows.append(heads.setdefault((event.kind, event.lane, event.name, event.depth), len(heads)))
        kept = _kept(event, pool)
        if kept:
            data[str(len(rows) - 1)] = kept
    return {"meta": _meta(trace, heads), "heads": [list(h) for h in heads], "steps_us": steps_us, "head": rows,
            "data": data, "pool": [json.loads(text) for text in pool]}


def _meta(trace: Trace, heads: Mapping[tuple[str, str, str, int], int]) -> dict[str, Any]:
    meta = {key: trace.meta[key] for key in _META if key in trace.meta}
    called = {name for kind, _, name, _ in heads if kind == "call"}
    meta["functions"] = {name: file for name, file in (trace.meta.get("functions") or {}).items() if name in called}
    return meta


def _kept(event: Event, pool: dict[str, int]) -> dict[str, Any]:
    kept = {key: event.data[key] for key in _DRAWN[event.kind] if event.data.get(key) is not None}
    if "tables" in kept:
        kept["tables"] = [pool.setdefault(json.dumps(table), len(pool)) for table in kept["tables"]]
    if "start_s" in kept:
        kept["start_s"] = round(kept["start_s"], 6)
    return kept


def _drawn(events: Sequence[Event]) -> Iterator[Event]:
    """Leave out what is not drawn, and before the switchover the calls that hold nothing that is drawn."""
    useful = _useful_calls(events)
    for i, event in enumerate(events):
        if event.kind not in _DRAWN or (event.kind == "event" and event.name not in _EVENTS):
            continue
        if event.kind == "gap" and event.lane != "migration":  # only query-migrate was silent; all the rest is known
            continue
        if event.kind not in ("call", "return") or i in useful:
            yield event


def _useful_calls(events: Sequence[Event]) -> set[int]:
    """Row numbers of the calls (and their returns) that the stage needs.

    All from `migration_completion` on; before it the loop's own functions, and those with a drawn row inside, because
    their frames are on the stack when the cursor stands on that row.
    """
    useful: set[int] = set()
    open_calls: dict[str, list[tuple[int, bool]]] = {"dst": [], "main": [], "migration": []}
    completing = False
    for i, event in enumerate(events):
        stack = open_calls[_THREADS.get(event.lane, "migration")]
        if event.kind == "call":
            completing = completing or event.name == "migration_completion"
            stack.append((i, completing or event.name in _LOOP))
        elif event.kind == "return" and stack:
            start, needed = stack.pop()
            if needed:
                useful.update((start, i))
        elif event.kind in ("pending", "sync", "send", "its") and stack:
            stack[:] = [(start, True) for start, _ in stack]
    useful.update(start for stack in open_calls.values() for start, needed in stack if needed)
    return useful
