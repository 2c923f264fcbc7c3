"""The calls of a Trace in words: a tree as text, the frames that lead to one function, the change-state handlers."""

from __future__ import annotations

from typing import Any

from livemig.trace import Event, Trace

__all__ = ["call_path", "call_tree", "handler_calls"]


def call_tree(trace: Trace, root: str, *, lane: str = "migration", files: bool = True) -> str:
    """The last call of `root` in a lane with everything it called, and what happened there (its, events, state).

    Functions are followed by their QEMU source file (`files`), facts stand in brackets. Raises ValueError when the
    trace has no such call: recordings hold few calls, simulated runs all.
    """
    starts = [i for i, e in enumerate(trace.events) if e.kind == "call" and e.lane == lane and e.name == root]
    if not starts:
        run = f"{trace.meta.get('source', 'this')} trace {trace.meta.get('id', '')}"
        raise ValueError(f"no call of {root!r} in lane {lane!r}: the {run} has none")
    first = trace.events[starts[-1]]
    where = trace.meta.get("functions", {})
    lines = []
    depth = 0
    for event in trace.events[starts[-1]:]:
        if event.lane == lane and event.kind == "call":
            depth = event.depth - first.depth
            file = event.data.get("file") or where.get(event.name, "")
            owner = f" of {event.data['owner']}" if "owner" in event.data else ""
            lines.append((f"{'  ' * depth}{event.name}{owner}", file if files else ""))
        elif event.kind in ("event", "its") and event.lane in (lane, "its"):
            inside = event.depth - first.depth if event.lane == lane else depth + 1
            lines.append((f"{'  ' * inside}[{event.name}]", ""))
        elif event.kind == "return" and event.lane == lane and event.depth == first.depth and event.name == root:
            break
    width = max(len(text) for text, _ in lines) + 2
    return "\n".join(f"{text:{width}}{file}".rstrip() for text, file in lines)


EARLIER = "its caller had called before"
_EARLIER_NAMES = 3


def call_path(trace: Trace, innermost: str, *, lane: str = "migration", of: str | None = None) -> list[dict[str, Any]]:
    """The frames that were open when `innermost` was last called in a lane, outermost first: a table's rows.

    `of`: whose handler, where several have the same name ("ITS"). The column `EARLIER` names the last functions that
    the caller had called in the same frame. Raises ValueError when the trace has no such call.
    """
    where = trace.meta.get("functions", {})
    frames: list[tuple[Event, list[str]]] = []
    called: dict[int, list[str]] = {}  # by depth: recordings have few calls, so a frame may be missing between two
    found: list[dict[str, Any]] = []
    for event in trace.select(lane=lane):
        if event.kind not in ("call", "return"):
            continue
        frames = [one for one in frames if one[0].depth < event.depth]
        if event.kind == "return":
            continue
        frames.append((event, list(called.get(event.depth, ()))))
        called = {depth: names for depth, names in called.items() if depth <= event.depth}
        called.setdefault(event.depth, []).append(event.name)
        if event.name == innermost and of in (None, event.data.get("owner")):
            found = [{"function": one.name, "file": one.data.get("file") or where.get(one.name, ""), "t_s": one.t_s,
                      EARLIER: _last_names(earlier)} for one, earlier in frames]
    if not found:
        whose = "" if of is None else f" of {of!r}"
        run = f"{trace.meta.get('source', 'this')} trace {trace.meta.get('id', '')}"
        raise ValueError(f"no call of {innermost!r}{whose} in lane {lane!r}: the {run} has none")
    return found


def _last_names(names: list[str]) -> str:
    distinct = list(dict.fromkeys(names))
    return ", ".join(["...", *distinct[-_EARLIER_NAMES:]] if len(distinct) > _EARLIER_NAMES else distinct)


def handler_calls(trace: Trace) -> list[dict[str, Any]]:
    """Every call of a change-state handler, in order: a table's rows (times in seconds since T0)."""
    return [{"t_s": e.t_s, "side": "destination" if e.lane == "dst" else "source",
             "VM": "start" if e.data["running"] else "stop", "round": e.data.get("phase", ""),
             "of": e.data.get("owner", ""), "handler": e.name, "priority": e.data["priority"]}
            for e in trace.select("call") if "priority" in e.data]
