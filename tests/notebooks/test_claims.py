"""Figures in the notebooks' prose that no cell prints: each is computed here, or read in the recording that is named.

What cells do print is in `SAYS` (test_notebooks.py). Each claim quotes the prose, so that neither can change alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import nbformat
import pytest

import livemig
from livemig.course.mark import unmarked
from livemig.engine.closed_form import textbook_of
from livemig.engine.rules import RULES
from livemig.lab import guest
from livemig.lab.request import POLL_S
from livemig.trace import Outcome

MIB = 1 << 20
PAGE = 4096


@cache
def ran(**inputs: object) -> Outcome:
    return livemig.simulate(livemig.Scenario(**inputs)).outcome


def recorded(name: str) -> dict[str, object]:
    return livemig.recording(name).meta["scenario"]


def behind_a_link(limit_s: float) -> Outcome:
    """Notebook 03, section 3: the guest of that section with another limit."""
    return ran(dirty_rate_bytes_per_s=56 * MIB, bandwidth_bytes_per_s=None, link_bytes_per_s=64.0 * MIB,
               downtime_limit_s=limit_s)


def total_falls_most_between_200_and_500_ms() -> bool:
    totals = [behind_a_link(limit).total_time_s for limit in (0.1, 0.2, 0.5, 1.0)]
    falls = [before - after for before, after in pairwise(totals)]
    return totals == sorted(totals, reverse=True) and max(falls) == falls[1]


def more_limit_buys_nothing_once_the_working_set_fits() -> bool:
    below, fits, above = (behind_a_link(limit) for limit in (0.7, 1.0, 2.0))  # 64 MiB at 64 MiB/s
    return below.downtime_s < fits.downtime_s == above.downtime_s and fits.total_time_s == above.total_time_s


def a_local_socket_in_the_last_pass() -> bool:
    last = livemig.simulate(livemig.Scenario()).passes()[-1]
    took_s = last.end_s - last.start_s
    return 5.5e-3 < took_s < 6.5e-3 and last.todo_bytes / took_s > 2e9


def rates_of_n11() -> bool:
    given = recorded("n11")
    return (given["dirty_rate_bytes_per_s"], given["bandwidth_bytes_per_s"]) == (90 * MIB, 64 * MIB)


def shape_of_b02() -> bool:
    given = recorded("b02")
    return (given["ram_bytes"] // PAGE, given["dirty_rate_bytes_per_s"] / MIB, given["bandwidth_bytes_per_s"] / MIB,
            livemig.recording("b02").meta["qemu_version"]) == (65536, 20, 32, "10.0.13")


def zero_pages_in_b05() -> bool:
    """Source: recording b05. What is over when its full pages are taken away is empty pages, at nine bytes each."""
    run = livemig.recording("b05").outcome
    empty = run.duplicate_pages * PAGE
    sent = run.normal_pages * 4104 + run.duplicate_pages * 9
    return 128 * MIB < empty < 132 * MIB and abs(sent - run.transferred_bytes) < 0.001 * run.transferred_bytes


def fits_under_the_threshold_from_213_mib_s() -> bool:
    """Notebook 02: far above the line R = B, a working set of 64 MiB converges from 213 MiB/s on, and not below."""
    fast = {"dirty_rate_bytes_per_s": 400.0 * MIB}
    slower, faster = (livemig.Scenario(**fast, bandwidth_bytes_per_s=rate * MIB) for rate in (212.0, 214.0))
    return not textbook_of(slower).converges and textbook_of(faster).converges


def thirty_one_pages_of_a_window() -> bool:
    window_pages = 40 * MIB * 0.1 / 4104
    return 1000 < window_pages < 1050 and 0.025 < (RULES["10.0"].flush_pages - 1) / window_pages <= 0.0305


def s16_had_no_threshold() -> bool:
    run = livemig.recording("s16")
    return not len(run.series("threshold")[0]) and run.outcome.total_time_s == 0.083 and (
        run.meta["scenario"]["ram_bytes"] == 1 << 30)


CLAIMS: dict[str, tuple[tuple[str, Callable[[], bool]], ...]] = {
    "00_start_here": (
        ("recorded entering and leaving in ten migrations",
         lambda: len(list((livemig.data_dir() / "calltree").glob("o[0-9][0-9].json"))) == 10),),
    "01_the_two_phases": (
        ("65,536 pages of memory, 20 MiB/s written, 32 MiB/s sent", shape_of_b02),
        ("an empty page costs nine bytes instead of 4104", zero_pages_in_b05)),
    "02_precopy_convergence": (
        ("128 MiB of this machine's memory are empty flash: nine bytes a page instead of 4,104", zero_pages_in_b05),
        ("64 MiB in 300 ms: from 213 MiB/s on", fits_under_the_threshold_from_213_mib_s),
        ("it writes 90 MiB/s, the migration sends 64", rates_of_n11)),
    "03_threshold_and_downtime": (
        ("at 56 MiB/s QEMU's rule was done sooner than at 50",
         lambda: ran(dirty_rate_bytes_per_s=56 * MIB).total_time_s < ran(dirty_rate_bytes_per_s=50 * MIB).total_time_s),
        ("more than two gigabytes a second, so 15 MiB take six milliseconds", a_local_socket_in_the_last_pass),
        ("most of all where whole passes are saved (here from 200 to 500 ms)", total_falls_most_between_200_and_500_ms),
        ("from there on a larger limit buys nothing", more_limit_buys_nothing_once_the_working_set_fits),
        ("a guest of 1 GiB of zeroes that was migrated in 83 ms", s16_had_no_threshold)),
    "04_its_tables_byte_by_byte": (
        ("Its 81 commands were found in its queue", lambda: len(livemig.its_bench("linux-guest-1").commands) == 81),
        ("Seven commands: two collections, device 1 and device 4000, three events",
         lambda: [one["name"] for one in livemig.its_bench("roundtrip-small").commands] == (
             ["MAPC"] * 2 + ["MAPD"] * 2 + ["MAPTI"] * 3))),
    "07_real_qemu": (
        ("a program of a few hundred bytes", lambda: 200 < guest.IMAGE.stat().st_size < 1000),
        ("livemig asks it every 40 ms", lambda: POLL_S == 0.04),
        ("the guest prints a dot after each 256 pages", lambda: guest.DOT_PAGES == 256),
        ("A window has about a thousand pages here, so that is three per cent at most", thirty_one_pages_of_a_window)),
    "08_when_it_does_not_converge": (
        ("Nova's defaults wait 75 s per GiB and step", lambda: livemig.policies.NovaSteps().delay_s == 75),),
}


@pytest.mark.parametrize(("notebook", "words", "holds"), [
    pytest.param(notebook, words, holds, id=f"{notebook[:2]} {words[:40]}")
    for notebook, claims in CLAIMS.items() for words, holds in claims])
def test_what_the_prose_claims_and_no_cell_prints(root, notebook, words, holds) -> None:
    cells = nbformat.read(root / "notebooks" / f"{notebook}.ipynb", as_version=4).cells
    prose = " ".join(" ".join(unmarked(cell.source) for cell in cells if cell.cell_type == "markdown").split())
    assert words in prose, "the prose has changed; change the claim with it"
    assert holds()
