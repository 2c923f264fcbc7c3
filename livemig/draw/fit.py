"""Text that never overlaps and is never cut: it is placed when the figure is drawn, at the size it is drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from livemig.draw.palette import Palette

__all__ = ["FitText", "SpreadLabels", "halo", "spread"]


def halo(palette: Palette) -> list[Any]:
    """A rim in the paper's colour, so that a line never cuts a word."""
    return [withStroke(linewidth=2.6, foreground=palette.paper)]


class FitText(Text):
    """A label inside [left, right] of the x axis: the first of its texts that fits is drawn, or none."""

    def __init__(self, ax: Axes, left: float, right: float, y: float, texts: Sequence[str], **style: Any) -> None:
        style = {"ha": "left", "va": "center", **style}
        super().__init__(left, y, texts[0] if texts else "", transform=ax.transData, clip_on=False, **style)
        self.span = (left, right)
        self.texts = tuple(texts)
        ax.add_artist(self)
        self.set_clip_path(None)

    def draw(self, renderer: RendererBase) -> None:
        """Choose the text for the present size, then draw it."""
        self.choose(renderer)
        super().draw(renderer)

    def choose(self, renderer: RendererBase) -> None:
        """Take the first text that fits between the two ends, with 3 px to spare at each side."""
        axes = self.axes
        assert axes is not None
        low, high = sorted(axes.get_xlim())
        left, right = max(self.span[0], low), min(self.span[1], high)
        (x0, _), (x1, _) = axes.transData.transform([(left, 0), (right, 0)])
        pad = 3.0 * _pixels_per_point(renderer)
        for text in (*self.texts, ""):
            self.set_text(text)
            if not text or (left < right and self.get_window_extent(renderer).width + 2 * pad <= x1 - x0):
                break
        anchor = {"left": x0 + pad, "right": x1 - pad}.get(self.get_horizontalalignment(), (x0 + x1) / 2)
        self.set_x(float(axes.transData.inverted().transform((anchor, 0))[0]))


class SpreadLabels(Artist):
    """Names above points of the x axis, moved apart, with a leader from each name to its point.

    Where there is no room for all, the least important lose their names and keep a tick: `keep` names those that stay
    longest.
    """

    def __init__(self, ax: Axes, points: Sequence[tuple[float, str]], y: float, palette: Palette,
                 keep: Sequence[str] = (), font_size: float = 9.0, rise: float = 17.0) -> None:
        super().__init__()
        self.points = sorted(points)
        self.keep = set(keep)
        self.y = y
        self.rise = rise
        self.labels = [Text(0, 0, name, fontsize=font_size, color=palette.ink, ha="center", va="bottom",
                            weight="bold") for _, name in self.points]
        self.leaders = [Line2D([], [], color=palette.edge, lw=0.8) for _ in self.points]
        self.shown: list[int] = []
        self.nameless: list[int] = []
        ax.add_artist(self)
        self.set_clip_on(False)
        self.set_zorder(5)
        figure = ax.get_figure()
        for artist in (*self.labels, *self.leaders):
            if figure is not None:
                artist.set_figure(figure)

    def draw(self, renderer: RendererBase) -> None:
        """Lay the names out for the present size, then draw them."""
        self.lay_out(renderer)
        for i in (*self.nameless, *self.shown):
            self.leaders[i].draw(renderer)
        for i in self.shown:
            self.labels[i].draw(renderer)

    def get_tightbbox(self, renderer: RendererBase | None = None) -> None:
        """The names lie inside the room that the axes keep for them."""

    def lay_out(self, renderer: RendererBase) -> None:
        """Positions in pixels of the names that have room."""
        axes = self.axes
        assert axes is not None
        box = axes.get_window_extent(renderer)
        px = _pixels_per_point(renderer)
        at = [float(axes.transData.transform((x, self.y))[0]) for x, _ in self.points]
        base = float(axes.transData.transform((0, self.y))[1])
        width = [label.get_window_extent(renderer).width + 6 * px for label in self.labels]
        inside = [i for i, x in enumerate(at) if box.x0 - 1 <= x <= box.x1 + 1]
        shown = list(inside)
        margin = 4 * px
        while sum(width[i] for i in shown) > box.width + 2 * margin or _crowded(shown, at, width):
            spare = [i for i in shown if self.points[i][1] not in self.keep]
            if not spare:
                break
            shown.remove(_most_crowded(spare, shown, at))
        places = spread([at[i] for i in shown], [width[i] for i in shown], box.x0 - margin, box.x1 + margin)
        for i, x in zip(shown, places, strict=True):
            self.labels[i].set_position((x, base + self.rise * px))
            self.leaders[i].set_data([at[i], at[i], x, x], [base, base + 5 * px, base + (self.rise - 4) * px,
                                                            base + (self.rise - 1) * px])
        self.nameless = [i for i in inside if i not in shown]
        for i in self.nameless:
            self.leaders[i].set_data([at[i], at[i]], [base, base + 5 * px])
        self.shown = shown


def _pixels_per_point(renderer: RendererBase) -> float:
    return float(renderer.points_to_pixels(1.0))  # type: ignore[arg-type]


def _crowded(shown: Sequence[int], at: Sequence[float], width: Sequence[float]) -> bool:
    """Whether names would end up far from their points: more than three widths of text over one spot."""
    return any(sum(width[j] for j in shown if abs(at[j] - at[i]) < 1.5 * width[i]) > 5 * width[i] for i in shown)


def _most_crowded(spare: Sequence[int], shown: Sequence[int], at: Sequence[float]) -> int:
    """The spare name nearest to its neighbours."""
    def gap(i: int) -> float:
        near = [abs(at[i] - at[j]) for j in shown if j != i]
        return min(near, default=0.0)
    return min(spare, key=lambda i: (gap(i), -i))


def spread(wanted: Sequence[float], widths: Sequence[float], low: float, high: float) -> list[float]:
    """Centres of intervals of these widths, in order, without overlap, inside [low, high] if they fit at all."""
    places = list(wanted)
    edge = low
    for i, width in enumerate(widths):
        places[i] = max(places[i], edge + width / 2)
        edge = places[i] + width / 2
    edge = high
    for i in range(len(places) - 1, -1, -1):
        places[i] = min(places[i], edge - widths[i] / 2)
        edge = places[i] - widths[i] / 2
    return places
