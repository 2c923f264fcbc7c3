"""Trace: passes and spans add up, for simulated and recorded runs; what is written is read again; hostile files."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import livemig
from livemig.scenario import MIB, Scenario
from livemig.trace import SCHEMA, Trace, TraceError

NAMES = ("b02", "b18", "c05", "l04", "v04", "d03", "k01", "k02", "s17")


@pytest.fixture(scope="module", params=[*NAMES, "simulated", "simulated 7.2", "not converging"])
def trace(request: pytest.FixtureRequest) -> Trace:
    scenarios = {"simulated": Scenario(), "simulated 7.2": Scenario(qemu_version="7.2"),
                 "not converging": Scenario(dirty_rate_bytes_per_s=90 * MIB, give_up_s=12)}
    if request.param in scenarios:
        return livemig.simulate(scenarios[request.param])
    return livemig.recording(request.param)


def test_passes_hold_every_byte_that_was_sent(trace):
    passes = trace.passes()
    sent = sum(int(e.data.get("bytes", 0)) for e in trace.select("send", "ram"))
    assert sum(p.sent_bytes for p in passes) == sent
    for one, following in pairwise(passes):
        assert one.start_s < one.end_s <= following.start_s
        assert one.number < following.number


def test_the_deciding_sync_has_no_pass_of_its_own(trace):
    numbers = [int(e.data["pass"]) for e in trace.select("sync")]
    shown = [p.number for p in trace.passes()]
    if trace.mark("Tn+1") is None:
        assert shown == numbers
    else:
        assert len(numbers) - len(shown) == 1
        assert trace.passes()[-1].final


def test_the_vm_is_running_or_stopped_at_every_moment(trace):
    spans = [s for s in trace.spans() if s.row == "vm"]
    assert spans[0].start_s == 0
    for one, following in pairwise(spans):
        assert one.end_s == following.start_s
        assert {one.what, following.what} == {"running", "stopped"}
    if trace.outcome.status == "completed":
        assert sum(s.end_s - s.start_s for s in spans if s.what == "stopped") > 0
    handlers = [s for s in trace.spans() if s.what == "handlers"]
    assert len(handlers) == (trace.mark("Tn+2") is not None)


def test_marks_are_in_the_seeds_order(trace):
    labels = [m.label for m in trace.marks()]
    passes = [label for label in labels if label[1:].isdigit()]
    assert passes == [f"T{i}" for i in range(len(passes))]
    assert labels[len(passes):] == ["Tn+1", "Tn+2", "Tn+3", "Tn+4"][: len(labels) - len(passes)]
    assert [m.t_s for m in trace.marks()] == sorted(m.t_s for m in trace.marks())


@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
def test_what_is_saved_is_loaded(trace, suffix, tmp_path):
    path = tmp_path / f"run{suffix}"
    trace.save(path)
    assert Trace.load(path).to_json() == json.loads(json.dumps(trace.to_json()))


def test_series_and_frame():
    trace = livemig.simulate(Scenario())
    t_s, threshold = trace.series("threshold")
    assert len(t_s) == len(threshold) == 50
    assert threshold[3] == 20_487_222 == int(6_829_074 / 100 * 300)
    assert list(trace.to_frame().columns) == ["t_s", "kind", "lane", "name", "depth", "data"]
    _, remaining = livemig.recording("b02").series("remaining")
    assert remaining[0] > remaining[-1]
    with pytest.raises(TraceError, match="series 'speed': neither one of pending"):
        trace.series("speed")


@pytest.mark.parametrize(("content", "message"), [
    ("", "not a complete JSON file"), ("{", "not a complete JSON file"), ("[]", "schema is 'list'"),
    ('{"schema": "other"}', "schema is 'other', expected 'livemig-trace/1'"),
    (json.dumps({"schema": SCHEMA, "columns": ["t"]}), "columns are"),
    (json.dumps({"schema": SCHEMA, "columns": ["t_s", "kind", "lane", "name", "depth", "data"], "meta": {},
                 "events": [[1]]}),
     "event 0 is not"),
    (json.dumps({"schema": SCHEMA, "columns": ["t_s", "kind", "lane", "name", "depth", "data"],
                 "meta": {}, "events": [[0, "dance", "vm", "x", 0, {}]]}), "event 0 has kind 'dance'")])
def test_broken_files_are_named(content, message, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(TraceError, match=message) as caught:
        Trace.load(path)
    assert "broken.json" in str(caught.value)


# few examples: most of what can be wrong is wrong in one of the first
JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4))


@settings(max_examples=60)
@given(JSON, JSON, JSON)
def test_no_json_gives_another_error_than_ours(meta, events, columns):
    for data in (meta, {"schema": SCHEMA, "meta": meta, "events": events, "columns": columns},
                 {"schema": SCHEMA, "meta": meta, "events": events,
                  "columns": ["t_s", "kind", "lane", "name", "depth", "data"]}):
        with suppress(TraceError):
            Trace.from_json(data)


def test_a_missing_file_is_an_os_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        Trace.load(tmp_path / "none.json")
