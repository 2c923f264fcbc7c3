"""The speed of sweeps, as ratios to what runs beside them: a naive loop, a copy of the arrays, one core."""

from __future__ import annotations

import os

import numpy as np
import pytest

import livemig
from livemig.engine.closed_form import textbooks
from livemig.engine.rounds import Counted, Linear, count_rounds, empty_counted
from livemig.scenario import MIB, Scenario
from tests.bench.measure import TOLERANCE, minima, report

pytestmark = pytest.mark.bench
SIZE, MOST_ROUNDS = 1_000_000, 100  # facts: lambda from 0.05 to 1.1, at most 100 rounds


@pytest.fixture(scope="module")
def given() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(11)
    speed = rng.uniform(1e7, 1e10, SIZE)
    ram = rng.uniform(1e8, 1e12, SIZE)
    return (ram, speed * rng.uniform(0.05, 1.1, SIZE), ram * rng.uniform(0.01, 1.0, SIZE), speed,
            rng.uniform(0.001, 1.0, SIZE))


def naive(ram, rate, most, speed, limit_s) -> tuple[np.ndarray, ...]:
    """What one writes first: all scenarios through every round, `np.where` for those that have ended."""
    todo, time_s = ram.copy(), np.zeros(SIZE)
    rounds, running, converges = np.zeros(SIZE, np.int32), np.ones(SIZE, bool), np.zeros(SIZE, bool)
    for _ in range(MOST_ROUNDS):
        round_s = todo / speed
        dirty = np.minimum(rate * round_s, most)
        time_s = np.where(running, time_s + round_s, time_s)
        rounds = np.where(running, rounds + 1, rounds)
        fits = dirty / speed <= limit_s
        converges = np.where(running & fits, True, converges)
        stuck = dirty >= todo
        todo = np.where(running, dirty, todo)
        running = np.where(fits | stuck, False, running)
        if not running.any():
            break
    last_s = np.where(converges, todo / speed, 0.0)
    return converges, rounds, time_s + last_s, last_s, (time_s + last_s) * speed, todo


def test_formula_and_compaction_against_the_naive_loop_and_a_copy(given):
    ram, rate, most, speed, limit_s = given
    curve = Linear(rate, most)

    room = empty_counted(SIZE)

    def formula() -> Counted:
        return textbooks(*given, most_rounds=MOST_ROUNDS, out=room)  # new memory would be a fifth of its time

    def compacted() -> Counted:
        return count_rounds(ram, curve, speed, limit_s, most_rounds=MOST_ROUNDS)

    told, counted, plain = formula(), compacted(), naive(*given)
    for name, mine, theirs in zip(Counted._fields, counted, plain, strict=True):
        assert np.allclose(mine, theirs, rtol=1e-12, atol=0), name
    assert (told.rounds == counted.rounds).all()
    there = [np.empty_like(one) for one in (*given, *told)]

    def copy() -> None:
        for to, one in zip(there, (*given, *told), strict=True):
            np.copyto(to, one)

    naive_s, compacted_s, *short = minima(lambda: naive(*given), compacted, *[formula, copy] * 4, repeat=3)
    formula_s, copy_s = min(short[::2]), min(short[1::2])
    for what, ratio, goal in (("closed form, x naive loop", naive_s / formula_s, 40),
                              ("closed form, x copy of its arrays", copy_s / formula_s, 0.15),
                              ("rounds with compaction, x naive loop", naive_s / compacted_s, 6)):
        report(f"10^6 scenarios, {what}", ratio, f">= {goal}")
        assert ratio >= goal / TOLERANCE, what


def test_the_formula_is_the_loop_on_a_million_scenarios(given):
    """Equal round counts, and equal to 1e-12."""
    ram, rate, most, speed, limit_s = given
    told = textbooks(*given, most_rounds=10_000)
    counted = count_rounds(ram, Linear(rate, most), speed, limit_s, most_rounds=10_000)
    assert (told.rounds == counted.rounds).all()
    assert (told.converges == counted.converges).all()
    worst = max(float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 1e-300) * (a != b)))
                for a, b in zip(told[2:], counted[2:], strict=True))
    report("closed form against rounds, largest relative difference", worst, "<= 1e-12")
    assert worst <= 1e-12


def test_the_engine_uses_both_cores():
    """200 scenarios; LIVEMIG_BENCH_LONG=1 takes the 2,000 that the project asks for (minutes)."""
    if (os.cpu_count() or 1) < 2:
        pytest.skip("one core")
    side, other = (40, 50) if os.environ.get("LIVEMIG_BENCH_LONG") else (10, 20)
    base = Scenario(ram_bytes=128 * MIB, working_set_bytes=64 * MIB, give_up_s=30.0)
    grid = {"dirty_rate_bytes_per_s": np.geomspace(1.0 * MIB, 200.0 * MIB, side),
            "bandwidth_bytes_per_s": np.geomspace(16.0 * MIB, 400.0 * MIB, other)}
    seen: list[int] = []

    def run(executor: int | None) -> object:
        return livemig.sweep(grid, model="qemu", base=base, executor=executor,
                             progress=lambda done, of: seen.append(done))

    best = [float("inf")] * 2
    for _ in range(1 if side == 40 else 5):  # until a moment in which no other work has one of the cores
        best = [min(pair) for pair in zip(best, minima(lambda: run(None), lambda: run(2), repeat=1), strict=True)]
        if best[0] / best[1] >= 1.6:
            break
    one_s, two_s = best
    assert len(seen) > 20
    report(f"{side * other} runs of the engine, 2 processes x one", one_s / two_s, ">= 1.6")
    assert one_s / two_s >= 1.6 / TOLERANCE
