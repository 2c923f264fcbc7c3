"""Workloads: literals of the hash, distributions against closed forms, nothing lost between two questions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.engine.workload import PageRange, hash32, make_workload
from livemig.scenario import MIB, Phase, Scenario

PAGE = 4096


def pages_of(scenario: Scenario, first: int, last: int) -> np.ndarray:
    """All pages in order of writing, as numbers in the working set."""
    n = scenario.working_set_bytes // PAGE
    parts = []
    for part in make_workload(scenario).pages(first, last):
        parts.append((part.start + np.arange(part.count)) % n if isinstance(part, PageRange) else part)
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def fmix32(x: int) -> int:
    """MurmurHash3's published 32-bit finaliser, with plain integers."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        x = ((x ^ (x >> shift)) * factor) & 0xFFFFFFFF
    return x


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**40))
def test_hash_is_a_plain_integer_function(seed, counter):
    low, high = counter & 0xFFFFFFFF, counter >> 32
    expected = fmix32((low * 0x9E3779B1 + high * 0x7F4A7C15 + seed) & 0xFFFFFFFF)
    assert int(hash32(seed, np.array([counter], dtype=np.uint64))[0]) == expected


@pytest.mark.parametrize("pattern", ["sequential", "uniform", "hot_cold", "zipf", "lab_random"])
@given(cuts=st.lists(st.integers(0, 3000), min_size=2, max_size=5).map(sorted))
def test_asking_in_pieces_gives_the_same_pages(pattern, cuts):
    scenario = Scenario(pattern=pattern, working_set_bytes=256 * PAGE)
    whole = pages_of(scenario, cuts[0], cuts[-1])
    pieces = [pages_of(scenario, a, b) for a, b in pairwise(cuts)]
    joined = np.concatenate(pieces) if pieces else whole
    if pattern == "sequential":  # a range longer than the set says each page once
        assert set(joined.tolist()) == set(whole.tolist())
    else:
        assert joined.tolist() == whole.tolist()
    assert ((joined >= 0) & (joined < 256)).all()


def test_writes_are_counted_by_rate_and_start():
    workload = make_workload(Scenario(dirty_rate_bytes_per_s=20 * MIB, writer_start_writes=100))
    assert workload.writes_by(0) == 100
    assert workload.writes_by(2.0) == 100 + 2 * 20 * MIB // PAGE


def test_uniform_covers_as_the_closed_form_says():
    """performance.md A3: E[unique] = N (1 - (1 - 1/N)^w); mean of 20 seeds within 3 of its standard errors."""
    n, writes = 4096, 4096
    unique = [len(set(pages_of(Scenario(pattern="uniform", seed=s, working_set_bytes=n * PAGE), 0, writes).tolist()))
              for s in range(20)]
    expected = n * (1 - (1 - 1 / n) ** writes)
    assert abs(np.mean(unique) - expected) < 3 * np.std(unique) / np.sqrt(20) + 1


def test_hot_pages_get_their_share():
    scenario = Scenario(pattern="hot_cold", hot_fraction=0.1, hot_share=0.9, working_set_bytes=1000 * PAGE)
    pages = pages_of(scenario, 0, 100_000)
    assert abs((pages < 100).mean() - 0.9) < 0.005


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5, 2.0])
def test_zipf_covers_as_the_closed_form_says(exponent):
    """Unique pages after w writes: sum of 1 - exp(-w p_i), p_i proportional to rank^-s."""
    n, writes = 4096, 8192
    p = np.arange(1, n + 1, dtype=float) ** -exponent
    p /= p.sum()
    expected = (1 - np.exp(-writes * p)).sum()
    scenario = Scenario(pattern="zipf", zipf_exponent=exponent, working_set_bytes=n * PAGE)
    unique = [len(set(pages_of(scenario, k * writes, (k + 1) * writes).tolist())) for k in range(64)]
    assert abs(np.mean(unique) - expected) < 4 * np.std(unique) / 8 + 0.005 * expected


def test_lab_random_is_the_guests_generator():
    """xorshift64 with shifts 13, 7, 17 from the guest's seed; page = high half of state x pages."""
    x, expected = 88172645463325252, []
    for _ in range(50):
        x ^= (x << 13) & (2**64 - 1)
        x ^= x >> 7
        x ^= (x << 17) & (2**64 - 1)
        expected.append((x * 16384) >> 64)
    assert pages_of(Scenario(pattern="lab_random"), 0, 50).tolist() == expected
    assert pages_of(Scenario(pattern="lab_random"), 20, 50).tolist() == expected[20:]


def test_phases_follow_each_other_and_the_last_goes_on():
    phases = (Phase(1.0, "sequential", 4 * MIB), Phase(1.0, "idle", 0.0), Phase(1.0, "uniform", 8 * MIB))
    workload = make_workload(Scenario(pattern="phases", phases=phases))
    assert [workload.writes_by(t) for t in (0.0, 1.0, 1.5, 2.0, 3.0, 5.0)] == [0, 1024, 1024, 1024, 3072, 7168]
    first, *rest = workload.pages(0, 3072)
    assert first == PageRange(0, 1024)
    assert sum(len(r) for r in rest) == 2048


def test_a_flood_of_writes_costs_no_more_than_the_working_set():
    """Never a hang: the last 32 draws a page are enough to touch what can be touched."""
    scenario = Scenario(pattern="uniform", working_set_bytes=64 * PAGE)
    assert len(pages_of(scenario, 0, 10**12)) == 32 * 64
