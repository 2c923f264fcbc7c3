"""Hold a simulator against recordings: the same inputs, both outcomes, the errors.

The simulator is the caller's: a function from the values of `Scenario`'s fields (`inputs.inputs`) to a Trace. This room
does not know the engine.

What counts. A run converged when its status is `completed`. A recorded run that did not converge was cancelled by the
recorder; its cancel stays in the plan at its time, so a simulated run that completes before it counts as converged (the
recorded one had the same time and did not), and one that is still sending then counts as not converged. Times, bytes
and passes are compared where both converged. `passes` is the final dirty-sync-count. Errors of a run are
(predicted - recorded) / recorded, as fractions; the summary has the median and the 90th percentile (linear
interpolation) of their absolute values; downtime counts runs with at least 10 ms recorded, since below that the host's
scheduling decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from livemig.lab.convert import to_trace
from livemig.lab.inputs import inputs, not_modelled
from livemig.lab.recording import RecordingError, load_recording, recording_files, recording_name
from livemig.trace import Outcome, Trace

__all__ = ["BrokenRecordings", "DOWNTIME_FROM_S", "validate", "validate_dir"]

DOWNTIME_FROM_S = 0.010

Simulate = Callable[[dict[str, Any]], Trace]
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
             progress: Progress | None = None) -> dict[str, Any]:
    """Simulate each recording from its inputs and compare.

    Returns {"runs": [...], "summary": {...}}; a run that is not modelled is listed with `modelled` false and a reason.
    A `ValueError` of `simulate` (an impossible scenario) is the run's reason, and the run counts as predicted wrong.
    `progress` is called with each name before its run.
    """
    runs = []
    for name, recording in recordings:
        if progress is not None:
            progress(name)
        runs.append(_compare(recording, simulate))
    return {"runs": runs, "summary": summary(runs)}


def validate_dir(path: str | Path, simulate: Simulate, progress: Progress | None = None) -> dict[str, Any]:
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

    report = validate(readable(), simulate, progress)
    if broken:
        raise BrokenRecordings(broken, report)
    return report


def summary(runs: Sequence[Row]) -> dict[str, Any]:
    """Counts and the median and 90th percentile of the absolute relative errors of the modelled runs."""
    modelled = [run for run in runs if run["modelled"]]
    right = sum(run["converged_recorded"] == run["converged_predicted"] for run in modelled)
    downtime = [_relative(run["downtime_predicted_s"], run["downtime_recorded_s"])
                for run in modelled if (run["downtime_recorded_s"] or 0.0) >= DOWNTIME_FROM_S and _both(run)]
    return {
        "modelled": len(modelled),
        "of": len(runs),
        "converges_right": [right, len(modelled)],
        "total_time": _spread(run["total_time_error"] for run in modelled),
        "passes": _spread(_relative(run["passes_predicted"], run["passes_recorded"]) for run in modelled if _both(run)),
        "transferred": _spread(run["transferred_error"] for run in modelled),
        "downtime": {**_spread(downtime), "n": sum(error is not None for error in downtime)},
    }


def _compare(recording: Mapping[str, Any], simulate: Simulate) -> Row:
    recorded = to_trace(recording)
    before = recorded.outcome
    reason = not_modelled(recording)
    row: Row = {
        "id": recording["id"],
        "modelled": reason is None,
        "reason": reason,
        "converged_recorded": _converged(before),
        "converged_predicted": None,
        "passes_recorded": _passes(recorded),
        "passes_predicted": None,
        "total_time_error": None,
        "transferred_error": None,
        "downtime_recorded_s": before.downtime_s,
        "downtime_predicted_s": None,
    }
    if reason is not None:
        return row
    try:
        predicted = simulate(inputs(recording))
    except ValueError as error:
        return row | {"reason": f"the simulation failed: {error}"}
    after = predicted.outcome
    row["converged_predicted"] = _converged(after)
    row["passes_predicted"] = _passes(predicted)
    row["downtime_predicted_s"] = after.downtime_s
    if _both(row):
        row["total_time_error"] = _relative(after.total_time_s, before.total_time_s)
        row["transferred_error"] = _relative(after.transferred_bytes, before.transferred_bytes)
    return row


def _converged(outcome: Outcome) -> bool | None:
    return None if outcome.status == "none" else outcome.status == "completed"


def _passes(trace: Trace) -> int | None:
    """The final dirty-sync-count; the syncs of the Trace where QEMU reports no count (a cancelled run)."""
    if trace.outcome.dirty_sync_count is not None:
        return trace.outcome.dirty_sync_count
    return sum(1 for _ in trace.select("sync")) or None


def _both(run: Row) -> bool:
    return bool(run["converged_recorded"] and run["converged_predicted"])


def _relative(predicted: float | None, recorded: float | None) -> float | None:
    if predicted is None or not recorded:
        return None
    return (predicted - recorded) / recorded


def _spread(errors: Iterable[float | None]) -> dict[str, float | None]:
    values = [abs(error) for error in errors if error is not None]
    if not values:
        return {"median": None, "p90": None}
    return {"median": float(np.median(values)), "p90": float(np.percentile(values, 90))}
