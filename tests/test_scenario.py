"""Scenario: limits, messages, metadata."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.engine import simulate
from livemig.scenario import MIB, Action, Phase, Scenario, ScenarioError


@pytest.mark.parametrize(("changes", "message"), [
    ({"dirty_rate_bytes_per_s": -1}, "dirty_rate_bytes_per_s = -1 bytes/s: below the smallest allowed value, 0"),
    ({"working_set_bytes": 512 * MIB}, "working_set_bytes = 536870912: larger than the 266338304 bytes of RAM"),
    ({"page_bytes": 5000}, "page_bytes = 5000: not a power of two"),
    ({"bandwidth_bytes_per_s": 0}, "bandwidth_bytes_per_s = 0 bytes/s: below the smallest"),
    ({"downtime_limit_s": float("nan")}, "downtime_limit_s = nan: expected a number of s"),
    ({"ram_bytes": 3 * 4096 + 1}, "ram_bytes = 12289: not a multiple of page_bytes = 4096"),
    ({"ram_bytes": "256"}, "ram_bytes = '256': expected a number of bytes"),
    ({"pattern": "chaotic"}, "pattern = 'chaotic': expected one of idle, sequential"),
    ({"contents": 1}, "contents = 1: expected True or False"),
    ({"contents": True, "ram_bytes": 2048 * MIB}, "real bytes are for guests up to 1073741824"),
    ({"pattern": "phases"}, "phases is empty"),
    ({"pattern": "phases", "phases": (Phase(0, "idle", 0),)}, r"phases\[0\]: duration_s = 0 must be > 0 "),
    ({"pattern": "zipf", "zipf_exponent": 1.2}, "zipf_exponent = 1.2: steps of 0.5 only"),
    ({"switchover_ack": True}, "switchover_ack = True: needs return_path = True"),
    ({"switchover_ack": True, "return_path": True, "qemu_version": "7.2"}, "QEMU 7.2 has no such capability"),
    ({"plan": (Action("explode"),)}, r"plan\[0\].do = 'explode': expected one of cancel"),
    ({"plan": (Action("continue", at="pre-switchover"),)}, "needs pause_before_switchover = True"),
    ({"plan": (Action("set_bandwidth"),)}, r"plan\[0\].value = None: set_bandwidth needs a number"),
    ({"working_set_bytes": 0}, "working_set_bytes = 0: a guest that writes needs a working set"),
    ({"working_set_bytes": 254 * MIB}, "the ITS's tables need 458752 bytes at the end of RAM"),
    ({"seed": 1.5}, "seed = 1.5: expected a whole number"),
])
def test_nonsense_gets_one_clear_message(changes, message):
    with pytest.raises(ScenarioError, match=message) as caught:
        Scenario(**changes)
    assert "\n" not in str(caught.value)


def test_unknown_inputs_are_named():
    with pytest.raises(TypeError, match=r"no input 'dirty_rate'; did you mean dirty_rate_bytes_per_s\?"):
        Scenario(dirty_rate=20e6)
    with pytest.raises(TypeError, match=r"no input 'downtime_limt_s'; did you mean downtime_limit_s"):
        Scenario(downtime_limt_s=1.0)
    with pytest.raises(TypeError, match="no input 'xyz'; known are accelerator, "):
        Scenario(xyz=1)
    with pytest.raises(TypeError, match=r"pass a Scenario, as in simulate\(Scenario\(downtime_limit_s=...\)\)"):
        simulate(downtime_limit_s=1.0)
    with pytest.raises(ScenarioError, match="unknown input 'bandwith'"):
        Scenario.from_dict({"bandwith": 1})
    with pytest.raises(ScenarioError, match="plan, phases or costs"):
        Scenario.from_dict({"plan": [{"doo": "cancel"}]})


def test_round_trip_through_plain_values():
    scenario = Scenario(pattern="phases", phases=(Phase(1, "idle", 0),), plan=(Action("cancel", 3.0),))
    assert Scenario.from_dict(scenario.to_dict()) == scenario
    assert hash(Scenario.from_dict(scenario.to_dict())) == hash(scenario)


def test_every_input_has_a_label_and_a_source_and_units_are_in_the_name():
    suffix = {"bytes": "_bytes", "bytes/s": "_bytes_per_s", "s": "_s", "pages": "_writes"}
    for item in fields(Scenario):
        assert item.metadata["label"], item.name
        assert item.metadata["source"], item.name
        if item.metadata["unit"]:
            assert item.name.endswith(suffix[item.metadata["unit"]]), item.name


@given(st.dictionaries(
    st.sampled_from([f.name for f in fields(Scenario)]),
    st.one_of(st.none(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5), st.booleans()), max_size=3))
def test_any_value_is_taken_or_refused_with_our_error(values):
    try:
        scenario = Scenario.from_dict(values)
    except ScenarioError:
        return
    assert scenario.pages > 0


@given(st.fixed_dictionaries({
    "ram_bytes": st.sampled_from([2 * MIB, 16 * MIB, 1 << 40]), "working_set_bytes": st.just(MIB),
    "working_set_offset_bytes": st.just(0), "dirty_rate_bytes_per_s": st.sampled_from([0, 1, 1e6, 1e14]),
    "bandwidth_bytes_per_s": st.sampled_from([4096, 1e6, 1e14, None]),
    "downtime_limit_s": st.sampled_from([0, 1e-9, 2000]),
    "pattern": st.sampled_from(["idle", "sequential", "uniform", "zipf"]), "give_up_s": st.just(2.0)}))
def test_extreme_inputs_end(values):
    outcome = simulate(Scenario.from_dict(values)).outcome
    assert outcome.status in ("completed", "cancelled")


@pytest.mark.parametrize("values", [
    {"link_bytes_per_s": 1.0}, {"bandwidth_bytes_per_s": 4096.0}, {"give_up_s": 1000.0, "dirty_rate_bytes_per_s": 1e9},
    {"link_bytes_per_s": 1.0, "its_command_period_s": 1e-6},
    {"working_set_bytes": 4096, "dirty_rate_bytes_per_s": 1e14}])
def test_the_slowest_scenarios_end_too(values):
    trace = simulate(Scenario(**values))
    assert trace.outcome.status in ("completed", "cancelled")
    assert len(trace.passes()) <= trace.outcome.dirty_sync_count


def test_costs_are_checked():
    with pytest.raises(ScenarioError, match=r"costs.memory_bytes_per_s = 0: expected a number from 4096"):
        Scenario.from_dict({"costs": {"memory_bytes_per_s": 0}})
    with pytest.raises(ScenarioError, match="give_up_s = 1e"):
        Scenario(give_up_s=1e6)


def test_the_guests_commands_may_be_skipped_by_whole_turns():
    """The driver's commands repeat: far later the ITS holds what it holds at the same place of the turn."""
    from livemig.engine.devices import ItsModel
    from livemig.engine.state import MigrationState

    mapped = []
    for steps in ([64 * 50 + 17], range(1, 64 * 3 + 18)):
        model = ItsModel(MigrationState(Scenario(its_command_period_s=1.0)))
        for t in steps:
            model.guest_runs_until(t + 0.5)
        mapped.append(model.source.mappings())
    assert mapped[0] == mapped[1]
