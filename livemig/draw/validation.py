"""The figure of a validation: predicted against recorded total times, and the errors group by group.

It draws a report as plain data (`livemig.validate`), so this room needs neither the lab nor the engine. Blue is
livemig, grey crosses are the textbook model of pre-copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from livemig.draw.palette import LIGHT, Palette

__all__ = ["FigureError", "check_figure_file", "save_figure", "validation"]

FORMATS = (".png", ".svg", ".pdf")
SMALLEST_ERROR = 1e-5  # the error axis is logarithmic; smaller ones stand at its foot
ERROR_TICKS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)

Report = Mapping[str, Any]


class FigureError(ValueError):
    """The figure cannot be drawn or written; the message says why."""


def validation(report: Report, figure: Figure | None = None, palette: Palette = LIGHT) -> tuple[Axes, Axes]:
    """Left: predicted over recorded total time, a point a run. Right: the absolute errors by group. Returns both axes.

    Raises `FigureError` when no run's times were compared.
    """
    runs = [run for run in report["runs"] if run["total_time_error"] is not None]
    if not runs:
        raise FigureError("no run of this report has times that were compared, so there is nothing to draw")
    made = figure or Figure(figsize=(10.0, 4.6), layout="constrained", facecolor=palette.paper)
    times, errors = made.subplots(1, 2, width_ratios=(1.0, 1.35))
    _times(times, runs, palette)
    _errors(errors, runs, palette)
    handles, labels = times.get_legend_handles_labels()
    times.legend(handles, labels, loc="upper left", frameon=False, labelcolor=palette.ink, fontsize=9)
    return times, errors


def check_figure_file(path: Path) -> None:
    """Raise `ValueError` for a name that `save_figure` cannot write to."""
    if path.suffix.lower() not in FORMATS:
        raise FigureError(f"--figure {path}: its name must end in one of {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise FigureError(f"--figure {path}: there is no folder {path.parent}")


def save_figure(report: Report, path: Path) -> None:
    """Draw into a file; the ending of its name says how. Raises `FigureError` as `validation` does, or `OSError`."""
    check_figure_file(path)
    made = Figure(figsize=(10.0, 4.6), layout="constrained", facecolor=LIGHT.paper)
    validation(report, made)
    made.savefig(path, dpi=160)


def _times(view: Axes, runs: Sequence[Mapping[str, Any]], palette: Palette) -> None:
    told = [(run["total_time_recorded_s"], run["total_time_predicted_s"]) for run in runs]
    book = [(run["total_time_recorded_s"], run["textbook"]["total_time_predicted_s"]) for run in runs
            if run["textbook"] is not None and run["textbook"]["total_time_predicted_s"] is not None]
    low = min(min(pair) for pair in told + book) * 0.8
    high = max(max(pair) for pair in told + book) * 1.25
    view.plot([low, high], [low, high], color=palette.rule, lw=1, zorder=0)
    view.plot(*zip(*book, strict=True) if book else ((), ()), "x", color=palette.edge, ms=5, label="textbook")
    view.plot(*zip(*told, strict=True), "o", color=palette.send, ms=4, label="livemig")
    view.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    view.set_xlabel("recorded total time, s", color=palette.ink)
    view.set_ylabel("predicted total time, s", color=palette.ink)
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if low <= t <= high]
    for axis in (view.xaxis, view.yaxis):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _plain(view, palette)


def _errors(view: Axes, runs: Sequence[Mapping[str, Any]], palette: Palette) -> None:
    groups = sorted({run["group"] for run in runs})
    for place, letter in enumerate(groups):
        group = [run for run in runs if run["group"] == letter]
        ours = [abs(run["total_time_error"]) for run in group]
        book = [abs(run["textbook"]["total_time_error"]) for run in group
                if run["textbook"] is not None and run["textbook"]["total_time_error"] is not None]
        _strip(view, place + 0.17, book, "x", palette.edge)
        _strip(view, place - 0.17, ours, "o", palette.send)
    view.set(yscale="log", xlim=(-0.6, len(groups) - 0.4), ylim=(0.7 * SMALLEST_ERROR, 1.5))
    view.set_xticks(range(len(groups)), groups)
    view.yaxis.set_major_locator(FixedLocator(ERROR_TICKS))
    view.yaxis.set_minor_locator(NullLocator())
    view.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    view.set_xlabel("group of recordings", color=palette.ink)
    view.set_ylabel("error of the total time (a bar is the median)", color=palette.ink)
    view.grid(axis="y", color=palette.rule, lw=0.6)
    view.set_axisbelow(True)
    _plain(view, palette)


def _strip(view: Axes, x: float, errors: Sequence[float], marker: str, colour: str) -> None:
    if not errors:
        return
    shown = sorted(max(error, SMALLEST_ERROR) for error in errors)
    view.plot([x] * len(shown), shown, marker, color=colour, ms=4, alpha=0.75)
    middle = (shown[(len(shown) - 1) // 2] + shown[len(shown) // 2]) / 2
    view.plot([x - 0.14, x + 0.14], [middle, middle], color=colour, lw=2.5)


def _plain(view: Axes, palette: Palette) -> None:
    view.set_facecolor(palette.paper)
    view.tick_params(colors=palette.mute)
    for side in ("top", "right"):
        view.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        view.spines[side].set_color(palette.edge)
