"""A run in words: the text alternative of every picture of a Trace."""

from __future__ import annotations

from collections.abc import Iterator

from livemig.draw.units import count, duration, size
from livemig.trace import Trace

__all__ = ["describe"]

LISTED_PASSES = 6


def describe(trace: Trace) -> str:
    """What a picture of this Trace shows, in plain sentences: outcome, passes, threshold, switchover, ITS tables."""
    return " ".join([*_outcome(trace), *_passes(trace), *_threshold(trace), *_switchover(trace), *_tables(trace)])


def _outcome(trace: Trace) -> Iterator[str]:
    outcome, meta = trace.outcome, trace.meta
    who = f"Live migration, {meta.get('source', 'a run')} {meta.get('id', '')}".rstrip()
    version = f" (QEMU {meta['qemu_version']})" if meta.get("qemu_version") else ""
    total_s = trace.end_s if outcome.total_time_s is None else outcome.total_time_s
    status = "no migration, watched for" if outcome.status == "none" else f"{outcome.status} after"
    parts = [f"{who}{version}: {status} {duration(total_s)}"]
    if outcome.downtime_s is not None:
        parts.append(f"downtime {duration(outcome.downtime_s)}")
    if outcome.transferred_bytes is not None:
        parts.append(f"{size(outcome.transferred_bytes)} sent")
    yield ", ".join(parts) + "."
    if outcome.reason and outcome.status != "none":
        yield outcome.reason.rstrip(".") + "."


def _passes(trace: Trace) -> Iterator[str]:
    running = [p for p in trace.passes() if not p.final]
    if not running:
        return
    words = [f"T{p.number} at {duration(p.start_s)} with {size(p.todo_bytes)} to send" for p in running]
    if len(words) > LISTED_PASSES:
        words = [*words[:LISTED_PASSES - 1], f"{len(words) - LISTED_PASSES} more", words[-1]]
    yield f"{count(len(running), 'pass')} while the VM ran: {'; '.join(words)}."


def _threshold(trace: Trace) -> Iterator[str]:
    _, threshold = trace.series("threshold")
    if not len(threshold):
        return  # a log of query-migrate has none
    yield f"The threshold was {size(threshold[-1])} at the end."
    decided_s = trace.mark("Tn+1")
    if decided_s is None:
        if running := [p for p in trace.passes() if not p.final]:
            yield f"Pending never stayed below it: the last pass began with {size(running[-1].todo_bytes)}."
        return
    counted = [e for e in trace.select("pending") if e.t_s <= decided_s]
    if counted:
        left = counted[-1].data["size_bytes"]
        what = f"pending {size(left)}, below the threshold" if left else "nothing pending, as far as QEMU had counted"
        yield f"Tn+1 at {decided_s:.4f} s: {what}."


def _switchover(trace: Trace) -> Iterator[str]:
    stopped = [s for s in trace.spans() if s.row == "vm" and s.what == "stopped"]
    stop_s = trace.mark("Tn+2")
    if stop_s is None:
        unseen = "When the VM stopped was not seen." if trace.outcome.status == "completed" else "The VM never stopped."
        yield f"The VM was stopped {count(len(stopped), 'time')}." if stopped else unseen
        return
    stood = next((s.end_s - s.start_s for s in stopped if s.end_s >= stop_s), 0.0)
    where = {"source": "It runs on at the source.", "destination": "It runs on at the destination."}
    yield (f"Tn+2 at {stop_s:.4f} s: the VM stops and stands for {duration(stood)}. "
           f"{where.get(trace.outcome.guest_runs_on or '', 'It runs nowhere yet.')}")
    final = next((p for p in trace.passes() if p.final), None)
    if final is not None and final.sent_bytes:
        yield f"The last pass sends {size(final.sent_bytes)}."


def _tables(trace: Trace) -> Iterator[str]:
    saves = [e for e in trace.select("its", "SAVE_TABLES") if e.lane == "its"]
    for save in saves[-1:]:
        pages = count(len(save.data.get("pages", ())), "page")
        final = next((e for e in trace.select("sync") if e.t_s > save.t_s and _is_final(trace, e.t_s)), None)
        after = "" if final is None else f", {duration(final.t_s - save.t_s)} before the end of the final sync"
        yield f"The ITS tables were written to guest RAM at {save.t_s:.4f} s ({pages} dirty){after}."
    if any(e.data.get("errno") == 0 for e in trace.select("its", "RESTORE_TABLES")):
        yield "The destination restored them."


def _is_final(trace: Trace, t_s: float) -> bool:
    stop_s = trace.mark("Tn+2")
    return stop_s is not None and t_s > stop_s
