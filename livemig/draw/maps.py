"""Maps of sweeps: two inputs on the axes, an outcome as shades, and the boundary beyond which nothing converges.

Theory of operation. A map draws what `livemig.sweep` returned for two fields. The boundary runs between the cells that
converge and those that do not. `beside` is another sweep over the same two fields (another model, another grid): its
boundary is drawn dashed, so that the textbook and QEMU's rules can be compared; where only one of the two converges, a
hatch says which. `runs` are migrations that took place:
a filled dot converged, a cross did not. A run is drawn where its other inputs are those of the map, within 5 %. With
`ratios` the axes are what the textbook's answer depends on, dirty rate / bandwidth and working set / threshold; every
run has a place there, and the textbook's boundary is the corner at (1, 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Protocol, TypeAlias

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from livemig.draw.palette import LIGHT, Palette
from livemig.draw.units import duration, size
from livemig.draw.validation import FigureError

__all__ = ["Mapped", "convergence_map", "ratios_of", "unshown_axes"]

VALUES = {"outcome": "", "total_time_s": "total time", "downtime_s": "downtime", "transferred_bytes": "bytes sent"}
MODELS = {"closed_form": "textbook", "rounds": "rounds with the pattern's curve", "qemu": "QEMU's rules"}
NEAR = 0.05
TICKS = 6
_OTHERS = ("ram_bytes", "dirty_rate_bytes_per_s", "working_set_bytes", "downtime_limit_s")
RATIOS = ("dirty rate / bandwidth", "working set / (bandwidth × downtime limit)")

Floats = NDArray[np.float64]
_Side: TypeAlias = tuple[Floats, Floats, NDArray[np.bool_], str]  # both axes, what converges, the model's name


class Mapped(Protocol):
    """What a map needs of a sweep."""

    @property
    def rows(self) -> NDArray[Any]:
        """The finished rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The grid's shape."""

    @property
    def model(self) -> str:
        """Which model answered."""

    @property
    def base(self) -> Any:
        """The scenario that gives all other inputs."""


_SIZE: Mapping[str, Any] = {"figsize": (7.6, 5.2), "layout": "constrained"}


def unshown_axes(palette: Palette = LIGHT) -> Axes:
    """Axes for a figure that goes into a file only: no window, nothing for pyplot to keep."""
    return Figure(**_SIZE, facecolor=palette.paper).subplots()


def convergence_map(swept: Mapped, value: str = "total_time_s", *, beside: Mapped | None = None,
                    runs: Iterable[Mapping[str, Any]] = (), ratios: bool = False, ax: Axes | None = None,
                    palette: Palette = LIGHT) -> Axes:
    """Draw a sweep over two fields: the first on the vertical axis, the second on the horizontal one.

    `value`: "outcome", "total_time_s", "downtime_s" or "transferred_bytes". `runs`: values of `Scenario`'s fields and
    `converged`, such as `livemig.lab.validate.recorded_runs()` gives. `ratios` needs dirty rate and working set as the
    fields. Raises `FigureError` for what cannot be drawn.
    """
    if value not in VALUES:
        raise FigureError(f"value = {value!r}: expected one of {', '.join(VALUES)}")
    x, y, names = _axes_of(swept, ratios)
    view = ax
    if view is None:
        _, view = plt.subplots(**_SIZE, facecolor=palette.paper)
    good = _cells(swept, "converges", names).astype(bool)
    mesh = _edges(x), _edges(y)
    view.pcolormesh(*mesh, np.where(good, np.nan, 1.0), vmin=0, vmax=1,
                    cmap=LinearSegmentedColormap.from_list("none", [palette.well, palette.rule]), rasterized=True)
    _shades(view, swept, value, names, mesh, good, palette)
    handles: list[Artist] = [_boundary(view, x, y, good, _label(swept), palette.dirty, "-")]
    if beside is not None:
        x2, y2, names2 = _axes_of(beside, ratios)
        if set(names2) != set(names):
            raise FigureError(f"beside: it is over {' and '.join(names2)}, the map over {' and '.join(names)}")
        there = _cells(beside, "converges", names).astype(bool)
        if names2 != names:
            x2, y2 = y2, x2
        handles.append(_boundary(view, x2, y2, there, _label(beside), palette.ink, "--"))
        handles += _disagreements(view, (x, y, good, _label(swept)), (x2, y2, there, _label(beside)), palette)
    handles += _dots(view, swept, list(runs), names, ratios, palette)
    _frame(view, names, (x, y), ratios, palette)
    view.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, -0.13), frameon=False, fontsize=9,
                labelcolor=palette.ink, ncols=2)
    title = "What converges" if value == "outcome" else f"What converges, and its {VALUES[value]}"
    view.set_title(f"{title} ({_label(swept)})", loc="left", color=palette.ink, fontsize=11)
    return view


