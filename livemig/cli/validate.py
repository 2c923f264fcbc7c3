"""`livemig validate`: simulate each recording from its inputs and compare."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from livemig.cli.errors import say
from livemig.units import format_time

__all__ = ["print_report", "validate"]

_EVERY = 10  # progress into a file: one line for so many recordings


def validate(
    folder: Annotated[Path | None, typer.Argument(
        metavar="[DIR|FILE]", help="Folder of recordings (*.json, *.json.gz), or one of them; default: those that "
                                   "livemig ships.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print runs and summary as JSON.")] = False,
) -> None:
    """Simulate each recording of real QEMU from its inputs and compare the outcomes.

    Errors are (predicted - recorded) / recorded; the summary has their absolute values. Runs that use a feature
    which is not modelled are listed with the reason. The exit status is 0 however large the errors are, and 2 if the
    folder or one of its files cannot be read (the others are compared all the same).
    """
    import livemig
    from livemig.lab.validate import BrokenRecordings

    progress = _Progress()
    try:
        report = livemig.validate(folder, progress)
    except BrokenRecordings as broken:
        progress.end()
        _print(broken.report, as_json)
        raise
    progress.end()
    _print(report, as_json)


def _print(report: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(report, indent=1, allow_nan=False))
    else:
        print_report(report)
    sys.stdout.flush()


class _Progress:
    """Which recording is being simulated, on stderr: one line that changes, or in a file a line now and then."""

    def __init__(self) -> None:
        self._count = 0
        self._live = sys.stderr.isatty()

    def __call__(self, name: str) -> None:
        self._count += 1
        if self._live:
            print(f"\r\x1b[Ksimulating {self._count}: {name}", end="", file=sys.stderr, flush=True)
        elif self._count % _EVERY == 1:
            say(f"simulating {name}, recording {self._count}")

    def end(self) -> None:
        """Leave a clean line."""
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def print_report(report: Mapping[str, Any]) -> None:
    """The runs as a table, those that are not modelled with their reason, and the summary."""
    from livemig.cli.tables import table

    modelled = [run for run in report["runs"] if run["modelled"]]
    others = [run for run in report["runs"] if not run["modelled"]]
    if modelled:
        table("Recorded and predicted", ("id", "converges", ">passes", ">total time", ">transferred", ">downtime",
                                         ">predicted"), [_row(run) for run in modelled])
    failed = [(run["id"], run["reason"]) for run in modelled if run["reason"]]
    if failed:
        table("Could not be simulated", ("id", "reason"), failed)
    if others:
        table("Not modelled", ("reason", "ids"), _by_reason(others))
    _print_summary(report["summary"])


def _by_reason(runs: Sequence[Mapping[str, Any]]) -> list[Sequence[str]]:
    names: dict[str, list[str]] = {}
    for run in runs:
        names.setdefault(run["reason"] or "", []).append(run["id"])
    return [(reason, ", ".join(ids)) for reason, ids in names.items()]


def _row(run: Mapping[str, Any]) -> Sequence[str]:
    return (run["id"], _pair(run, "converged", _yes), _pair(run, "passes", str), _signed(run["total_time_error"]),
            _signed(run["transferred_error"]), _time(run["downtime_recorded_s"]), _time(run["downtime_predicted_s"]))


def _pair(run: Mapping[str, Any], what: str, shown: Callable[[Any], str]) -> str:
    """One value where recording and prediction agree, else both."""
    recorded, predicted = (run[f"{what}_{who}"] for who in ("recorded", "predicted"))
    left, right = ("-" if value is None else shown(value) for value in (recorded, predicted))
    return left if left == right else f"{left}, not {right}" if what == "converged" else f"{left} / {right}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _signed(error: float | None) -> str:
    return "-" if error is None else f"{100 * error:+.2f} %"


def _time(value_s: float | None) -> str:
    return "-" if value_s is None else format_time(value_s)


def _print_summary(summary: Mapping[str, Any]) -> None:
    from livemig.cli.tables import note, table

    right, of = summary["converges_right"]
    note(f"{summary['modelled']} of {summary['of']} recordings are modelled; whether the migration converges is right "
         f"for {right} of {of}.")
    names = (("total time", "total_time"), ("passes", "passes"), ("transferred", "transferred"))
    rows = [(label, *_spread(summary[key])) for label, key in names]
    rows.append((f"downtime ({summary['downtime']['n']} runs of at least 10 ms)", *_spread(summary["downtime"])))
    table("Absolute relative errors", ("of", ">median", ">90th percentile"), rows)


def _spread(values: Mapping[str, Any]) -> tuple[str, str]:
    shown = ["-" if values[key] is None else f"{100 * values[key]:.2f} %" for key in ("median", "p90")]
    return shown[0], shown[1]
