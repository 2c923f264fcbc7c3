"""Rules of the special runs, with figures from the recordings and the source as literals."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.engine import simulate
from livemig.engine.multifd import Packets
from livemig.engine.rules import threshold_bytes
from livemig.engine.throttle import SLICE_S, Throttle
from livemig.scenario import MIB, Action, Costs, Scenario, ScenarioError
from livemig.trace import Trace

NO_ITS = {"its_devices": 0}
LAB_01 = Scenario(  # recording s01: a guest that spins and forgets what it is late with beyond 64 pages
    accelerator="tcg", dirty_rate_bytes_per_s=100 * MIB, downtime_limit_s=0.1, auto_converge=True,
    catch_up_s=64 / 25600, writer_start_writes=35677, **NO_ITS)


# -- auto-converge ----------------------------------------------------------------------------------------------------
def steps(trace: Trace) -> list[int]:
    return [e.data["percentage"] for e in trace.select("throttle")]


def test_the_throttles_steps_are_the_recorded_ones_and_come_when_they_came():
    """s01: 7.5 s 20, 11.1 s 30, 14.7 s 40, 18.3 s 50, 21.8 s 60, 24.4 s 70, done at 25.0 s after 31 syncs."""
    trace = simulate(LAB_01)
    assert steps(trace) == [20, 30, 40, 50, 60, 70]
    came_s = [e.t_s for e in trace.select("throttle")]
    assert came_s == pytest.approx([7.51, 11.12, 14.72, 18.33, 21.84, 24.44], rel=0.01)
    assert trace.outcome.dirty_sync_count == 31
    assert trace.outcome.total_time_s == pytest.approx(24.969, rel=0.02)


def test_a_guest_that_catches_everything_up_converges_only_at_99_percent():
    """Call tree o08: 99 % after 29.2 s, done at 30.198; where the writer stood at T0 was not recorded."""
    for start in (0, 9000, 35677):
        trace = simulate(replace(LAB_01, downtime_limit_s=0.3, catch_up_s=None, writer_start_writes=start))
        assert steps(trace)[:9] == [20, 30, 40, 50, 60, 70, 80, 90, 99]
        assert [e.t_s for e in trace.select("throttle")][:9] == pytest.approx(
            [6.73, 9.55, 12.37, 15.17, 17.97, 20.78, 23.58, 26.39, 29.19], rel=0.01)
        assert trace.end_s > 29.2


def test_without_the_capability_nothing_is_throttled_and_it_never_ends():
    trace = simulate(replace(LAB_01, auto_converge=False, give_up_s=40.0))
    assert steps(trace) == []
    assert trace.outcome.status == "cancelled"


@pytest.mark.parametrize(("changes", "expected"), [
    ({"throttle_initial_pct": 80}, [80, 90, 99]), ({"throttle_max_pct": 35, "give_up_s": 20.0}, [20, 30, 35]),
    ({"throttle_trigger_pct": 100, "give_up_s": 12.0}, []), ({"throttle_increment_pct": 79}, [20, 99])])
def test_its_parameters(changes, expected):
    seen = steps(simulate(replace(LAB_01, catch_up_s=None, **changes)))
    assert seen[: len(expected)] == expected
    assert max(seen, default=0) <= changes.get("throttle_max_pct", 99)


def test_a_long_pass_is_interrupted_by_a_sync_each_five_seconds():
    """QEMU 10.0 migration/cpu-throttle.c; never in the first pass, and 7.2 has no such timer."""
    slow = replace(LAB_01, ram_bytes=512 * MIB, bandwidth_bytes_per_s=6 * MIB, working_set_bytes=256 * MIB,
                   throttle_max_pct=20, give_up_s=150.0)
    ours = [e for e in simulate(slow).select("sync") if e.lane == "main"]
    first_pass_s = 512 / 6
    assert ours
    assert min(e.t_s for e in ours) > 0.9 * first_pass_s
    assert not [e for e in simulate(replace(slow, qemu_version="7.2")).select("sync") if e.lane == "main"]


@given(st.integers(1, 99), st.one_of(st.none(), st.floats(0, 2)), st.floats(0, 5), st.floats(0, 20))
def test_a_throttled_guest_works_its_share(percentage, catch_up_s, begin_s, seconds):
    """In whole turns: 10 ms of each turn, and of the sleep what it catches up."""
    throttle = Throttle(catch_up_s)
    throttle.set(percentage, begin_s)
    turn_s = SLICE_S / (1 - percentage / 100)
    turns = int(seconds / turn_s)
    worked_s = throttle.work_s(begin_s + (turns + 1e-9) * turn_s - 1e-9) - begin_s
    sleep_s = turn_s - SLICE_S
    caught_up_s = sleep_s if catch_up_s is None else min(sleep_s, catch_up_s)
    assert worked_s == pytest.approx(turns * (SLICE_S + caught_up_s), abs=SLICE_S + caught_up_s + 1e-6)
    assert worked_s <= turns * turn_s + 1e-6


@given(st.lists(st.tuples(st.floats(0, 0.3), st.sampled_from(["set", "stop", "vm_stops", "look"])), max_size=30),
       st.floats(0, 0.05))
def test_work_never_goes_back_and_never_runs_ahead(moves, catch_up_s):
    throttle, t_s, before_s = Throttle(catch_up_s), 0.0, 0.0
    for wait_s, move in moves:
        t_s += wait_s
        if move == "set":
            throttle.set(90, t_s)
        elif move != "look":
            getattr(throttle, move)(t_s)
        now_s = throttle.work_s(t_s)
        assert before_s - 1e-12 <= now_s <= t_s + 1e-12
        before_s = now_s


# -- multifd ----------------------------------------------------------------------------------------------------------
def test_a_window_of_packets_has_the_recorded_bytes():
    """s04: 7 884 498 bytes a window at 64 MiB/s with two channels, 15 packets of 525 632 bytes and 18 of framing."""
    trace = simulate(Scenario(multifd_channels=2, pattern="idle", **NO_ITS))
    windows = Counter(e.data["bytes"] for e in trace.select("send", "ram"))
    assert windows.most_common(1)[0][0] == 15 * 525_632 + 18 == 7_884_498


def test_the_packets_of_a_whole_run_add_up():
    """s04: headers of 1344 bytes, transferred 357 661 283 in all."""
    packets = Packets(2, 4096, 100_000)
    assert packets.header_bytes == 1344
    hello = packets.put(128, False, 0)
    assert hello == 2 * 64 + 2 * 1344 + 8  # MultiFDInit_t and the sync of setup; the full packet waits for a page
    assert packets.put(1, False, 0) == 1344 + 128 * 4096
    assert packets.put(1, True, 1) == 1344 + 4096  # another RAM block: the packet goes as it is
    assert packets.end_round() == 3 * 1344 + 8  # a packet of one zero page, and a header on each channel
    assert simulate(LAB_04).outcome.transferred_bytes == pytest.approx(357_661_283, rel=0.001)


LAB_04 = Scenario(accelerator="tcg", downtime_limit_s=0.1, multifd_channels=2, writer_start_writes=7200, **NO_ITS)


@given(st.integers(1, 8), st.integers(0, 10**7), st.lists(st.tuples(st.integers(1, 3000), st.booleans()), max_size=20))
def test_the_limit_is_where_sending_page_by_page_stops(channels, budget, runs):
    """`pages_until` tells in advance what putting one page after the other brings about."""
    packets = Packets(channels, 4096, 10**6)
    until = packets.handed_bytes + budget
    for count, zero in runs:
        told = packets.pages_until(until, zero, count)
        for done in range(1, told + 1):
            packets.put(1, zero, 0)
            assert (packets.counted_bytes > until) == (done == told and packets.counted_bytes > until)
        if packets.counted_bytes > until:
            return
        assert told == count


# -- what the user sets, and when -------------------------------------------------------------------------------------
def test_avail_switchover_bandwidth_replaces_the_measured_one():
    """Rule 1, recording s11: 1024 MiB/s x 100 ms = 102.4 MiB, stopped at once with 64 MiB pending, downtime 29 ms."""
    assert threshold_bytes("qemu", 0, 68290e3, 0.1, 1024 * MIB) == 107_374_100
    trace = simulate(Scenario(dirty_rate_bytes_per_s=80 * MIB, downtime_limit_s=0.1, **NO_ITS,
                              avail_switchover_bandwidth_bytes_per_s=1024 * MIB))
    assert {e.data["size_bytes"] for e in trace.select("threshold")} == {107_374_100}
    assert trace.outcome.dirty_sync_count == 3
    assert next(iter(list(trace.select("pending", "exact"))[-1:])).data["size_bytes"] == 64 * MIB
    assert trace.outcome.downtime_s == pytest.approx(0.029, abs=0.01)


def test_pages_that_the_guest_wrote_before_the_migration_are_not_zero():
    """256 MiB of zeros with a set of 16 MiB at 20 MiB/s: 228 ms (s07), where a guest that never wrote needs 30."""
    zeros = Scenario(filled_bytes=0, working_set_bytes=16 * MIB, accelerator="tcg", **NO_ITS)
    assert simulate(replace(zeros, writer_start_writes=7200)).outcome.total_time_s == pytest.approx(0.228, rel=0.03)
    assert simulate(replace(zeros, dirty_rate_bytes_per_s=0)).outcome.total_time_s < 0.05


@pytest.mark.parametrize("return_path", [False, True])
def test_a_silent_peer_in_the_stop_copy_is_waited_for_without_a_timeout(return_path):
    """Rule 20, recording s18: state device, finish-migrate, the guest stopped, after 60 s still."""
    trace = simulate(Scenario(return_path=return_path, plan=(Action("silent_peer", 0.0005, "stop-copy"),)))
    assert trace.outcome.status == "device"
    assert trace.outcome.guest_runs_on is None
    assert trace.end_s == 60.0
    assert "nothing times out" in trace.outcome.reason
    later = (Action("silent_peer", 0.0005, "stop-copy"), Action("cancel", 1.0, "stop-copy"),
             Action("destination_dies", 2.0, "stop-copy"))
    ended = simulate(Scenario(return_path=return_path, plan=later))  # the cancel waits, the broken connection does not
    assert (ended.outcome.status, ended.outcome.guest_runs_on) == ("failed", "source")


def test_a_silent_peer_in_pre_copy_blocks_the_thread_and_not_the_guest():
    trace = simulate(Scenario(plan=(Action("silent_peer", 2.0), Action("cancel", 9.0))))
    assert (trace.outcome.status, trace.outcome.guest_runs_on) == ("cancelled", "source")
    assert not list(trace.select("event", "STOP"))
    assert 9.0 <= trace.end_s < 9.01


def test_a_destination_that_dies_while_it_loads():
    """With a return path the source learns of it and runs on; without one it has completed and cannot know."""
    slow = Scenario(costs=Costs(load_s=0.1), plan=(Action("destination_dies", 0.05, "stop-copy"),))
    assert simulate(replace(slow, return_path=True)).outcome.guest_runs_on == "source"
    lost = simulate(slow).outcome
    assert (lost.status, lost.guest_runs_on) == ("completed", None)


def test_a_destination_with_S_loads_and_stays_paused():
    """Recording k02: completed, source postmigrate, destination paused."""
    trace = simulate(Scenario(destination_paused=True))
    assert (trace.outcome.status, trace.outcome.guest_runs_on) == ("completed", None)
    assert [e.data["new"] for e in trace.select("state", "runstate", "dst")] == ["paused"]


@pytest.mark.parametrize(("changes", "why"), [
    ({"qemu_version": "7.2", "multifd_channels": 2}, "multifd_channels = 2: only the multifd of QEMU 10.0"),
    ({"qemu_version": "7.2", "avail_switchover_bandwidth_bytes_per_s": 1e9}, "QEMU 7.2 has no such parameter"),
    ({"throttle_initial_pct": 60, "throttle_max_pct": 50}, "throttle_initial_pct = 60: above throttle_max_pct = 50"),
    ({"throttle_max_pct": 100}, "above the largest allowed value, 99"), ({"catch_up_s": -1.0}, "below the smallest"),
    ({"multifd_channels": 256}, "above the largest allowed value, 255")])
def test_impossible_inputs_are_refused(changes, why):
    with pytest.raises(ScenarioError) as error:
        Scenario(**changes)
    assert why in str(error.value)
    assert "\n" not in str(error.value)
