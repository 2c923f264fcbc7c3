"""With real bytes: what is saved at the stop arrives; at any other moment exactly these mappings do not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livemig.engine import MigrationState, run, simulate
from livemig.engine.its_guest import boot_commands, running_command
from livemig.scenario import KIB, MIB, Action, Scenario

PATTERNS = ("idle", "sequential", "uniform", "hot_cold", "zipf")


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    ram = draw(st.integers(160, 640)) * 4 * KIB
    room = (ram - 448 * KIB) // (64 * KIB) * (64 * KIB)
    offset = draw(st.integers(0, room // 4096 - 1)) * 4096
    wset = draw(st.integers(1, (room - offset) // 4096)) * 4096
    filled = draw(st.integers(0, ram // 4096)) * 4096
    return Scenario(
        contents=True, ram_bytes=ram, other_ram_bytes=draw(st.integers(0, 64)) * 4096,
        filled_offset_bytes=filled, filled_bytes=draw(st.none() | st.integers(0, 256).map(lambda n: n * 4096)),
        working_set_bytes=wset, working_set_offset_bytes=offset, pattern=draw(st.sampled_from(PATTERNS)),
        dirty_rate_bytes_per_s=draw(st.floats(0, 64 * MIB)), bandwidth_bytes_per_s=draw(st.floats(64 * KIB, 64 * MIB)),
        link_bytes_per_s=draw(st.none() | st.floats(512 * KIB, 64 * MIB)), downtime_limit_s=draw(st.floats(0, 1)),
        switchover_rule=draw(st.sampled_from(("qemu", "fixed"))), fixed_threshold_bytes=draw(st.integers(3, 5)) * MIB,
        plan=(Action("set_downtime_limit", 1.0, value=2000.0), Action("set_bandwidth", 2.0, value=1e9)),
        qemu_version=draw(st.sampled_from(("10.0", "7.2"))),
        return_path=draw(st.booleans()), its_devices=draw(st.integers(1, 12)),
        its_events_per_device=draw(st.integers(1, 16)), its_command_period_s=draw(st.sampled_from((0, 0.001, 0.013))),
        seed=draw(st.integers(0, 2**32 - 1)))


@settings(max_examples=1000, derandomize=True)
@given(scenarios())
def test_saved_at_the_stop_the_destination_equals_the_source(scenario):
    state = MigrationState(scenario)
    trace = run(state)
    assert trace.outcome.status == "completed"  # the plan lets every one of them converge
    assert trace.meta["memory"]["different_pages"] == []
    report = trace.meta["its"]["report"]
    assert report["lost"] == report["stale"] == report["wrong"] == report["pending_lost"] == []
    assert report["mapped_at_destination"] == report["mapped_at_source"] > 0
    assert state.its is not None
    assert state.its.there.mappings() == state.its.source.mappings()


# -- the wrong moments ------------------------------------------------------------------------------------------------
def mapping_books(devices: int, events: int, done: int) -> dict[tuple[int, int], tuple[int, int]]:
    """The guest's own books, without an ITS: (DeviceID, EventID) -> (LPI, ICID) after `done` commands."""
    books: dict[tuple[int, int], tuple[int, int]] = {}
    for command in (*boot_commands(devices, events, 0), *(running_command(k, devices) for k in range(done))):
        f = command.fields
        key = (f.get("device_id"), f.get("event_id"))
        if command.name == "MAPTI":
            books.setdefault(key, (f["pintid"], f["icid"]))
        elif command.name == "MOVI" and key in books:
            books[key] = (books[key][0], f["icid"])
        elif command.name == "DISCARD":
            books.pop(key, None)
    return books


def discarded_between(devices: int, first: int, last: int) -> set[tuple[int, int]]:
    commands = [running_command(k, devices) for k in range(first, last)]
    return {(c.fields["device_id"], c.fields["event_id"]) for c in commands if c.name == "DISCARD"}


