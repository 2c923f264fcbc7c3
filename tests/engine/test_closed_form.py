"""The textbook's formula, by hand and against its own fixed points."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.engine.closed_form import textbook, textbook_of
from livemig.scenario import MIB, Scenario


def test_by_hand():
    """256 MiB at 64 MiB/s, 32 MiB/s dirty: rounds of 256, 128, 64, 32 MiB; 16 MiB fit into 64 MiB/s x 300 ms."""
    told = textbook(256, 32, 1000, 64, 0.3)
    assert (told.converges, told.rounds, told.dirty_sync_count) == (True, 4, 6)
    assert told.total_time_s == pytest.approx((256 + 128 + 64 + 32 + 16) / 64)
    assert told.transferred_bytes == pytest.approx(496)
    assert told.downtime_s == pytest.approx(0.25)


def test_the_working_set_bounds_a_round():
    told = textbook(256, 32, 40, 64, 0.3)
    assert told.transferred_bytes == pytest.approx(256 + 40 + 20 + 10 if told.rounds == 3 else 256 + 40 + 20)


def test_an_idle_guest_has_one_round_and_no_rest():
    told = textbook_of(Scenario(pattern="idle"))
    assert (told.rounds, told.downtime_s, told.dirty_sync_count) == (1, 0.0, 3)
    assert told.total_time_s == 4.0


@given(st.floats(1, 1e4), st.floats(0, 1e3), st.floats(0, 1e4), st.floats(1, 1e3), st.floats(0, 10))
def test_it_converges_iff_the_set_fits_or_the_guest_is_slower(ram, rate, working_set, bandwidth, limit_s):
    """facts/qemu.md, rule 18: this is the sentence that real QEMU refutes."""
    told = textbook(ram, rate, min(working_set, ram), bandwidth, limit_s)
    fits = min(working_set, ram) <= bandwidth * limit_s
    if fits or (rate < 0.999 * bandwidth and limit_s > 1e-3):
        assert told.converges
        assert told.dirty_bytes <= bandwidth * limit_s
        assert told.downtime_s <= limit_s * (1 + 1e-9)
    elif rate > bandwidth * 1.001 and min(rate * ram / bandwidth, working_set) > bandwidth * limit_s:
        assert not told.converges


def test_bad_input():
    with pytest.raises(ValueError, match="bandwidth_bytes_per_s = 0: must be above 0"):
        textbook(1, 1, 1, 0, 1)


def test_a_scenarios_bandwidth_is_the_slower_of_limit_and_link():
    assert textbook_of(Scenario(link_bytes_per_s=32.0 * MIB)).total_time_s > textbook_of(Scenario()).total_time_s
    assert textbook_of(Scenario(bandwidth_bytes_per_s=None)).total_time_s == pytest.approx(0.1, rel=0.1)
