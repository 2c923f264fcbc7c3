"""States and the transitions that are allowed between them, with the path that one run took.

The table is handed in (`engine.runstate` has QEMU's), the path is read from a Trace. Allowed arrows are grey; those of
the run are teal and numbered in the order in which they were taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch
from matplotlib.text import Text

from livemig.draw.fit import halo
from livemig.draw.palette import LIGHT, Palette
from livemig.draw.validation import FigureError
from livemig.trace import Trace

__all__ = ["path_of", "transitions"]

_BEND = 0.13  # of an arrow, so that there and back are two lines


def path_of(trace: Trace, kind: str = "runstate", lane: str = "migration") -> list[tuple[str, str]]:
    """The transitions of one side in order: `kind` is "runstate" or "status"; `lane` "dst" is the other side."""
    there = lane == "dst"
    return [(str(e.data["old"]), str(e.data["new"])) for e in trace.select("state", kind) if (e.lane == "dst") == there]


def transitions(table: Mapping[str, Sequence[str]], path: Sequence[tuple[str, str]] = (), ax: Axes | None = None,
                palette: Palette = LIGHT) -> Axes:
    """Draw the states of `table` (state -> states that may follow) in a ring, and `path` over its arrows.

    Raises `FigureError` when the path takes a transition that the table has not.
    """
    for old, new in path:
        if new not in table.get(old, ()):
            raise FigureError(f"{old} -> {new}: the table has no such transition")
    if ax is None:
        ax = plt.figure(figsize=(8.0, 5.2), layout="constrained", facecolor=palette.paper).subplots()
    places = _ring(list(table))
    steps: dict[tuple[str, str], list[str]] = {}
    for number, pair in enumerate(path, start=1):
        steps.setdefault(pair, []).append(str(number))
    visited = {state for pair in path for state in pair}
    boxes = {state: _box(ax, state, place, state in visited, palette) for state, place in places.items()}
    ax.set(xlim=(-1.35, 1.35), ylim=(-1.2, 1.2))
    ax.axis("off")
    for old, following in table.items():
        for new in following:
            _arrow(ax, (boxes[old], boxes[new]), (places[old], places[new]), steps.get((old, new), []), palette)
    return ax


def _box(ax: Axes, state: str, place: tuple[float, float], visited: bool, palette: Palette) -> Text:
    fill, edge = (palette.run_tint, palette.run) if visited else (palette.paper, palette.edge)
    return ax.text(*place, state, ha="center", va="center", fontsize=10, color=palette.ink, zorder=1,
                   bbox={"boxstyle": "round,pad=0.45", "facecolor": fill, "edgecolor": edge})


def _ring(states: Sequence[str]) -> dict[str, tuple[float, float]]:
    turn = 2 * math.pi / max(len(states), 1)
    return {state: (math.cos(math.pi - i * turn), math.sin(math.pi - i * turn)) for i, state in enumerate(states)}


def _arrow(ax: Axes, boxes: tuple[Text, Text], places: tuple[tuple[float, float], tuple[float, float]],
           numbers: list[str], palette: Palette) -> None:
    """An arrow that ends at the boxes' edges; it is drawn after them, because only then are their sizes known."""
    colour, width, layer = (palette.run, 2.0, 3) if numbers else (palette.edge, 0.8, 2)
    begin, end = places
    ax.add_patch(FancyArrowPatch(begin, end, arrowstyle="-|>", mutation_scale=11, connectionstyle=f"arc3,rad={_BEND}",
                                 patchA=boxes[0].get_bbox_patch(), patchB=boxes[1].get_bbox_patch(), shrinkA=2,
                                 shrinkB=2, color=colour, lw=width, zorder=layer))
    if numbers:
        dx, dy = end[0] - begin[0], end[1] - begin[1]
        middle = (begin[0] + end[0]) / 2 + _BEND / 2 * dy, (begin[1] + end[1]) / 2 - _BEND / 2 * dx
        ax.text(*middle, ", ".join(numbers), color=palette.run, weight="bold", fontsize=11, ha="center", va="center",
                zorder=6, path_effects=halo(palette))
