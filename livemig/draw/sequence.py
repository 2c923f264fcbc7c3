"""The sequence diagram: four lifelines, the loop and its alternatives, activation bars, notes."""

from __future__ import annotations

from dataclasses import dataclass, field

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Polygon, Rectangle

from livemig.draw.fit import halo
from livemig.draw.palette import LIGHT, Palette
from livemig.draw.story import Row, story
from livemig.trace import Trace

__all__ = ["sequence"]

LANES = {"user": ("User", 13.0), "migration": ("Migration thread", 30.0), "vm": ("VM", 65.0), "its": ("ITS", 92.0)}
BAR, NEST = 1.3, 0.75  # width of an activation bar and its step to the right, in hundredths of the axes
HEADER = 1.2
HEIGHTS = {"loop": 0.95, "alt": 0.95, "else": 0.95, "end": 0.35, "return": 0.75, "pop": 0.0}  # all others: 1
INCH_PER_ROW, WIDTH_INCHES = 0.31, 9.0


@dataclass
class _Pen:
    """Where the diagram is being drawn."""

    ax: Axes
    palette: Palette
    font: float
    y: float = HEADER
    bars: dict[str, list[float]] = field(default_factory=lambda: {lane: [] for lane in LANES})
    frames: list[tuple[str, float, str]] = field(default_factory=list)
    vm_changes: list[tuple[float, bool]] = field(default_factory=list)

    def colour(self, lane: str) -> str:
        p = self.palette
        return {"user": p.ink, "migration": p.send, "vm": p.run, "its": p.its}[lane]

    def tint(self, lane: str) -> str:
        p = self.palette
        return {"user": p.well, "migration": p.send_tint, "vm": p.run_tint, "its": p.its_tint}[lane]

    def edge(self, lane: str) -> float:
        """The right edge of the lifeline at this row, behind its open bars."""
        depth = len(self.bars[lane])
        return LANES[lane][1] + (BAR / 2 + (depth - 1) * NEST if depth else 0.0)

    def width(self, words: str) -> float:
        """About how wide words are, in hundredths of the axes."""
        inches = 0.62 * self.font * len(words) / 72
        return inches / (self.ax.get_window_extent().width / self.ax.figure.dpi) * 100

    def head(self, start: float, end: float, y: float, style: str = "-|>", **line: object) -> None:
        """A horizontal arrow from start to end."""
        look = {"color": self.palette.ink, "lw": 1.0, "shrinkA": 0, "shrinkB": 0, "mutation_scale": self.font * 0.85}
        self.ax.annotate("", (end, y), (start, y), zorder=5, arrowprops={**look, "arrowstyle": style, **line})

    def text(self, x: float, y: float, words: str, **style: object) -> None:
        options: dict[str, object] = {"fontsize": self.font, "color": self.palette.ink, "va": "center",
                                      "path_effects": halo(self.palette), "zorder": 6, **style}
        self.ax.text(x, y, words, **options)  # type: ignore[arg-type]


def sequence(trace: Trace, ax: Axes | None = None, palette: Palette = LIGHT) -> Axes:
    """Who calls whom from T0 to Tn+4, on the lifelines User, Migration thread, VM and ITS; returns the axes.

    Rows stand in the order of the Trace, one below the other, not to scale. Only what the Trace holds is drawn: a
    recording has few calls, so its diagram shows states, syncs and the kernel's ITS calls instead.
    """
    rows = story(trace)
    height = HEADER + sum(_height(row) for row in rows) + 0.6
    if ax is None:
        _, ax = plt.subplots(figsize=(WIDTH_INCHES, height * INCH_PER_ROW + 0.6), facecolor=palette.paper)
        ax.figure.subplots_adjust(left=0.02, right=0.98, top=0.96, bottom=0.03)
    ax.set_axis_off()
    ax.set_xlim(0, 100)
    ax.set_ylim(height, 0)
    box = ax.get_window_extent()
    dpi = ax.figure.dpi
    room = min(box.width / dpi / 8.6, box.height / dpi / (height * INCH_PER_ROW) * 1.03)
    pen = _Pen(ax, palette, 9.0 * min(max(room, 0.4), 1.15))
    for row in rows:
        _draw(pen, row)
    _close_all(pen)
    _lifelines(pen, trace)
    return ax


