"""Policies: their schedules as their projects publish them, what they see against real QEMU, and how bad ones end."""

from __future__ import annotations

import dataclasses

import pytest

from livemig.datadir import data_dir
from livemig.engine.compare import compare
from livemig.engine.monitor import MOST_TURNS, Monitor, PolicyError
from livemig.engine.policies import POLICIES, KubevirtRamp, KubevirtStall, NovaSteps, Ovirt, Xen, downtime_steps
from livemig.engine.simulate import simulate
from livemig.lab.convert import to_trace
from livemig.lab.inputs import inputs
from livemig.lab.recording import load_recording
from livemig.scenario import Action, Scenario, ScenarioError

MIB, GIB = 1 << 20, 1 << 30
SMALL = Scenario(ram_bytes=64 * MIB, working_set_bytes=16 * MIB, dirty_rate_bytes_per_s=20.0 * MIB, its_devices=0)
NEVER = dataclasses.replace(SMALL, dirty_rate_bytes_per_s=400.0 * MIB, working_set_bytes=48 * MIB,
                            downtime_limit_s=0.03, bandwidth_bytes_per_s=16.0 * MIB, give_up_s=8.0)


def answers(policy, seen, **constant):
    """The values that a policy sets when it is shown these samples, one after the other, with the time in s."""
    monitor, found = Monitor(policy), []
    usual = {"status": "active", "base-memory": 8 * GIB, "page-size": 4096, "mbps": 900.0, "transferred": 0}
    for t_s, iteration, remaining in seen:
        for action in monitor.look({**usual, "total-time": t_s * 1000, "dirty-sync-count": iteration,
                                    "remaining": remaining, **constant}):
            found.append((t_s, action.do if action.value is None else round(action.value * 1000)))
    return found


# -- schedules, as published ------------------------------------------------------------------------------------------
NOVAS_EXAMPLE = [(0, 40), (90, 76), (180, 112), (270, 148), (360, 184), (450, 220), (540, 256), (630, 292), (720, 328),
                 (810, 364), (900, 400)]


def test_novas_own_example() -> None:
    assert downtime_steps(400, 10, 30, 3) == NOVAS_EXAMPLE
    policy = NovaSteps(downtime_ms=400, steps=10, delay_s=30)
    assert answers(policy, [(t_s, 2, MIB) for t_s in range(1000)], **{"base-memory": 3 * GIB}) == NOVAS_EXAMPLE
    assert downtime_steps(500, 10, 75, 1)[:2] == [(0, 50), (75, 95)]
    assert answers(NovaSteps(), [(0, 1, MIB), (149, 2, MIB), (150, 3, MIB)], **{"base-memory": GIB}) == [
        (0, 50), (150, 95)]  # 2 GiB at least


def test_ovirts_two_schedules() -> None:
    stalls = [(10 * i, i, 100) for i in range(1, 12)]  # the first is only looked at; each one after it has stalled
    steps = [(20, 150), (30, 200), (40, 300), (50, 400), (70, 500)]
    assert POLICIES["ovirt-minimal"].begins["downtime_limit_s"] == 0.1
    assert answers(POLICIES["ovirt-minimal"], stalls)[:6] == [*steps, (80, "cancel")]
    assert answers(POLICIES["ovirt-suspend"], stalls)[:7] == [*steps, (80, 5000), (90, "cancel")]
    assert answers(Ovirt(), [(10 * i, i, 100 - i) for i in range(1, 12)]) == []  # progress at each iteration
    assert answers(Ovirt(), [(10 * i, 3, 100) for i in range(1, 12)]) == []  # no new iteration


def test_kubevirts_ramp() -> None:
    assert KubevirtRamp().levels == (150, 300, 450, 600, 750, 900, 1050)
    assert KubevirtRamp().begins["downtime_limit_s"] == 0.15
    seen = [(t_s, 1 if t_s < 60 else 2 if t_s < 75 else 3 + t_s, MIB) for t_s in range(1201)]
    ramp = [(85, 300), (95, 450), (105, 600), (115, 750), (125, 900), (135, 1050)]
    assert answers(KubevirtRamp(), seen) == ramp
    assert answers(KubevirtRamp(), [*seen, (1201, 1300, MIB)])[-1] == (1201, "cancel")  # 150 s a GiB


def test_kubevirts_stall_detection() -> None:
    falling = [(t_s, t_s + 1, 1000 * MIB - t_s * MIB) for t_s in range(1, 120)]
    assert answers(KubevirtStall(), falling) == []
    hovers = [(t_s, t_s + 1, (60 + 10 * (t_s % 3)) * MIB) for t_s in range(1, 100)]
    assert answers(KubevirtStall(), hovers) == []  # stalled at 77 s, but nothing after the samples is below their least
    better = [*hovers[:90], (91, 92, 59 * MIB)]
    assert answers(KubevirtStall(), better) == [(91, 1050)]  # 59 MiB at 900 Mbit/s is 550 ms
    assert answers(KubevirtStall(max_ms=500), better) == [(91, "cancel")]
    assert answers(KubevirtStall(), [*hovers[:40], (41, 42, 59 * MIB)]) == []  # nothing is older than the timeout


