"""Predictions: they hold the recorded runs, and what they suggest works when it is simulated another way."""

import gc
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import livemig
from livemig.engine import sampling
from livemig.engine.predict import MODEL_ERROR, predict, suggestions
from livemig.engine.sampling import Case, Sampler, cases, working_set_range
from livemig.engine.suggest import KNOBS, PRECISION, Knob, smallest
from livemig.lab.convert import inputs, not_modelled, to_trace
from livemig.lab.inputs import times_differ
from livemig.lab.recording import load_recording, recording_files
from livemig.scenario import MIB, Phase, Scenario, ScenarioError

GIB = 1 << 30
FOLDER = livemig.data_dir() / "recordings"


# -- recorded runs ----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def recorded():
    """(name, outcome, prediction) of each modelled run, from its inputs without pattern and writer's position."""
    found = []
    for file in recording_files(FOLDER):
        recording = load_recording(file)
        if not_modelled(recording) or times_differ(recording):
            continue
        scenario = Scenario.from_dict({**inputs(recording), "pattern": "sequential", "writer_start_writes": 0.0})
        found.append((file.stem, to_trace(recording).outcome, predict(scenario, samples=20, suggest=False)))
    return found


def test_the_ranges_hold_nearly_all_recorded_runs(recorded) -> None:
    done = [(name, outcome, answer) for name, outcome, answer in recorded if outcome.status == "completed"]
    assert len(done) >= 46
    outside = [name for name, outcome, answer in done if answer.total_time_s is None
               or not answer.total_time_s.low <= outcome.total_time_s <= answer.total_time_s.high
               or not answer.transferred_bytes.low <= outcome.transferred_bytes <= answer.transferred_bytes.high
               or not answer.passes.low <= outcome.dirty_sync_count <= answer.passes.high]
    assert len(outside) <= 0.05 * len(done), outside


