"""The figure of a comparison of policies: a row a policy, a panel a quantity, bars from the smallest to the largest.

It draws plain data (`Comparison.to_json`), so this room needs no engine. A point is the middle of the guests that
completed; a policy none of whose runs completed has its outcome in words instead.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from livemig.draw.palette import LIGHT, Palette
from livemig.draw.validation import FigureError, check_figure_file

__all__ = ["comparison", "save_comparison"]

# Column of the summaries: (title, unit of the axis, what the value is divided by).
PANELS: Mapping[str, tuple[str, float]] = {
    "total_time_s": ("total time, s", 1.0), "downtime_s": ("downtime, ms", 1e-3), "passes": ("bitmap syncs", 1.0),
    "transferred_bytes": ("sent, MiB", float(1 << 20)), "throttled_s": ("throttled, s", 1.0)}
_WIDTH, _ROW_HEIGHT, _REST_HEIGHT = 13.0, 0.42, 1.3
_WORDS = 44


def comparison(report: Mapping[str, Any], figure: Figure | None = None, palette: Palette = LIGHT) -> Sequence[Axes]:
    """Draw a comparison (`Comparison.to_json()`) and return its axes, one a quantity. Raises `FigureError` if empty."""
    rows = report["summaries"]
    if not rows:
        raise FigureError("no policy was run, so there is nothing to draw")
    made = figure or _figure(len(rows), palette)
    axes: list[Axes] = list(made.subplots(1, len(PANELS), sharey=True))
    for view, (column, (title, unit)) in zip(axes, PANELS.items(), strict=True):
        _panel(view, rows, column, unit, palette)
        view.set_title(title, color=palette.ink, fontsize=10, loc="left")
    axes[0].set_yticks(range(len(rows)), [f"{row['policy']}  {row['completed']}/{row['runs']}" for row in rows])
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    for place, row in enumerate(rows):
        if not row["completed"]:
            words = textwrap.shorten(row["reason"] or "did not complete", 3 * _WORDS, placeholder=" ...")
            note = axes[0].text(0.01, place, words, transform=axes[0].get_yaxis_transform(), fontsize=7,
                                color=palette.mute, va="center", clip_on=False, zorder=5)
            note.set_bbox({"facecolor": palette.paper, "edgecolor": "none", "pad": 1.0})
            note.set_in_layout(False)  # it runs on over the other panels, whose row is empty
    axes[0].set_zorder(1)
    for view in axes:
        view.patch.set_visible(False)
    made.suptitle(_headline(report), color=palette.ink, fontsize=11, x=0.01, ha="left")
    return axes


def save_comparison(report: Mapping[str, Any], path: Path) -> None:
    """Draw into a file; the ending of its name says how. Raises `FigureError` or `OSError`."""
    check_figure_file(path)
    made = _figure(max(len(report["summaries"]), 1), LIGHT)
    comparison(report, made)
    made.savefig(path, dpi=160)


def _figure(rows: int, palette: Palette) -> Figure:
    return Figure(figsize=(_WIDTH, _REST_HEIGHT + _ROW_HEIGHT * rows), layout="constrained", facecolor=palette.paper)


def _headline(report: Mapping[str, Any]) -> str:
    guests = report["guests"]
    over = "one guest" if guests == 1 else f"{guests} guests: smallest, middle and largest of those that completed"
    return f"Policies compared over {over}" + (" (interrupted)" if report["interrupted"] else "")


def _panel(view: Axes, rows: Sequence[Mapping[str, Any]], column: str, unit: float, palette: Palette) -> None:
    for place, row in enumerate(rows):
        span = row["spans"][column]
        if span is None:
            continue
        low, middle, high = (value / unit for value in span)
        view.plot([low, high], [place, place], color=palette.send, lw=5, alpha=0.35, solid_capstyle="butt")
        view.plot([middle], [place], "o", color=palette.send, ms=5)
    view.set_xlim(0, max(view.get_xlim()[1], 1e-9) * 1.04)
    view.set_facecolor(palette.paper)
    view.grid(axis="x", color=palette.rule, lw=0.6)
    view.set_axisbelow(True)
    view.tick_params(colors=palette.mute)
    view.tick_params(axis="y", length=0, labelcolor=palette.ink)
    for side in ("top", "right", "left"):
        view.spines[side].set_visible(False)
    view.spines["bottom"].set_color(palette.edge)