def ratios_of(values: Mapping[str, Any]) -> tuple[float, float]:
    """A run's place with `ratios`: dirty rate over bandwidth, working set over the threshold, as the textbook has them.

    `values` are those of `Scenario`'s fields; the bandwidth is the slower of max-bandwidth and the link.
    """
    speed = _speed(values)
    rate = 0.0 if values["pattern"] == "idle" else values["dirty_rate_bytes_per_s"]
    return rate / speed, values["working_set_bytes"] / (speed * values["downtime_limit_s"])


def _speed(values: Mapping[str, Any]) -> float:
    given = [values[name] for name in ("bandwidth_bytes_per_s", "link_bytes_per_s") if values.get(name)]
    return float(min(given, default=values.get("memory_bytes_per_s", 2.6e9)))


def _label(swept: Mapped) -> str:
    return MODELS.get(swept.model, swept.model)


def _axes_of(swept: Mapped, ratios: bool) -> tuple[Floats, Floats, tuple[str, str]]:
    """Horizontal and vertical coordinates and the names (vertical, horizontal) of the grid's two fields."""
    names = tuple((swept.rows.dtype.names or ())[:len(swept.shape)])
    if len(swept.shape) != 2 or min(swept.shape) < 2:
        raise FigureError(f"a map needs a sweep over two fields with two values at least; this one is over "
                          f"{', '.join(names)} ({' x '.join(str(n) for n in swept.shape)})")
    if len(swept.rows) != swept.shape[0] * swept.shape[1]:
        raise FigureError(f"{len(swept.rows)} of {swept.shape[0] * swept.shape[1]} scenarios are done; "
                          "a map needs them all")
    y, x = (swept.rows[name].reshape(swept.shape) for name in names)
    if x.dtype.kind not in "iuf" or y.dtype.kind not in "iuf":
        raise FigureError(f"a map has numbers on both axes; {names[0]} or {names[1]} has none")
    across, up = x[0].astype(np.float64), y[:, 0].astype(np.float64)
    for name, axis in ((names[1], across), (names[0], up)):
        if len(np.unique(axis)) < len(axis) or not (np.diff(axis) > 0).all():
            raise FigureError(f"{name}: the values of a map's axis must rise from one to the next")
    if not ratios:
        return across, up, (names[0], names[1])
    if names != ("working_set_bytes", "dirty_rate_bytes_per_s"):
        raise FigureError("ratios: the sweep must be over working_set_bytes and dirty_rate_bytes_per_s, in this order")
    speed = _speed(vars(swept.base))
    return across / speed, up / (speed * swept.base.downtime_limit_s), (names[0], names[1])


def _cells(swept: Mapped, column: str, names: tuple[str, str]) -> NDArray[Any]:
    cells: NDArray[Any] = swept.rows[column].reshape(swept.shape)
    return cells if (swept.rows.dtype.names or ())[:2] == names else cells.T


def _shades(view: Axes, swept: Mapped, value: str, names: tuple[str, str], mesh: tuple[Floats, Floats],
            good: NDArray[np.bool_], palette: Palette) -> None:
    """What converges in blue, the darker the more; the rest stays grey."""
    colours = LinearSegmentedColormap.from_list("sent", [palette.send_tint, palette.send])
    if value == "outcome" or not good.any():
        view.pcolormesh(*mesh, np.where(good, 0.0, np.nan), cmap=colours, vmin=0, vmax=1,
                        rasterized=True)
        return
    cells = _cells(swept, value, names)
    positive = cells[good & (cells > 0)]
    low, high = (float(positive.min()), float(positive.max())) if len(positive) else (0.1, 1.0)
    norm = LogNorm(low, max(high, low * 1.01))
    drawn = view.pcolormesh(*mesh, np.where(good, np.maximum(cells, low), np.nan), cmap=colours, norm=norm,
                            rasterized=True)
    figure = view.get_figure()
    assert figure is not None
    words = size if value.endswith("_bytes") else duration
    base = 2 if value.endswith("_bytes") and high / low < 1e3 else 10
    bar = figure.colorbar(drawn, ax=view, format=FuncFormatter(lambda number, _: words(number)),
                          ticks=LogLocator(base, subs=(1.0, 2.0, 5.0) if base == 10 and high / low < 200 else (1.0,)))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.tick_params(colors=palette.mute, labelsize=9)
    bar.set_label(VALUES[value], color=palette.ink)


def _boundary(view: Axes, x: Floats, y: Floats, good: NDArray[np.bool_], label: str, colour: str,
              dashes: str) -> Line2D:
    """The line between cells that converge and cells that do not, along the cells' edges."""
    edges_x, edges_y = _edges(x), _edges(y)
    across = np.argwhere(good[:, 1:] != good[:, :-1])
    up = np.argwhere(good[1:] != good[:-1])
    path = [((edges_x[j + 1],) * 2, (edges_y[i], edges_y[i + 1])) for i, j in across]
    path += [((edges_x[j], edges_x[j + 1]), (edges_y[i + 1],) * 2) for i, j in up]
    flat_x = [value for xs, _ in path for value in (*xs, np.nan)]
    flat_y = [value for _, ys in path for value in (*ys, np.nan)]
    style: dict[str, Any] = {"color": colour, "lw": 2.0}
    view.plot(flat_x, flat_y, zorder=3, ls="-" if dashes == "-" else (0, (2, 1)), **style)
    return Line2D([], [], ls=dashes, label=f"boundary, {label}" + ("" if path else ": none here"), **style)