def _height(row: Row) -> float:
    return HEIGHTS.get(row.kind, 1.0)


def _draw(pen: _Pen, row: Row) -> None:
    y = pen.y + _height(row) / 2
    if row.mark:
        pen.text(1.0, y, row.mark, weight="bold", fontsize=pen.font)
    if row.kind in ("loop", "alt", "else"):
        _frame_opens(pen, row)
    elif row.kind == "end":
        _frame_closes(pen)
    elif row.kind == "note":
        _note(pen, row, y)
    elif row.kind in ("step", "call"):
        _self_arrow(pen, row, y)
    elif row.kind == "return":
        _returns(pen, row, y)
    elif row.kind == "pop":
        _close_one(pen, row.source, y)
    else:
        _arrow(pen, row, y)
    if row.stops or row.resumes:
        pen.vm_changes.append((y, row.resumes))
    pen.y += _height(row)


def _self_arrow(pen: _Pen, row: Row, y: float) -> None:
    """An arrow back to its own lifeline; at the ITS, the last lifeline, it stands at the left."""
    mirrored = row.source == "its"
    start = end = LANES["its"][1] - BAR / 2 if mirrored else pen.edge(row.source)
    if row.kind == "call":
        pen.bars[row.target].append(y)
        end = pen.edge(row.target)
    out = min(start, end) - 2.0 if mirrored else max(start, end) + 2.0
    pen.ax.plot([start, out, out], [y - 0.2, y - 0.2, y + 0.12], color=pen.palette.ink, lw=1.0, zorder=5)
    pen.head(out, end, y + 0.12)
    pen.text(out - 0.8 if mirrored else out + 0.8, y, row.text, ha="right" if mirrored else "left")


def _arrow(pen: _Pen, row: Row, y: float) -> None:
    forward = LANES[row.target][1] > LANES[row.source][1]
    start = pen.edge(row.source) if forward else LANES[row.source][1] - (BAR / 2 if pen.bars[row.source] else 0.0)
    if row.kind == "enter":
        pen.bars[row.target].append(y)
    end = LANES[row.target][1] - (BAR / 2 if forward and pen.bars[row.target] else 0.0)
    pen.head(start, end, y + 0.15)
    # a message that passes over the VM's lifeline is written in front of it
    reach = LANES["vm"][1] if (row.source, row.target) == ("migration", "its") else end
    pen.text((start + reach) / 2, y - 0.17, row.text, ha="center")


def _returns(pen: _Pen, row: Row, y: float) -> None:
    """The bars of `source` end here; dashed grey line back."""
    if not pen.bars[row.source]:
        return
    start = LANES[row.source][1] - BAR / 2
    _close(pen, row.source, y)
    pen.head(start, pen.edge(row.target), y, "->", color=pen.palette.edge, ls=(0, (4, 3)))


def _note(pen: _Pen, row: Row, y: float) -> None:
    """A box with a cut corner; at the VM and the ITS it stands at the left of the lifeline."""
    width = pen.width(row.text) + 2.4
    x = LANES[row.source][1]
    left = x - width - 1.6 if row.source == "vm" else min(x - width / 2, 99.5 - width)
    if row.source == "migration":
        left = x - 4.0
    top, bottom, cut = y - 0.36, y + 0.36, 1.1
    right = left + width
    corners = [(left, top), (right - cut, top), (right, top + 0.25), (right, bottom), (left, bottom)]
    pen.ax.add_patch(Polygon(corners, facecolor=pen.palette.paper, edgecolor=pen.colour(row.source), lw=1.1, zorder=7))
    pen.text(left + width / 2, y, row.text, ha="center", zorder=8)


