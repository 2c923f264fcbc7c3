"""One run for people: the marks, the passes, the outcome in a sentence, what became of the ITS's mappings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from livemig.cli.tables import note, shortened, table
from livemig.trace import Event, Mark, Pass, Trace
from livemig.units import format_size, format_time

__all__ = ["print_run"]

_SHOWN_MAPPINGS = 20


def print_run(trace: Trace) -> None:
    """Print everything about one run."""
    table("Time points", ("mark", ">time", ">after", "what happens"), _mark_rows(trace))
    table("Passes", ("pass", ">begins", ">takes", ">to send", ">sent", ">pages", ">zero pages"),
          _pass_rows(trace.passes()))
    note(_outcome(trace))
    for line in _memory(trace) + _its(trace):
        note(line)


def _mark_rows(trace: Trace) -> list[Sequence[str]]:
    rows, before = [], 0.0
    for mark in trace.marks():
        rows.append((mark.label, f"{mark.t_s:.6f} s", format_time(mark.t_s - before), _what_happens(trace, mark)))
        before = mark.t_s
    return shortened(rows, "--json has them")


def _what_happens(trace: Trace, mark: Mark) -> str:
    """The mark's own text; at Tn+1 with the numbers that decided."""
    if mark.label != "Tn+1":
        return mark.text
    pending, threshold = (_last(trace, kind, mark.t_s) for kind in ("pending", "threshold"))
    if pending is None or threshold is None or threshold.data.get("size_bytes") is None:
        return mark.text
    return f"{mark.text}: {format_size(pending.data['size_bytes'])} against {format_size(threshold.data['size_bytes'])}"


def _last(trace: Trace, kind: str, t_s: float) -> Event | None:
    return next((event for event in reversed(trace.events) if event.kind == kind and event.t_s <= t_s), None)


def _pass_rows(passes: Sequence[Pass]) -> list[Sequence[str]]:
    return shortened([
        ("final" if one.final else str(one.number), f"{one.start_s:.6f} s", format_time(one.end_s - one.start_s),
         format_size(one.todo_bytes), format_size(one.sent_bytes), str(one.normal_pages), str(one.zero_pages))
        for one in passes], "--csv")


def _outcome(trace: Trace) -> str:
    outcome = trace.outcome
    parts = []
    if outcome.total_time_s is not None:
        parts.append(f"total time {format_time(outcome.total_time_s)}")
    if outcome.downtime_s is not None:
        parts.append(f"downtime {format_time(outcome.downtime_s)}")
    if outcome.transferred_bytes is not None:
        parts.append(f"{format_size(outcome.transferred_bytes)} sent")
    if outcome.normal_pages is not None:
        parts.append(f"{outcome.normal_pages} pages and {outcome.duplicate_pages} zero pages")
    if outcome.dirty_sync_count is not None:
        parts.append(f"{outcome.dirty_sync_count} bitmap syncs")
    where = f" The guest runs on the {outcome.guest_runs_on}." if outcome.guest_runs_on else " The guest runs nowhere."
    if "log" in trace.meta:  # a log of the source does not say it
        where = ""
    reason = f" Reason: {outcome.reason}." if outcome.reason else ""
    return f"Status {outcome.status}: {', '.join(parts)}.{reason}{where}"


def _memory(trace: Trace) -> list[str]:
    different = (trace.meta.get("memory") or {}).get("different_pages")
    if different is None or not (trace.meta.get("its") or (trace.meta.get("scenario") or {}).get("contents")):
        return []  # nothing in RAM had bytes to compare
    if not different:
        with_bytes = (trace.meta.get("scenario") or {}).get("contents")
        what = "every byte" if with_bytes else "every page that the ITS's handler wrote"
        return [f"RAM: {what} at the destination equals the source at the stop."]
    return [f"RAM: {len(different)} pages differ at the destination, the first is page {different[0]}."]


def _its(trace: Trace) -> list[str]:
    its = trace.meta.get("its") or {}
    report = its.get("report")
    if not report:
        return []
    lines = [f"ITS: {its['guest_commands']} commands of the guest during the run; {report['mapped_at_source']} events "
             f"mapped at the stop, {report['mapped_at_destination']} at the destination."]
    if report["restore_error"]:
        lines.append(f"Restoring the tables failed: {report['restore_error']}")
    wrong = [
        *_mappings("lost (mapped at the source, not at the destination)", report["lost"], _mapping),
        *_mappings("stale (unmapped at the source, mapped at the destination)", report["stale"], _mapping),
        *_mappings("wrong (source, then destination)", report["wrong"],
                   lambda pair: f"{_mapping(pair[0])} became {_mapping(pair[1])}"),
        *_mappings("pending interrupts lost", report["pending_lost"], lambda lpi: f"LPI {lpi}"),
    ]
    return lines + (wrong or ["Every mapping and every pending interrupt arrived."])


def _mappings(what: str, found: Sequence[Any], shown: Any) -> list[str]:
    if not found:
        return []
    more = len(found) - _SHOWN_MAPPINGS
    return [f"{len(found)} {what}:", *(f"  {shown(one)}" for one in found[:_SHOWN_MAPPINGS]),
            *([f"  ... {more} more: --json has them"] if more > 0 else [])]


def _mapping(row: Sequence[int] | Mapping[int, int]) -> str:
    device_id, event_id, lpi, icid, target = row
    return f"device {device_id:#x} event {event_id} -> LPI {lpi}, collection {icid}, target {target}"
