"""The invariant that matters: at every instant at most one side runs the guest, and a migration that did not complete
leaves a source that runs on, or can, with its memory and its ITS intact.

Each fault is put at every event of many runs, and between any two. LIVEMIG_FAULT_RUNS=50000 tries more of them,
LIVEMIG_FAULT_SEED=7 others; the numbers are printed (pytest -s).
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest

from livemig.engine import migration, run, simulate
from livemig.engine.contents import RAM_BASE
from livemig.engine.devices import ItsModel
from livemig.engine.plan import Plan
from livemig.engine.state import MigrationState
from livemig.engine.vmstop import vm_start
from livemig.scenario import KIB, MIB, SAVE_MOMENTS, Action, Costs, Scenario
from livemig.trace import Trace

RUNS = int(os.environ.get("LIVEMIG_FAULT_RUNS", "1200"))
SEED = int(os.environ.get("LIVEMIG_FAULT_SEED", "1"))

FAULTS = ("cancel", "link_failure", "silent_peer", "destination_dies")
SMALL = Scenario(
    ram_bytes=2 * MIB,
    other_ram_bytes=16 * KIB,
    filled_offset_bytes=64 * KIB,
    working_set_offset_bytes=64 * KIB,
    working_set_bytes=512 * KIB,
    dirty_rate_bytes_per_s=2.5 * MIB,
    bandwidth_bytes_per_s=8 * MIB,
    downtime_limit_s=0.03,
    its_command_period_s=0.004,
    give_up_s=3.0,
    contents=True,
)
SWITCHES = (
    ("qemu_version", ("10.0", "7.2")),
    ("return_path", (False, True)),
    ("pause_before_switchover", (False, False, True)),
    ("auto_converge", (False, True)),
    ("destination_paused", (False, False, False, True)),
    ("save_tables_when", ("stop", *SAVE_MOMENTS)),
    ("pattern", ("sequential", "uniform")),
    ("accelerator", ("kvm", "kvm", "tcg")),
    ("multifd_channels", (0, 0, 2)),
    ("link_bytes_per_s", (None, 6e6)),
    ("dirty_rate_bytes_per_s", (2.5 * MIB, 40.0 * MIB)),
    ("costs", (Costs(), Costs(stop_s=0.02, load_s=0.1, device_state_s=0.02))),
)


class Violation(AssertionError):
    """What the invariant forbids has happened; the message says when."""


@dataclass
class Count:
    """What was tried."""

    runs: int = 0
    instants: int = 0

    def __str__(self) -> str:
        return f"{self.runs} runs, {self.instants} instants"


def bases(rng: random.Random) -> Iterator[Scenario]:
    """Scenarios with their switches drawn; those that cannot be together are drawn again."""
    while True:
        drawn = {name: rng.choice(values) for name, values in SWITCHES}
        if drawn["qemu_version"] == "7.2":
            drawn["multifd_channels"] = 0
        go_on = (Action("continue", 0.02, "pre-switchover"),) if drawn["pause_before_switchover"] else ()
        yield replace(SMALL, plan=go_on, **drawn)


def moments(trace: Trace) -> list[float]:
    """Each time at which something happened, and the middle between any two."""
    times = sorted({event.t_s for event in trace.events})
    return sorted([*times, *((a + b) / 2 for a, b in pairwise(times))])


# -- the checker: it reads the Trace, the final memory and the final ITS ---------------------------------------------
def check(s: MigrationState, trace: Trace) -> int:
    """Raise `Violation`, or return the number of instants that were looked at."""
    instants = check_who_runs(trace)
    completed = trace.outcome.status == "completed"
    starts = list(trace.select("call", "resume_all_vcpus"))
    if completed:
        if s.runstate != "postmigrate" or any(e.lane != "dst" for e in starts):
            raise Violation(f"completed, and the source's run state is {s.runstate}")
        if s.destination_loaded and s.scenario.save_tables_when == "stop":
            check_arrived(s)
    else:
        if any(e.lane == "dst" for e in starts) and not (s.waits_for_peer and s.destination_loaded):
            raise Violation(f"{trace.outcome.status}, but the destination was started")
        check_source_can_run_on(s)
    check_intact(s)
    return instants


def check_who_runs(trace: Trace) -> int:
    """At every instant: the vCPUs of at most one side are in the guest, and one run state at most says running."""
    vcpus = {"source": True, "destination": False}
    states = {"source": "running", "destination": "inmigrate"}
    for event in trace.events:
        side = "destination" if event.lane == "dst" else "source"
        if event.kind == "return" and event.name == "pause_all_vcpus":
            vcpus[side] = False
        elif event.kind == "call" and event.name == "resume_all_vcpus":
            vcpus[side] = True
        elif event.kind == "state" and event.name == "runstate":
            states[side] = event.data["new"]
        if all(vcpus.values()) or all(state == "running" for state in states.values()):
            raise Violation(f"both sides run the guest at {event.t_s} s ({event.name})")
    running = next((side for side, runs in vcpus.items() if runs), None)
    if trace.outcome.guest_runs_on != running:
        raise Violation(f"the outcome says {trace.outcome.guest_runs_on}, the vCPUs run on {running}")
    return len({event.t_s for event in trace.events})


def check_source_can_run_on(s: MigrationState) -> None:
    """It runs; or the thread waits for a silent peer, and once that is over the source's guest can be started."""
    if s.runstate == "running":
        return
    if not s.waits_for_peer:
        raise Violation(f"status {s.status}, run state {s.runstate}: nobody waits, and nobody runs")
    if s.destination_loaded:
        return  # the destination has everything, only its answer is missing: here the guest must not run
    vm_start(s)
    s.machine.spend(0.05)
    s.guest_runs()
    if s.runstate != "running":
        raise Violation(f"the source could not be started: {s.runstate}")


