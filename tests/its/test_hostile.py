"""Hostile tables, queues, cases and dumps: bounded time, bounded memory, our own error only."""

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from livemig.its import Its, RamSlots, restore_tables
from livemig.its.commands import command
from livemig.its.diff import diff
from livemig.its.dump import decode, decode_file
from livemig.its.emulated import EmulatedIts
from livemig.its.errors import DataError, ItsError
from livemig.its.layout import CTE, DTE, ITE, L1
from livemig.its.replay import load_case, replay_case, replay_dir
from livemig.its.restore import Budget
from livemig.its.vmstate import decode_device, parse_description

RAM, SIZE = 0x40000000, 0x8000000
LONGEST_S = 20


@contextmanager
def within(seconds: float = LONGEST_S) -> Iterator[None]:
    start, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.process_time() - start < seconds
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 2 << 20, "more than 2 GiB"


def machine(baser0: int, baser1: int = 0xB800000040200600) -> Its:
    ram = RamSlots()
    ram.add(0, RAM, SIZE)
    its = Its.create(ram, (0, 1), propbaser=0x4040000F, pendbasers=(0x40500000, 0x40510000))
    its.write_register("GITS_BASER0", baser0)
    its.write_register("GITS_BASER1", baser1)
    its.write_register("GITS_CBASER", 0xB8000000403000FF)
    ram.poke(0x40200000, CTE.pack(valid=1))
    return its


def poke(its: Its, address: int, data: bytes) -> None:
    assert isinstance(its.memory, RamSlots)
    its.memory.poke(address, data)


def test_every_device_on_the_same_full_itt() -> None:
    """65536 DTEs with next = 1, all on one ITT of 65536 events: 2^32 mappings asked for by 1 MiB of tables."""
    its = machine(0xB800000044000607)
    words = DTE.encode_array(valid=np.ones(65536, np.uint64), next=1, itt_address=0x43000000, size=15)
    poke(its, 0x44000000, words.tobytes())
    poke(its, 0x43000000, ITE.encode_array(next=np.where(np.arange(65536) < 65535, 1, 0), pintid=8192).tobytes())
    with within(), pytest.raises(ItsError, match="ENOMEM: the tables map more than 2\\^17 events"):
        restore_tables(its)
    assert its.mappings() == ()
    with within(), pytest.raises(ItsError, match="ENOMEM"):
        decode(its.memory, its.basers[0], its.basers[1])


def test_every_device_on_the_same_empty_itt() -> None:
    """65536 ITTs of 512 KiB without an event: 32 GiB to look through."""
    its = machine(0xB800000044000607)
    poke(its, 0x44000000, DTE.encode_array(valid=np.ones(65536, np.uint64), next=1, itt_address=0x43000000,
                                           size=15).tobytes())
    with within(), pytest.raises(ItsError, match="ENOMEM: the tables lead through more than 2\\^26 entries"):
        restore_tables(its)
    with within(), pytest.raises(ItsError, match="ENOMEM"):
        decode(its.memory, its.basers[0], its.basers[1])


def test_level_1_table_of_two_million_entries_on_one_page() -> None:
    its = machine(0xF8000000460006FF)
    poke(its, 0x46000000, L1.encode_array(valid=np.ones(1 << 21, np.uint64), l2_address=0x44000000).tobytes())
    with within(), pytest.raises(ItsError, match="ENOMEM"):
        restore_tables(its)
    assert its.mappings() == ()
    with within():
        found = decode(its.memory, its.basers[0], its.basers[1])
    assert found.rows == []
    assert "The level 1 table is not looked at further" in found.problems[-1]


def test_budget_is_what_stops() -> None:
    its = machine(0xB800000040100600)
    poke(its, 0x40100000, DTE.pack(valid=1, itt_address=0x41000000, size=4))
    poke(its, 0x41000000, ITE.pack(next=1, pintid=8192) + ITE.pack(pintid=8193))
    restore_tables(its, budget=Budget(entries=100, events=2))
    its.reset()
    for register, value in (("GITS_BASER0", 0xB800000040100600), ("GITS_BASER1", 0xB800000040200600)):
        its.write_register(register, value)
    with pytest.raises(ItsError, match="ENOMEM"):
        restore_tables(its, budget=Budget(entries=100, events=1))


@pytest.mark.parametrize("kernel_names", [("MOVALL", "INVALL"), ("MAPC", "MAPD")])
def test_full_queues_of_the_dearest_commands(kernel_names: tuple[str, str]) -> None:
    """A queue of 32767 commands over 16384 mapped LPIs: no command may cost time for each LPI."""
    its = machine(0xB800000044000607)
    its.write_register("GITS_CTLR", 1)
    assert its.apply(command("MAPC", icid=0, rdbase=0, valid=1)) == ""
    for device in range(4):
        its.apply(command("MAPD", device_id=device, size=11, itt_address=0x41000000 + device * 0x10000, valid=1))
        for event in range(4096):
            its.apply(command("MAPTI", device_id=device, event_id=event, pintid=8192 + device * 4096 + event, icid=0))
    assert len(its.vgic.lpis) == 16384
    pairs = {"MOVALL": [command("MOVALL", rdbase=n % 2, rdbase2=1 - n % 2) for n in range(2)],
             "INVALL": [command("INVALL", icid=0)] * 2,
             "MAPC": [command("MAPC", icid=0, rdbase=0, valid=n) for n in range(2)],
             "MAPD": [command("MAPD", device_id=9, size=4, itt_address=0x41000000, valid=n) for n in range(2)]}
    raw = b"".join(one.raw for name in kernel_names for one in pairs[name])
    poke(its, 0x40300000, (raw * 8192)[:32 * 32767])
    with within():
        its.write_register("GITS_CWRITER", 32 * 32767)
    assert its.read_register("GITS_CREADR") == 32 * 32767


