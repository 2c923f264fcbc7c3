"""Rooms of a program and who uses whom, as an N-squared chart.

The rooms stand on the diagonal. A room's line goes to the right; where it has a dot, a line goes down into the room
that it uses. Where the rooms are listed so that each uses only rooms after it, no line has to go back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from livemig.draw.palette import LIGHT, Palette
from livemig.draw.validation import FigureError

__all__ = ["room_chart"]

_HALF_WIDTH, _HALF_HEIGHT = 0.44, 0.3  # of a box, in units of the grid


def room_chart(rooms: Mapping[str, Sequence[str]], ax: Axes | None = None, palette: Palette = LIGHT) -> Axes:
    """Draw `rooms`: name -> the rooms that it uses, all of them later in the mapping.

    Raises `FigureError` when a room uses one that is not in the mapping, or one that stands before it.
    """
    places = {name: i for i, name in enumerate(rooms)}
    for name, used in rooms.items():
        for other in used:
            if places.get(other, -1) <= places[name]:
                raise FigureError(f"{name} uses {other}, which does not come after it in {', '.join(rooms)}")
    if ax is None:
        ax = plt.figure(figsize=(9.0, 5.4), layout="constrained", facecolor=palette.paper).subplots()
    for name, used in rooms.items():
        row, columns = places[name], [places[other] for other in used]
        if columns:
            ax.plot([row, max(columns)], [row, row], color=palette.edge, lw=1.1, zorder=1)
        ax.plot(columns, [row] * len(columns), "o", color=palette.ink, ms=5, zorder=3)
    for name, column in places.items():
        if users := [places[user] for user, used in rooms.items() if name in used]:
            ax.annotate("", (column, column - _HALF_HEIGHT), (column, min(users)), zorder=1,
                        arrowprops={"arrowstyle": "-|>", "color": palette.edge, "lw": 1.1, "shrinkA": 0, "shrinkB": 0})
        ax.add_patch(Rectangle((column - _HALF_WIDTH, column - _HALF_HEIGHT), 2 * _HALF_WIDTH, 2 * _HALF_HEIGHT,
                               facecolor=palette.well, edgecolor=palette.edge, lw=1, zorder=2))
        ax.text(column, column, name, ha="center", va="center", fontsize=9.5, color=palette.ink, zorder=4)
    ax.set(xlim=(-0.6, len(rooms) - 0.4), ylim=(len(rooms) - 0.5, -0.6))
    ax.axis("off")
    return ax
