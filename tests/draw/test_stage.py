"""The stage's Python side: joined module, packed traces, traits, messages, fallback."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import livemig
from livemig.draw.modules import bundle, join, modules, script
from livemig.draw.stage import Stage, describe
from livemig.draw.wire import pack
from livemig.engine import simulate
from livemig.lab.convert import to_trace
from livemig.lab.recording import load_recording
from livemig.scenario import MIB, Scenario, ScenarioError
from livemig.trace import Event, Trace

STATIC = Path(__file__).resolve().parents[2] / "livemig/draw/static"
KEPT_KINDS = ("mark", "command", "state", "threshold", "pending", "sync", "send", "its", "fault")

SCENARIOS = {
    "default": {},
    "7.2 with the document's threshold": {"qemu_version": "7.2", "switchover_rule": "fixed"},
    "never converges": {"dirty_rate_bytes_per_s": 200.0 * MIB, "give_up_s": 8.0},
    "tables at each sync": {"save_tables_when": "each_sync"},
    "tables never": {"save_tables_when": "never"},
    "slow link": {"link_bytes_per_s": 64.0 * MIB, "bandwidth_bytes_per_s": None, "return_path": True},
}


def run(values: dict[str, Any]) -> Trace:
    return simulate(Scenario.from_dict(values))


def make(scenario: Scenario | None = None, **more: Any) -> Stage:
    return Stage(simulate=run, scenario=scenario or Scenario(), **more)


def send(stage: Stage, reply: str, **inputs: Any) -> None:
    """What the browser's message does."""
    stage._handle_custom_msg({"type": "simulate", "id": reply, "inputs": inputs}, [])


def node(node_path: Path, code: str, data: Any) -> Any:
    """Run an ES module that reads `data` from stdin and prints JSON."""
    done = subprocess.run([node_path, "--input-type=module", "-e", code], input=json.dumps(data), capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# -- the module ------------------------------------------------------------------------------------------------------
def test_the_joined_module_is_valid_and_renders(node_path: Path, tmp_path: Path) -> None:
    module = tmp_path / "stage.mjs"
    module.write_text(script(), encoding="utf-8")
    code = f"import({json.dumps(module.as_uri())}).then(m => console.log(JSON.stringify(Object.keys(m.default))))"
    assert node(node_path, code, None) == ["render"]


def imported_by(name: str) -> set[str]:
    text = (STATIC / name).read_text(encoding="utf-8")
    return set(re.findall(r'^import .* from "\./([\w.]+)";$', text, re.MULTILINE))


def test_every_module_that_the_stage_needs_comes_once_after_those_it_imports() -> None:
    seen: set[str] = set()
    for name in modules():
        assert imported_by(name) <= seen, name
        assert name not in seen
        seen.add(name)
    assert modules()[-1] == "stage.js"
    assert {"model.js", "words.js", "replay.js"} <= seen


def test_bundled_files_may_use_the_same_names(node_path: Path, tmp_path: Path) -> None:
    files = [("a.js", "const SIZE = 2;\nexport const twice = (x) => SIZE * x;\n"),
             ("b.js", 'import { twice } from "./a.js";\nconst SIZE = 5;\nexport function both() {\n'
                      "  return twice(SIZE);\n}\n"),
             ("c.js", 'import { both } from "./b.js";\nconst SIZE = 7;\nexport default both() + SIZE;\n')]
    module = tmp_path / "bundled.mjs"
    module.write_text(bundle(files), encoding="utf-8")
    code = f"import({json.dumps(module.as_uri())}).then(m => console.log(JSON.stringify(m.default)))"
    assert node(node_path, code, None) == 17


def test_joining_drops_imports_and_exports_only() -> None:
    texts = ['import { a } from "./a.js";\nexport const b = "export const";\n', "export default { render };\n"]
    assert join(texts) == 'const b = "export const";\n\nexport default { render };\n'


@pytest.mark.parametrize("line", ['import a from "./a.js";', 'import * as a from "./a.js";', "export { a };",
                                  'import { a } from "https://example.org/a.js";'])
def test_other_imports_and_exports_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match="cannot join"):
        join([line + "\n"])
    with pytest.raises(ValueError, match="cannot join"):
        bundle([("a.js", line + "\n"), ("b.js", "")])


def test_nothing_is_loaded_from_a_network() -> None:
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "http://" not in text.replace("http://www.w3.org", "")
        assert "https://" not in text
        assert "@import" not in text


# -- the packed trace ------------------------------------------------------------------------------------------------
UNPACK = """
import { readFileSync } from "node:fs";
const { unpack } = await import(%s);
console.log(JSON.stringify(unpack(JSON.parse(readFileSync(0, "utf8")))));
"""
RUN = """
import { readFileSync } from "node:fs";
const { runOf } = await import(%s);
const { unpack } = await import(%s);
const run = runOf(unpack(JSON.parse(readFileSync(0, "utf8"))));
console.log(JSON.stringify({ passes: run.passes, vm: run.vm, thread: run.thread, steps: run.steps }));
"""