def test_a_range_that_holds_everything_would_say_nothing(recorded) -> None:
    widths = sorted(answer.total_time_s.high / answer.total_time_s.low for _, _, answer in recorded
                    if answer.total_time_s)
    assert widths[len(widths) // 2] < 1.5


def test_runs_that_never_ended_are_not_promised_to(recorded) -> None:
    never = [(name, answer) for name, outcome, answer in recorded if outcome.status == "cancelled"]
    assert len(never) >= 7
    assert [name for name, answer in never if answer.converges] == []


# -- closed forms -----------------------------------------------------------------------------------------------------
def test_an_idle_guest_takes_one_copy() -> None:
    scenario = Scenario(ram_bytes=GIB, other_ram_bytes=0, dirty_rate_bytes_per_s=0.0, bandwidth_bytes_per_s=64.0 * MIB,
                        filled_offset_bytes=0)
    answer = predict(scenario)
    assert len(answer.samples) == 1
    assert answer.converges
    # What is left when it falls below the threshold (64 MiB/s x 0.3 s) goes without a limit; a window sends 1.8 % more.
    assert answer.total_time_s.median == pytest.approx((1024 - 19.2) / (64 * 1.018), rel=0.01)
    assert answer.transferred_bytes.median == pytest.approx(GIB * 4104 / 4096, rel=1e-4)
    assert answer.total_time_s.low == pytest.approx(answer.total_time_s.median * (1 - MODEL_ERROR))


def test_a_working_set_far_above_the_threshold_at_twice_the_bandwidth_does_not_converge() -> None:
    answer = predict(Scenario(dirty_rate_bytes_per_s=256.0 * MIB, working_set_bytes=200 * MIB,
                              bandwidth_bytes_per_s=32.0 * MIB, give_up_s=15.0), patterns=("uniform",), suggest=False)
    assert (answer.converged, answer.total_time_s, answer.converges) == (0, None, False)
    assert answer.samples[0].least_pending_bytes > answer.samples[0].threshold_bytes > 0


def test_cases_are_spread_evenly_and_always_the_same() -> None:
    found = cases(Scenario(), ("sequential", "uniform"), (MIB, 2 * MIB), 24)
    assert len(found) == 24
    assert found == cases(Scenario(), ("sequential", "uniform"), (MIB, 2 * MIB), 24)
    places = sorted(case.position for case in found)
    assert all(0 <= place < 1 for place in places)
    assert max(b - a for a, b in zip(places, [*places[1:], 1 + places[0]], strict=True)) < 2.7 / 24
    assert predict(Scenario(), samples=20).to_json() == predict(Scenario(), samples=20).to_json()


@given(st.floats(1, 1e11), st.floats(0.05, 10), st.sampled_from([64 * MIB, GIB, 64 * GIB]))
def test_working_sets_that_a_dirty_rate_allows(rate, seconds, ram) -> None:
    scenario = Scenario(ram_bytes=ram, dirty_rate_bytes_per_s=rate, working_set_bytes=4096)
    sizes = working_set_range(scenario, seconds)
    assert sizes == tuple(sorted(set(sizes)))
    assert sizes[0] >= min(rate * seconds, sizes[-1])
    for size in sizes:
        replace(scenario, working_set_bytes=size)  # all of them are possible


# -- what is left out of a large guest --------------------------------------------------------------------------------
@pytest.mark.parametrize("pattern", ["sequential", "uniform"])
@pytest.mark.parametrize("rate", [250, 400])
def test_memory_that_nobody_writes_can_be_left_out(monkeypatch, pattern, rate) -> None:
    scenario = Scenario(ram_bytes=24 * GIB, working_set_bytes=GIB, dirty_rate_bytes_per_s=rate * MIB,
                        bandwidth_bytes_per_s=512.0 * MIB, filled_bytes=20 * GIB)
    tried = [Case(pattern, GIB, position) for position in (0.1, 0.4, 0.8)]
    short = [Sampler(scenario).run(scenario, case) for case in tried]
    small = sampling._without_cold(replace(scenario, pattern=pattern))
    assert small.ram_bytes < 0.8 * scenario.ram_bytes
    monkeypatch.setattr(sampling, "_COLD_S", 1e9)
    whole = [Sampler(scenario).run(scenario, case) for case in tried]
    for a, b in zip(short, whole, strict=True):
        assert a.converged
        assert b.converged
        assert a.total_time_s == pytest.approx(b.total_time_s, rel=MODEL_ERROR)
        assert a.transferred_bytes == pytest.approx(b.transferred_bytes, rel=MODEL_ERROR)
        assert abs(a.passes - b.passes) <= 1


def test_coarse_pages_hardly_change_the_answer() -> None:
    scenario = Scenario(ram_bytes=2 * GIB, working_set_bytes=256 * MIB, dirty_rate_bytes_per_s=100.0 * MIB,
                        bandwidth_bytes_per_s=256.0 * MIB)
    answer = predict(scenario)
    assert answer.page_bytes > 4096
    exact = livemig.simulate(replace(scenario, its_devices=0, pattern="uniform"))
    uniform = [sample.total_time_s for sample in answer.samples if sample.case.pattern == "uniform"]
    assert min(uniform) * 0.98 <= exact.outcome.total_time_s <= max(uniform) * 1.02


# -- suggestions ------------------------------------------------------------------------------------------------------
HOPELESS = {
    "too fast": Scenario(dirty_rate_bytes_per_s=160.0 * MIB, give_up_s=30.0),
    "7.2": Scenario(dirty_rate_bytes_per_s=100.0 * MIB, bandwidth_bytes_per_s=32.0 * MIB, downtime_limit_s=0.1,
                    qemu_version="7.2", give_up_s=20.0),
    "the seed's rule": Scenario(dirty_rate_bytes_per_s=90.0 * MIB, switchover_rule="fixed", give_up_s=20.0),
}


def simulated(scenario: Scenario, answer) -> list[bool]:
    """Whether each case converges, by the plain engine: small pages, whole guest, none of `sampling`."""
    ended = []
    for sample in answer.samples:
        case = sample.case
        pages = case.working_set_bytes // scenario.page_bytes
        one = replace(scenario, pattern=case.pattern, working_set_bytes=case.working_set_bytes, its_devices=0,
                      writer_start_writes=float(int(case.position * pages)),
                      seed=(scenario.seed + int(case.position * 1e6)) % (1 << 32))
        ended.append(livemig.simulate(one).outcome.status == "completed")
    return ended


@pytest.mark.parametrize("name", HOPELESS)
def test_what_is_suggested_converges_and_clearly_less_does_not(name) -> None:
    scenario = HOPELESS[name]
    answer = predict(scenario, samples=20)
    assert not answer.converges
    knobs = {knob.name: knob for knob in KNOBS}
    wanted = {"bandwidth_bytes_per_s", "throttle_percent"} | (
        {"fixed_threshold_bytes"} if scenario.switchover_rule == "fixed" else {"downtime_limit_s"})
    assert {one.name for one in answer.suggestions} == wanted
    for one in answer.suggestions:
        apply = knobs[one.name].apply
        assert one.value is not None
        assert (one.converged, one.of) == (len(answer.samples), len(answer.samples))
        assert all(simulated(apply(scenario, one.value), answer)), one
        less = one.value - 15 if one.unit == "%" else one.now + 0.7 * (one.value - one.now)
        assert not all(simulated(apply(scenario, less), answer)), one


def test_nothing_is_suggested_where_it_converges_anyway() -> None:
    assert list(suggestions(predict(Scenario(), samples=3, suggest=False))) == []


def test_a_slow_link_cannot_be_helped_by_max_bandwidth() -> None:
    scenario = Scenario(dirty_rate_bytes_per_s=160.0 * MIB, link_bytes_per_s=40.0 * MIB, give_up_s=20.0)
    names = [one.name for one in predict(scenario, samples=3).suggestions]
    assert names == ["downtime_limit_s", "throttle_percent"]  # 64 MiB/s are more than the link carries
    faster = predict(replace(scenario, bandwidth_bytes_per_s=32.0 * MIB), samples=3)
    (bandwidth,) = [one for one in faster.suggestions if one.name == "bandwidth_bytes_per_s"]
    assert (bandwidth.value, bandwidth.most, bandwidth.converged) == (None, 40.0 * MIB, 0)


def knob(step: float, most: float, unit: str = "s") -> Knob:
    return Knob("x", "x", unit, step, lambda s: True, lambda s: 1.0 if unit != "%" else 0.0, lambda s: most,
                lambda s, value: s)


@given(st.floats(1.001, 9000), st.integers(1, 30))
def test_the_search_finds_the_smallest_value_of_a_monotone_knob(least, count) -> None:
    found = smallest(knob(0.001, 10_000.0), Scenario(), list(range(count)),
                     lambda value, case: (value >= least, 0.1))
    assert found.value is not None
    assert least <= found.value <= least * PRECISION + 0.002
    assert (found.converged, found.of) == (count, count)


@given(st.integers(1, 99))
def test_the_throttle_is_the_smallest_whole_percentage(least) -> None:
    found = smallest(knob(1.0, 99.0, "%"), Scenario(), [0], lambda value, case: (value >= least, None))
    assert found.value == least


def test_a_case_outside_the_hard_ones_is_not_forgotten() -> None:
    """The search runs few cases; the check runs all, and goes on until the last one holds too."""
    found = smallest(knob(0.001, 100.0), Scenario(), list(range(20)),
                     lambda value, case: (value >= (2.4 if case == 19 else 2.0), 0.5))
    assert 2.4 <= found.value <= 2.4 * 1.06
    assert found.converged == 20
    never = smallest(knob(0.001, 100.0), Scenario(), list(range(20)),
                     lambda value, case: (case != 19 and value >= 2.0, 0.5))
    assert never.converged == 19
    assert never.value >= 2.0


def test_a_knob_that_does_not_help_says_so() -> None:
    found = smallest(knob(0.001, 100.0), Scenario(), [0, 1], lambda value, case: (False, None))
    assert (found.value, found.most, found.converged, found.of) == (None, 100.0, 0, 2)


# -- behaviour --------------------------------------------------------------------------------------------------------
def test_progress_is_told_and_may_interrupt() -> None:
    told = []
    predict(Scenario(), samples=6, progress=lambda *what: told.append(what))
    assert told == [("sample", i, 6) for i in range(6)]

    def stop(what, done, of) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(Scenario(), progress=stop)
    assert gc.isenabled()


def test_the_scenarios_own_position_and_phases() -> None:
    scenario = Scenario(pattern="sequential", writer_start_writes=1000.0)
    answer = predict(scenario, patterns=("sequential",), positions=1)
    own = livemig.simulate(replace(scenario, its_devices=0)).outcome
    assert len(answer.samples) == 1
    assert answer.samples[0].total_time_s == own.total_time_s
    phases = Scenario(pattern="phases", phases=(Phase(2.0, "sequential", 20.0 * MIB), Phase(1.0, "idle", 0.0)))
    assert predict(phases, patterns=("phases",), positions=1).converges


def test_a_time_limit_that_was_given_is_kept() -> None:
    answer = predict(Scenario(dirty_rate_bytes_per_s=200.0 * MIB, give_up_s=5.0), samples=3, suggest=False)
    assert answer.time_limit_s == 5.0
    assert answer.converged < 3
    assert math.isclose(predict(Scenario(), samples=3).time_limit_s, 64.0)


def test_an_impossible_combination_is_said() -> None:
    with pytest.raises(ScenarioError, match="working_set_bytes = 1073741824: larger than"):
        predict(Scenario(), working_sets=(GIB,))