def check_arrived(s: MigrationState) -> None:
    """Tables that were saved at the stop are complete at the destination."""
    report = s.its.report() if s.its is not None else {}
    if any(report.get(key) for key in ("lost", "stale", "wrong", "pending_lost")):
        raise Violation(f"the destination's ITS is not the source's: {report}")
    here, there = (side.array for side in (s.memory.here, s.memory.there))
    if not np.array_equal(untouched_by_its(s, here), untouched_by_its(s, there)):
        raise Violation("the destination's memory is not the source's")


def check_intact(s: MigrationState) -> None:
    """Memory and ITS of the source are those of a guest that ran as long and was never migrated."""
    s.guest_runs()
    alone = MigrationState(s.scenario)
    if s.its is not None:
        alone.its = ItsModel(alone)
        alone.its.guest_runs_until(s.guest_s)
        if alone.its.source.mappings() != s.its.source.mappings():
            raise Violation("the source's ITS has other mappings than its guest made")
        if alone.its._pending(alone.its.source) != s.its._pending(s.its.source):
            raise Violation("the source's ITS has other pending interrupts")
    alone.memory.guest_runs_until(s.guest_s)
    if not np.array_equal(untouched_by_its(alone, alone.memory.here.array), untouched_by_its(s, s.memory.here.array)):
        raise Violation("the source's memory is not what its guest wrote")


def untouched_by_its(s: MigrationState, pages: np.ndarray) -> np.ndarray:
    """RAM below the ITS's tables: the saved tables themselves are copies that nobody reads on the source."""
    end = s.memory.ram_pages
    if s.its is not None:
        end = (min(s.its.place.values()) - RAM_BASE) // s.scenario.page_bytes
    return pages[:end]


# -- the runs -----------------------------------------------------------------------------------------------------
def tried(scenario: Scenario, count: Count) -> str:
    """One run, checked; returns how it ended."""
    state = MigrationState(scenario)
    trace = run(state)
    try:
        count.instants += check(state, trace)
    except Violation as violation:
        raise Violation(f"{violation}\n{scenario.to_dict()}") from violation
    count.runs += 1
    return trace.outcome.status


def with_faults(scenario: Scenario, *faults: Action) -> Scenario:
    return replace(scenario, plan=(*scenario.plan, *faults))


