"""The golden vectors are what Python's engine says today; node --test checks model.js against the same file."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from livemig.engine.coarse import MOST_PAGES
from livemig.scenario import PATTERNS, SAVE_MOMENTS, Scenario
from tests.conformance.cases import cases
from tests.conformance.compare import differences, plain, reference
from tests.conformance.vectors import load, make, unpacked

HINT = "run python -m tests.conformance.write_vectors if the engine was meant to change"


@cache
def golden() -> dict[str, Any]:
    return load()


def test_vectors_are_the_engines_own():
    file = golden()
    stale = []
    for vector in file["vectors"]:
        trace = reference(vector["fields"], vector["most_pages"] or MOST_PAGES)
        if "error" in trace:
            found = [] if trace == {"error": vector.get("error")} else [f"refused: {trace['error']}"]
        elif "error" in vector:
            found = [f"no longer refused: {vector['error']}"]
        else:
            trace = {"meta": trace["meta"], "events": [list(event) for event in trace["events"]]}
            found = list(differences(unpacked(file, vector), plain(trace)))
        if found:
            stale.append(f"{vector['name']}: {found[0]}")
    assert not stale, f"{len(stale)} vectors are stale; {HINT}:\n" + "\n".join(stale[:5])


def test_vectors_hold_every_case_and_the_engines_tables():
    file, now = golden(), make()
    assert [v["name"] for v in file["vectors"]] == [v["name"] for v in now["vectors"]], HINT
    assert file["its"] == plain(now["its"]), HINT
    ours, theirs = dict(now["shared"]), dict(file["shared"])
    assert theirs.pop("functions").items() <= ours.pop("functions").items(), HINT
    assert theirs == plain(ours), HINT


def test_vectors_cover_what_they_should():
    vectors = golden()["vectors"]
    assert len(vectors) >= 200
    scenarios = [Scenario.from_dict(v["fields"]) for v in vectors]
    seen = {(s.pattern, s.switchover_rule, s.qemu_version) for s in scenarios}
    assert {(p, r, v) for p in PATTERNS for r in ("qemu", "fixed") for v in ("10.0", "7.2")} <= seen
    assert {(m, v) for m in SAVE_MOMENTS for v in ("10.0", "7.2")} <= {
        (s.save_tables_when, s.qemu_version) for s in scenarios
    }
    assert {"completed", "cancelled", "failed"} <= {v["meta"]["outcome"]["status"] for v in vectors if "meta" in v}
    assert sum("coarsened_page_bytes" in v.get("meta", {}) for v in vectors) >= 10
    names = [name for name, _, _ in cases()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("change", ["order", "whole number", "time", "missing event"])
def test_the_comparison_sees_a_change(change):
    python = reference({})
    trace = plain({"meta": python["meta"], "events": [list(e) for e in python["events"]]})
    assert not list(differences(python, trace))
    events = trace["events"]
    if change == "order":
        events[10], events[11] = events[11], events[10]
    elif change == "whole number":
        next(e for e in events if e[1] == "sync")[5]["new_dirty_pages"] += 1
    elif change == "time":
        events[-1][0] *= 1 + 3e-9
    else:
        del events[-1]
    assert list(differences(python, trace))