def _frame_opens(pen: _Pen, row: Row) -> None:
    p = pen.palette
    y = pen.y + 0.5
    if row.kind == "else":
        left = 22.5 + 1.6
        pen.ax.plot([left, 78.4], [pen.y + 0.1] * 2, color=p.edge, lw=0.9, ls=(0, (4, 3)), zorder=1)
        pen.text(42.0, y, row.text, color=p.mute)
        return
    depth = len(pen.frames)
    pen.frames.append((row.kind, pen.y + 0.12, row.text))
    left = 22.5 + 1.6 * depth
    label = pen.width(row.kind) + 2.0
    corners = [(left, pen.y + 0.12), (left + label, pen.y + 0.12), (left + label, pen.y + 0.55),
               (left + label - 0.8, pen.y + 0.8), (left, pen.y + 0.8)]
    pen.ax.add_patch(Polygon(corners, facecolor=p.well, edgecolor=p.edge, lw=0.9, zorder=4))
    pen.text(left + label / 2 - 0.2, pen.y + 0.46, row.kind, ha="center", weight="bold")
    pen.text(42.0 if row.kind == "alt" else 36.0, y, row.text, color=p.mute)


def _frame_closes(pen: _Pen) -> None:
    _, top, _ = pen.frames.pop()
    inset = 1.6 * len(pen.frames)
    left, right = 22.5 + inset, 80.0 - inset
    pen.ax.add_patch(Rectangle((left, top), right - left, pen.y + 0.2 - top, fill=False, edgecolor=pen.palette.edge,
                               lw=0.9, zorder=1))


def _close(pen: _Pen, lane: str, y: float) -> None:
    """End all open bars of a lifeline here."""
    while pen.bars[lane]:
        _close_one(pen, lane, y)


def _close_one(pen: _Pen, lane: str, y: float) -> None:
    """Draw the innermost open bar of a lifeline and end it here."""
    if not pen.bars[lane]:
        return
    top, depth = pen.bars[lane].pop(), len(pen.bars[lane])
    left = LANES[lane][1] - BAR / 2 + depth * NEST
    pen.ax.add_patch(Rectangle((left, top), BAR, y - top, facecolor=pen.tint(lane), edgecolor=pen.colour(lane), lw=1.0,
                               zorder=3 + depth * 0.01))


def _close_all(pen: _Pen) -> None:
    for lane in LANES:
        _close(pen, lane, pen.y + 0.1)


def _lifelines(pen: _Pen, trace: Trace) -> None:
    bottom = pen.y + 0.5
    for lane, (name, x) in LANES.items():
        pen.text(x, 0.5, name, ha="center", weight="bold", zorder=9, fontsize=pen.font * 1.05, path_effects=[],
                 bbox={"boxstyle": "square,pad=0.35", "facecolor": pen.palette.paper, "edgecolor": pen.colour(lane),
                       "lw": 1.6})
        if lane != "vm":
            pen.ax.plot([x, x], [HEADER - 0.2, bottom], color=pen.palette.edge, lw=0.9, ls=(0, (2, 3)), zorder=0)
    top, runs, x = HEADER - 0.2, True, LANES["vm"][1]
    for y, resumes in [*pen.vm_changes, (bottom, True)]:
        style = {"color": pen.palette.run, "lw": 3.0} if runs else {"color": pen.palette.ink, "lw": 1.2, "ls": ":"}
        pen.ax.plot([x, x], [top, y], zorder=2, solid_capstyle="butt", **style)  # type: ignore[arg-type]
        top, runs = y, resumes
    if bottom > 8 and not any(e.lane == "its" for e in trace.select("its")):
        pen.text(LANES["its"][1] + 1.6, (HEADER + bottom) / 2, "no ITS call in this run", rotation=90, ha="center",
                 color=pen.palette.mute)