def test_each_fault_at_every_event_of_many_runs():
    """One fault at every moment of a run, then of the next run, until the number is reached; then pairs of faults."""
    rng = random.Random(SEED)
    count, ended, scenarios = Count(), Counter(), 0
    for scenario in bases(rng):
        scenarios += 1
        times = moments(simulate(scenario))
        share = max(1, RUNS // 25)  # a long run with many events leaves room for others
        places = [(t_s, do) for t_s in times for do in FAULTS]
        for t_s, do in places if len(places) <= share else rng.sample(places, share):
            ended[tried(with_faults(scenario, Action(do, t_s)), count)] += 1
        for _ in range(share // 4):
            pair = (Action(rng.choice(FAULTS), rng.choice(times)) for _ in range(2))
            ended[tried(with_faults(scenario, *pair), count)] += 1
        if count.runs >= RUNS:
            break
    print(f"\n{scenarios} scenarios, {count}: {dict(ended)}, no violation")
    assert scenarios >= 10
    assert {"completed", "cancelled", "failed", "device"} <= ended.keys()
    assert count.instants > 20 * count.runs


@pytest.mark.parametrize("version", ["10.0", "7.2"])
@pytest.mark.parametrize("return_path", [False, True])
@pytest.mark.parametrize("pause", [False, True])
def test_every_moment_of_the_switchover(version, return_path, pause):
    """All moments from the last count on, none left out, with each fault."""
    plan = (Action("continue", 0.02, "pre-switchover"),) if pause else ()
    scenario = replace(SMALL, qemu_version=version, return_path=return_path, pause_before_switchover=pause, plan=plan)
    plain = simulate(scenario)
    decided_s = plain.mark("Tn+1")
    count, ended = Count(), Counter()
    for t_s in moments(plain):
        if t_s >= decided_s:
            for do in FAULTS:
                ended[tried(with_faults(scenario, Action(do, t_s)), count)] += 1
    print(f"\n{count}: {dict(ended)}")
    assert ended["completed"]
    assert ended["failed"]
    assert ended["cancelled"] > 1 if pause else ended["cancelled"] == 1  # just before the stop takes the big lock


# -- mutants: a checker that cannot fail is none ------------------------------------------------------------------
def caught(scenario: Scenario) -> str:
    with pytest.raises(Violation) as violation:
        tried(scenario, Count())
    return str(violation.value)


@pytest.mark.parametrize("version", ["10.0", "7.2"])
def test_a_destination_that_starts_before_the_source_has_stopped_is_caught(monkeypatch, version):
    stop = migration.vm_stop_force_state

    def too_early(s, state):
        with s.machine.on("dst"):
            vm_start(s)
        s.destination_loaded = True
        stop(s, state)

    monkeypatch.setattr(migration, "vm_stop_force_state", too_early)
    assert "both sides run the guest" in caught(replace(SMALL, qemu_version=version))


def test_a_source_that_is_not_started_again_is_caught(monkeypatch):
    monkeypatch.setattr(migration, "vm_start", lambda s: None)
    broken = with_faults(SMALL, Action("link_failure", 0.0005, "stop-copy"))
    assert "nobody waits, and nobody runs" in caught(broken)


def test_a_cancel_that_comes_too_late_and_is_obeyed_is_caught(monkeypatch):
    monkeypatch.setattr(Plan, "_cancel_by_user", lambda self, s, why: self._cancel(s))
    slow = replace(SMALL, return_path=True, costs=Costs(load_s=0.1))
    loading_s = next(simulate(slow).select("load", "cpu")).t_s
    assert "both sides run the guest" in caught(with_faults(slow, Action("cancel", loading_s)))


def test_a_source_whose_memory_or_its_was_taken_is_caught(monkeypatch):
    finish = migration.migration_iteration_finish
    broken = with_faults(SMALL, Action("link_failure", 0.0005, "stop-copy"))

    def loses_a_page(s):
        finish(s)
        s.memory.here.array[20] = 0

    monkeypatch.setattr(migration, "migration_iteration_finish", loses_a_page)
    assert "memory is not what its guest wrote" in caught(broken)

    def loses_a_device(s):
        finish(s)
        s.its.source.devices.popitem()

    monkeypatch.setattr(migration, "migration_iteration_finish", loses_a_device)
    assert "other mappings" in caught(broken)
