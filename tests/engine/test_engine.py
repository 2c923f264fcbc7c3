"""Rules of real QEMU, one by one, with figures from the recordings and the source as literals."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.engine import simulate
from livemig.engine.rules import switchover_allowed, threshold_bytes
from livemig.engine.runstate import MIGRATION_TRANSITIONS, RUNSTATE_TRANSITIONS, TransitionError, check_transition
from livemig.scenario import KIB, MIB, Action, Costs, Phase, Scenario
from livemig.trace import Trace

NOTHING_ELSE = {"its_devices": 0}


def windows(trace: Trace) -> list[int]:
    """Bytes of each call of ram_save_iterate."""
    return [e.data["bytes"] for e in trace.select("send", "ram")]


@pytest.mark.parametrize(("version", "bandwidth_mib", "recorded"), [
    ("10.0", 32, 3_414_546), ("10.0", 64, 6_829_074), ("10.0", 128, 13_526_802),
    ("7.2", 32, 3_357_090), ("7.2", 64, 6_714_162), ("7.2", 128, 13_424_202)])
def test_a_window_of_full_pages_has_the_recorded_bytes(version, bandwidth_mib, recorded):
    """facts/qemu.md, rule 2: the window overshoots its limit by one quantum of QEMUFile."""
    trace = simulate(Scenario(pattern="idle", bandwidth_bytes_per_s=bandwidth_mib * MIB, qemu_version=version,
                              **NOTHING_ELSE))
    assert windows(trace)[3] == recorded


def test_threshold_is_measured_bandwidth_times_downtime_limit():
    """Recording b05: bandwidth 68290 bytes/ms, downtime-limit 30 ms -> 2 048 722 bytes (windows of 100 ms)."""
    trace = simulate(Scenario(bandwidth_bytes_per_s=64 * MIB, downtime_limit_s=0.03, **NOTHING_ELSE))
    assert 2_048_722 in [e.data["size_bytes"] for e in trace.select("threshold")]


def test_the_seeds_threshold_is_a_fixed_number_of_bytes():
    assert Scenario(switchover_rule="fixed").fixed_threshold_bytes == 64 * KIB
    assert threshold_bytes("fixed", 65536, 1e9, 10.0) == 65536
    trace = simulate(Scenario(switchover_rule="fixed", dirty_rate_bytes_per_s=0.5 * MIB, **NOTHING_ELSE))
    assert {e.data["size_bytes"] for e in trace.select("threshold")} == {65536}
    assert trace.outcome.status == "completed"
    last = list(trace.select("pending", "exact"))[-1].data["size_bytes"]
    assert last < 65536


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_switchover_rule(pending, threshold):
    """The seed quotes it from the source: nothing pending, or less than the threshold."""
    assert switchover_allowed(pending, threshold) == (not pending or pending < threshold)


def test_the_exact_count_needs_a_low_estimate_and_a_pass_ends_above_zero():
    trace = simulate(Scenario(bandwidth_bytes_per_s=32 * MIB, downtime_limit_s=0.1, **NOTHING_ELSE))
    threshold, estimate = 0, None
    leftovers = []
    for event in trace.events:
        if event.kind == "threshold":
            threshold = event.data["size_bytes"]
        elif event.kind == "pending" and event.name == "estimate":
            estimate = event.data["size_bytes"]
        elif event.kind == "pending":
            assert estimate < threshold
            leftovers.append(estimate)
    assert max(leftovers) > 1 * MIB  # b02: the sync came with 3.15 MB left


def test_corner_case_with_threshold_zero_nothing_is_synced_before_the_stop():
    """facts/qemu.md, rule 4; recording s20: dirty-sync-count 2, the whole dirty set goes while the VM is stopped."""
    trace = simulate(Scenario(downtime_limit_s=0, dirty_rate_bytes_per_s=40 * MIB, **NOTHING_ELSE))
    assert trace.outcome.dirty_sync_count == 2
    assert trace.passes()[-1].normal_pages == 16384  # the whole working set of 64 MiB


def test_the_smallest_dirty_sync_count_is_three():
    assert simulate(Scenario(pattern="idle", **NOTHING_ELSE)).outcome.dirty_sync_count == 3


def test_zero_pages_cost_nine_bytes_and_count_as_whole_pages():
    """Rule 9; recording s16: 1 GiB of zeros. `transferred` there is 2.59 MiB, of which 34 kB are devices."""
    trace = simulate(Scenario(ram_bytes=1024 * MIB, filled_bytes=0, pattern="idle", **NOTHING_ELSE))
    first = next(trace.select("pending", "estimate")).data["size_bytes"]
    assert first == 1024 * MIB + 128 * MIB + 136 * KIB
    pages = first // 4096
    assert trace.outcome.duplicate_pages == pages
    assert trace.outcome.normal_pages == 0
    assert trace.outcome.transferred_bytes == pytest.approx(2.59 * MIB, rel=0.02)
    assert trace.outcome.total_time_s < 0.15


def test_a_slow_link_makes_slices_of_about_55_ms_and_no_sleep():
    """Rule 13: 50 ms looked at every 64 pages; a window is two slices, about 109 ms at 64 MiB/s."""
    trace = simulate(Scenario(bandwidth_bytes_per_s=4096 * MIB, link_bytes_per_s=64 * MIB, **NOTHING_ELSE))
    slices = list(trace.select("send", "ram"))[2:8]
    assert {e.data["pages"] for e in slices} == {896}  # recorded in l04: 896 iterations
    thresholds = [e.t_s for e in trace.select("threshold")]
    assert thresholds[3] - thresholds[2] == pytest.approx(0.1096, abs=0.001)


def test_the_final_pass_ignores_max_bandwidth_but_not_the_link():
    """Rule 10: 64 MiB in 24 to 35 ms at max-bandwidth 64 MiB/s (c05); 18.45 MiB in 289 ms on such a link (l04)."""
    fast = simulate(Scenario(dirty_rate_bytes_per_s=80 * MIB, downtime_limit_s=1.0, **NOTHING_ELSE))
    assert 0.02 < fast.outcome.downtime_s < 0.04
    slow = simulate(Scenario(bandwidth_bytes_per_s=4096 * MIB, link_bytes_per_s=64 * MIB, **NOTHING_ELSE))
    last = slow.passes()[-1]
    assert slow.outcome.downtime_s == pytest.approx(last.sent_bytes / (64 * MIB), rel=0.02)


def test_a_device_section_and_its_order():
    trace = simulate(Scenario())
    order = [e.name for e in trace.select("send") if e.name != "ram"]
    assert order[:3] == ["arm_gicv3", "arm_gicv3_its", "timer"]
    assert order[-1] == "globalstate"
    assert [e.name for e in trace.select("load")][1:] == order


@pytest.mark.parametrize("pattern", ["idle", "sequential", "uniform", "hot_cold", "zipf", "phases"])
@pytest.mark.parametrize("version", ["10.0", "7.2"])
def test_every_workload_runs_and_its_trace_is_well_formed(pattern, version):
    phases = (Phase(1.0, "uniform", 20 * MIB), Phase(2.0, "sequential", 40 * MIB), Phase(1.0, "idle", 0))
    trace = simulate(Scenario(pattern=pattern, phases=phases, qemu_version=version))
    assert trace.outcome.status == "completed"
    check_well_formed(trace)


def check_well_formed(trace: Trace) -> None:
    times = [e.t_s for e in trace.events]
    assert times == sorted(times)
    stacks: dict[str, list[str]] = {}
    for event in trace.events:
        stack = stacks.setdefault(event.lane, [])
        if event.kind == "call":
            assert event.depth == len(stack)
            stack.append(event.name)
        elif event.kind == "return":
            assert stack.pop() == event.name
            assert event.depth == len(stack)
    assert not any(stacks.values())
    assert Trace.from_json(trace.to_json()).events == trace.events
    for event in trace.select("state"):
        table = MIGRATION_TRANSITIONS if event.name == "status" else RUNSTATE_TRANSITIONS
        assert event.data["new"] in table[event.data["old"]]
    sent = sum(e.data["bytes"] for e in trace.select("send"))
    assert trace.outcome.transferred_bytes in (sent, sent - sum(
        e.data["bytes"] for e in trace.select("send") if e.name != "ram"))


def test_states_that_qemu_does_not_allow_are_refused():
    with pytest.raises(TransitionError, match="completed -> active is not allowed; from completed one may go to setup"):
        check_transition(MIGRATION_TRANSITIONS, "completed", "active")


def test_not_converging_ends_at_the_give_up_time_and_says_why():
    trace = simulate(Scenario(dirty_rate_bytes_per_s=80 * MIB, bandwidth_bytes_per_s=32 * MIB, downtime_limit_s=0.1,
                              give_up_s=20.0))
    outcome = trace.outcome
    assert outcome.status == "cancelled"
    assert outcome.guest_runs_on == "source"
    assert outcome.downtime_s is None
    assert trace.end_s == pytest.approx(20.0, abs=0.2)
    assert "never below the threshold of 3.26 MiB" in outcome.reason
    assert "80 MiB/s in a working set of 64 MiB, the migration sends 32 MiB/s" in outcome.reason
    assert "the first pass was not done" in simulate(Scenario(give_up_s=1.0)).outcome.reason


def test_cancel_stops_nothing():
    trace = simulate(Scenario(plan=(Action("cancel", 2.0),)))
    assert trace.outcome.status == "cancelled"
    assert not list(trace.select("event", "STOP"))
    assert not list(trace.select("its"))  # recorded in k04: a cancelled pre-copy has no save
    assert trace.end_s - 2.0 < 0.11  # rule 19: cancelled when the thread wakes, at most 100 ms later


def test_failure_in_the_stop_copy_lets_the_source_run_on_with_its_its():
    """Recording s17, k05: failed, vm_start on the source; the tables stay in RAM as dead copies."""
    trace = simulate(Scenario(plan=(Action("link_failure", 0.001, "stop-copy"),)))
    assert trace.outcome.status == "failed"
    assert trace.outcome.guest_runs_on == "source"
    events = [e.name for e in trace.select("event") if e.name in ("STOP", "RESUME")]
    assert events == ["STOP", "RESUME"]
    assert [e.name for e in trace.select("its")][:2] == ["SAVE_TABLES", "SAVE_PENDING_TABLES"]


def test_pause_before_switchover_counts_as_downtime():
    """Rule 11, recording s05: 1559 ms for a pause of 1.5 s; the guest is stopped already."""
    paused = Scenario(pause_before_switchover=True, plan=(Action("continue", 1.5, "pre-switchover"),))
    assert 1.5 < simulate(paused).outcome.downtime_s < 1.53
    cancelled = simulate(Scenario(pause_before_switchover=True, plan=(Action("cancel", 0.5, "pre-switchover"),)))
    assert cancelled.outcome.status == "cancelled"
    assert [e.name for e in cancelled.select("event") if e.name in ("STOP", "RESUME")] == ["STOP", "RESUME"]


def test_a_pause_that_nobody_ends_is_given_up():
    trace = simulate(Scenario(pause_before_switchover=True, give_up_s=10.0))
    assert trace.outcome.status == "cancelled"
    assert trace.end_s == pytest.approx(10.0, abs=0.1)


def test_raising_the_downtime_limit_acts_at_the_next_window():
    """Rule 17, recording s09: set at 8.000 s, stopped at 8.012."""
    stuck = Scenario(dirty_rate_bytes_per_s=80 * MIB, downtime_limit_s=0.1, plan=(
        Action("set_downtime_limit", 8.0, value=2.0),))
    trace = simulate(stuck)
    assert trace.outcome.status == "completed"
    assert 8.0 < trace.mark("Tn+2") < 8.25


def test_equal_scenarios_give_equal_traces():
    assert simulate(Scenario(pattern="zipf")).to_json() == simulate(Scenario(pattern="zipf")).to_json()


def test_return_path_makes_completion_wait_for_the_destination():
    trace = simulate(Scenario(return_path=True))
    loaded_s = max(e.t_s for e in trace.select("load"))
    assert trace.mark("Tn+4") >= loaded_s
    assert simulate(Scenario()).mark("Tn+4") < loaded_s


def test_costs_are_inputs_too():
    slow = simulate(Scenario(costs=Costs(memory_bytes_per_s=1e9)))
    assert slow.outcome.downtime_s > simulate(Scenario()).outcome.downtime_s


@pytest.mark.parametrize("changes", [
    {"give_up_s": 0.001}, {"plan": (Action("cancel", 0.0),)}, {"plan": (Action("cancel", 0.0005),)},
    {"plan": (Action("cancel", 0.0),), "switchover_rule": "fixed", "fixed_threshold_bytes": 1 << 40},
    {"plan": (Action("link_failure", 0.0),)}])
def test_a_cancel_at_any_moment_leaves_the_guest_on_the_source(changes):
    """Also in setup: QEMU compares and sets, the thread's own changes do nothing."""
    trace = simulate(Scenario(**changes))
    check_well_formed(trace)
    assert trace.outcome.status == ("failed" if trace.outcome.reason.startswith("Unable") else "cancelled")
    assert trace.outcome.guest_runs_on == "source"
    stops = [e.name for e in trace.select("event") if e.name in ("STOP", "RESUME")]
    assert stops in ([], ["STOP", "RESUME"])


