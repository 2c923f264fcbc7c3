"""The vectorised textbook: against counting, against SimGrid, and the curves against sums that were drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.engine.closed_form import MOST_ROUNDS, textbook, textbooks
from livemig.engine.rounds import HotCold, Linear, PowerLaw, Throttling, Uniform, count_rounds, empty_counted

MIB = 1 << 20
FIELDS = ("converges", "rounds", "total_time_s", "downtime_s", "transferred_bytes", "dirty_bytes")


def ones(value: float) -> np.ndarray:
    return np.array([float(value)])


@pytest.mark.parametrize(("factor", "rounds", "total_s"), [(0.1, 4, 38.2442487), (0.5, 11, 68.8235291),
                                                           (0.8, 32, 171.991758), (0.95, 137, 653.433361)])
def test_simgrid_says_the_same(factor, rounds, total_s):
    """Times that SimGrid 3.32 printed: 4096 MiB, 124,780,544 B/s, limit 30 ms, its cap of 0.9 RAM."""
    speed = 124_780_544.0
    told = textbooks(4096 * MIB, factor * speed, 0.9 * 4096 * MIB, speed, 0.03)
    assert told.total_time_s[0] == pytest.approx(total_s, rel=1e-7)
    assert (told.rounds[0], bool(told.converges[0])) == (rounds, True)


SIZES = st.floats(0, 1e4, allow_subnormal=False)  # in 5e-324 bytes the two round differently


@given(st.floats(1, 1e4), st.floats(0, 2e3, allow_subnormal=False), SIZES, st.floats(1, 1e3), st.floats(0, 10))
def test_the_formula_is_the_loop(ram, rate, working_set, bandwidth, limit_s):
    """Also where the loop goes on to its limit, with lambda of 0 and above 1, and with a limit of 0."""
    if abs(rate / bandwidth - 1) < 1e-3 and rate != bandwidth:
        return  # thousands of rounds one by one
    one, many = textbook(ram, rate, working_set, bandwidth, limit_s), textbooks(ram, rate, working_set, bandwidth,
                                                                               limit_s)
    for name in FIELDS:
        assert getattr(many, name)[0] == pytest.approx(getattr(one, name), rel=1e-11, abs=1e-290), name


def test_where_rounding_could_decide_the_rounds_are_counted():
    """lambda = 1/2 and limits that are exact powers of it: the logarithm is a whole number, or nearly."""
    limit_s = 4.0 / 2.0 ** np.arange(1, 60)
    told = textbooks(256, 32, 256, 64, limit_s)
    assert told.rounds.tolist() == list(range(1, 60))
    assert told.converges.all()
    # a tenth is not exact in binary: whatever rounding does, it does to both
    for limit in (0.1**k for k in range(1, 12)):
        one = textbook(10, 1, 10, 10, limit)
        assert textbooks(10, 1, 10, 10, limit).rounds[0] == one.rounds


def test_edges():
    told = textbooks(256, [0, 64, 64, 100, 100], [256, 256, 1, 256, 1], 64, [0.3, 0.3, 0.3, 0.3, 0.001])
    assert told.converges.tolist() == [True, False, True, False, False]
    assert told.rounds.tolist() == [1, 1, 1, 1, 2]
    assert told.downtime_s[~told.converges].tolist() == [0, 0, 0]
    slow = textbooks(256, 64 * (1 - 1e-9), 256, 64, 0.3)
    assert (slow.converges[0], slow.rounds[0]) == (False, MOST_ROUNDS)
    assert len(textbooks([], 1, 1, 1, 1).rounds) == 0
    assert textbooks(256, 32, 1000, 64, 0.3, most_rounds=3).converges[0] == np.False_
    with pytest.raises(ValueError, match=r"bandwidth_bytes_per_s\[1\] = 0: must be above 0"):
        textbooks(1, 1, 1, [1, 0], 1)
    with pytest.raises(ValueError, match="out: room for 3 migrations, there are 1"):
        textbooks(1, 1, 1, 1, 1, out=empty_counted(3))
    with pytest.raises(ValueError, match=r"stop_bandwidth_bytes_per_s\[0\] = nan"):
        textbooks(1, 1, 1, 1, 1, stop_bandwidth_bytes_per_s=np.nan)


def test_the_rest_may_be_sent_faster():
    """16 MiB are left (see test_closed_form.test_by_hand); at 160 MiB/s they take 0.1 s."""
    told = textbooks(256, 32, 1000, 64, 0.3, stop_bandwidth_bytes_per_s=160)
    assert told.downtime_s[0] == pytest.approx(0.1)
    assert told.total_time_s[0] == pytest.approx(480 / 64 + 0.1)
    assert told.transferred_bytes[0] == pytest.approx(496)
    counted = count_rounds(256, Linear(ones(32), ones(1000)), 64, 0.3, stop_bandwidth_bytes_per_s=160)
    assert counted.total_time_s[0] == pytest.approx(told.total_time_s[0], rel=1e-14)


def test_uniform_and_hot_cold_cover_what_drawing_covers():
    pages, writes = 1 << 14, 20_000
    rng = np.random.default_rng(5)
    drawn = np.mean([len(np.unique(rng.integers(0, pages, writes))) for _ in range(40)])
    assert Uniform(ones(writes), ones(pages))(ones(1))[0] == pytest.approx(drawn, rel=2e-3)
    hot = int(0.1 * pages)
    drawn = []
    for _ in range(40):
        to_hot = rng.random(writes) < 0.9
        where = np.where(to_hot, rng.integers(0, hot, writes), hot + rng.integers(0, pages - hot, writes))
        drawn.append(len(np.unique(where)))
    told = HotCold(ones(writes), ones(pages), ones(hot / pages), ones(0.9))(ones(1))[0]
    assert told == pytest.approx(np.mean(drawn), rel=4e-3)
    assert Uniform(ones(5), ones(0))(ones(1)) == 0
    assert PowerLaw(ones(100), ones(0.5), ones(350))(np.array([0.0, 4.0, 25.0])).tolist() == [0, 200, 350]


def test_random_writers_need_no_more_time_than_sequential_ones():
    rate = np.linspace(1, 100, 200)
    most = np.full(200, 200.0)
    line = count_rounds(256, Linear(rate, most), np.full(200, 64.0), 0.3)
    random = count_rounds(256, Uniform(rate, most), np.full(200, 64.0), 0.3)
    both = line.converges & random.converges
    assert both.sum() > 50
    assert (random.total_time_s[both] <= line.total_time_s[both] * (1 + 1e-12)).all()
    assert (random.dirty_bytes[~both] < 200).all()


def test_throttling_by_hand():
    """Rate = 2 x bandwidth, no useful cap. 50 % after two rounds, 80 % after four; then rounds shrink to 0.4 each."""
    pct = Throttling(ones(50), ones(30), ones(80), ones(50))
    told = count_rounds(100, Linear(ones(200), ones(1e9)), 100, 0.1, throttling=pct)
    sizes = [100, 200, 400, 400, 400]  # 2, 2 | 1, 1 | 0.4 ...
    while sizes[-1] * 0.4 > 10:
        sizes.append(sizes[-1] * 0.4)
    assert (told.converges[0], told.rounds[0]) == (True, len(sizes))
    assert told.total_time_s[0] == pytest.approx((sum(sizes) + sizes[-1] * 0.4) / 100)
    weak = Throttling(ones(50), ones(30), ones(50), ones(50))
    assert not count_rounds(100, Linear(ones(200), ones(1e9)), 100, 0.1, throttling=weak).converges[0]
    never = Throttling(ones(50), ones(30), ones(80), ones(np.inf))
    assert not count_rounds(100, Linear(ones(200), ones(1e9)), 100, 0.1, throttling=never).converges[0]
