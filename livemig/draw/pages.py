"""Passes as maps of a small guest's memory: a panel a pass, a cell a page.

Blue is sent in the pass; a hatch is left over to the next; white had no turn. An orange bar says that the guest wrote
the page in this pass: at the left, before its turn; at the right, after it; full width, the page had no turn. It
draws plain data (`engine.pages.PassPages` has these names), so this room needs no engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from livemig.draw.palette import LIGHT, Palette
from livemig.draw.validation import FigureError

__all__ = ["page_map"]

_BAR, _INSET = 0.17, 0.1  # height of the orange bar and its distance from the cell's border, in cells
_BEFORE, _AFTER, _NO_TURN = (_INSET, 0.5 - _INSET), (0.5, 0.5 - _INSET), (_INSET, 1 - 2 * _INSET)  # begin and width
_CELL_INCHES, _HEAD_INCHES = 0.3, 1.3


class OnePass(Protocol):
    """What is drawn of a pass: page numbers."""

    @property
    def number(self) -> int: ...
    @property
    def todo(self) -> tuple[int, ...]: ...
    @property
    def sent(self) -> tuple[int, ...]: ...
    @property
    def before(self) -> tuple[int, ...]: ...
    @property
    def after(self) -> tuple[int, ...]: ...
    @property
    def no_turn(self) -> tuple[int, ...]: ...
    @property
    def left(self) -> tuple[int, ...]: ...
    @property
    def stopped(self) -> bool: ...


def page_map(passes: Sequence[OnePass], pages: int, columns: int = 8, palette: Palette = LIGHT) -> Sequence[Axes]:
    """Draw passes over a guest of `pages` pages, `columns` in a row; returns the axes, one a pass.

    Raises `FigureError` without a pass or a page, and where a pass has a page that the guest has not.
    """
    if not passes or pages < 1 or columns < 1:
        raise FigureError(f"{len(passes)} passes, {pages} pages in rows of {columns}: nothing to draw")
    highest = max((page for one in passes for page in (*one.todo, *one.no_turn)), default=0)
    if highest >= pages:
        raise FigureError(f"page {highest}: the guest has pages 0 to {pages - 1}")
    rows = -(-pages // columns)
    width = max(len(passes) * (columns + 1) * _CELL_INCHES, 6.0)
    made = plt.figure(figsize=(width, rows * _CELL_INCHES + _HEAD_INCHES), layout="constrained",
                      facecolor=palette.paper)
    axes: list[Axes] = list(made.subplots(1, len(passes), squeeze=False)[0])
    for view, one in zip(axes, passes, strict=True):
        _panel(view, one, pages, columns, palette)
    _legend(made, palette)
    return axes


def _panel(view: Axes, one: OnePass, pages: int, columns: int, palette: Palette) -> None:
    sent, left, bars = set(one.sent), set(one.left), _bars(one)
    for page in range(pages):
        y, x = divmod(page, columns)
        fill = palette.send_tint if page in sent else palette.paper
        view.add_patch(Rectangle((x, y), 1, 1, facecolor=fill, edgecolor=palette.rule, lw=0.8))
        if page in left:
            view.add_patch(Rectangle((x, y), 1, 1, facecolor="none", edgecolor=palette.edge, hatch="////", lw=0.8))
        for begin, width in bars.get(page, ()):
            view.add_patch(Rectangle((x + begin, y + 1 - _INSET - _BAR), width, _BAR, facecolor=palette.dirty, lw=0))
        number = view.text(x + 0.5, y + 0.39, str(page), ha="center", va="center", fontsize=7,
                           color=palette.ink if page in sent or page in left or page in bars else palette.mute)
        if page in left:  # a ground, or the hatch would run through the digits
            number.set_bbox({"facecolor": fill, "edgecolor": "none", "pad": 1.0})
    view.set(xlim=(0, columns), ylim=(-(-pages // columns), 0), aspect="equal", xticks=[], yticks=[])
    for side in view.spines.values():
        side.set_color(palette.edge)
    state = "VM stopped" if one.stopped else "VM runs"
    view.set_title(f"after sync {one.number}, {state}\n{len(one.todo)} to send, {len(sent)} sent", fontsize=9,
                   color=palette.ink, loc="left")


def _bars(one: OnePass) -> dict[int, list[tuple[float, float]]]:
    """Orange bars of each written page: (begin, width), in cells."""
    bars: dict[int, list[tuple[float, float]]] = {}
    for pages, bar in ((one.before, _BEFORE), (one.after, _AFTER), (one.no_turn, _NO_TURN)):
        for page in pages:
            bars.setdefault(page, []).append(bar)
    return bars


def _legend(made: Figure, palette: Palette) -> None:
    keys = [Patch(facecolor=palette.send_tint, edgecolor=palette.rule, label="sent in this pass"),
            Patch(facecolor=palette.paper, edgecolor=palette.edge, hatch="////", label="left over"),
            Patch(facecolor=palette.dirty, label="written: left half before its turn,\nright half after it, "
                                                 "full width: the page had no turn in this pass")]
    made.legend(handles=keys, loc="outside lower left", ncols=3, frameon=False, fontsize=8, labelcolor=palette.ink)
