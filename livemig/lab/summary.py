"""Statistics of a comparison: counts of what was right, medians and 90th percentiles, by group, beside the textbook.

The 90th percentile is interpolated linearly. Downtime counts runs with at least 10 ms recorded, since below that the
host's scheduling decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np

__all__ = ["DOWNTIME_FROM_S", "relative", "summary"]

DOWNTIME_FROM_S = 0.010

Row = Mapping[str, Any]


def summary(runs: Sequence[Row]) -> dict[str, Any]:
    """What was compared in how many runs, how often it was right, and the absolute relative errors.

    `groups`: the same errors for each first letter of the recordings' names. `textbook`: the plain runs alone, by the
    textbook model and by the simulator; the errors of both are over the same `compared` runs, those that converged,
    also by the textbook and the simulator. None where nobody asked the textbook.
    """
    modelled = [run for run in runs if run["modelled"]]
    timed = [run for run in modelled if run["times_compared"]]
    throttled = [run for run in modelled if run["throttle_recorded"] or run["throttle_predicted"]]
    return {
        "modelled": len(modelled),
        "of": len(runs),
        "times_compared": len(timed),
        "converges_right": _right(run["converged_recorded"] == run["converged_predicted"] for run in modelled),
        "status_right": _right(_ended_alike(run) for run in modelled),
        "order_right": _right(bool(run["order_same"]) for run in modelled),
        "throttle_right": _right(_steps_apart(run) <= 1 for run in throttled),
        **_errors(timed),
        "groups": {letter: {"runs": len(group), **_errors(group)}
                   for letter in sorted({run["group"] for run in timed})
                   for group in [[run for run in timed if run["group"] == letter]]},
        "textbook": _beside_textbook(timed),
    }


def relative(predicted: float | None, recorded: float | None) -> float | None:
    """(predicted - recorded) / recorded, or None where there is nothing to compare."""
    if predicted is None or not recorded:
        return None
    return (predicted - recorded) / recorded


def _ended_alike(run: Row) -> bool:
    return all(run[f"{what}_recorded"] == run[f"{what}_predicted"] for what in ("status", "guest_runs_on"))


def _steps_apart(run: Row) -> int:
    """How many steps of the throttle one side has and the other has not."""
    told, seen = run["throttle_predicted"] or [], run["throttle_recorded"]
    return len(set(told) ^ set(seen))


def _errors(runs: Sequence[Row]) -> dict[str, Any]:
    both = [run for run in runs if _converged(run)]
    downtime = [relative(run["downtime_predicted_s"], run["downtime_recorded_s"])
                for run in both if (run["downtime_recorded_s"] or 0.0) >= DOWNTIME_FROM_S]
    return {
        "total_time": _spread(run["total_time_error"] for run in both),
        "passes": _spread(relative(run["passes_predicted"], run["passes_recorded"]) for run in both),
        "transferred": _spread(run["transferred_error"] for run in both),
        "downtime": {**_spread(downtime), "n": sum(error is not None for error in downtime)},
    }


def _beside_textbook(timed: Sequence[Row]) -> dict[str, Any] | None:
    plain = [run for run in timed if run["textbook"] is not None]
    if not plain:
        return None
    told = [{**run, **run["textbook"]} for run in plain]
    both = [_converged(run) and _converged(book) for run, book in zip(plain, told, strict=True)]
    sides: dict[str, Sequence[Row]] = {"textbook": told, "simulated": plain}
    return {"runs": len(plain), "compared": sum(both)} | {
        side: {"converges_right": _right(run["converged_recorded"] == run["converged_predicted"] for run in group),
               **_errors(list(compress(group, both)))}
        for side, group in sides.items()}


def _converged(run: Row) -> bool:
    return bool(run["converged_recorded"] and run["converged_predicted"])


def _right(answers: Iterable[bool]) -> list[int]:
    told = list(answers)
    return [sum(told), len(told)]


def _spread(errors: Iterable[float | None]) -> dict[str, float | None]:
    values = [abs(error) for error in errors if error is not None]
    if not values:
        return {"median": None, "p90": None}
    return {"median": float(np.median(values)), "p90": float(np.percentile(values, 90))}
