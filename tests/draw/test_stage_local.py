"""The stage whose browser computes: what the kernel is asked, presets, recordings, refusals in the same words."""

import json
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest

from livemig.draw.presets import LECTURE, Preset, whole
from livemig.draw.stage import Stage
from livemig.engine import simulate
from livemig.engine.model_tables import model_tables
from livemig.lab.convert import to_trace
from livemig.lab.recording import load_recording
from livemig.scenario import ITS_AREA_BYTES, MIB, Scenario, ScenarioError
from livemig.trace import Trace

STATIC = Path(__file__).resolve().parents[2] / "livemig/draw/static"


def run(values: dict[str, Any]) -> Trace:
    return simulate(Scenario.from_dict(values))


def send(stage: Stage, **inputs: Any) -> None:
    stage._handle_custom_msg({"type": "simulate", "id": "v-1", "inputs": inputs}, [])


def node(node_path: Path, code: str, data: Any) -> Any:
    """Run an ES module that reads `data` from stdin and prints JSON."""
    done = subprocess.run([node_path, "--input-type=module", "-e", code], input=json.dumps(data), capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def uri(name: str) -> str:
    return json.dumps((STATIC / name).as_uri())


def local_stage(**more: Any) -> tuple[Stage, list[dict[str, Any]]]:
    """A stage whose browser computes, and what its kernel was asked to compute."""
    asked: list[dict[str, Any]] = []

    def counted(values: dict[str, Any]) -> Trace:
        asked.append(values)
        return run(values)

    stage = Stage(simulate=counted, scenario=Scenario(), tables=lambda f: model_tables(Scenario.from_dict(f)), **more)
    asked.clear()
    return stage, asked


def test_a_slider_in_the_browser_asks_the_kernel_nothing_until_somebody_wants_the_trace() -> None:
    stage, asked = local_stage()
    assert stage._packed == {}
    for rate in (5.0, 6.0, 7.0):
        stage.set_state({"dirty_rate_bytes_per_s": rate * MIB})
    assert asked == []
    assert stage.trace.outcome == run({"dirty_rate_bytes_per_s": 7.0 * MIB}).outcome
    assert stage.trace is stage.trace
    assert len(asked) == 1


def test_who_observes_the_trace_has_it_computed_at_each_change() -> None:
    stage, _ = local_stage()
    seen: list[Any] = []
    stage.observe(lambda change: seen.append(change["new"]), names=["trace"])
    stage.set_state({"dirty_rate_bytes_per_s": 5.0 * MIB})
    assert [t.outcome for t in seen] == [run({"dirty_rate_bytes_per_s": 5.0 * MIB}).outcome]
    stage.set_state({"ram_bytes": 1 << 20})
    assert "working_set_bytes" in stage._status["error"]


def test_an_input_set_in_python_is_computed_at_once_and_checked() -> None:
    stage, asked = local_stage()
    stage.qemu_version = "7.2"
    assert len(asked) == 1
    assert stage._packed == {}  # the browser computes its own picture
    with pytest.raises(ScenarioError, match="dirty_rate"):
        stage.dirty_rate_bytes_per_s = -1.0


def test_a_pushed_trace_is_shown_until_an_input_changes() -> None:
    stage, _ = local_stage()
    stage.trace = simulate(Scenario(qemu_version="7.2"))
    assert (stage._shown, stage._packed["meta"]["qemu_version"][:3]) == ("trace", "7.2")
    stage.dirty_rate_bytes_per_s = 5.0 * MIB
    assert stage._shown == ""
    assert stage.trace.outcome == run({"dirty_rate_bytes_per_s": 5.0 * MIB}).outcome


def test_a_preset_sets_fields_that_have_no_control() -> None:
    stage, _ = local_stage()
    fields = {**stage._fields, **LECTURE[5].fields}
    stage.set_state({"_fields": fields, **{name: fields[name] for name in stage.traits() if name in fields}})
    assert stage.trace.meta["scenario"]["writer_start_writes"] == 32472.576


def test_a_recording_is_chosen_by_name() -> None:
    taken: list[str] = []

    def recording(name: str) -> Trace:
        taken.append(name)
        return simulate(Scenario(qemu_version="7.2"))

    stage, asked = local_stage(recordings=["b05", "n11"], recording=recording)
    stage._handle_custom_msg({"type": "recording", "id": "r", "name": "n11"}, [])
    assert (list(stage._library), stage._status) == (["n11"], {"reply": "r", "error": ""})
    stage.set_state({"_shown": "n11"})
    assert stage.trace.meta["qemu_version"].startswith("7.2")
    stage._handle_custom_msg({"type": "recording", "id": "s", "name": "z9"}, [])
    assert "no recording 'z9'" in stage._status["error"]
    assert asked == []


def test_another_number_of_devices_gets_other_tables() -> None:
    stage, _ = local_stage()
    stage.set_state({"_fields": {**stage._fields, "its_devices": 9}})
    assert stage._tables["its"]["devices"] == 9


def test_contents_stay_with_the_kernel() -> None:
    scenario = Scenario(contents=True, ram_bytes=64 * MIB, working_set_bytes=8 * MIB)
    stage = Stage(simulate=run, scenario=scenario, tables=lambda f: model_tables(Scenario.from_dict(f)))
    assert stage._tables == {}
    send(stage, dirty_rate_bytes_per_s=5.0 * MIB)
    assert stage._packed["meta"]["scenario"]["dirty_rate_bytes_per_s"] == 5.0 * MIB


def python_refuses(fields: dict[str, Any]) -> str:
    try:
        Scenario.from_dict(fields)
    except ScenarioError as error:
        return str(error)
    return ""


PROBLEM = """
import { readFileSync } from "node:fs";
const { problemOf } = await import(%s);
const { cases, controls, area } = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map((fields) => problemOf(fields, controls, area))));
"""


def test_the_browser_refuses_what_python_refuses_in_the_same_words(node_path: Path) -> None:
    """Over random values of the stage's inputs, also those outside the sliders."""
    random = Random(20260701)
    cases = []
    for _ in range(600):
        change = {"ram_bytes": 4096 * random.randrange(0, 1 << random.randrange(1, 30)),
                  "working_set_bytes": 4096 * random.randrange(0, 1 << random.randrange(1, 20)),
                  "dirty_rate_bytes_per_s": random.choice([-1.0, 0.0, 1e6, 1e15]),
                  "bandwidth_bytes_per_s": random.choice([None, 0.0, 1e8]),
                  "downtime_limit_s": random.choice([0.3, -2.0, 3000.0]),
                  "pattern": random.choice(["idle", "sequential", "uniform"])}
        names = random.sample(sorted(change), random.randrange(1, 4))
        cases.append({**Scenario().to_dict(), **{name: change[name] for name in names}})
    data = {"cases": cases, "controls": Stage(simulate=run, scenario=Scenario())._controls, "area": ITS_AREA_BYTES}
    said = node(node_path, PROBLEM % uri("checks.js"), data)
    wrong = 0
    for fields, sentence in zip(cases, said, strict=True):
        told = python_refuses(fields)
        wrong += bool(told)
        changed = [n for n in fields if fields[n] != Scenario().to_dict()[n]]
        assert bool(sentence) == bool(told), fields
        assert sentence == told or len(changed) > 1, fields  # of several reasons either may be said
    assert 150 < wrong < 550


@pytest.mark.parametrize("made_for_10", [
    {"multifd_channels": 2}, {"avail_switchover_bandwidth_bytes_per_s": 1234567.0},
    {"avail_switchover_bandwidth_bytes_per_s": 1.25e9}, {"switchover_ack": True, "return_path": True}, {}])
def test_the_browser_refuses_the_older_version_for_what_only_the_newer_has(node_path: Path, made_for_10) -> None:
    fields = {**Scenario().to_dict(), **made_for_10}
    cases = [fields, {**fields, "qemu_version": "7.2"}]
    data = {"cases": cases, "controls": Stage(simulate=run, scenario=Scenario())._controls, "area": ITS_AREA_BYTES}
    assert node(node_path, PROBLEM % uri("checks.js"), data) == [python_refuses(case) for case in cases]
    assert bool(python_refuses(cases[1])) == bool(made_for_10)


@pytest.mark.parametrize("preset", LECTURE, ids=lambda one: one.name)
@pytest.mark.parametrize("start", [Scenario(), Scenario(downtime_limit_s=0.03, pattern="hot_cold")], ids=["", "other"])
def test_each_preset_shows_what_its_name_says_wherever_the_stage_started(preset: Preset, start: Scenario) -> None:
    fields = next(one["fields"] for one in whole(LECTURE, start) if one["name"] == preset.name)
    trace, by_rate = (run({**start.to_dict(), **fields, **more}) for more in ({}, {"switchover_rule": "qemu"}))
    outcome = trace.outcome
    rate, limit = (trace.meta["scenario"][n] for n in ("dirty_rate_bytes_per_s", "bandwidth_bytes_per_s"))
    loop = [one for one in trace.passes() if not one.final]
    lost = trace.meta["its"]["report"]["lost"] if outcome.status == "completed" else []
    shown = {
        "Converges at once": outcome.status == "completed" and len(loop) == 1,
        "Converges slowly": outcome.status == "completed" and len(loop) > 10 and rate < limit,
        "Never converges": outcome.status == "cancelled" and "never below the threshold" in outcome.reason,
        "Working set below threshold": outcome.status == "completed" and len(loop) == 1 and rate > 4 * limit,
        "Fixed at 64 KiB": (outcome.dirty_sync_count, by_rate.outcome.dirty_sync_count) == (8, 5),
        "Too fast, converges all the same": outcome.status == "completed" and rate > limit,
        "Tables saved too early": outcome.status == "completed" and len(lost) > 0,
    }
    assert shown[preset.name]


def test_the_preset_that_is_too_fast_is_recording_n11() -> None:
    """Its inputs are the recording's, and its run ends as the recording does."""
    preset = next(one for one in LECTURE if "Too fast" in one.name)
    recorded = to_trace(load_recording(STATIC.parents[2] / "data/recordings/n11.json"))
    for name, value in preset.fields.items():
        assert recorded.meta["scenario"][name] == pytest.approx(value), name
    ours = run(dict(preset.fields)).outcome
    assert (ours.status, ours.dirty_sync_count) == (recorded.outcome.status, recorded.outcome.dirty_sync_count)
    assert ours.total_time_s == pytest.approx(recorded.outcome.total_time_s, rel=0.01)
