"""Keys of notebooks 01, 06, 07 and 08 against what the course did not compute.

Arithmetic on the question's own numbers, the recorded call trees and recordings of real QEMU, and the formulas of its
documentation; and functions of the new kinds that never end, raise, or return nonsense.
"""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

import livemig
from livemig.course import EXERCISES
from livemig.course.exercises_06 import INNERMOST, after_the_stop, frames
from livemig.course.exercises_07 import COMPLETED, SLOW_LINK, windows
from livemig.course.judge import judge
from livemig.course.runner import run_cases

MIB = 1 << 20
SEEDS = range(60)


def task(exercise_id: str, seed: int):
    return EXERCISES[exercise_id].task(seed)


# -- 01: the writes counted one by one --------------------------------------------------------------------------------
def writes_of(question: str) -> list[tuple[int, int]]:
    """(page, pages sent by then) of each write before 0.6 s, in whole numbers: write k comes at k / rate."""
    rate, low, high = (int(n) for n in re.search(r"writes (\d+) pages a second, evenly: pages (\d+) to (\d+)",
                                                 question).groups())
    return [(low + (k - 1) % (high - low + 1), 10 * (k * 10 // rate + 1)) for k in range(1, 6 * rate // 10 + 1)]


def test_old_bytes_are_those_of_pages_whose_turn_was_over() -> None:
    for seed in SEEDS:
        old = {page for page, sent in writes_of(task("01.1", seed).question) if page < sent}
        assert task("01.1", seed).key.value == len(old), seed


def test_the_second_pass_has_what_is_dirty_and_what_is_left() -> None:
    for seed in SEEDS:
        assert task("01.2", seed).key.value == len({page for page, _ in writes_of(task("01.2", seed).question)} | {
            60, 61, 62, 63}), seed


def test_the_second_pass_goes_on_and_round() -> None:
    for seed in SEEDS:
        written = re.search(r"writes the pages ([\d, ]+), in this", task("01.3", seed).question)[1].split(", ")
        pages = [60, 61, 62, 63, *sorted(map(int, written))]
        assert task("01.3", seed).key.value == tuple(f"page {page}" for page in pages)


# -- 06: the list sorted, recorded stacks, recorded ends --------------------------------------------------------------
def test_the_list_is_sorted_stably_and_a_stop_walks_it_backward() -> None:
    seen = set()
    for seed in SEEDS:
        question = task("06.1", seed).question
        devices = re.findall(r"(?:: |, )([a-z ]+) with priority (\d)", question)
        when = re.search(r"is to (stop|start)", question)[1]
        listed = [name for name, _ in sorted(devices, key=lambda one: int(one[1]))]
        assert task("06.1", seed).key.value == tuple(listed if when == "start" else listed[::-1])
        seen.add(when)
    assert seen == {"stop", "start"}


def stacks(name: str) -> dict[str, list[str]]:
    """{function: the frames around its last call in the migration thread} of a call tree that was recorded."""
    tree = pd.read_json(livemig.data_dir() / "calltree" / f"{name}.json", typ="series")
    calls = pd.DataFrame(tree["calls_src"], columns=tree["call_cols"])
    calls["name"] = [tree["functions"][number][0] for number in calls["function"]]
    ends = calls["t_end_s"].fillna(float("inf"))
    found = {}
    for innermost in INNERMOST:
        for _, call in calls[calls["name"] == innermost][-1:].iterrows():
            end = float("inf") if pd.isna(call["t_end_s"]) else call["t_end_s"]
            around = (calls["thread"] == call["thread"]) & (calls["t_start_s"] <= call["t_start_s"]) & (ends >= end)
            found[innermost] = calls[around].sort_values("t_start_s", kind="stable")["name"].tolist()
    return found


def test_the_stack_is_that_of_a_recorded_qemu() -> None:
    recorded = stacks("o01")
    assert {"pause_all_vcpus", "vm_state_notify", "bdrv_drain_all"} <= set(recorded)
    for innermost in ("pause_all_vcpus", "vm_state_notify", "bdrv_drain_all"):
        assert tuple(recorded[innermost]) == frames(innermost)
    for innermost in INNERMOST:
        assert frames(innermost)[:8] == frames("pause_all_vcpus")[:8]


def test_how_often_callbacks_are_called() -> None:
    for seed in SEEDS:
        question = task("06.3", seed).question
        devices, prepares = map(int, re.search(r"handlers (\d+) devices .* each, (\d+) of them", question).groups())
        rounds = 4 + devices + (prepares if "10.0" in question else 0)
        walks = 2 if "breaks" in question else 1 if "completes" in question else 0
        assert task("06.3", seed).key.value == walks * rounds, question


@pytest.mark.parametrize(("recorded", "words"), [("s22", "pauses before the switchover"), ("s17", "dies while")])
def test_what_follows_a_stop_that_is_taken_back_is_what_real_qemu_did(recorded, words) -> None:
    seeds = [seed for seed in SEEDS if words in task("06.4", seed).question]
    assert len(seeds) > 10
    assert {task("06.4", seed).key.value for seed in seeds} == {after_the_stop(livemig.recording(recorded))}


# -- 07 and 08: QEMU's own numbers ------------------------------------------------------------------------------------
def test_thresholds_are_those_that_qemu_traced_and_what_mbps_and_limit_come_to() -> None:
    assert all(len(windows(name)) >= 5 for name in COMPLETED)
    for seed in SEEDS:
        reply, parameters = re.findall(r"\{.*?\}", task("07.1", seed).question)
        mbps, limit_ms = json.loads(reply)["mbps"], json.loads(parameters)["downtime-limit"]
        assert task("07.1", seed).key.value == pytest.approx(mbps * 125 * limit_ms, rel=0.005)


def test_total_time_times_mbps_is_what_was_transferred() -> None:
    for seed in SEEDS:
        said = json.loads(re.search(r"\{.*?\}", task("07.2", seed).question)[0])
        per_s = said["mbps"] * 125_000
        value = said["transferred"] / per_s if "transferred" in said else said["total-time"] / 1000 * per_s
        assert task("07.2", seed).key.value == pytest.approx(value, rel=0.005)


def test_the_stop_takes_what_is_pending_over_the_link_as_it_did_in_every_recording_with_a_slow_link() -> None:
    for name in SLOW_LINK:
        trace = livemig.recording(name)
        by_hand_s = trace.passes()[-1].todo_bytes / (trace.meta["params"]["link"] * MIB)
        assert trace.outcome.downtime_s == pytest.approx(by_hand_s, rel=0.025), name
    for seed in SEEDS:
        question = task("07.3", seed).question
        pending, link = re.search(r"([\d.]+) MiB were", question)[1], re.search(r"(\d+) MiB/s in", question)[1]
        assert judge(task("07.3", seed), f"{float(pending) / int(link)} s").right is True, seed


def test_where_the_solution_says_so_real_qemu_read_its_dirty_log_within_a_window() -> None:
    """With the limit that was set: after each poll that falls below, the recording has a sync within 0.15 s."""
    space: dict = {}
    exec(task("07.4", 1).key.solution, space)
    looked = 0
    for name in (*COMPLETED, "d03", "d06", "l11"):
        trace = livemig.recording(name)
        syncs_s = [event.t_s for event in trace.select("sync")]
        for event in trace.select("sample"):
            if event.data.get("remaining"):
                poll = {"t_s": event.t_s, "remaining": event.data["remaining"], "mbps": event.data["mbps"]}
                at_s = space["switchover"]([poll], trace.meta["scenario"]["downtime_limit_s"] * 1000)
                if at_s is not None:
                    assert any(-0.005 < sync_s - at_s < 0.15 for sync_s in syncs_s), (name, at_s)
                    looked += 1
    assert looked > 200
    for seed in SEEDS:
        assert [case.expected is None for case in task("07.4", seed).key.cases] == [False] * 4 + [True]


def test_novas_limit_comes_step_by_step() -> None:
    """Nova's configuration reference: steps of equal size, live_migration_downtime_delay seconds a GiB between them."""
    for seed in SEEDS:
        numbers = [int(n) for n in re.findall(r"\d+", task("08.3", seed).question)]
        gib, longest, steps, delay, needed = numbers
        first, step = longest / steps, 0
        while int(first + step * (longest - first) / steps) < needed:
            step += 1
        assert task("08.3", seed).key.value == step * delay * gib


# -- functions of the new kinds that go wrong -------------------------------------------------------------------------
def endless(*_):
    while True:
        pass


def raises(*_):
    return {}["no such key"]


@pytest.mark.parametrize("exercise_id", ["01.4", "06.5", "07.4"])
def test_a_function_that_does_not_end_is_stopped_and_one_that_raises_is_told_where(exercise_id) -> None:
    key = task(exercise_id, 1).key
    ran = run_cases(endless, [case.args for case in key.cases], key.driver, limit_s=1.0)
    assert "did not end within 1 s and was stopped" in ran.trouble
    assert "(endless)" in ran.trouble
    verdict = judge(task(exercise_id, 1), raises)
    assert verdict.right is False
    assert "raised KeyError: 'no such key' in line" in verdict.reason
    assert "(raises), in case 1" in verdict.reason


@pytest.mark.parametrize(("exercise_id", "function", "said"), [
    ("01.4", lambda n, dirty, old: 64, "writes(0) = 64: the working set has the pages 0 to 63"),
    ("01.4", lambda n, dirty, old: 1.5, "writes(0) = 1.5"),
    ("01.4", lambda n, dirty, old: None, "writes(0) = None"),
    ("01.4", lambda n, dirty, old: 3, "pages written: 1, of these old at the destination: 1"),
    ("06.5", lambda state, running, runstate: None, "nothing of yours is there"),
    ("06.5", lambda state, running, runstate: state.memory.write(0, b"x"), "raised MemoryFault"),
    ("07.4", lambda polls, limit_ms: 0, "gave 0, expected"),
])
def test_other_answers_are_told_what_came_of_them_in_few_words(exercise_id, function, said) -> None:
    verdict = judge(task(exercise_id, 1), function)
    assert verdict.right is False
    assert said in verdict.reason
    assert len(verdict.reason) < 500
