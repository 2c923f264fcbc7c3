"""The rows of the timeline: passes, VM, migration thread; gaps, the names of the time points, the colours' key."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from livemig.draw.fit import FitText, SpreadLabels
from livemig.draw.palette import Palette
from livemig.draw.units import duration, size
from livemig.trace import Pass, Span, Trace

__all__ = ["ROWS", "draw_gaps", "draw_key", "draw_mark_names", "draw_rows"]

ROWS = {"Passes": 2.0, "VM": 1.0, "Thread": 0.0}
HALF = 0.36
LABEL_FROM = 0.04  # narrower stretches, as a share of the view, never have room for a word
KEY_POINTS, KEY_BELOW_POINTS = 9.0, 32.0  # its type, and its place below the axis's numbers and name
# What the migration thread is busy with: the colour's name in a palette, and the words in the bar and in the key.
BUSY = {"send": ("send", "sends", "sends"), "handlers": ("its", "stops the VM", "stops the VM, handlers"),
        "device": ("edge", "device state", "device state")}


def draw_rows(view: Axes, trace: Trace, recorded: Trace | None, palette: Palette, zero_s: float, scale: float) -> None:
    low, high = view.get_xlim()
    view.set_ylim(-0.5, 2.75)
    for one in trace.passes():
        _pass_bar(view, one, palette, zero_s, scale)
    if recorded is not None:
        for i, one in enumerate(recorded.passes()):
            view.barh(ROWS["Passes"] - 0.5, one.end_s - one.start_s, left=one.start_s, height=0.14,
                      color=palette.edge if i % 2 == 0 else palette.rule, lw=0)
    busy: dict[str, list[tuple[float, float]]] = {}
    for span in trace.spans():
        left, right = (span.start_s - zero_s) * scale, (span.end_s - zero_s) * scale
        if right < low or left > high:
            continue
        if span.row == "vm":
            _vm_bar(view, span, left, right, palette, _counted(trace, span))
        else:
            busy.setdefault(span.what, []).append((left, right))
    for what, stretches in busy.items():
        _thread_bars(view, what, stretches, palette)
    draw_gaps(view, trace, palette, zero_s, scale, ROWS["VM"])
    if trace.outcome.status != "completed" and not any(span.what == "stopped" for span in trace.spans()):
        view.text(0.99, ROWS["VM"], "never stopped", transform=view.get_yaxis_transform(), ha="right", va="center",
                  color=palette.paper, fontsize=9)


def _pass_bar(view: Axes, one: Pass, palette: Palette, zero_s: float, scale: float) -> None:
    left, right = (one.start_s - zero_s) * scale, (one.end_s - zero_s) * scale
    low, high = view.get_xlim()
    if right < low or left > high:
        return
    y = ROWS["Passes"]
    view.barh(y, right - left, left=left, height=2 * HALF, color=palette.send_tint, edgecolor=palette.send, lw=0.8)
    name = "last pass" if one.final else f"T{one.number}"
    if right - left > LABEL_FROM / 2 * (high - low):
        FitText(view, left, right, y, (f"{name}  {size(one.todo_bytes)}", name), fontsize=9, color=palette.ink,
                ha="left" if right - left > 0.2 * (high - low) else "center")


def _counted(trace: Trace, span: Span) -> str:
    """What QEMU says of a stop whose band is longer: its downtime ends when the source is done."""
    downtime_s, stop_s = trace.outcome.downtime_s, trace.mark("Tn+2")
    length_s = span.end_s - span.start_s
    if downtime_s is None or stop_s is None or not span.start_s <= stop_s < span.end_s or downtime_s > 0.9 * length_s:
        return ""
    return f"(QEMU counts {duration(downtime_s)})"


def _vm_bar(view: Axes, span: Span, left: float, right: float, palette: Palette, counted: str) -> None:
    y = ROWS["VM"]
    if span.what == "running":
        view.barh(y, right - left, left=left, height=2 * HALF, color=palette.run, lw=0)
        FitText(view, left, right, y, ("VM running", "running"), fontsize=9, color=palette.paper)
        return
    view.barh(y, right - left, left=left, height=2 * HALF, color=palette.paper, edgecolor=palette.ink, lw=0.9,
              hatch=palette.stop_hatch, zorder=3)
    words = f"stopped {duration(span.end_s - span.start_s)}"
    texts = (f"{words}\n{counted}", words, "stopped") if counted else (words, "stopped")
    text = FitText(view, left, right, y, texts, fontsize=9, color=palette.ink, ha="center", zorder=6)
    text.set_bbox({"facecolor": palette.paper, "edgecolor": "none", "pad": 1.5})


def _thread_bars(view: Axes, what: str, stretches: list[tuple[float, float]], palette: Palette) -> None:
    token, words, _ = BUSY.get(what, ("edge", what, what))
    colour = getattr(palette, token)
    view.broken_barh([(left, right - left) for left, right in stretches], (ROWS["Thread"] - HALF, 2 * HALF),
                     facecolors=colour, edgecolors=colour, lw=0.5 if what == "send" else 0.2)
    low, high = view.get_xlim()
    for left, right in stretches:
        if right - left > LABEL_FROM * (high - low):
            FitText(view, left, right, ROWS["Thread"], (words,), fontsize=9, color=palette.paper, ha="center")


def draw_key(view: Axes, trace: Trace, palette: Palette) -> None:
    """What the colours of the row Thread are, in one line below the axis: its bars are mostly too short for words."""
    seen = {span.what for span in trace.spans() if span.row != "vm"}
    keys = [Patch(color=getattr(palette, token), label=words) for what, (token, _, words) in BUSY.items()
            if what in seen]
    if not keys:
        return
    # the first handle is empty, so that its words begin where the axis begins
    below = ScaledTranslation(-1.5 * KEY_POINTS / 72, -KEY_BELOW_POINTS / 72, view.figure.dpi_scale_trans)
    view.legend(handles=[Patch(alpha=0.0, label="Thread:"), *keys], loc="upper left", bbox_to_anchor=(0.0, 0.0),
                bbox_transform=view.transAxes + below, borderaxespad=0.0, borderpad=0.0, handlelength=1.0,
                handleheight=0.8, handletextpad=0.5, columnspacing=1.6, ncols=len(keys) + 1, frameon=False,
                fontsize=KEY_POINTS, labelcolor=palette.mute)


def draw_mark_names(view: Axes, trace: Trace, palette: Palette, zero_s: float, scale: float,
                    keep: Sequence[str]) -> None:
    low, high = view.get_xlim()
    points = [((m.t_s - zero_s) * scale, m.label) for m in trace.marks()]
    inside = [(min(max(x, low), high), name) for x, name in points if low - 1e-9 <= x <= high + 1e-9]
    SpreadLabels(view, inside, ROWS["Passes"] + HALF + 0.1, palette, keep)


def draw_gaps(view: Axes, trace: Trace, palette: Palette, zero_s: float, scale: float, y: float) -> None:
    """Where nothing was observed: a pale dotted band over everything, with a word at height `y` where it has room."""
    low, high = view.get_xlim()
    for from_s, to_s in trace.gaps():
        left, right = (max((t - zero_s) * scale, low) for t in (from_s, min(to_s, zero_s + high / scale)))
        if right <= left:
            continue
        view.axvspan(left, right, facecolor=palette.well, edgecolor=palette.edge, hatch=palette.gap_hatch, lw=0,
                     zorder=5)
        text = FitText(view, left, right, y, ("not observed", "?"), fontsize=9, color=palette.ink, ha="center",
                       zorder=6)
        text.set_bbox({"facecolor": palette.paper, "edgecolor": "none", "pad": 1.5})
