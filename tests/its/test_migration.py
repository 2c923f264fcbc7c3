"""The ITS in a migration: QEMU's orders, what goes wrong in others, and the pending LPIs that a second hop loses."""

import json
from pathlib import Path
from typing import Any

import pytest

from livemig.its import Its, RamSlots, migration_state, post_load, save_pending_tables, save_tables
from livemig.its.commands import command
from livemig.its.errors import ItsError
from livemig.its.migration import POST_LOAD_ORDER, PRE_SAVE_ORDER
from livemig.its.stream_its import section_registers

DATA = Path(__file__).parents[2] / "data"
STREAM = json.loads((DATA / "stream" / "stream-6.12.json").read_bytes())
PROPBASER, PENDBASERS = 0x4106018F, (0x41070180, 0x41080180)


def memory_of(regions: list[dict[str, Any]]) -> RamSlots:
    ram = RamSlots()
    ram.add(0, 0x40000000, 0x8000000, log_dirty=True)
    for region in regions:
        for offset, text in region["data"].items():
            ram.poke(int(region["gpa"], 16) + int(offset, 16), bytes.fromhex(text))
    return ram


def equal_tables(ram: RamSlots, regions: list[dict[str, Any]]) -> list[str]:
    """Names of regions that differ."""
    other = memory_of(regions)
    return [region["name"] for region in regions
            if ram.peek(int(region["gpa"], 16), int(region["size"], 16))
            != other.peek(int(region["gpa"], 16), int(region["size"], 16))]


def destination(ram: RamSlots) -> Its:
    return Its.create(ram, (0, 1), propbaser=PROPBASER, pendbasers=PENDBASERS)


def registers(stream: str) -> dict[str, int]:
    return section_registers(bytes.fromhex(STREAM["streams"][stream]["arm_gicv3_its"]["bytes"]))


def recorded_order(verb: str, side: str) -> list[str]:
    recording = json.loads((DATA / "recordings" / "k02-converge-dst-paused.json").read_bytes())
    rows = [row[3]["attr"] for row in recording["kvm"]["rows"] if row[1] == side and row[2] == f"ITS {verb}"]
    return [attribute.removeprefix("CTRL ").removeprefix("REG ") for attribute in rows]


def test_register_orders_as_recorded() -> None:
    """k02: the attributes that QEMU read on the source and wrote on the destination, in this order."""
    read = [name for name in recorded_order("GET", "src") if name.startswith("GITS_")]
    assert read == list(PRE_SAVE_ORDER)
    written = recorded_order("SET", "dst")
    start = written.index("GITS_IIDR")
    assert written[start:start + len(POST_LOAD_ORDER)] == list(POST_LOAD_ORDER)


@pytest.mark.parametrize(("stream", "after"), [
    ("A.mig", "A2.mem"), ("A.mig", "C2before.mem"), ("A2.mig", "A3before.mem")])
def test_load_takes_the_pending_bits_out_of_ram(stream: str, after: str) -> None:
    """Real destination RAM right after the load: equal tables, pending bits gone."""
    ram = memory_of(STREAM["streams"][stream]["tables"])
    post_load(destination(ram), registers(stream))
    assert equal_tables(ram, STREAM["memory"][after]) == []


@pytest.mark.parametrize(("stream", "after"), [("A.mig", "C2.mem"), ("A2.mig", "A3.mem"), ("B.mig", "B2.mem")])
def test_next_stop_writes_what_was_recorded(stream: str, after: str) -> None:
    """cont + stop on the destination: the LPIs that A.mig carried come back to RAM; those of A2.mig are lost."""
    ram = memory_of(STREAM["streams"][stream]["tables"])
    its = destination(ram)
    post_load(its, registers(stream))
    save_tables(its)
    save_pending_tables(its)
    assert equal_tables(ram, STREAM["memory"][after]) == []


