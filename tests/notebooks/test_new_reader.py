"""What notebooks 00 to 02 tell a reader who sees them for the first time, held against runs and recordings.

Each claim quotes the prose, so that neither can change alone. What cells print is in `SAYS` (test_notebooks.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest

import livemig
from livemig.course.mark import unmarked
from livemig.draw.maps import ratios_of
from livemig.draw.story import story
from livemig.engine.closed_form import textbook_of
from livemig.engine.its_guest import running_command
from livemig.engine.pages import PageStory, watch_pages
from livemig.lab.validate import recorded_runs
from livemig.trace import Outcome, Trace

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
MIB = 1 << 20
PAGE = 4096


@cache
def model(**inputs: object) -> Trace:
    return livemig.simulate(livemig.Scenario(**inputs))


@cache
def small(**changes: object) -> PageStory:
    """The guest of notebook 01, as its cell c02 has it."""
    space: dict[str, object] = {}
    exec(cells("01_the_two_phases")["c02"], space)
    return watch_pages(livemig.Scenario(**{**space["SMALL"], **changes}))


def cells(notebook: str) -> dict[str, str]:
    file = NOTEBOOKS / f"{notebook}.ipynb"
    return {cell.id: cell.source for cell in nbformat.read(file, as_version=4).cells}


def code(notebook: str) -> list[str]:
    notes = nbformat.read(NOTEBOOKS / f"{notebook}.ipynb", as_version=4).cells
    return [cell.source for cell in notes if cell.cell_type == "code"]


def gap_ms(trace: Trace, first: str, last: str) -> float:
    return (trace.mark(last) - trace.mark(first)) * 1000


def the_longest_gap() -> bool:
    b05, k02 = livemig.recording("b05"), livemig.recording("k02")
    found = [f"{gap_ms(run, *pair):.{digits}f}" for run, digits in ((b05, 2), (k02, 0))
             for pair in (("Tn+3", "Tn+4"), ("Tn+1", "Tn+4"))]
    return found == ["0.91", "1.04", "69", "78"]


def k02_at_the_end() -> bool:
    run = livemig.recording("k02")
    last = list(run.select("sync"))[-1].data
    final = list(run.select("send", "ram"))[-1].data
    return (last["new_dirty_pages"], last["remaining_bytes"] // PAGE, final["pages"], len(final["table_pages"])) == (
        8, 9 + 8, 17, 7) and "send the last 68.2 KiB" in [row.text for row in story(run)]


def two_lengths_of_the_stop() -> bool:
    run = model(downtime_limit_s=0.03)
    (band,) = [span for span in run.spans() if span.row == "vm" and span.what == "stopped"]
    stop_s = run.mark("Tn+2")
    return (f"{run.outcome.downtime_s * 1000:.1f}", f"{(band.end_s - band.start_s) * 1000:.1f}") == ("1.5", "3.0") and (
        abs(run.mark("Tn+4") - stop_s - run.outcome.downtime_s) < 1e-6)


def other_memory() -> bool:
    scenario = livemig.Scenario()
    first = model(downtime_limit_s=0.03).passes()[0]
    return round(first.todo_bytes / MIB) == 384 and scenario.other_ram_bytes // MIB == 128


def both_rules(limit_s: float) -> list[Outcome]:
    return [model(switchover_rule=rule, dirty_rate_bytes_per_s=28.0 * MIB, downtime_limit_s=limit_s).outcome
            for rule in ("qemu", "fixed")]


def rules_differ_at_300_ms_only() -> bool:
    (qemu, fixed), (one, other) = both_rules(0.3), both_rules(0.03)
    _, thresholds = model(switchover_rule="qemu", dirty_rate_bytes_per_s=28.0 * MIB, downtime_limit_s=0.3).series(
        "threshold")
    return one == other and qemu != fixed and round(thresholds[-1] / MIB, 1) == 19.5


def the_last_pass_has_no_limit() -> bool:
    qemu, _ = both_rules(0.3)
    return 16.5 < qemu.downtime_bytes / MIB < 17 and round(qemu.downtime_s * 1000) == 8 and (
        0.24 < qemu.downtime_bytes / (64 * MIB) < 0.27)


def five_functions_one_inside_the_other() -> bool:
    run = model(downtime_limit_s=0.03)
    at = next(i for i, event in enumerate(run.events) if event.name == "SAVE_TABLES" and event.lane == "its")
    stack: list[str] = []
    for event in run.select(lane="migration"):
        if event is run.events[at] or event.t_s > run.events[at].t_s:
            break
        if event.kind == "call":
            stack = [*stack[:event.depth], event.name]
    inner = stack[stack.index("migration_stop_vm") + 1:stack.index("vm_change_state_handler") + 1]
    return inner == ["vm_stop_force_state", "vm_stop", "do_vm_stop", "vm_state_notify", "vm_change_state_handler"]


def explore_8_then_30_mib() -> bool:
    """The two ends that the question promises; at 80 MiB/s there would be nothing to see."""
    def over(rate: int, working_set: int) -> bool:
        return model(dirty_rate_bytes_per_s=rate * float(MIB), working_set_bytes=working_set * MIB,
                     downtime_limit_s=0.3, give_up_s=20.0).outcome.status == "completed"

    return [over(rate, size) for rate in (150, 80) for size in (8, 30)] == [True, False, True, True]


def seven_syncs() -> bool:
    """Five that begin a pass, one at Tn+1, one after the stop: all that the run has, each at its moment."""
    run = model(downtime_limit_s=0.03)
    begin = [one.start_s for one in run.passes() if not one.final]
    found = [sync.t_s for sync in run.select("sync", lane="migration")]
    return len(found) == 7 and len(begin) == 5 and found[5] <= run.mark("Tn+1") < run.mark("Tn+3") < found[6] and all(
        abs(sync - start) < 0.001 for sync, start in zip(found, begin, strict=False))


def each_pass_of_the_curve_empties_the_bitmap() -> bool:
    """By the counts of the drawn run and of b05; notebook 01's first pass leaves four pages."""
    runs = (model(downtime_limit_s=0.03), livemig.recording("b05"))
    counts = [(one.todo_bytes // PAGE, one.normal_pages + one.zero_pages) for run in runs for one in run.passes()]
    return all(todo == sent for todo, sent in counts) and len(small().passes()[0].left) == 4


def a_save_while_the_guest_runs_delays_the_stop() -> bool:
    runs = {when: model(save_tables_when=when, its_command_period_s=0.0001) for when in (
        "stop", "t0", "each_sync", "pre_save", "never")}
    stops_ms = {when: round(1000 * (run.mark("Tn+2") - runs["stop"].mark("Tn+2")), 3) for when, run in runs.items()}
    mapped = {when: run.meta["its"]["report"]["mapped_at_source"] for when, run in runs.items()}
    early = ("t0", "each_sync")
    return stops_ms == {when: 0.15 if when in early else 0.0 for when in runs} and mapped == {
        when: 45 if when in early else 44 for when in runs}


def a_move_comes_just_after_its_map() -> bool:
    told = [running_command(k, 6) for k in range(64)]
    moved = [k for k, one in enumerate(told) if one.name == "MOVI"]
    return len(moved) == 16 and all(
        any(one.name == "MAPTI" and one.fields["event_id"] == told[k].fields["event_id"] for one in told[k - 2:k])
        for k in moved)


def unmapping_writes_memory() -> bool:
    """Linux's own dirty log after a DISCARD: the page of the device's ITT, whose address MAPD gave."""
    case = json.loads((livemig.data_dir() / "its" / "dirty-log-commands.json").read_text(encoding="utf-8"))
    last, itt, dirty = "", "", []
    for step in case["steps"]:
        for one in step.get("commands", ()):
            last = one["name"]
            itt = one["fields"]["itt"] if last == "MAPD" and one["fields"]["valid"] else itt
        if step["op"] == "get_dirty_log" and last == "DISCARD":
            dirty.append(step["result"]["dirty_pages"])
            last = ""
    return dirty == [[itt]]


def rounds_and_syncs() -> bool:
    """The textbook's five rounds, by hand as in the first cell, and the seven syncs that b05 counted."""
    left, rounds = 256.0, 0
    while left >= 64 * 0.03:
        left, rounds = min(left / 64 * 20, 64.0), rounds + 1
    return (rounds, livemig.recording("b05").outcome.dirty_sync_count) == (5, 7)


def cells_meet_at_the_corner() -> bool:
    """The drawn boundary has its corner at (1, 1): two lines, along one and up one."""
    space: dict[str, object] = {"livemig": livemig, "MIB": MIB}
    exec(cells("02_precopy_convergence")["c12b"], space)
    (line,) = [one for one in plt.gca().get_lines() if one.get_linewidth() == 2.0]
    xs, ys = (np.asarray(values, dtype=float) for values in line.get_data())
    plt.close("all")
    right, up = xs[~np.isnan(xs)], ys[~np.isnan(ys)]
    return abs(right.min() - 1) < 1e-3 and abs(up.min() - 1) < 1e-3 and right.max() > 5 and up.max() > 50


def four_maps() -> bool:
    return [(len(one.sent), one.stopped) for one in small().passes()] == [(60, False), (16, False), (0, False),
                                                                          (2, True)]


def the_look_comes_before_the_send() -> bool:
    sends = [step for step in small().steps if f"{step.t_s:.4f}" == "0.5005" and step.what == "send"]
    looks = [event for event in small().trace.select("pending") if f"{event.t_s:.4f}" == "0.5005"]
    return [step.pending for step in sends] == [4] and [look.data["size_bytes"] // PAGE for look in looks] == [14]


def the_second_round_is_the_working_set() -> bool:
    """By hand, from the numbers of the text: a round of 80 MiB would be longer than the working set."""
    left, total_s, uncut_s, uncut = 256.0, 0.0, 0.0, 256.0
    while left > 64 * 0.03:
        total_s, left = total_s + left / 64, min(left / 64 * 20, 64.0)
    while uncut >= 1:
        uncut_s, uncut = uncut_s + uncut / 64, uncut / 64 * 20
    told = textbook_of(livemig.Scenario(downtime_limit_s=0.03)).total_time_s
    return abs(told - (total_s + left / 64)) < 1e-9 and (f"{told:.2f}", f"{uncut_s:.2f}") == ("5.45", "5.80")


@cache
def plain() -> dict[str, tuple[float, float, bool]]:
    runs = recorded_runs(livemig.data_dir() / "recordings")
    return {str(run["id"])[:3]: (*ratios_of(run), run["converged"]) for run in runs}


def only_n11_is_on_the_other_side() -> bool:
    return [name for name, (rate, size, over) in plain().items() if (rate < 1 or size <= 1) is not over] == ["n11"]


CLAIMS: dict[str, tuple[tuple[str, Callable[[], bool]], ...]] = {
    "00_start_here": (
        ("0.91 of 1.04 ms in `b05`, 69 of 78 ms in `k02`", the_longest_gap),
        ("found 8 newly dirty pages; with the 9 that were left these are the 17 pages (68.2 KiB)", k02_at_the_end),
        ("QEMU's downtime, 1.5 ms, ends when the source is done (Tn+4); the hatched band, 3.0 ms,",
         two_lengths_of_the_stop),
        ("T1 has 384 MiB for a guest of 256 MiB", other_memory),
        ("(a threshold of about 19.5 MiB) and 28 MiB/s written; with 30 ms you would see no difference",
         rules_differ_at_300_ms_only),
        ("left nearly 17 MiB for the stop, and they took 8 ms, not the quarter of a second",
         the_last_pass_has_no_limit),
        ("five functions are entered, each from the one before", five_functions_one_inside_the_other),
        ("Set 150 MiB/s and a downtime limit of 300 ms, then a working set of 8 MiB, then one of 30 MiB",
         explore_8_then_30_mib),
        ("one at the beginning of each of the 5 passes, one that finds little enough left (Tn+1), one after the stop",
         seven_syncs),
        ("here the last window of each pass happened to empty the bitmap. Notebook 01, section 3 shows it",
         each_pass_of_the_curve_empties_the_bitmap),
        ("the saves delay the stop by 0.15 ms, in which it maps one more", a_save_while_the_guest_runs_delays_the_stop),
        ("to unmap an interrupt zeroes its entry in memory too, as notebook 05, section 4 shows",
         unmapping_writes_memory),
        ("this guest moves an interrupt only just after it has mapped it", a_move_comes_just_after_its_map)),
    "01_the_two_phases": (
        ("There are four for two passes of pre-copy: after sync 3 nothing was sent", four_maps),
        ("has 4 pending at 0.5005 s, this list 14: the look comes before", the_look_comes_before_the_send)),
    "02_precopy_convergence": (
        ("5 rounds are 7 syncs: one at the beginning of each round, two more, at Tn+1 and after the stop",
         rounds_and_syncs),
        ("Its boundary is the corner at (1, 1). The grid is laid so that cells meet there", cells_meet_at_the_corner),
        ("5.45 s, not 5.80 as by hand: the second round cannot exceed the working set, 64 MiB",
         the_second_round_is_the_working_set),
        ("One dot lies on the other side of the boundary: `n11`", only_n11_is_on_the_other_side),
        ("Five more runs have idle guests", lambda: sum(rate == 0 for rate, _, _ in plain().values()) == 5)),
}


@pytest.mark.parametrize(("notebook", "words", "holds"), [
    pytest.param(notebook, words, holds, id=f"{notebook[:2]} {words[:40]}")
    for notebook, claims in CLAIMS.items() for words, holds in claims])
def test_what_a_new_reader_is_told_holds(notebook, words, holds) -> None:
    prose = " ".join(unmarked(" ".join(cells(notebook).values())).split())
    assert words in prose, "the prose has changed; change the claim with it"
    assert holds()


def explore(notebook: str) -> list[dict[str, object]]:
    """The changes of inputs that a notebook's numbered Explore questions ask for, one a question, read in its text."""
    questions = re.findall(r"^\d\. .+", unmarked(cells(notebook)["x90"]), re.M)
    return [{name: eval(value, {"PAGE": PAGE}) for name, value in re.findall(r'`"(\w+)": ([^`]+)`', one)}
            for one in questions]


@pytest.mark.parametrize("changes", explore("01_the_two_phases"), ids=lambda changes: next(iter(changes)))
def test_every_cell_of_01_runs_with_the_change_of_each_explore_question(changes, capsys) -> None:
    given = ", ".join(f"{name!r}: {value!r}" for name, value in changes.items())
    space: dict[str, object] = {}
    for source in code("01_the_two_phases"):
        if "course." not in source:
            exec(source.replace("Scenario(**SMALL)", f"Scenario(**{{**SMALL, {given}}})"), space)
    plt.close("all")
    said = capsys.readouterr().out
    cancelled = "give_up_s" in changes
    assert ("cancelled in 5.00 s; the guest never stood" in said) is cancelled
    assert ("the trace says:               not compared: it was cancelled" in said) is cancelled
    assert ("completed in 0." in said) is not cancelled


def test_01_has_five_explore_questions_that_change_an_input() -> None:
    assert [len(changes) for changes in explore("01_the_two_phases")] == [2, 1, 1, 1, 1]


@pytest.mark.parametrize("changes", [{"qemu_version": "10.0"}, {"downtime_limit_s": 0.0}, {"give_up_s": 0.1},
                                     {"dirty_rate_bytes_per_s": 120.0 * PAGE, "give_up_s": 5.0}])
def test_the_list_of_looks_in_01_can_be_made_for_the_questions_inputs_too(changes, capsys) -> None:
    """A question of notebook 01 changes an input and looks at the same list."""
    exec(cells("01_the_two_phases")["c12"], {"story": small(**changes), "PAGE": PAGE})
    lines = capsys.readouterr().out.splitlines()
    assert 1 <= len(lines) <= 7
    looks = [event.name for event in small(**changes).trace.select("pending")]
    assert any("exact" in line for line in lines) == ("exact" in looks)
