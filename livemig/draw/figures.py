"""Figures of a Trace in matplotlib: timeline, pending curve, sequence diagram. Each takes `ax=` and returns its axes.

They draw what the Trace has and invent nothing, so a recording and a simulated run look alike. `recorded=` puts
another run beside the first one. Labels place themselves when the figure is drawn, so they neither overlap
nor are cut.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from livemig.draw.fit import halo
from livemig.draw.lens import Panels, Switchover, panels
from livemig.draw.maps import convergence_map
from livemig.draw.palette import LIGHT, Palette
from livemig.draw.policies import comparison
from livemig.draw.sequence import sequence
from livemig.draw.timerows import ROWS, draw_gaps, draw_key, draw_mark_names, draw_rows
from livemig.draw.units import duration, size
from livemig.trace import Event, Trace

__all__ = ["comparison", "convergence_map", "pending", "sequence", "timeline"]

ALWAYS = ("T0", "T1", "Tn+1", "Tn+2", "Tn+4")
DOCUMENTS_THRESHOLD_BYTES = 64 << 10  # "usually 64 KB", says the project's founding document
LOWEST_BYTES = 4 << 10  # one page; below it the axis is linear down to 0
BURST_POINTS = 17
WIDE_POINTS = 4.0  # the curve under another run's dashes


def timeline(trace: Trace, ax: Axes | None = None, recorded: Trace | None = None,
             palette: Palette = LIGHT) -> Panels:
    """Marks T0 .. Tn+4, the passes, when the VM ran or stood, and what the migration thread did.

    `recorded` adds a strip with another run's passes below the first one's. Returns the axes of the whole run and of
    the lens on the switchover.
    """
    axes, seen = panels(trace, ax, palette, 3.1)
    draw_rows(axes.whole, trace, recorded, palette, 0.0, 1.0)
    draw_mark_names(axes.whole, trace, palette, 0.0, 1.0, ALWAYS)
    axes.whole.set_yticks(list(ROWS.values()), list(ROWS))
    axes.whole.tick_params(axis="y", length=0, labelcolor=palette.ink)
    if recorded is not None:
        other = "recorded" if recorded.meta.get("source") == "recorded" else "model"
        axes.whole.set_yticks([*ROWS.values(), ROWS["Passes"] - 0.5], [*ROWS, other])
    if axes.lens is not None and seen is not None:
        draw_rows(axes.lens, trace, None, palette, seen.stop_s, 1e3)
        draw_mark_names(axes.lens, trace, palette, seen.stop_s, 1e3, ("Tn+1", "Tn+2", "Tn+3", "Tn+4"))
        axes.lens.set_yticks([])
    axes.ax.set_title(_headline(trace), loc="left", color=palette.ink, fontsize=11, pad=24)
    draw_key(axes.whole, trace, palette)
    return axes


def pending(trace: Trace, ax: Axes | None = None, recorded: Trace | None = None,
            palette: Palette = LIGHT) -> Panels:
    """Bytes still to send against the threshold: the curve, the exact counts after syncs (diamonds), both thresholds.

    `recorded` adds another run as dashes on the same seconds, on top of the curve. The vertical axis is logarithmic
    from one page up and linear below, so that 0 has a place.
    """
    axes, seen = panels(trace, ax, palette, 4.2)
    views: list[tuple[Axes, float, float]] = [(axes.whole, 0.0, 1.0)]
    if axes.lens is not None and seen is not None:
        views.append((axes.lens, seen.stop_s, 1e3))
    top = max([4 * DOCUMENTS_THRESHOLD_BYTES, *(v for _, v in _curve(trace) if v == v)]) * 4
    for view, zero_s, scale in views:
        _byte_axis(view, top, palette)
        beside = recorded is not None and view is axes.whole
        _line(view, trace, zero_s, scale, color=palette.dirty, lw=WIDE_POINTS if beside else 1.6)
        if recorded is not None and beside:  # on top: where both runs agree, the dashes lie on the wider curve
            _line(view, recorded, zero_s, scale, color=palette.ink, lw=1.3, ls=(0, palette.other_dashes))
        _exact(view, trace, zero_s, scale, palette)
        _thresholds(view, trace, zero_s, scale, palette)
        if seen is not None:
            _stopped_band(view, seen, zero_s, scale, palette)
        draw_gaps(view, trace, palette, zero_s, scale, LOWEST_BYTES)
    if axes.lens is not None:
        axes.lens.set_yticklabels([])
    _pending_labels(axes.whole, trace, recorded, palette)
    axes.ax.set_title(_headline(trace), loc="left", color=palette.ink, fontsize=11, pad=8)
    return axes


ENDED = ("completed", "failed", "cancelled")


def _who(trace: Trace) -> str:
    name = str(trace.meta.get("id", ""))
    return f"recorded {name}".strip() if trace.meta.get("source") == "recorded" else "model"


def _headline(trace: Trace) -> str:
    outcome = trace.outcome
    who = _who(trace)
    if outcome.status == "completed" and outcome.total_time_s is not None:
        told = [f"{who}: completed in {duration(outcome.total_time_s)}"]
        told += [] if outcome.downtime_s is None else [f"downtime {duration(outcome.downtime_s)}"]
        told += [] if outcome.transferred_bytes is None else [f"{size(outcome.transferred_bytes)} sent"]
        return ", ".join(told)
    if outcome.status == "none":
        return f"{who}: no migration, {duration(trace.end_s)}"
    if outcome.status not in ENDED:
        waits = "" if outcome.guest_runs_on else ", nobody runs the guest"
        return f"{who}: still in state {outcome.status} after {duration(trace.end_s)}{waits}"
    return f"{who}: {outcome.status} at {duration(trace.end_s)}"


# -- pending ----------------------------------------------------------------------------------------------------------
def _curve(trace: Trace) -> Iterator[tuple[float, float]]:
    """(t, bytes) along the pending curve: flat while the thread sleeps, falling in a burst, jumping at a sync.

    At a gap the value is nan, which no line is drawn to.
    """
    page = float(trace.meta.get("scenario", {}).get("page_bytes", 4096))
    now: float | None = None
    for event in sorted(_pending_events(trace), key=lambda e: e.t_s):
        if event.kind == "gap":
            yield from [(event.t_s, value) for value in (now, np.nan) if value is not None]
            now = None
            continue
        if event.kind == "send" and now is None:
            continue
        if event.kind == "send" and now is not None:
            pages = event.data.get("pages", 0) + event.data.get("zero_pages", 0)
            left = max(now - pages * page, 0.0)
            start_s = float(event.data.get("start_s", event.t_s))
            for share in 1.0 - np.linspace(1.0, 0.0, BURST_POINTS) ** 4:  # close together where the logarithm is steep
                yield start_s + share * (event.t_s - start_s), now + share * (left - now)
            now = left
            continue
        value = float(event.data["remaining_bytes" if event.kind == "sync" else "size_bytes"])
        if now is not None:
            yield event.t_s, now
        now = value
        yield event.t_s, now
    if now is not None:
        yield trace.end_s, now


def _pending_events(trace: Trace) -> Iterator[Event]:
    for event in trace.events:
        counted = event.kind == "pending" or (event.kind == "sync" and event.data.get("remaining_bytes") is not None)
        mine = event.lane == "migration" and (event.kind == "gap" or (event.kind == "send" and event.name == "ram"))
        if counted or mine:
            yield event


def _line(view: Axes, trace: Trace, zero_s: float, scale: float, **style: object) -> None:
    points = np.array(list(_curve(trace)), dtype=np.float64).reshape(-1, 2)
    view.plot((points[:, 0] - zero_s) * scale, points[:, 1], solid_joinstyle="round", **style)  # type: ignore[arg-type]


def _exact(view: Axes, trace: Trace, zero_s: float, scale: float, palette: Palette) -> None:
    t_s, value = trace.series("exact")
    view.plot((t_s - zero_s) * scale, value, ls="", marker="D", ms=4.5, mfc=palette.paper, mec=palette.dirty, mew=1.2,
              zorder=4)


def _thresholds(view: Axes, trace: Trace, zero_s: float, scale: float, palette: Palette) -> None:
    view.axhline(DOCUMENTS_THRESHOLD_BYTES, color=palette.ink, lw=0.8, ls=(0, (1, 2)))
    t_s, value = trace.series("threshold")
    if len(t_s):
        view.step((np.append(t_s, max(trace.end_s, t_s[-1])) - zero_s) * scale, np.append(value, value[-1]),
                  where="post", color=palette.ink, lw=1.3, ls=(0, (5, 2)))


def _stopped_band(view: Axes, seen: Switchover, zero_s: float, scale: float, palette: Palette) -> None:
    """Hatch along the foot of the plot while the VM is stopped."""
    view.axvspan((seen.stop_s - zero_s) * scale, (seen.runs_again_s - zero_s) * scale, ymin=0.0, ymax=0.035,
                 facecolor=palette.paper, edgecolor=palette.ink, hatch=palette.stop_hatch, lw=0.6, zorder=3)


def _byte_axis(view: Axes, top: float, palette: Palette) -> None:
    view.set_yscale("symlog", base=2, linthresh=LOWEST_BYTES, linscale=0.7)
    view.set_ylim(-LOWEST_BYTES * 0.45, top)
    ticks = [0, *(LOWEST_BYTES << shift for shift in range(0, 40, 4) if LOWEST_BYTES << shift <= top)]
    view.yaxis.set_major_locator(FixedLocator(ticks))
    view.yaxis.set_minor_locator(NullLocator())
    view.set_yticklabels([size(tick) for tick in ticks])
    view.grid(axis="both", color=palette.rule, lw=0.7)
    view.set_axisbelow(True)


def _pending_labels(view: Axes, trace: Trace, recorded: Trace | None, palette: Palette) -> None:
    """Names beside what they name: curve, threshold, the document's threshold, and the other run."""
    def name(y: float, words: str, colour: str, above: bool = True, bold: bool = False) -> None:
        view.text(0.012, y * (1.12 if above else 0.85), words, color=colour, fontsize=9,
                  weight="bold" if bold else "normal", transform=view.get_yaxis_transform(),
                  va="bottom" if above else "top", path_effects=halo(palette))

    _, threshold = trace.series("threshold")
    value = float(threshold[-1]) if len(threshold) else 0.0
    # Pending is mostly above the threshold, so its name goes below the line, unless the document's name is there.
    near = DOCUMENTS_THRESHOLD_BYTES <= value < DOCUMENTS_THRESHOLD_BYTES * 32
    if value != DOCUMENTS_THRESHOLD_BYTES:
        name(DOCUMENTS_THRESHOLD_BYTES, "the document's 64 KiB", palette.mute, above=not near)
    if value > 0:
        name(value, _threshold_words(trace, value), palette.ink, above=near, bold=True)
    first = next((v for _, v in _curve(trace)), None)
    if first:
        name(first * 1.15, "pending", palette.dirty, bold=True)
    if recorded is not None:
        view.text(0.995, 0.985, f"- - -  {_who(recorded)}", transform=view.transAxes, ha="right", va="top", fontsize=9,
                  color=palette.ink, path_effects=halo(palette))


def _threshold_words(trace: Trace, value: float) -> str:
    scenario = trace.meta.get("scenario", {})
    if scenario.get("switchover_rule") == "fixed":
        return f"threshold {size(value)}, fixed"
    limit = scenario.get("downtime_limit_s")
    return f"threshold {size(value)}" + (f" = bandwidth × {duration(limit)}" if limit else "")