def uri(name: str) -> str:
    return json.dumps((STATIC / name).as_uri())


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_drawn_comes_through_unchanged(name: str, node_path: Path) -> None:
    trace = simulate(Scenario(**SCENARIOS[name]))
    there = node(node_path, UNPACK % uri("wire.js"), pack(trace))
    rows = [r for r in there["events"] if r[1] in KEPT_KINDS]
    kept = [e for e in trace.events if e.kind in KEPT_KINDS]
    assert [tuple(r[1:5]) for r in rows] == [(e.kind, e.lane, e.name, e.depth) for e in kept]
    for row, event in zip(rows, kept, strict=True):
        assert row[0] == pytest.approx(event.t_s, abs=6e-7)
        for key, value in row[5].items():
            assert value == (pytest.approx(event.data[key], abs=6e-7) if key == "start_s" else event.data[key])


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_browser_finds_the_passes_spans_and_stacks_that_python_finds(name: str, node_path: Path) -> None:
    trace = simulate(Scenario(**SCENARIOS[name]))
    there = node(node_path, RUN % (uri("scene.js"), uri("wire.js")), pack(trace))
    close = {"abs": 2e-6, "rel": 0}
    assert [(p["number"], p["todo"], p["final"]) for p in there["passes"]] == [
        (p.number, p.todo_bytes, p.final) for p in trace.passes()]
    assert [x for p in there["passes"] for x in (p["a"], p["b"])] == pytest.approx(
        [x for p in trace.passes() for x in (p.start_s, p.end_s)], **close)
    here = sorted((s.row, s.what, s.start_s, s.end_s) for s in trace.spans())
    spans = sorted((row, s["what"], s["a"], s["b"]) for row in ("vm", "thread") for s in there[row])
    assert [s[:2] for s in spans] == [s[:2] for s in here]
    assert [x for s in spans for x in s[2:]] == pytest.approx([x for s in here for x in s[2:]], **close)
    for step in there["steps"]:
        if step["row"] in ("stopvm", "vs", "hand", "save") and step["stack"][:1] == ["migration_thread"]:
            full = stack_when(trace, step["stack"][-1], step["t"])
            assert step["stack"] == full


DRAW = """
import { readFileSync } from "node:fs";
const names = ["scene", "wire", "axis", "timeline", "sequence", "itsbytes", "words", "tableview"];
const m = Object.assign({}, ...await Promise.all(names.map((n) => import(`${%s}/${n}.js`))));
const { packed, layouts } = JSON.parse(readFileSync(0, "utf8"));
const said = {};
for (const [name, one] of Object.entries(packed)) {
  const run = m.runOf(m.unpack(one));
  const style = { q: 1, plot: 196, width: 600, row: 25, measure: (text, size) => text.length * size * 0.55 };
  const parts = [m.outcomeSentence(run), m.tableHtml(run)];
  for (const kind of ["time", "step"]) {
    const { sheet } = m.timelineSheet(run, m.axisOf(run, 1200, 1, kind), null, style);
    parts.push(sheet.texts.map((one) => `${one.words} ${one.x} ${one.y}`).join());
    parts.push(sheet.shapes.map((one) => (one.box ?? one.points).join()).join());
  }
  run.steps.forEach((step, i) => {
    parts.push(m.stateSentence(run, { t: step.t, i }));
    if (i %% 25 === 0) parts.push(m.sequenceSvg(run, i, style).svg);
  });
  const shown = m.tablesAt(run, run.end);
  shown.tables.forEach((_, i) => parts.push(m.entriesHtml(shown, i, 0, layouts)));
  const bad = parts.join("\\n").match(/.{0,60}(NaN|undefined|Infinity|null).{0,20}/);
  said[name] = bad ? bad[0] : m.plain(parts[0]);
}
console.log(JSON.stringify(said));
"""


def test_recordings_of_real_qemu_are_drawn(root: Path, node_path: Path) -> None:
    files = sorted((root / "data/recordings").glob("*.json"))
    chosen = [f for f in files if f.stem.startswith(("k", "s"))] + files[::9]
    assert len(chosen) > 10
    traces = {f.stem: to_trace(load_recording(f)) for f in chosen}
    layouts = Stage(simulate(Scenario()))._layouts
    data = {"packed": {name: pack(trace) for name, trace in traces.items()}, "layouts": layouts}
    said = node(node_path, DRAW % json.dumps(STATIC.as_uri()), data)
    for name, trace in traces.items():
        outcome = trace.outcome
        if outcome.status == "completed":
            assert said[name].startswith("Completed in"), name
            assert f"{outcome.dirty_sync_count} bitmap sync" in said[name]
        else:
            assert said[name].startswith(("Cancelled after", "Failed after", "No migration after")), said[name]