@pytest.mark.parametrize(("seen", "stops_s"), [
    ([(i, i, 10 * MIB) for i in range(1, 33)], 30), ([(1, 1, 10 * MIB), (2, 2, 100)], 2),
    ([(1, 1, 10 * MIB), (2, 1, 9 * MIB)], None)])
def test_xens_rule(seen, stops_s) -> None:
    assert answers(Xen(), seen) == ([] if stops_s is None else [(stops_s, 2_000_000)])


def test_xens_rule_about_bytes() -> None:
    assert answers(Xen(), [(1, 1, MIB)], transferred=3 * 8 * GIB + 1) == [(1, 2_000_000)]
    monitor = Monitor(Xen())
    sample = {"status": "active", "base-memory": GIB, "page-size": 4096, "remaining": 10 * MIB}
    sent, stopped = [(1, 0), (2, 1000), (3, 1200), (4, 1350), (5, 1501)], []
    for iteration, transferred in sent:  # the passes sent 1000, 200, 150 and 151
        stopped += [iteration for _ in monitor.look({**sample, "dirty-sync-count": iteration, "total-time": 0,
                                                     "transferred": transferred})]
    assert stopped == [5]


# -- what a policy sees: as real QEMU answered ------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "share"), [("b02", 0.8), ("d01", 0.8), ("s01-autoconverge", 0.6)])
def test_what_is_seen_is_what_qemu_answered(name, share) -> None:
    """Each 40 ms, as the recorder asked. What moves within a window is compared at its own times."""
    recording = load_recording(data_dir() / "recordings" / f"{name}.json")
    recorded = [e for e in to_trace(recording).select("sample") if e.data["status"] == "active"]
    seen: list[dict] = []
    watch = type("Watch", (), {"interval_s": 0.04, "look": lambda self, sample, memory: seen.append(sample)})()
    simulate(Scenario.from_dict(inputs(recording)), policy=watch)
    assert len(seen) == pytest.approx(len(recorded), rel=0.03)

    told = [e.data for e in recorded]
    errors = {key: sorted(abs(ours[key] - theirs[key]) / max(abs(theirs[key]), 1.0)
                          for theirs, ours in zip(told, seen, strict=False))
              for key in ("dirty-pages-rate", "expected-downtime", "transferred", "dirty-sync-count", "mbps", "normal")}
    assert {key: values[len(values) // 2] for key, values in errors.items()} == pytest.approx(
        dict.fromkeys(errors, 0.0), abs=0.02)
    assert [key for key, values in errors.items() if values[int(len(values) * share)] >= 0.05] == []


# -- they drive the engine as users do --------------------------------------------------------------------------------
def test_a_policys_commands_are_those_of_a_plan() -> None:
    """The same run, whether a policy sets the limit at a time or a user's plan does."""
    def mine(sample, memory):
        if sample["total-time"] >= 2000 and not memory:
            memory["done"] = True
            return Action("set_downtime_limit", value=4.0)
        return None

    mine.interval_s = 0.5
    watched = simulate(NEVER, policy=mine)
    asked = list(watched.select("command", "migrate-set-parameters"))
    assert [(e.lane, e.data) for e in asked] == [("user", {"downtime-limit": 4.0})]
    planned = simulate(dataclasses.replace(NEVER, plan=(Action("set_downtime_limit", asked[0].t_s, value=4.0),)))
    assert watched.outcome == planned.outcome
    assert watched.outcome.status == "completed"
    without = [e for e in watched.events if e.kind != "sample"]
    assert without == list(planned.events)


def test_cancel_bandwidth_and_throttle() -> None:
    stop = simulate(NEVER, policy=lambda sample, memory: Action("cancel") if sample["total-time"] > 900 else None)
    assert (stop.outcome.status, stop.outcome.reason) == ("cancelled", "policy <lambda>: migrate_cancel")
    assert stop.outcome.guest_runs_on == "source"
    faster = simulate(NEVER, policy=lambda sample, memory: [Action("set_bandwidth", value=0)])
    assert faster.outcome.status == "completed"
    slow = dataclasses.replace(NEVER, auto_converge=True, give_up_s=60.0)

    def capped(sample, memory):
        return Action("set_max_throttle", value=30) if sample["cpu-throttle-percentage"] >= 20 else None

    def most(trace):
        return max(e.data["percentage"] for e in trace.select("throttle"))

    assert (most(simulate(slow, policy=capped)), most(simulate(slow)) > 30) == (30, True)
    with pytest.raises(ScenarioError, match="max-cpu-throttle is a whole percentage from throttle_initial_pct = 20"):
        dataclasses.replace(slow, plan=(Action("set_max_throttle", 1.0, value=10),))


def test_nothing_is_asked_while_qemu_does_not_answer() -> None:
    """In the stop-copy the big lock is held; in pre-switchover it is not."""
    seen = []
    slow = dataclasses.replace(SMALL, dirty_rate_bytes_per_s=4.0 * MIB, link_bytes_per_s=8.0 * MIB,
                               bandwidth_bytes_per_s=None, downtime_limit_s=1.0, pause_before_switchover=True,
                               plan=(Action("continue", 1.0, "pre-switchover"),))
    trace = simulate(slow, policy=lambda sample, memory: seen.append(sample["status"]))
    assert set(seen) == {"active", "pre-switchover"}
    assert trace.outcome.status == "completed"
    silent = dataclasses.replace(SMALL, return_path=True, plan=(Action("silent_peer", 0.0, "stop-copy"),))
    ended = simulate(silent, policy=lambda sample, memory: None)  # it comes to an end at all
    assert ended.outcome.status == simulate(silent).outcome.status


# -- bad policies -----------------------------------------------------------------------------------------------------
def raises(sample, memory):
    if sample["total-time"] > 900:
        raise ZeroDivisionError("by mistake")


def swings(sample, memory):
    memory["up"] = not memory.get("up")
    return Action("set_downtime_limit", value=0.05 if memory["up"] else 0.06)


swings.interval_s = 0.02
BAD = {
    "raises": (raises, "policy raises at 1.002 s: ZeroDivisionError: by mistake"),
    "oscillates": (swings, f"oscillates, set_downtime_limit changed its direction more than {MOST_TURNS} times"),
    "text": (lambda sample, memory: "stop", "answered 's', expected an Action with do = cancel, set_downtime_limit"),
    "number": (lambda sample, memory: 3, "TypeError"),
    "unknown": (lambda sample, memory: Action("link_failure"), "answered 'link_failure', expected an Action"),
    "nan": (lambda sample, memory: Action("set_downtime_limit", value=float("nan")), "set_downtime_limit to nan"),
    "negative": (lambda sample, memory: Action("set_bandwidth", value=-1), "set_bandwidth to -1: expected a number"),
    "none": (lambda sample, memory: Action("set_downtime_limit"), "to None: expected a number from 0 to 2000"),
    "storm": (lambda sample, memory: [Action("set_downtime_limit", value=0.05)] * 1001, "more than 1000 commands"),
    "field": (type("F", (), {"begins": {"dowtime": 1}, "look": raises})(), "begins has 'dowtime'"),
    "start": (type("S", (), {"begins": {"downtime_limit_s": -1}, "look": raises})(), "downtime_limit_s = -1"),
    "nothing": (7, "expected an object with a method look"),
    "fast": (type("T", (), {"interval_s": 0, "look": raises})(), "interval_s = 0"),
    "throttle": (lambda sample, memory: Action("set_max_throttle", value=5), "QEMU refuses less than"),
}


def test_a_bad_policy_ends_its_own_run_and_no_other() -> None:
    found = compare(NEVER, {"qemu": POLICIES["qemu"], **{name: policy for name, (policy, _) in BAD.items()},
                            "xen": POLICIES["xen"]})
    rows = {row.policy: row for row in found.rows}
    assert list(rows) == ["qemu", *BAD, "xen"]
    for name, (_, text) in BAD.items():
        assert text in rows[name].error, name
        assert "\n" not in rows[name].error
        assert rows[name].status in ("cancelled", "not run"), name
        assert rows[name].reason == rows[name].error
    assert all(rows[name].error == "" and "gave up after 8 s" in rows[name].reason for name in ("qemu", "xen"))
    with pytest.raises(PolicyError, match="begins has 'dowtime'"):
        simulate(SMALL, policy=BAD["field"][0])
    assert [e.data["text"] for e in simulate(NEVER, policy=raises).select("fault")] == [rows["raises"].error]


# -- comparisons ------------------------------------------------------------------------------------------------------
def test_a_comparison_over_guests() -> None:
    told = []
    found = compare(SMALL, ["qemu", "auto-converge"], samples=6, patterns=("sequential", "uniform"),
                    progress=lambda *what: told.append(what))
    assert [what[1:] for what in told] == [(i, 12) for i in range(12)]
    assert (found.guests, len(found.rows), found.policies) == (6, 12, ("qemu", "auto-converge"))
    one, _ = found.summaries()
    assert (one.runs, one.completed) == (6, 6)
    low, middle, high = one.spans["total_time_s"]
    assert low <= middle <= high
    assert low < high  # the writer's position is varied
    assert compare(SMALL, ["qemu"]).rows == compare(SMALL, ["qemu"]).rows
    with pytest.raises(PolicyError, match="no policy 'novva'; known are seed, qemu"):
        compare(SMALL, ["novva"])


def test_throttled_time_is_counted() -> None:
    found = compare(dataclasses.replace(NEVER, give_up_s=120.0), ["qemu", "auto-converge"])
    plain, slowed = found.rows
    assert (plain.status, plain.throttled_s) == ("cancelled", 0.0)
    assert slowed.status == "completed"
    assert 0 < slowed.throttled_s < slowed.total_time_s


def test_an_interrupt_keeps_what_was_run() -> None:
    def stop(_, done, of):
        if done == 2:
            raise KeyboardInterrupt

    found = compare(SMALL, ["qemu", "nova", "xen"], progress=stop)
    assert (found.interrupted, [row.policy for row in found.rows]) == (True, ["qemu", "nova"])
