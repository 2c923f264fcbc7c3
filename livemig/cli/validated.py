"""What `livemig validate` prints: the runs, those that are not compared, groups, the textbook beside, the summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["print_report"]

Values = Mapping[str, Any]

_SIDES = {"source": "src", "destination": "dst", None: "-"}
_ERRORS = (("total time", "total_time"), ("bitmap syncs", "passes"), ("transferred", "transferred"))


def print_report(report: Values) -> None:
    """All tables, and the summary last."""
    from livemig.cli.tables import table

    modelled = [run for run in report["runs"] if run["modelled"]]
    timed = [run for run in modelled if run["times_compared"]]
    untimed = [run for run in modelled if not run["times_compared"]]
    others = [run for run in report["runs"] if not run["modelled"]]
    if timed:
        table("Recorded and predicted, errors in %", ("id", "ends, guest on", ">syncs", ">total", ">sent", ">down, ms",
                                         ">textbook"), [_row(run) for run in timed])
    throttled = [run for run in modelled if run["throttle_recorded"] or run["throttle_predicted"]]
    if throttled:
        table("auto-converge", ("id", "percent recorded", "predicted"), [_steps(run) for run in throttled])
    if untimed:
        table("What happened, without times", ("id", "ends, guest on", "order"), [_untimed(run) for run in untimed])
    failed = [(run["id"], run["reason"]) for run in modelled if run["status_predicted"] is None]
    if failed:
        table("Could not be simulated", ("id", "reason"), failed)
    if untimed:
        table("Times are not compared", ("reason", "ids"), _by_reason(untimed))
    if others:
        table("Not modelled", ("reason", "ids"), _by_reason(others))
    _print_summary(report["summary"])


def _by_reason(runs: Sequence[Values]) -> list[Sequence[str]]:
    names: dict[str, list[str]] = {}
    for run in runs:
        names.setdefault(run["reason"] or "", []).append(run["id"])
    return [(reason, ", ".join(ids)) for reason, ids in names.items()]


def _row(run: Values) -> Sequence[str]:
    return (run["id"], _ends(run), _pair(run["passes_recorded"], run["passes_predicted"]),
            _signed(run["total_time_error"]), _signed(run["transferred_error"]),
            _pair(_ms(run["downtime_recorded_s"]), _ms(run["downtime_predicted_s"])), _textbook(run))


def _untimed(run: Values) -> Sequence[str]:
    return run["id"], _ends(run), "-" if run["order_same"] is None else "same" if run["order_same"] else "differs"


def _steps(run: Values) -> Sequence[str]:
    return run["id"], *(" ".join(map(str, run[f"throttle_{who}"] or ["-"])) for who in ("recorded", "predicted"))


def _ends(run: Values) -> str:
    """How the run ended and where the guest runs; both values where recording and prediction differ."""
    left, right = (f"{run[f'status_{who}'] or '-'} {_SIDES[run[f'guest_runs_on_{who}']]}"
                   for who in ("recorded", "predicted"))
    return left if left == right else f"{left}, not {right}"


def _pair(recorded: Any, predicted: Any) -> str:
    """One value where recording and prediction agree, else both."""
    left, right = ("-" if value is None else str(value) for value in (recorded, predicted))
    return left if left == right else f"{left}/{right}"


def _textbook(run: Values) -> str:
    """The textbook's error of the total time, or that it is wrong about converging at all."""
    told = run["textbook"]
    if told is None:
        return "-"
    if told["converged_predicted"] != run["converged_recorded"]:
        return "never" if run["converged_recorded"] else "ends"
    return _signed(told["total_time_error"])


def _signed(error: float | None) -> str:
    return "-" if error is None else f"{100 * error:+.2f}"


def _ms(value_s: float | None) -> str | None:
    """QEMU reports whole milliseconds."""
    return None if value_s is None else f"{1000 * value_s:.0f}"


def _print_summary(summary: Values) -> None:
    from livemig.cli.tables import note, table

    if len(summary["groups"]) > 1:
        table("Medians by group (the first letter)", ("group", ">runs", *(f">{label}" for label, _ in _ERRORS),
                                                      ">downtime"),
              [(letter, str(group["runs"]), *(_percent(group[key]["median"]) for _, key in _ERRORS),
                _percent(group["downtime"]["median"])) for letter, group in summary["groups"].items()])
    if summary["textbook"] is not None:
        _print_textbook(summary["textbook"])
    right = {key: "{} of {}".format(*summary[f"{key}_right"]) for key in ("status", "order", "converges", "throttle")}
    note(f"{summary['modelled']} of {summary['of']} recordings are modelled. How they end and where the guest runs "
         f"then is right in {right['status']}, the order of the switchover in {right['order']}; whether the migration "
         f"converges is right for {right['converges']}."
         + (f" The throttle's steps are within one of the recorded ones in {right['throttle']}."
            if summary["throttle_right"][1] else ""))
    note(f"Times and bytes are compared in {summary['times_compared']}:")
    table("Absolute relative errors", ("of", ">median", ">90th percentile"), _error_rows(summary))


def _error_rows(summary: Values) -> list[Sequence[str]]:
    rows = [(label, *_spread(summary[key])) for label, key in _ERRORS]
    return [*rows, (f"downtime ({summary['downtime']['n']} runs of at least 10 ms)", *_spread(summary["downtime"]))]


def _print_textbook(beside: Values) -> None:
    from livemig.cli.tables import table

    def cells(side: str) -> list[Callable[[str], str]]:
        return [lambda key, which=which: _percent(beside[side][key][which])  # type: ignore[misc]
                for which in ("median", "p90")]

    rows = [(label, *(cell(key) for side in ("textbook", "simulated") for cell in cells(side)))
            for label, key in (*_ERRORS, ("downtime", "downtime"))]
    right = ["{} of {}".format(*beside[side]["converges_right"]) for side in ("textbook", "simulated")]
    table(f"What QEMU's rules are worth: {beside['runs']} plain runs; errors (median, 90th percentile) in the "
          f"{beside['compared']} that completed and converge by the textbook",
          ("of", ">textbook", ">p90", ">livemig", ">p90"),
          [("converges, right", right[0], "", right[1], ""), *rows])


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _spread(values: Values) -> tuple[str, str]:
    return _percent(values["median"]), _percent(values["p90"])
