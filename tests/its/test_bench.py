"""The bench against every recorded case that it can hold: same commands, same bytes, with a machine made anew."""

from pathlib import Path

import pytest

from livemig.its.bench import MAX_COMMANDS, Bench
from livemig.its.entries import RegionMemory, entry_tables
from livemig.its.errors import DataError, ItsError
from livemig.its.layout import LAYOUTS
from livemig.its.migration import migration_state, post_load

DATA = Path(__file__).parents[2] / "data"
FILES = sorted(file for folder in ("its", "its-qemu-tcg", "its-linux-guest") for file in (DATA / folder).glob("*.json"))
CRASHED = {"solo-mapc-unmap-with-events"}


def benches() -> dict[str, Bench]:
    found = {}
    for file in FILES:
        try:
            found[file.stem] = Bench.of_case(file)
        except DataError:  # it restores, signals MSIs, has two ITSes: nothing for a bench
            continue
    return found


def test_recorded_entries_come_out_of_commands_alone() -> None:
    compared = 0
    for name, bench in benches().items():
        if name in CRASHED:
            continue
        here = {table["place"]: table["entries"] for table in bench.run(bench.rows).tables}
        for table in bench.recorded:
            assert here[table["place"]] == table["entries"], (name, table["name"])
            compared += len(table["entries"])
    assert compared > 5000


def test_a_host_crash_is_told() -> None:
    bench = Bench.of_case(DATA / "its" / "solo-mapc-unmap-with-events.json")
    run = bench.run(bench.rows)
    assert "the host kernel crashes (recorded)" in run.saves[0]["text"]


def test_two_runs_know_nothing_of_each_other() -> None:
    bench = Bench.of_case(DATA / "its" / "roundtrip-small.json")
    first = bench.run(bench.rows).tables
    bench.run([])
    assert [table for table in bench.run(bench.rows).tables if table["entries"]] == [t for t in first if t["entries"]]


def test_registers_say_where_the_queue_is() -> None:
    """As if the guest had written CWRITER: a destination finds the commands in the copied RAM, and its state equal."""
    bench = Bench.of_case(DATA / "its" / "roundtrip-small.json")
    source = bench.run(bench.rows)
    state = migration_state(source.its)
    assert (state["GITS_CREADR"], state["GITS_CWRITER"]) == (0xE0, 0xE0)
    there = bench.destination(source)
    post_load(there, state)
    assert there.mappings() == source.its.mappings() != ()
    with pytest.raises(ItsError, match="EFAULT"):
        post_load(bench.destination(source, gic=False), state)


def test_limits() -> None:
    bench = Bench.of_case(DATA / "its" / "roundtrip-small.json")
    with pytest.raises(ItsError, match="more than the bench's limit"):
        bench.run([{"name": "SYNC", "fields": {}}] * (MAX_COMMANDS + 1))
    with pytest.raises(DataError, match="does not begin with a set-up"):
        Bench.of_case({"name": "x", "steps": []})
    with pytest.raises(DataError, match="not a region of a recorded dump"):
        RegionMemory([{"gpa": "0x0"}])
    with pytest.raises(ItsError, match="no table layout"):
        entry_tables(RegionMemory([]), {"GITS_BASER0": 0, "GITS_BASER1": 0}, layout="arm")


def test_entries_lie_where_their_numbers_say() -> None:
    """A level 2 page begins at `place`; entry i of any table lies at base + i * entry_bytes."""
    bench = Bench.of_case(DATA / "its" / "indirect-two-l2.json")
    run = bench.run(bench.rows)
    second = next(table for table in run.tables if table["name"] == "Device table, level 2 from 8192")
    assert second["place"] == 0x40610000
    sizes = {layout.name: layout.size_bytes for layout in LAYOUTS["kvm"].values()}
    for table in run.tables:
        for index, text in table["entries"]:
            raw = run.ram.peek(table["base"] + index * table["entry_bytes"], table["entry_bytes"])
            assert raw.hex() == text
        assert table["entry_bytes"] == sizes.get(table["layout"], 1)
