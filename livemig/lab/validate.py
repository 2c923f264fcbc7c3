"""Hold a simulator against recordings: the same inputs, both outcomes, the errors.

The simulator is the caller's: a function from the values of `Scenario`'s fields (`inputs.inputs`) to a Trace; so is the
textbook model that may stand beside it. This room does not know the engine.

What counts. Every modelled run is compared in how it ended (status), where the guest runs then, the order of what
happened around the switchover (`order`), and, with auto-converge, the steps of the throttle. Where the host of the
recording keeps time, total time, bytes and passes are compared too. A run converged when its status is `completed`. A
recorded run that did not converge was cancelled by the recorder; its cancel stays in the plan at its time, so a
simulated run that completes before it counts as converged (the recorded one had the same time and did not), and one
that is still sending then counts as not converged. Times, bytes and passes are compared where both converged. `passes`
is the final dirty-sync-count. Errors of a run are (predicted - recorded) / recorded, as fractions; `summary` has their
statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from livemig.lab.convert import to_trace
from livemig.lab.inputs import inputs, not_modelled, times_differ
from livemig.lab.order import same_order
from livemig.lab.recording import RecordingError, load_recording, recording_files, recording_name
from livemig.lab.summary import DOWNTIME_FROM_S, relative, summary
from livemig.trace import Outcome, Trace

__all__ = ["BrokenRecordings", "DOWNTIME_FROM_S", "recorded_runs", "summary", "validate", "validate_dir"]

Simulate = Callable[[dict[str, Any]], Trace]
Textbook = Callable[[dict[str, Any]], Mapping[str, Any]]
Progress = Callable[[str], None]
Row = dict[str, Any]


class BrokenRecordings(RecordingError):
    """Files of a folder that cannot be read. `report` holds the table of all the others."""

    def __init__(self, errors: Sequence[RecordingError], report: dict[str, Any]) -> None:
        self.errors = tuple(errors)
        self.report = report
        what = "1 recording" if len(errors) == 1 else f"{len(errors)} recordings"
        lines = "\n".join(f"  {error}" for error in errors)
        super().__init__(f"{what} could not be read; the other {len(report['runs'])} were compared:\n{lines}")


def validate(recordings: Iterable[tuple[str, Mapping[str, Any]]], simulate: Simulate,
             progress: Progress | None = None, textbook: Textbook | None = None) -> dict[str, Any]:
    """Simulate each recording from its inputs and compare.

    Returns {"runs": [...], "summary": {...}}; a run that is not modelled is listed with `modelled` false and a reason,
    one whose times mean nothing with `times_compared` false and a reason. A `ValueError` of `simulate` (an impossible
    scenario) is the run's reason, and the run counts as predicted wrong. `textbook` returns converges, total_time_s,
    dirty_sync_count, transferred_bytes and downtime_s; it is asked about plain runs only (no special, nothing changed
    under way). `progress` is called with each name before its run.
    """
    runs = []
    for name, recording in recordings:
        if progress is not None:
            progress(name)
        runs.append(_compare(recording, simulate, textbook))
    return {"runs": runs, "summary": summary(runs)}


def validate_dir(path: str | Path, simulate: Simulate, progress: Progress | None = None,
                 textbook: Textbook | None = None) -> dict[str, Any]:
    """`validate` for every recording of a folder, in the order of their names, or for one file.

    Raises `RecordingError` when there is no such folder or nothing in it, and `BrokenRecordings` after all readable
    files were compared (its `report` has them) when some could not be read.
    """
    broken: list[RecordingError] = []

    def readable() -> Iterator[tuple[str, Mapping[str, Any]]]:
        for file in recording_files(path):
            try:
                yield recording_name(file), load_recording(file)
            except RecordingError as error:
                broken.append(error)

    report = validate(readable(), simulate, progress, textbook)
    if broken:
        raise BrokenRecordings(broken, report)
    return report


def recorded_runs(path: str | Path) -> list[dict[str, Any]]:
    """The plain runs of a folder (no special, nothing changed under way): inputs, `id` and `converged`, for maps.

    Raises `RecordingError` for a file that cannot be read.
    """
    found = []
    for file in recording_files(path):
        recording = load_recording(file)
        if not_modelled(recording) is None and times_differ(recording) is None and not recording["special"]:
            outcome = to_trace(recording).outcome
            found.append({"id": recording["id"], **inputs(recording), "converged": bool(_converged(outcome))})
    return found


def _compare(recording: Mapping[str, Any], simulate: Simulate, textbook: Textbook | None) -> Row:
    recorded = to_trace(recording)
    before = recorded.outcome
    reason = not_modelled(recording)
    untimed = times_differ(recording)
    row: Row = {
        "id": recording["id"],
        "group": str(recording["id"])[:1],
        "modelled": reason is None,
        "times_compared": reason is None and untimed is None,
        "reason": reason or untimed,
        "status_recorded": before.status,
        "status_predicted": None,
        "guest_runs_on_recorded": before.guest_runs_on,
        "guest_runs_on_predicted": None,
        "order_same": None,
        "converged_recorded": _converged(before),
        "converged_predicted": None,
        "passes_recorded": _passes(recorded),
        "passes_predicted": None,
        "total_time_recorded_s": before.total_time_s,
        "total_time_predicted_s": None,
        "total_time_error": None,
        "transferred_error": None,
        "downtime_recorded_s": before.downtime_s,
        "downtime_predicted_s": None,
        "throttle_recorded": _throttle(recorded),
        "throttle_predicted": None,
        "textbook": None,
    }
    if reason is not None:
        return row
    values = inputs(recording)
    try:
        predicted = simulate(values)
    except ValueError as error:
        return row | {"reason": f"the simulation failed: {error}"}
    _fill(row, predicted, recorded)
    if textbook is not None and row["times_compared"] and not recording["special"]:
        row["textbook"] = _textbook(textbook(values), row, before)
    return row


def _fill(row: Row, predicted: Trace, recorded: Trace) -> None:
    before, after = recorded.outcome, predicted.outcome
    row["status_predicted"] = after.status
    row["guest_runs_on_predicted"] = after.guest_runs_on
    row["order_same"] = same_order(recorded, predicted)
    row["converged_predicted"] = _converged(after)
    row["throttle_predicted"] = _throttle(predicted)
    if not row["times_compared"]:
        return
    row["passes_predicted"] = _passes(predicted)
    row["downtime_predicted_s"] = after.downtime_s
    row["total_time_predicted_s"] = after.total_time_s
    if row["converged_recorded"] and row["converged_predicted"]:
        row["total_time_error"] = relative(after.total_time_s, before.total_time_s)
        row["transferred_error"] = relative(after.transferred_bytes, before.transferred_bytes)


def _textbook(told: Mapping[str, Any], row: Row, recorded: Outcome) -> Row:
    both = bool(row["converged_recorded"] and told["converges"])
    return {
        "converged_predicted": bool(told["converges"]),
        "passes_predicted": told["dirty_sync_count"] if told["converges"] else None,
        "total_time_predicted_s": told["total_time_s"] if told["converges"] else None,
        "total_time_error": relative(told["total_time_s"], recorded.total_time_s) if both else None,
        "transferred_error": relative(told["transferred_bytes"], recorded.transferred_bytes) if both else None,
        "downtime_predicted_s": told["downtime_s"] if told["converges"] else None,
    }


def _converged(outcome: Outcome) -> bool | None:
    return None if outcome.status == "none" else outcome.status == "completed"


def _passes(trace: Trace) -> int | None:
    """The final dirty-sync-count; the syncs of the Trace where QEMU reports no count (a cancelled run)."""
    if trace.outcome.dirty_sync_count is not None:
        return trace.outcome.dirty_sync_count
    return sum(1 for _ in trace.select("sync")) or None


def _throttle(trace: Trace) -> list[int]:
    """The percentages that auto-converge went through."""
    return [int(event.data["percentage"]) for event in trace.select("throttle")]
