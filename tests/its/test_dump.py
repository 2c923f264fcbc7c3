"""Decoding of table bytes: against what the kernel's RESTORE said of the same bytes, and against literal tables."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from livemig.its import RamSlots
from livemig.its.diff import DumpPlace, diff, diff_files, load_tables
from livemig.its.dump import Decoded, decode, decode_file
from livemig.its.errors import DataError
from livemig.its.layout import DTE, ITE
from livemig.its.replay import load_case
from livemig.its.replay_kvm import KvmMachine

DATA = Path(__file__).parents[2] / "data" / "its"
BASER0, BASER1 = 0xB907000040100600, 0xBC07000040200600
MAYBE = {"restore-cte-unmapped-target", "restore-cte-target-4"}
"""RDBase 4 names no VCPU of that VM: nothing in the table bytes says so."""


def restores() -> Iterator[tuple[str, KvmMachine, dict[str, Any]]]:
    """Each recorded RESTORE of hand-built tables on a fresh ITS, with the machine just before it."""
    for path in sorted(DATA.glob("*restore-*.json")):
        machine = KvmMachine("6.12")
        for step in load_case(path)["steps"]:
            if step["op"] == "restore_tables" and not list(machine.itses[0].all_devices()):
                yield path.stem, machine, step["result"]
            if step["op"] == "save_tables" and "solo" in path.stem:
                break
            machine.run(step)


def test_problems_tell_what_restore_will_say() -> None:
    """EINVAL and EEXIST of the kernel are foretold by a named problem, and only those."""
    told = 0
    for name, machine, result in restores():
        its = machine.itses[0]
        if not machine.vgic.vcpus or name in MAYBE or its.collections:
            continue
        problems = decode(its.memory, its.basers[0], its.basers[1]).problems
        foretold = {errno for errno in ("EINVAL", "EEXIST") if any(errno in problem for problem in problems)}
        if result["name"] in ("EINVAL", "EEXIST"):
            if not any("not in a RAM slot" in problem for problem in problems):
                unknown_vcpu = [row for row in decode(its.memory, its.basers[0], its.basers[1]).collections
                                if row["rdbase"] != -1 and its.vgic.vcpu_at(row["rdbase"]) is None]
                assert result["name"] in foretold or unknown_vcpu, (name, problems)
                told += 1
        elif result["name"] == "EFAULT":
            outside = any("not in a RAM slot" in problem for problem in problems)
            lpis = [row["pintid"] for row in decode(its.memory, its.basers[0], its.basers[1]).rows]
            assert outside or max(lpis) > 65535 or "pendbase" in name, (name, problems)
        else:
            assert not [problem for problem in problems if "; RESTORE: EINVAL" in problem], (name, problems)
    assert told >= 15


def rams(*words: tuple[int, bytes]) -> RamSlots:
    ram = RamSlots()
    ram.add(0, 0x40000000, 0x2000000)
    for address, data in words:
        ram.poke(address, data)
    return ram


TABLES = (  # the tables that data/its/restore-base.json starts from, written by hand there
    (0x40100010, "0400200800000680"), (0x40100028, "2300200800000880"), (0x40100048, "4400200800000080"),
    (0x40200000, "0000000000000080"), (0x40200008, "0100010000000080"), (0x40200010, "0200020000000080"),
    (0x41000000, "0000002000000300"), (0x41000018, "0100012000001c00"), (0x410000F8, "0200022000000000"),
    (0x41000108, "0100082000000000"), (0x41000200, "0000122000000100"), (0x41000208, "0100132000000000"))


def table_words(*more: tuple[int, str]) -> RamSlots:
    return rams(*((address, bytes.fromhex(text)) for address, text in (*TABLES, *more)))


def test_mapping_of_hand_built_tables(tmp_path: Path) -> None:
    """Known answer; the same through a raw dump file that begins at the first table."""
    ram = table_words()
    found = decode(ram, BASER0, BASER1)
    assert found.mappings() == ((2, 0, 8192, 0, 0), (2, 3, 8193, 1, 1), (2, 31, 8194, 2, 2), (5, 1, 8200, 1, 1),
                                (9, 0, 8210, 0, 0), (9, 1, 8211, 1, 1))
    assert found.problems == []
    assert found.to_csv().splitlines()[:2] == [
        "device_id,event_id,pintid,icid,rdbase,itt_address,dte_address,ite_address",
        f"2,0,8192,0,0,{0x41000000},{0x40100010},{0x41000000}"]
    (tmp_path / "dump").write_bytes(ram.peek(0x40100000, 0x1000000))
    assert decode_file(tmp_path / "dump", 0x40100000, BASER0, BASER1).to_json() == found.to_json()
    assert json.loads(json.dumps(found.to_json()))["mappings"][0]["pintid"] == 8192


@pytest.mark.parametrize(("address", "entry", "text"), [
    (0x40100018, DTE.pack(valid=1, itt_address=0x41000400), "DTE 3 at 0x40100018: left over, no next leads to it"),
    (0x40100028, bytes(8), "DTE 5 of device table: a next leads to it, but it is not mapped"),
    (0x40100048, DTE.pack(valid=1, next=9000), "the last next leads to DeviceID 0x2331, out of the table"),
    (0x40100048, DTE.pack(valid=1, itt_address=0x41000200, size=16), "17 EventID bits"),
    (0x40100048, DTE.pack(valid=1, itt_address=0x41000000, size=4), "LPI 8192 is also mapped by device 0x2 event 0"),
    (0x41000008, ITE.pack(pintid=9000), "ITE 1 at 0x41000008: left over, no next leads to it"),
    (0x41000108, ITE.pack(pintid=8191, icid=1), "pintid = 8191 is below 8192; RESTORE: EINVAL"),
    (0x41000108, ITE.pack(next=31, pintid=8200, icid=1), "next = 31 leads out of 4 EventID bits; RESTORE: EINVAL"),
    (0x41000108, ITE.pack(pintid=8200, icid=7), "there is no collection 7; RESTORE: EINVAL"),
    (0x40200008, bytes.fromhex("0000010000000080"), "ICID 0 is there twice; RESTORE fails with EEXIST"),
    (0x40200008, bytes(8), "CTE 2 at 0x40200010: behind the end of the list"),
    (0x40200008, bytes.fromhex("01000100ffff7080"), "reserved bits hold 0x70000000000000"),
    (0x40200008, bytes.fromhex("0100010000000180"), "rdbase"),
    (0x40200008, bytes.fromhex("ffff010000000080"), "ICID 65535 has no place"),
])
def test_inconsistencies_are_named(address: int, entry: bytes, text: str) -> None:
    problems = decode(table_words((address, entry.hex())), BASER0, BASER1).problems
    assert any(text in problem for problem in problems), problems


def test_two_levels() -> None:
    """A stale DTE before the target of a next becomes a device at RESTORE (restore-indirect-stale-before-target)."""
    ram = table_words((0x40100000, "0000604000000080"), (0x40100008, "0000614000000080"),
                      (0x40600000, DTE.pack(valid=1, next=8200, itt_address=0x41000000, size=4).hex()),
                      (0x40610020, DTE.pack(valid=1, itt_address=0x41000200, size=4).hex()))
    found = decode(ram, BASER0 | 1 << 62, BASER1)
    assert [row["device_id"] for row in found.devices] == [0, 8196]
    assert any("RESTORE takes device 0x2004, the page's first, although the next before it leads to 0x2008" in problem
               for problem in found.problems)


def test_diff_names_what_changed() -> None:
    before = decode(table_words(), BASER0, BASER1)
    after = decode(table_words((0x41000108, "0200082000000000"), (0x41000208, "0000000000000000")), BASER0, BASER1)
    result = diff(before, after.to_json())
    assert result["equal"] == 4
    assert result["changed"] == [{"device_id": 5, "event_id": 1, "fields": {"icid": [1, 2], "rdbase": [1, 2]}}]
    assert [row["pintid"] for row in result["only_in_a"]] == [8211]
    assert result["only_in_b"] == []
    assert diff(Decoded("kvm"), Decoded("kvm")) == {"only_in_a": [], "only_in_b": [], "changed": [], "equal": 0}


def test_diff_of_streams_json_and_dumps(tmp_path: Path) -> None:
    """The two recorded streams carry the same mappings; a dump and its JSON are equal."""
    streams = [DATA.parent / "stream" / f"6.12-{name}.mig.xz" for name in "AB"]
    assert diff_files(*streams) == {"only_in_a": [], "only_in_b": [], "changed": [], "equal": 7}
    (tmp_path / "dump").write_bytes(table_words().peek(0x40100000, 0x1000000))
    place = DumpPlace(0x40100000, BASER0, BASER1)
    (tmp_path / "dump.json").write_text(json.dumps(load_tables(tmp_path / "dump", place)))
    assert diff_files(tmp_path / "dump", tmp_path / "dump.json", place)["equal"] == 6
    with pytest.raises(DataError, match="a raw dump needs its base address"):
        load_tables(tmp_path / "dump")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        load_tables(tmp_path / "broken.json")
