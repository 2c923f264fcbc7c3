"""What notebooks 00 to 02 tell a reader who sees them for the first time, held against runs and recordings.

Each claim quotes the prose, so that neither can change alone. What cells print is in `SAYS` (test_notebooks.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import nbformat
import pytest

import livemig
from livemig.course.mark import unmarked
from livemig.draw.maps import ratios_of
from livemig.draw.story import story
from livemig.engine.closed_form import textbook_of
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
    """Each rate for the small working set, only some rates for the larger one."""
    def over(rate: int, working_set: int) -> bool:
        return model(dirty_rate_bytes_per_s=rate * float(MIB), working_set_bytes=working_set * MIB,
                     downtime_limit_s=0.3, give_up_s=20.0).outcome.status == "completed"

    return [over(rate, 8) for rate in (80, 128, 300)] == [True] * 3 and [over(rate, 30) for rate in (80, 128, 300)] == [
        True, False, False]


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
        ("Set the downtime limit to 300 ms and try a working set of 8 MiB, then 30 MiB", explore_8_then_30_mib)),
    "01_the_two_phases": (
        ("There are four for two passes of pre-copy: after sync 3 nothing was sent", four_maps),
        ("has 4 pending at 0.5005 s, this list 14: the look comes before", the_look_comes_before_the_send)),
    "02_precopy_convergence": (
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


@pytest.mark.parametrize("changes", [{"qemu_version": "10.0"}, {"downtime_limit_s": 0.0}, {"give_up_s": 0.1},
                                     {"dirty_rate_bytes_per_s": 120.0 * PAGE, "give_up_s": 5.0}])
def test_the_list_of_looks_in_01_can_be_made_for_the_questions_inputs_too(changes, capsys) -> None:
    """A question of notebook 01 changes an input and looks at the same list."""
    exec(cells("01_the_two_phases")["c12"], {"story": small(**changes), "PAGE": PAGE})
    lines = capsys.readouterr().out.splitlines()
    assert 1 <= len(lines) <= 7
    looks = [event.name for event in small(**changes).trace.select("pending")]
    assert any("exact" in line for line in lines) == ("exact" in looks)
