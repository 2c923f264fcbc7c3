"""One page to hand out: sequence diagram, timeline, the time points in words, the chain of functions at the stop.

In greys, because that is how handouts are printed.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from livemig.draw.calls import call_path
from livemig.draw.figures import sequence, timeline
from livemig.draw.palette import GREY
from livemig.trace import Trace

__all__ = ["TIME_POINTS", "handout"]

A4_INCHES = (8.27, 11.69)
_LEFT, _RIGHT = 0.06, 0.96
_LINE = 0.0122  # of the page's height, between two lines of small print
# The seed's time points, each in one line; docs and stage say the same at more length (DESIGN.md has the table).
TIME_POINTS = {
    "T0": "the user says migrate; the VM runs on",
    "T1 … Tn": "passes: dirty pages are sent, the VM dirties more",
    "Tn+1": "counted exactly: what is left is below the threshold",
    "Tn+2": "the VM stops; handlers save the ITS tables in guest RAM",
    "Tn+3": "one more bitmap sync, the last pages, device state",
    "Tn+4": "completed; the destination restores the tables, runs",
}


def handout(trace: Trace, file: Path) -> None:
    """Write the page as PDF. `trace`: a run that completed; ValueError if it was never stopped or has no ITS."""
    chain = call_path(trace, "vm_change_state_handler", of="ITS")
    figure = Figure(figsize=A4_INCHES)
    FigureCanvasPdf(figure)
    _head(figure, trace)
    timeline(trace, ax=figure.add_axes((0.1, 0.817, _RIGHT - 0.1, 0.074)), palette=GREY)
    sequence(trace, ax=figure.add_axes((_LEFT, 0.212, _RIGHT - _LEFT, 0.54)), palette=GREY)
    _time_points(figure, trace)
    _chain(figure, [(row["function"], row["file"]) for row in chain])
    figure.savefig(file, format="pdf", metadata={"Title": "Live migration on one page", "CreationDate": None})


def _head(figure: Figure, trace: Trace) -> None:
    inputs = trace.meta.get("scenario", {})
    words = ("{:.0f} MiB of guest memory, {:.0f} MiB/s written, {:.0f} MiB/s sent, {:.0f} ms of downtime allowed"
             .format(inputs["ram_bytes"] / 2**20, inputs["dirty_rate_bytes_per_s"] / 2**20,
                     inputs["bandwidth_bytes_per_s"] / 2**20, inputs["downtime_limit_s"] * 1e3))
    figure.text(_LEFT, 0.97, "Live migration of a virtual machine", fontsize=17, weight="bold", va="center")
    figure.text(_LEFT, 0.95, f"Simulated by livemig with QEMU's rules: {words}.", fontsize=8, va="center")


def _time_points(figure: Figure, trace: Trace) -> None:
    figure.text(_LEFT, 0.195, "The time points", fontsize=10, weight="bold", va="top")
    y = 0.174
    for label, words in TIME_POINTS.items():
        at_s = trace.mark(label)
        figure.text(_LEFT, y, label, fontsize=7.6, weight="bold", va="top")
        figure.text(0.2, y, "" if at_s is None else f"{at_s:.4f} s", fontsize=7.6, va="top", ha="right")
        figure.text(0.215, y, words, fontsize=7.6, va="top")
        y -= 1.25 * _LINE
    why = ("The tables are saved at the stop because only then has the guest ceased to change them, and before the "
           "last bitmap sync because only then do they still travel.")
    figure.text(_LEFT, y - 0.6 * _LINE, textwrap.fill(why, 82), fontsize=7.3, style="italic", va="top")


def _chain(figure: Figure, chain: list[tuple[str, str]]) -> None:
    left = 0.58
    figure.text(left, 0.195, "From the thread to the handler", fontsize=10, weight="bold", va="top")
    for depth, (function, source) in enumerate(chain):
        y = 0.174 - depth * _LINE
        figure.text(left + 0.005 * depth, y, function, fontsize=6.8, family="monospace", va="top")
        figure.text(_RIGHT, y, source, fontsize=5.8, va="top", ha="right", color=GREY.mute)
