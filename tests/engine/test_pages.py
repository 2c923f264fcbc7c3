"""Watched pages: nothing of the run changes, the numbers agree with the Trace, and the bytes with the bookkeeping."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import livemig
from livemig.engine.pages import MOST_PAGES, ranges, watch_pages

PAGE = 4096
SMALL = {"ram_bytes": 64 * PAGE, "other_ram_bytes": 0, "filled_offset_bytes": 0, "contents": True, "its_devices": 0,
         "working_set_offset_bytes": 24 * PAGE, "working_set_bytes": 16 * PAGE, "dirty_rate_bytes_per_s": 20.0 * PAGE,
         "bandwidth_bytes_per_s": 400_000.0, "downtime_limit_s": 0.05, "qemu_version": "7.2"}


def test_the_story_of_notebook_01_by_hand():
    """Ten pages a window, 20 writes a second from page 24 on: counted on paper, not by the engine."""
    passes = watch_pages(livemig.Scenario(**SMALL)).passes()
    assert [one.number for one in passes] == [1, 2, 3, 4]
    first, second, third, final = passes
    assert first.sent == tuple(range(60))  # six windows; the four that are left are below the threshold of five
    assert first.left == (60, 61, 62, 63)
    assert first.before == (24, 25, 26, 27)  # written by 0.2 s; pages 20 to 29 go then
    assert first.after == tuple(range(28, 36))
    assert second.sent == (60, 61, 62, 63, *range(24, 36))  # the scan goes on where it stood, and round
    assert second.no_turn == third.left == final.sent == (36, 37)
    assert [one.stopped for one in passes] == [False, False, False, True]


def test_the_last_rows_in_words():
    rows = watch_pages(livemig.Scenario(**SMALL)).rows()
    assert [(row["guest"], row["step"], row["pages"], row["differ"]) for row in rows[-3:]] == [
        ("runs", "sync", "36-37", 2), ("stands", "sync", "none", 2), ("stands", "send", "36-37", 0)]
    assert ranges([60, 61, 24, 7, 8]) == "60-61, 24, 7-8"


def replayed(story):
    """Which pages differ, from the steps alone: a write makes one differ, a send makes it equal."""
    differ = set(range(64))
    for step in story.steps:
        differ = differ | set(step.pages) if step.what == "write" else differ
        differ = differ - set(step.pages) if step.what == "send" else differ
        yield len(differ), step


@settings(max_examples=25, deadline=None)
@given(rate=st.integers(0, 400), pattern=st.sampled_from(["sequential", "uniform", "hot_cold"]),
       version=st.sampled_from(["7.2", "10.0"]), limit=st.sampled_from([0.0, 0.02, 0.05, 0.3]), seed=st.integers(1, 99))
def test_watching_changes_nothing_and_every_step_agrees_with_the_bytes(rate, pattern, version, limit, seed):
    scenario = livemig.Scenario(**{**SMALL, "dirty_rate_bytes_per_s": float(rate * PAGE), "pattern": pattern,
                                   "qemu_version": version, "downtime_limit_s": limit, "seed": seed, "give_up_s": 2.0})
    story = watch_pages(scenario)
    trace = livemig.simulate(scenario)
    assert story.trace.events == trace.events
    for differ, step in replayed(story):
        assert step.different == differ
    sent = [page for step in story.steps if step.what == "send" for page in step.pages]
    assert len(sent) == sum(e.data["pages"] + e.data["zero_pages"] for e in trace.select("send", "ram"))
    assert [one.number for one in story.passes()] == [e.data["pass"] for e in trace.select("sync")]
    assert [len(one.todo) * PAGE for one in story.passes()] == [e.data["remaining_bytes"] for e in trace.select("sync")]
    if trace.outcome.status == "completed":
        assert story.steps[-1].different == 0


@pytest.mark.parametrize(("change", "words"), [
    ({"contents": False}, "contents = False"),
    ({"other_ram_bytes": PAGE}, "other_ram_bytes = 4096"),
    ({"ram_bytes": (MOST_PAGES + 1) * PAGE}, "pages = 4097"),
    ({"ram_bytes": 1024 * PAGE, "its_devices": 2}, "its_devices = 2"),
])
def test_what_cannot_be_watched_is_refused(change, words):
    with pytest.raises(livemig.ScenarioError, match=words):
        watch_pages(livemig.Scenario(**{**SMALL, **change}))