def stack_when(trace: Trace, function: str, t_s: float) -> list[str]:
    """Trace.stack_at looks after everything at that time; here the stack just inside `function`."""
    stack: list[str] = []
    for event in trace.events:
        if event.lane == "migration" and event.kind == "call":
            del stack[event.depth:]
            stack.append(event.name)
            if event.name == function and event.t_s > t_s - 0.01:
                return stack
    raise AssertionError(function)


def test_a_typical_message_is_small() -> None:
    sizes = {name: len(json.dumps(pack(simulate(Scenario(**values))))) for name, values in SCENARIOS.items()}
    assert sizes["default"] < 50_000
    assert max(sizes.values()) < 150_000


_KINDS = st.sampled_from(["call", "return", "mark", "sample", "gap", "its"])
_LANES = st.sampled_from(["main", "user", "migration", "vm", "dst", "its"])


@given(st.lists(st.tuples(st.floats(0, 1e4), _KINDS, _LANES, st.text(max_size=5)), max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_trace_packs(rows: list[tuple[float, str, str, str]]) -> None:
    packed = pack(Trace({}, [Event(t, kind, lane, name) for t, kind, lane, name in sorted(rows)]))
    assert len(packed["head"]) == len(packed["steps_us"])
    times = [e for e in sorted(rows) if e[1] not in ("sample", "gap", "call", "return")]
    if len(packed["head"]) == len(times) and times:
        assert sum(packed["steps_us"]) == pytest.approx(times[-1][0] * 1e6, abs=1)


def test_a_replayed_log_is_drawn_with_its_gaps(node_path: Path) -> None:
    rows = [Event(0.0, "mark", "user", "T0", 0, {"text": "migrate"}),
            Event(0.0, "sync", "migration", "migration_bitmap_sync", 0, {"pass": 1, "remaining_bytes": 9 * MIB}),
            Event(1.0, "gap", "main", "gap", 0, {"until_s": 3.0}),
            Event(1.0, "gap", "migration", "gap", 0, {"until_s": 3.0, "text": "query-migrate was not answered"}),
            Event(3.0, "sample", "main", "query-migrate", 0, {"remaining": 4 * MIB}),
            Event(3.0, "pending", "migration", "estimate", 0, {"size_bytes": 4 * MIB})]
    trace = Trace({"source": "recorded", "id": "run.log", "scenario": {}, "outcome": {"status": "active"}}, rows)
    stage = livemig.stage(trace)
    assert stage.trace is trace
    assert stage._controls == []
    assert "run.log" in stage.to_html()
    assert "active after 3.000 s" in stage.describe()
    code = (f'import {{ unpack }} from "{(STATIC / "wire.js").as_uri()}";'
            f'import {{ runOf }} from "{(STATIC / "scene.js").as_uri()}";'
            'let text = ""; for await (const part of process.stdin) text += part;'
            "const run = runOf(unpack(JSON.parse(text)));"
            "console.log(JSON.stringify([run.gaps, run.pending]));")
    gaps, pending = node(node_path, code, stage._packed)
    assert gaps == [{"a": 1, "b": 3}]
    assert pending == [[0, 9 * MIB], [1, 9 * MIB], [3, 4 * MIB], [3, 4 * MIB]]


# -- traits and messages ---------------------------------------------------------------------------------------------
def test_the_traits_start_with_the_scenario() -> None:
    stage = make(Scenario(dirty_rate_bytes_per_s=5.0 * MIB, qemu_version="7.2"))
    assert (stage.dirty_rate_bytes_per_s, stage.bandwidth_bytes_per_s, stage.qemu_version) == (5 * MIB, 64 * MIB, "7.2")
    assert stage.trace.meta["qemu_version"].startswith("7.2")
    saved = next(e.t_s for e in stage.trace.select("its", "SAVE_TABLES"))
    assert stage.cursor_s == saved


def test_controls_take_label_range_and_choices_from_the_scenario() -> None:
    controls = {c["name"]: c for c in make()._controls}
    rate = controls["dirty_rate_bytes_per_s"]
    assert (rate["label"], rate["unit"], rate["low"], rate["high"]) == ("Dirty rate", "MiB/s", 0, 512)
    assert controls["bandwidth_bytes_per_s"]["nullable"] is True
    assert controls["ram_bytes"]["nullable"] is False
    assert [c for c, _ in controls["save_tables_when"]["choices"]] == ["stop", "t0", "each_sync", "pre_save", "never"]
    assert "phases" not in [c for c, _ in controls["pattern"]["choices"]]  # this scenario has none


def test_an_input_set_in_python_computes_a_new_trace() -> None:
    stage = make()
    before = stage._packed
    seen: list[Any] = []
    stage.observe(lambda change: seen.append(change["new"]), names=["trace"])
    stage.dirty_rate_bytes_per_s = 5.0 * MIB
    assert seen == [stage.trace]
    assert stage._packed is not before
    assert stage.trace.outcome.total_time_s == run({"dirty_rate_bytes_per_s": 5.0 * MIB}).outcome.total_time_s


def test_a_wrong_input_set_in_python_raises_and_shows_in_the_stage() -> None:
    stage = make()
    shown = stage._packed
    with pytest.raises(ScenarioError, match="dirty_rate_bytes_per_s = -1"):
        stage.dirty_rate_bytes_per_s = -1.0
    assert "dirty_rate_bytes_per_s = -1" in stage._status["error"]
    assert stage._packed is shown


def test_a_message_is_answered_with_the_new_trace() -> None:
    stage = make()
    send(stage, "v-1", dirty_rate_bytes_per_s=5 * MIB, save_tables_when="t0")
    assert stage._status == {"reply": "v-1", "error": ""}
    assert (stage.dirty_rate_bytes_per_s, stage.save_tables_when) == (5 * MIB, "t0")
    assert stage.trace.outcome == run({"dirty_rate_bytes_per_s": 5.0 * MIB, "save_tables_when": "t0"}).outcome


def test_a_message_computes_once() -> None:
    calls: list[dict[str, Any]] = []

    def counting(values: dict[str, Any]) -> Trace:
        calls.append(values)
        return run(values)

    stage = Stage(simulate=counting, scenario=Scenario(seed=7))
    send(stage, "v-1", ram_bytes=128 * MIB, working_set_bytes=16 * MIB)
    assert len(calls) == 2
    assert (calls[1]["ram_bytes"], calls[1]["working_set_bytes"], calls[1]["seed"]) == (128 * MIB, 16 * MIB, 7)


def test_an_error_is_answered_and_the_last_picture_stays() -> None:
    stage = make()
    shown, trace = stage._packed, stage.trace
    send(stage, "v-1", ram_bytes=32 * MIB)
    assert stage._status["reply"] == "v-1"
    assert "working_set_bytes" in stage._status["error"]
    assert stage._packed is shown
    assert stage.trace is trace
    send(stage, "v-2", working_set_bytes=16 * MIB)
    assert stage._status == {"reply": "v-2", "error": ""}
    assert stage.trace is not trace


@pytest.mark.parametrize("inputs", [{"dirty_rate_bytes_per_s": "many"}, {"pattern": "no such"}, {"ram_bytes": 1.5}])
def test_nonsense_from_the_browser_is_answered(inputs: dict[str, Any]) -> None:
    stage = make()
    send(stage, "v-1", **inputs)
    assert stage._status["reply"] == "v-1"
    assert next(iter(inputs)) in stage._status["error"]


def test_an_exception_in_simulate_is_answered_with_its_name() -> None:
    traces = iter([run({})])
    stage = Stage(simulate=lambda values: next(traces), scenario=Scenario())
    send(stage, "v-1", ram_bytes=128 * MIB)
    assert stage._status == {"reply": "v-1", "error": "StopIteration: "}


def test_python_can_push_a_trace() -> None:
    stage = Stage(simulate(Scenario()))
    other = simulate(Scenario(qemu_version="7.2"))
    stage.trace = other
    assert stage._packed["meta"]["qemu_version"].startswith("7.2")
    assert stage._controls == []


def test_a_stage_without_simulate_says_so() -> None:
    stage = Stage(simulate(Scenario()))
    send(stage, "v-1", ram_bytes=128 * MIB)
    assert "nothing to compute with" in stage._status["error"]


def test_a_recorded_run_is_drawn_beside() -> None:
    other = simulate(Scenario(qemu_version="7.2"))
    assert make(recorded=other)._pinned["meta"]["qemu_version"].startswith("7.2")
    assert Stage(recorded=other)._pinned == {}  # alone it is the run itself


def test_impossible_arguments() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        Stage()
    with pytest.raises(ValueError, match="go together"):
        Stage(simulate=run)


def test_without_javascript_there_is_a_description() -> None:
    stage = make()
    data, _ = stage._repr_mimebundle_()
    assert data["text/plain"] == describe(stage.trace) == stage.describe()
    outcome = stage.trace.outcome
    assert f"completed after {outcome.total_time_s:.3f} s" in data["text/plain"]
    assert "Tn+2" in data["text/plain"]
    assert "cancelled" in describe(simulate(Scenario(**SCENARIOS["never converges"])))