def test_paused_destination_migrated_on_loses_pending_lpis() -> None:
    """Model of flow A: three LPIs pending; a hop without a stop in between loses all three (recorded: A2, A3)."""
    ram = memory_of(STREAM["streams"]["A.mig"]["tables"])
    first = destination(ram)
    post_load(first, registers("A.mig"))
    assert first.vgic.pending_lpis() == {0: (65535,), 1: (8193, 8200)}
    second = destination(memory_of([]))
    second.memory.slots[0].pages = {page: bytearray(data) for page, data in ram.slots[0].pages.items()}  # type: ignore[attr-defined]
    post_load(second, migration_state(first))
    assert second.vgic.pending_lpis() == {}
    assert second.mappings() == first.mappings()


def test_state_reads_back_as_written() -> None:
    ram = memory_of(STREAM["streams"]["A.mig"]["tables"])
    its = destination(ram)
    post_load(its, registers("A.mig"))
    assert migration_state(its) == registers("A.mig")


def moved(*names: str) -> tuple[str, ...]:
    """POST_LOAD_ORDER with RESTORE_TABLES right before or after others."""
    rest = [name for name in POST_LOAD_ORDER if name not in names]
    return (*names, *rest)


def test_restore_before_the_base_registers_restores_nothing() -> None:
    its = destination(memory_of(STREAM["streams"]["A.mig"]["tables"]))
    post_load(its, registers("A.mig"), order=moved("RESTORE_TABLES"))
    assert its.mappings() == ()


def test_ctlr_before_the_base_registers_is_ignored() -> None:
    """Enabling needs valid tables and queue: the destination's ITS stays off."""
    its = destination(memory_of(STREAM["streams"]["A.mig"]["tables"]))
    post_load(its, registers("A.mig"), order=moved("GITS_IIDR", "GITS_CTLR"))
    assert its.read_register("GITS_CTLR") == 0x80000000


def test_cbaser_after_creadr_forgets_the_queue_position() -> None:
    """CBASER zeroes CREADR and CWRITER: the registers come out wrong."""
    order = [name for name in POST_LOAD_ORDER if name != "GITS_CBASER"]
    order.insert(order.index("GITS_CWRITER") + 1, "GITS_CBASER")
    its = destination(memory_of(STREAM["streams"]["A.mig"]["tables"]))
    post_load(its, registers("A.mig"), order=tuple(order))
    assert its.read_register("GITS_CREADR") == its.read_register("GITS_CWRITER") == 0


def test_its_before_the_redistributors_fails() -> None:
    """GIC before ITS: without PROPBASER the configuration bytes are not in RAM (recorded errno: EFAULT)."""
    its = Its.create(memory_of(STREAM["streams"]["A.mig"]["tables"]), (0, 1))
    with pytest.raises(ItsError) as failure:
        post_load(its, registers("A.mig"))
    assert failure.value.name == "EFAULT"
    assert its.mappings() == ()


def test_ram_before_its() -> None:
    """Tables that come after the ITS section are not seen: RESTORE finds an empty table and says OK."""
    ram = memory_of([])
    its = destination(ram)
    post_load(its, registers("A.mig"))
    assert its.mappings() == ()


def test_missing_registers_and_empty_state() -> None:
    its = destination(memory_of([]))
    with pytest.raises(ItsError, match="registers are missing: GITS_BASER0"):
        post_load(its, {"GITS_IIDR": 1})
    post_load(its, dict.fromkeys(PRE_SAVE_ORDER, 0))
    assert its.read_register("GITS_CBASER") == 0


def test_mappings_compare_source_and_destination() -> None:
    ram = memory_of([])
    its = destination(ram)
    for register, value in (("GITS_BASER0", 0xB800000041000600), ("GITS_BASER1", 0xB800000041040600)):
        its.write_register(register, value)
    for one in (command("MAPC", icid=3, rdbase=1, valid=1),
                command("MAPD", device_id=9, size=4, itt_address=0x41100000, valid=1),
                command("MAPTI", device_id=9, event_id=7, pintid=8200, icid=3)):
        assert its.apply(one) == ""
    assert its.mappings() == ((9, 7, 8200, 3, 1),)
    assert its.apply(command("MAPTI", device_id=9, event_id=32, pintid=8201, icid=3)) == (
        "EventID 32 has no place in an ITT of 5 EventID bits")
