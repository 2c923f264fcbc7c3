"""Where a trace of model.js differs from Python's: order and whole numbers equal, times to 1e-9 relative."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from livemig.engine.coarse import MOST_PAGES, simulate_coarse
from livemig.engine.runstate import TransitionError
from livemig.scenario import Scenario

RELATIVE = 1e-9
LARGEST_WHOLE = 1 << 53  # beyond it JavaScript has no whole numbers, only doubles


def reference(fields: dict[str, Any], most_pages: int = MOST_PAGES) -> dict[str, Any]:
    """Python's trace of a scenario as plain JSON; `{"error": text}` where the engine refuses a state change."""
    try:
        trace = simulate_coarse(Scenario.from_dict(fields), most_pages)
    except TransitionError as error:
        return {"error": str(error)}
    meta = {key: value for key, value in trace.meta.items() if key != "functions"}
    return {"meta": meta, "events": trace.events}


def plain(value: Any) -> Any:
    """Tuples as lists, as JSON has them."""
    return json.loads(json.dumps(value))


def differences(python: dict[str, Any], javascript: dict[str, Any]) -> Iterator[str]:
    """Each place with both values, first the events in order, then the meta data."""
    meta = javascript["meta"]
    if "error" in python:
        yield from _unequal("error", python["error"], meta.get("error"))
        return
    ours, theirs = python["events"], javascript["events"]
    for i, (a, b) in enumerate(zip(ours, theirs, strict=False)):
        yield from _unequal(f"event {i}", list(a), b)
    if len(ours) != len(theirs):
        yield f"{len(ours)} events in Python, {len(theirs)} in JavaScript"
    yield from _unequal("meta", python["meta"], {key: meta[key] for key in meta if key != "functions"})


def _unequal(where: str, a: Any, b: Any) -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            yield f"{where}: keys {sorted(a)} and {sorted(b)}"
        for key in a.keys() & b.keys():
            yield from _unequal(f"{where}.{key}", a[key], b[key])
    elif isinstance(a, list | tuple) and isinstance(b, list):
        if len(a) != len(b):
            yield f"{where}: {len(a)} and {len(b)} items"
        for i, (one, two) in enumerate(zip(a, b, strict=False)):
            if one != two:
                yield from _unequal(f"{where}[{i}]", one, two)
    elif not _same(a, b):
        yield f"{where}: {a!r} in Python, {b!r} in JavaScript"


def _same(a: Any, b: Any) -> bool:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (a, b))
    if not numbers:
        return type(a) is type(b) and a == b
    if isinstance(a, int) and abs(a) < LARGEST_WHOLE:
        return a == b
    return math.isclose(a, b, rel_tol=RELATIVE, abs_tol=1e-15)
