"""The golden vectors' file: Python's traces of all cases, small enough for git.

Rows are numbers: which head (kind, lane, name, depth), which data of a pool, and a time only where it changes.
`write_vectors` makes the file anew, pytest compares it with the engine, `node --test` with model.js.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from livemig.engine.coarse import MOST_PAGES
from livemig.engine.model_tables import model_tables
from livemig.scenario import Scenario
from livemig.trace import Event
from tests.conformance.cases import MOST_ROWS, cases
from tests.conformance.compare import plain, reference

FORMAT = "livemig-golden-vectors/1"
FILE = Path(__file__).with_name("vectors.json.gz")


def tables_key(fields: dict[str, Any]) -> str:
    """Which ITS tables a scenario needs."""
    scenario = Scenario.from_dict(fields)
    return f"{scenario.its_devices} x {scenario.its_events_per_device}"


class _Pool:
    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, value: Any) -> int:
        return self.numbers.setdefault(json.dumps(value), len(self.numbers))

    def values(self) -> list[Any]:
        return [json.loads(text) for text in self.numbers]


def make() -> dict[str, Any]:
    """All vectors, from the engine as it is."""
    heads, pool = _Pool(), _Pool()
    tables: dict[str, Any] = {}
    vectors = []
    for name, fields, most_pages in cases():
        trace = reference(fields, most_pages or MOST_PAGES)
        if name.startswith("random") and len(trace.get("events", ())) > MOST_ROWS:
            continue
        key = tables_key(fields)
        if key not in tables:
            tables[key] = model_tables(Scenario.from_dict(fields))
        vectors.append(
            {"name": name, "fields": fields, "most_pages": most_pages, "tables": key} | _packed(trace, heads, pool)
        )
    shared = next(iter(tables.values()))
    return {
        "format": FORMAT,
        "shared": {k: v for k, v in shared.items() if k != "its"},
        "its": {key: one["its"] for key, one in tables.items()},
        "heads": heads.values(),
        "pool": pool.values(),
        "vectors": vectors,
    }


def _packed(trace: dict[str, Any], heads: _Pool, pool: _Pool) -> dict[str, Any]:
    if "error" in trace:
        return {"error": trace["error"]}
    head, data, times = [], [], []
    before = None
    for i, event in enumerate(trace["events"]):
        head.append(heads.number([event.kind, event.lane, event.name, event.depth]))
        data.append(pool.number(dict(event.data)))
        if event.t_s != before:
            times.append([i, event.t_s])
            before = event.t_s
    return {"meta": plain(trace["meta"]), "head": head, "data": data, "times": times}


def unpacked(file: dict[str, Any], vector: dict[str, Any]) -> dict[str, Any]:
    """One vector as `compare.reference` returns it."""
    if "error" in vector:
        return {"error": vector["error"]}
    times, events, t_s = dict(map(tuple, vector["times"])), [], 0.0
    for i, (head, data) in enumerate(zip(vector["head"], vector["data"], strict=True)):
        t_s = times.get(i, t_s)
        kind, lane, name, depth = file["heads"][head]
        events.append(Event(t_s, kind, lane, name, depth, file["pool"][data]))
    return {"meta": vector["meta"], "events": events}


def load() -> dict[str, Any]:
    """The file as it is in git."""
    return dict(json.loads(gzip.decompress(FILE.read_bytes())))


def write() -> dict[str, Any]:
    """Make the file anew; returns its contents."""
    file = make()
    FILE.write_bytes(gzip.compress(json.dumps(file, separators=(",", ":")).encode(), 9, mtime=0))
    return file