def test_emulated_queue_of_movalls_over_full_pending_tables() -> None:
    ram = RamSlots()
    ram.add(0, RAM, SIZE)
    its = EmulatedIts(ram, 2)
    for cpu, base in zip(its.cpus, (0x40500000, 0x40510000), strict=True):
        cpu.propbaser, cpu.pendbaser, cpu.lpis_enabled = 0x4040000F, base, True
    ram.poke(0x40500000, b"\xff" * 0x2000)
    its.write_register("GITS_CBASER", 0xB8000000403000FF)
    raw = command("MOVALL", rdbase=0, rdbase2=1).raw + command("MOVALL", rdbase=1, rdbase2=0).raw
    ram.poke(0x40300000, (raw * 16384)[:32 * 32767])
    its.write_register("GITS_CTLR", 1)
    with within():
        its.write_register("GITS_CWRITER", 32 * 32767)
    assert its.read_register("GITS_CREADR") == 32 * 32767


def test_tables_at_the_end_of_the_address_space() -> None:
    its = machine(0xB80FFFFFFFFFF600 | 0xF000, 0xB800FFFFFFFFF6FF)
    its.write_register("GITS_CTLR", 1)
    for name in ("MAPD", "MAPC"):
        assert its.apply(command(name, valid=1)) != ""
    with pytest.raises(ItsError, match="EFAULT"):
        restore_tables(its)


def case(**step: object) -> dict[str, object]:
    setup = {"op": "setup", "vcpu_ids": [0], "ram": [{"slot": 0, "base": "0x40000000", "size": "0x10000000000",
             "dirty_log": False}], "its": ["0x8080000"], "redist": []}
    return {"name": "hostile", "agreeing_kernels": ["6.12.0"], "steps": [setup, step]}


@pytest.mark.parametrize("step", [
    {"op": "fill_mem", "gpa": "0x40000000", "size": "0x10000000000", "byte": "ff"},
    {"op": "dump", "regions": [{"name": "x", "gpa": "0x40000000", "size": "0xffffffffffff", "fill": "00", "data": {}}]},
    {"op": "fly"}, {"op": "set_reg"}, {"op": "set_reg", "its": 99, "offset": "0x0", "value": "0x0"},
    {"op": "write_mem", "gpa": "zz", "hex": "00"}, {"op": "save_tables", "its": []}, {"op": None},
    {"op": "commands", "its": 0, "queue_gpa": "0x0", "queue_offset": "0x0", "cwriter": "0x0", "commands": 5},
])
def test_malformed_cases_are_data_errors(step: dict[str, object]) -> None:
    with within(5), pytest.raises(ItsError):
        replay_case(case(**step))


def test_case_files_that_are_none(tmp_path: Path) -> None:
    for name, content in (("list.json", b"[]"), ("deep.json", b"[" * 100_000), ("binary.json", b"\xff\xfe"),
                          ("steps.json", b'{"steps": 3}')):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            load_case(tmp_path / name)
    with pytest.raises(DataError, match="no case files"):
        replay_dir(tmp_path / "nothing")
    with pytest.raises(ItsError, match="no kernel profile"):
        replay_dir(tmp_path, "5.10")


def test_dump_files(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(DataError, match="empty file"):
        decode_file(tmp_path / "empty", 0x40000000, 0, 0)
    (tmp_path / "small").write_bytes(bytes(5000))
    found = decode_file(tmp_path / "small", 0x40000000, 0xB907000040000600, 0xBC07000040010600)
    assert found.rows == []
    assert [problem.split(":")[0] for problem in found.problems] == ["collection table", "device table"]
    with pytest.raises(ItsError, match="no table layout 'arm'"):
        decode_file(tmp_path / "small", 0x40000000, 0, 0, "arm")
    with pytest.raises(DataError, match="not a decoded table"):
        diff({}, {"mappings": []})


@pytest.mark.parametrize("field", [
    {"name": "x", "type": "uint8", "size": 1 << 60}, {"name": "x", "type": "uint8", "size": 1, "array_len": 1 << 60},
    {"name": "x", "type": "uint8", "size": 0, "array_len": 1 << 60}, {"name": "x", "type": "uint8", "size": -1},
    {"name": "x", "type": "struct", "size": 4, "struct": {"fields": 3}}, {"type": "uint8", "size": 1}, 7,
    {"name": "x", "type": "uint8", "size": "big"}, {"name": "x", "type": "struct", "size": 0, "array_len": 1 << 60,
                                                    "struct": {}}])
def test_hostile_descriptions(field: object) -> None:
    with within(5), suppress(DataError):
        assert decode_device({"name": "d", "fields": [field]}, bytes(4), 0) is None


def test_descriptions_nested_without_end() -> None:
    description: dict[str, object] = {"name": "x", "type": "struct", "size": 4}
    for _ in range(200):
        description = {"name": "x", "type": "struct", "size": 4, "struct": {"fields": [description]}}
    with pytest.raises(DataError, match="nested deeper"):
        decode_device({"name": "d", "fields": [description]}, bytes(4), 0)
    for text in (b"{", b"[" * 100_000, b"[]", json.dumps({"devices": 3}).encode()):
        with pytest.raises(DataError):
            parse_description(text, 0)
