"""The call tree of a Trace as text, one line a call, indented as it nests."""

from __future__ import annotations

from livemig.trace import Trace

__all__ = ["call_tree"]


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