def expect(trace, saved_after: int | None) -> dict[str, list]:
    """What a save after `saved_after` guest commands leaves at the destination (None: no save before RAM was sent).

    DISCARD clears its table entry at once, so an event that was unmapped after the save is not stale.
    """
    s = trace.meta["scenario"]
    devices, events, done = s["its_devices"], s["its_events_per_device"], trace.meta["its"]["guest_commands"]
    want = mapping_books(devices, events, done)
    have = {} if saved_after is None else mapping_books(devices, events, saved_after)
    for key in () if saved_after is None else discarded_between(devices, saved_after, done):
        have.pop(key, None)
    def five(key, value):
        return [*key, *value, value[1]]
    return {
        "lost": [five(k, want[k]) for k in sorted(want.keys() - have.keys())],
        "stale": [five(k, have[k]) for k in sorted(have.keys() - want.keys())],
        "wrong": [[five(k, want[k]), five(k, have[k])]
                  for k in sorted(want.keys() & have.keys()) if want[k] != have[k]]}


def report_of(**changes):
    trace = simulate(Scenario(ram_bytes=24 * MIB, working_set_bytes=6 * MIB, contents=True, other_ram_bytes=0,
                              bandwidth_bytes_per_s=16 * MIB, dirty_rate_bytes_per_s=4 * MIB,
                              its_command_period_s=0.003, **changes))
    assert trace.outcome.status == "completed"
    report = trace.meta["its"]["report"]
    return trace, {key: report[key] for key in ("lost", "stale", "wrong")}


@pytest.mark.parametrize("moment", ["never", "pre_save"])
def test_without_a_save_before_the_final_sync_everything_is_lost(moment):
    trace, report = report_of(save_tables_when=moment)
    assert report == expect(trace, None)
    assert len(report["lost"]) > 24


def test_saved_at_t0_what_was_mapped_since_is_lost():
    trace, report = report_of(save_tables_when="t0")
    assert report == expect(trace, 0)
    assert report["lost"]
    assert report["stale"] == []


@pytest.mark.parametrize("period_s", [0.0001, 0.0007, 0.003, 0.011])
def test_saved_at_each_sync_what_changed_between_the_last_sync_and_the_stop_is_wrong(period_s):
    scenario = Scenario(ram_bytes=24 * MIB, working_set_bytes=6 * MIB, contents=True, other_ram_bytes=0,
                        bandwidth_bytes_per_s=16 * MIB, dirty_rate_bytes_per_s=4 * MIB, its_command_period_s=period_s,
                        save_tables_when="each_sync")
    state = MigrationState(scenario)
    trace = run(state)
    last_save_s = max(e.t_s for e in trace.select("its", "SAVE_TABLES"))
    report = trace.meta["its"]["report"]
    at_save = int((last_save_s - scenario.costs.save_tables_s / 2) / period_s + 1e-9)
    assert {k: report[k] for k in ("lost", "stale", "wrong")} == expect(trace, at_save)
    if period_s == 0.0001:  # several commands fall between the last sync and the stop
        assert report["lost"]


def test_pre_save_writes_ram_that_has_been_sent():
    trace, _ = report_of(save_tables_when="pre_save")
    pages = next(trace.select("its", "SAVE_TABLES")).data["pages"]
    assert pages
    assert set(pages) <= set(trace.meta["memory"]["different_pages"])


def test_device_pages_are_real_without_contents_too():
    """The ITS's bytes are kept for a guest of any size."""
    small = {"ram_bytes": 32 * MIB, "working_set_bytes": 8 * MIB}
    with_bytes, without = (simulate(Scenario(contents=contents, **small)) for contents in (True, False))
    saved = [next(t.select("its", "SAVE_TABLES")).data["tables"] for t in (with_bytes, without)]
    assert saved[0] == saved[1]
    assert without.meta["its"]["report"]["mapped_at_destination"] == without.meta["its"]["report"]["mapped_at_source"]
