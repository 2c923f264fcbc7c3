"""What happened in which order around the switchover: what can be compared where times cannot.

Landmarks are taken from a Trace under the names that QEMU, the kernel and QMP give them, each at its first time; the
source's in their order, then the destination's in theirs, because two processes have two orders. A model's destination
begins when it loads, so what a recorded one says of itself before (active) or after an error (failed) is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from livemig.trace import Event, Trace

__all__ = ["landmarks", "same_order"]

_SECTIONS = ("ram", "arm_gicv3", "arm_gicv3_its")


def landmarks(trace: Trace) -> tuple[list[str], list[str]]:
    """Of the source and of the destination, from the last exact count on (from T0, if there was none)."""
    counted = [e.t_s for e in trace.select("pending", "exact")]
    begin_s = max(counted, default=0.0)
    stop_s = trace.mark("Tn+2")
    seen: tuple[list[str], list[str]] = ([], [])
    for event in trace.events:
        side = seen[event.lane == "dst"]
        if event.t_s >= begin_s:
            side += [name for name in _names(event, stop_s) if name not in side]
    return seen


def _names(event: Event, stop_s: float | None) -> Iterator[str]:
    kind, name = event.kind, event.name
    if event.lane == "dst" and kind == "state" and event.data["new"] in ("active", "failed"):
        return
    if kind == "mark" and name in ("Tn+1", "Tn+3"):
        yield {"Tn+1": "low pending", "Tn+3": "the rest is sent"}[name]
    elif kind == "state":
        yield f"{name} {event.data['new']}"
    elif kind == "event" and name in ("STOP", "RESUME"):
        yield f"event {name}"
    elif kind == "its":
        yield name
    elif kind == "sync" and stop_s is not None and event.t_s > stop_s:
        yield "final sync"
    elif kind in ("send", "load") and name in _SECTIONS and stop_s is not None and event.t_s > stop_s:
        yield f"{kind} {name}"


def same_order(recorded: Trace, predicted: Trace) -> bool:
    """The recorded landmarks came in the predicted order, on both sides, and all that were recorded were predicted."""
    for seen, told in zip(landmarks(recorded), landmarks(predicted), strict=True):
        if seen != [name for name in told if name in seen]:
            return False
    return True
