"""The lens: the whole run in seconds at the left, the switchover in milliseconds at the right, one row of axes.

A broken axis hides the ratio of the two and a logarithmic one bends the passes; the lens keeps both scales honest. A
run that was never stopped has no lens, nor has one of whose length the stop takes a good part.
"""

from __future__ import annotations

from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from livemig.draw.palette import Palette
from livemig.trace import Trace

__all__ = ["Panels", "Switchover", "panels", "switchover"]

WHOLE_WIDTH, LENS_LEFT = 0.62, 0.69
LEAST_GAIN = 4.0  # as scene.js lensOf: a lens must show a stretch that is this much shorter than the run


class Switchover(NamedTuple):
    """The stretch that the lens shows, seconds since T0; `stop_s` is its zero."""

    start_s: float
    end_s: float
    stop_s: float
    runs_again_s: float


class Panels(NamedTuple):
    """What a figure returns: the axes it was given or made, the whole run, and the lens (None without a switchover)."""

    ax: Axes
    whole: Axes
    lens: Axes | None


def switchover(trace: Trace) -> Switchover | None:
    """Where the VM was stopped for the migration, with some room on both sides; None if a lens would gain nothing."""
    stop_s = trace.mark("Tn+2")
    if stop_s is None:
        return None
    again_s = next((s.end_s for s in trace.spans() if s.row == "vm" and s.what == "stopped" and s.end_s > stop_s),
                   trace.end_s)
    last_s = max(again_s, trace.mark("Tn+4") or again_s)
    width = max(last_s - stop_s, 1e-5)
    start_s, end_s = max(stop_s - 0.3 * width, 0.0), last_s + 0.1 * width
    if trace.end_s < LEAST_GAIN * (end_s - start_s):
        return None
    return Switchover(start_s, end_s, stop_s, again_s)


def panels(trace: Trace, ax: Axes | None, palette: Palette, height: float) -> tuple[Panels, Switchover | None]:
    """Make the two axes inside `ax` (a new figure of this height in inches if None)."""
    if ax is None:
        _, ax = plt.subplots(figsize=(11, height), facecolor=palette.paper)
        ax.figure.subplots_adjust(left=0.085, right=0.98, top=0.78 if height < 4 else 0.9, bottom=0.2)
    ax.set_axis_off()
    seen = switchover(trace)
    whole = ax.inset_axes((0.0, 0.0, 1.0 if seen is None else WHOLE_WIDTH, 1.0))
    lens = None if seen is None else ax.inset_axes((LENS_LEFT, 0.0, 1.0 - LENS_LEFT, 1.0))
    end_s = max(trace.end_s, 1e-3)
    whole.set_xlim(0.0, end_s)
    whole.set_xlabel("seconds since migrate", color=palette.mute, fontsize=9)
    _plain(whole, palette)
    if lens is not None and seen is not None:
        lens.set_xlim((seen.start_s - seen.stop_s) * 1e3, (seen.end_s - seen.stop_s) * 1e3)
        lens.set_xlabel("milliseconds, 0 = the VM stops", color=palette.mute, fontsize=9)
        _plain(lens, palette)
        lens.set_facecolor(palette.well)
        factor = (end_s / WHOLE_WIDTH) / ((seen.end_s - seen.start_s) / (1.0 - LENS_LEFT))
        ax.text((WHOLE_WIDTH + LENS_LEFT) / 2 - 0.012, 0.5, f"lens × {factor:,.0f}".replace(",", " "), rotation=90,
                transform=ax.transAxes, ha="center", va="center", color=palette.mute, fontsize=9)
        hair = 0.002 * end_s
        whole.axvspan(max(seen.stop_s - hair, 0.0), min(seen.stop_s + hair, end_s), color=palette.rule, lw=0, zorder=0)
    return Panels(ax, whole, lens), seen


def _plain(axes: Axes, palette: Palette) -> None:
    axes.set_facecolor(palette.paper)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(palette.edge)
    axes.tick_params(axis="both", colors=palette.mute, labelsize=9, length=3, labelcolor=palette.mute)