@pytest.mark.parametrize("version", ["10.0", "7.2"])
def test_a_cancel_in_the_stop_copy_waits_for_the_big_lock_and_is_too_late(version):
    """Rule 15, recording l09: a QMP command sent in the stop-copy was answered after 0.98 s, when it was over."""
    slow = Scenario(link_bytes_per_s=64 * MIB, bandwidth_bytes_per_s=None, qemu_version=version)
    plain = simulate(slow)
    stop_s, end_s = plain.mark("Tn+2"), plain.mark("Tn+4")
    for at_s in (stop_s + 1e-6, stop_s + 5e-5, (stop_s + end_s) / 2):
        trace = simulate(replace(slow, plan=(Action("cancel", at_s),)))
        assert trace.outcome == plain.outcome
        assert trace.outcome.guest_runs_on == "destination"
        assert next(trace.select("command", "migrate_cancel")).t_s == pytest.approx(at_s)


def test_a_cancel_that_comes_when_everything_has_arrived_is_too_late():
    plain = simulate(Scenario(return_path=True))
    loading_s = next(plain.select("load", "cpu")).t_s
    trace = simulate(Scenario(return_path=True, plan=(Action("cancel", loading_s - 1e-6),)))
    assert trace.outcome.status == "completed"
    assert trace.outcome.guest_runs_on == "destination"
    assert list(trace.select("command", "migrate_cancel"))


def test_a_storm_of_syncs_is_cut_off_and_says_so():
    trace = simulate(Scenario(switchover_rule="fixed", fixed_threshold_bytes=4096, bandwidth_bytes_per_s=None,
                              dirty_rate_bytes_per_s=400 * MIB, ram_bytes=16 * MIB, working_set_bytes=8 * MIB,
                              other_ram_bytes=0))
    assert trace.outcome.status == "cancelled"
    assert "the run has more than 2,000,000 events" in trace.outcome.reason