def _disagreements(view: Axes, mine: _Side, other: _Side, palette: Palette) -> list[Patch]:
    """Hatches over the cells of the map in which only one of two sweeps converges, looked up in the other's cells."""
    x, y, good, label = mine
    x2, y2, there, label2 = other
    across, up = (np.clip(np.searchsorted(_edges(theirs), ours, side="right") - 1, 0, len(theirs) - 1)
                  for theirs, ours in ((x2, x), (y2, y)))
    theirs = there[np.ix_(up, across)]
    edges_x, edges_y = _edges(x), _edges(y)
    handles = []
    for only, hatch, colour, words in ((theirs & ~good, "////", palette.ink, label2),
                                       (good & ~theirs, "\\\\\\\\", palette.dirty, label)):
        cells = [[(edges_x[j], edges_y[i]), (edges_x[j + 1], edges_y[i]), (edges_x[j + 1], edges_y[i + 1]),
                  (edges_x[j], edges_y[i + 1])] for i, j in np.argwhere(only)]
        if cells:
            view.add_collection(PolyCollection(cells, facecolors="none", edgecolors=colour, hatch=hatch, linewidths=0.0,
                                               zorder=2.5), autolim=False)
            handles.append(Patch(facecolor="none", edgecolor=colour, hatch=hatch, lw=0,
                                 label=f"converges by {words} only"))
    return handles


def _is_log(values: Floats) -> bool:
    return bool(values[0] > 0 and values[-1] > 10 * values[0])


def _edges(values: Floats) -> Floats:
    """Where cells meet: halfway between their middles, on the axis' scale; the outer cells end at their middle."""
    low, high = values[:-1], values[1:]
    middle = np.sqrt(high * low) if _is_log(values) else (high + low) / 2
    return np.concatenate((values[:1], middle, values[-1:]))


def _dots(view: Axes, swept: Mapped, runs: list[Mapping[str, Any]], names: tuple[str, str], ratios: bool,
          palette: Palette) -> list[Line2D]:
    """Runs that took place, those that belong on this map."""
    mine = runs if ratios else [run for run in runs if _belongs(run, swept.base, names)]
    handles = []
    for converged, marker, words in ((True, "o", "recorded, converged"), (False, "X", "recorded, did not converge")):
        places = [ratios_of(run) if ratios else (_place(run, names[1]), _place(run, names[0]))
                  for run in mine if bool(run["converged"]) is converged]
        if places:
            handles += view.plot(*zip(*places, strict=True), ls="", marker=marker, ms=6.5,
                                 mfc=palette.run if converged else palette.its, mec=palette.paper, mew=0.8, zorder=5,
                                 label=f"{words} ({len(places)})")
    return handles


def _place(run: Mapping[str, Any], name: str) -> float:
    return _speed(run) if name == "bandwidth_bytes_per_s" else float(run[name])


def _belongs(run: Mapping[str, Any], base: Any, names: tuple[str, str]) -> bool:
    """Whether the inputs that are not on the axes are those of the map, within 5 %."""
    known = {item.name: getattr(base, item.name) for item in fields(base)}
    pairs = [(float(run[name]), float(known[name])) for name in _OTHERS if name not in names]
    if "bandwidth_bytes_per_s" not in names and "link_bytes_per_s" not in names:
        pairs.append((_speed(run), _speed(known)))
    return all(abs(theirs - ours) <= NEAR * ours for theirs, ours in pairs)


def _frame(view: Axes, names: tuple[str, str], values: tuple[Floats, Floats], ratios: bool, palette: Palette) -> None:
    y_name, x_name = names
    for axis, name, here, words in ((view.xaxis, x_name, values[0], RATIOS[0]),
                                    (view.yaxis, y_name, values[1], RATIOS[1])):
        unit = "" if ratios else name
        if _is_log(here):
            (view.set_xscale if axis is view.xaxis else view.set_yscale)("log")
            axis.set_major_locator(LogLocator(4 if "bytes" in unit else 10, numticks=TICKS))
            axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda number, _, unit=unit: _words(number, unit)))
        axis.set_label_text(words if ratios else _plain_name(name), color=palette.ink)
    view.set_xlim(values[0][0], values[0][-1])
    view.set_ylim(values[1][0], values[1][-1])
    view.set_facecolor(palette.paper)
    view.tick_params(colors=palette.mute)
    for side in view.spines.values():
        side.set_color(palette.edge)


def _plain_name(field: str) -> str:
    for ending in ("_bytes_per_s", "_bytes", "_s"):
        if field.endswith(ending):
            return field.removesuffix(ending).replace("_", " ")
    return field.replace("_", " ")


def _words(number: float, field: str) -> str:
    if field.endswith("_bytes_per_s"):
        return f"{size(number)}/s"
    if field.endswith("_bytes"):
        return size(number)
    return duration(number) if field.endswith("_s") else f"{number:.3g}"
