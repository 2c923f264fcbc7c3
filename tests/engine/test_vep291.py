"""VEP 291's published table against the engine, over what the document does not say (`engine/vep291.py`)."""

from __future__ import annotations

import pytest

from livemig.engine.vep291 import (
    ASSUMPTIONS,
    PUBLISHED,
    TUNED,
    UNTUNED,
    figures_of,
    idle_guest,
    loaded_guest,
    migrations,
    tables,
)

MIB = 1 << 20
# Where the ramp is right by design: a guest whose writes ease at the right moment gets over with 300 ms at once, sooner
# than with the ramp's 150 ms, so the shortest run has the other direction, in every assumption.
SHORTEST, MEDIAN = "shortest convergence time, s", "median convergence time, s"


@pytest.fixture(scope="module")
def found():
    return list(tables(seeds=range(1, 6)))


def test_the_inputs_are_those_of_the_document() -> None:
    assert (TUNED.initial_ms, TUNED.max_ms, TUNED.steps, TUNED.cooldown_s) == (150, 1050, 7, 10)
    assert (TUNED.start_after_iteration, UNTUNED.downtime_ms) == (3, 300)
    assert len(set(ASSUMPTIONS)) == 12


def wrong_rows(found) -> list[str]:
    """Rows whose direction differs from the published one, over all migrations, those that were not over included."""
    ours = [figures_of([run for runs in found for run in runs[side]], unfinished=True) for side in (1, 2)]
    spread = [table["longest convergence time, s"] - table[SHORTEST] for table in ours]
    assert spread[0] < spread[1]
    return [row for row, (tuned, untuned) in PUBLISHED.items() if (ours[0][row] < ours[1][row]) != (tuned < untuned)]


def test_every_rows_direction(found) -> None:
    """Where a migration without tuning can stall: all but the shortest run.

    Over all assumptions the median is wrong too: half of them are guests that 300 ms gets over without a stall.
    """
    assert all(run.over for _, tuned, _ in found for run in tuned)
    stalls = [runs for runs in found if not all(run.over for run in runs[2])]
    assert 0 < len(stalls) < len(found)
    assert wrong_rows(stalls) == [SHORTEST]
    assert wrong_rows(found) == [MEDIAN, SHORTEST]


@pytest.mark.parametrize("row", PUBLISHED)
def test_the_published_figure_lies_within_the_range(found, row) -> None:
    """At the published number of digits."""
    for side, published in enumerate(PUBLISHED[row]):
        digits = 0 if published == int(published) else 1
        values = [round(table[row], digits) for runs in found if (table := figures_of(runs[1 + side]))]
        assert len(values) >= 8
        assert min(values) <= published <= max(values), f"{'without' if side else 'with'} tuning"


def test_under_constant_load_only_the_ramp_gets_it_over() -> None:
    """About 1 s of downtime with tuning, never without."""
    runs = [migrations(loaded_guest(size * MIB), TUNED) for size in (80, 90, 100)]
    assert [run.over for run in runs] == [True] * 3
    assert 0.6 < min(run.downtime_s for run in runs) < max(run.downtime_s for run in runs) < 1.1
    assert [migrations(loaded_guest(size * MIB), UNTUNED).over for size in (80, 90, 100)] == [False] * 3


def test_an_idle_guest_stops_shorter_with_the_ramps_first_limit() -> None:
    """129 ms with, 244 ms without; its working set, its rate and what a stop costs are assumed."""
    guests = [idle_guest(size * MIB, rate * MIB, 0.05) for size in (8, 28, 40) for rate in (4.0, 16.0)]
    pairs = [[migrations(one, policy).downtime_s for policy in (TUNED, UNTUNED)] for one in guests]
    assert all(tuned <= untuned for tuned, untuned in pairs)
    assert any(tuned < 0.6 * untuned for tuned, untuned in pairs)
    for side, published_s in enumerate((0.129, 0.244)):
        assert min(pair[side] for pair in pairs) <= published_s <= max(pair[side] for pair in pairs)
