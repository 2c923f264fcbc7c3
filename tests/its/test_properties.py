"""Random states: save -> restore -> save gives the same state and bytes, on both ITSes and through the decoder."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livemig.its import Its, RamSlots, migration_state, post_load, restore_tables, save_pending_tables, save_tables
from livemig.its.commands import command
from livemig.its.dump import decode
from livemig.its.emulated import EmulatedIts
from livemig.its.errors import ItsError
from livemig.its.layout import L1
from livemig.its.profile import PROFILES

RAM, SIZE = 0x40000000, 0x4000000
PROPBASER, PENDBASERS = 0x4040000F, (0x40500000, 0x40510000, 0x40520000)
ITT = 0x41000000
FLAT, INDIRECT = 0xB800000040100607, 0xF800000040100600

device_ids = st.one_of(st.integers(0, 40), st.integers(0, 0xFFFF))
mappings = st.dictionaries(device_ids, st.dictionaries(
    st.integers(0, 31), st.tuples(st.integers(8192, 65535), st.integers(0, 5)), max_size=6), max_size=6)
targets = st.dictionaries(st.integers(0, 5), st.integers(0, 2), max_size=6)


def new_ram() -> RamSlots:
    ram = RamSlots()
    ram.add(0, RAM, SIZE, log_dirty=True)
    return ram


def machine(ram: RamSlots, baser0: int, kernel: str = "6.12") -> Its:
    if baser0 == INDIRECT:
        for index in range(8):
            ram.poke(0x40100000 + 8 * index, L1.pack(valid=1, l2_address=0x40600000 + index * 0x10000))
    its = Its.create(ram, (0, 1, 2), kernel, PROPBASER, PENDBASERS)
    its.write_register("GITS_BASER0", baser0)
    its.write_register("GITS_BASER1", 0xB800000040200600)
    its.write_register("GITS_CBASER", 0xB80000004030040F)
    return its


def fill(its: Its | EmulatedIts, devices: dict[int, dict[int, tuple[int, int]]], collections: dict[int, int]) -> None:
    for icid, rdbase in collections.items():
        its.apply(command("MAPC", icid=icid, rdbase=rdbase, valid=1))
    for number, (device_id, events) in enumerate(devices.items()):
        its.apply(command("MAPD", device_id=device_id, size=4, itt_address=ITT + number * 0x200, valid=1))
        for event_id, (pintid, icid) in events.items():
            its.apply(command("MAPTI", device_id=device_id, event_id=event_id, pintid=pintid, icid=icid))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mappings, targets, st.sampled_from([FLAT, INDIRECT]), st.sampled_from(sorted(PROFILES)), st.data())
def test_migration_round_trip(devices: dict[int, dict[int, tuple[int, int]]], collections: dict[int, int], baser0: int,
                              kernel: str, data: st.DataObject) -> None:
    """Source -> RAM and registers -> destination: same mappings, same pending LPIs, same bytes at the next save."""
    ram = new_ram()
    source = machine(ram, baser0, kernel)
    source.write_register("GITS_CTLR", 1)
    fill(source, devices, collections)
    for device in list(source.all_devices()):
        for event in device.events.values():
            if data.draw(st.booleans()):
                source.apply(command("INT", device_id=device.device_id, event_id=event.event_id))
    save_tables(source)
    save_pending_tables(source)
    saved = {address: bytes(page) for address, page in ram.slots[0].pages.items()}

    far_ram = new_ram()
    for address, page in saved.items():
        far_ram.poke(address, page)
    destination = Its.create(far_ram, (0, 1, 2), kernel, PROPBASER, PENDBASERS)
    post_load(destination, migration_state(source))
    assert destination.mappings() == source.mappings()
    decoded = decode(far_ram, source.basers[0], source.basers[1])
    assert decoded.mappings() == source.mappings()
    assert migration_state(destination) == migration_state(source)
    if len({row[2] for row in source.mappings()}) < len(source.mappings()):
        assert all("is also mapped by" in problem for problem in decoded.problems)
    else:  # an LPI mapped twice may go to the other event's VCPU after RESTORE
        assert decoded.problems == []
        assert destination.vgic.pending_lpis() == {
            vcpu: lpis for vcpu, lpis in source.vgic.pending_lpis().items() if vcpu >= 0}
        save_tables(destination)
        save_pending_tables(destination)
        assert {a: bytes(p) for a, p in far_ram.slots[0].pages.items() if any(p)} == {
            a: p for a, p in saved.items() if any(p)}


@settings(max_examples=80, deadline=None)
@given(mappings, targets)
def test_save_marks_every_page_it_writes_every_time(devices: dict[int, dict[int, tuple[int, int]]],
                                                    collections: dict[int, int]) -> None:
    ram = new_ram()
    its = machine(ram, FLAT)
    fill(its, devices, collections)
    ram.take_dirty_log(0)
    save_tables(its)
    first = ram.take_dirty_log(0)
    save_tables(its)
    assert ram.take_dirty_log(0) == first
    assert 0x40200000 in first, "the collection table's end mark at least"


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 0xFFF), st.integers(0, 2**64 - 1)), max_size=40), st.booleans())
def test_random_tables_restore_or_fail_cleanly(words: list[tuple[int, int]], indirect: bool) -> None:
    """Whatever lies in RAM: RESTORE succeeds, or fails with our error and leaves no device."""
    ram = new_ram()
    its = machine(ram, INDIRECT if indirect else FLAT)
    for place, word in words:
        base = (0x40100000, 0x40200000, 0x40600000, ITT)[place % 4]
        ram.poke(base + place // 4 * 8, word.to_bytes(8, "little"))
    decode(ram, its.basers[0], its.basers[1])
    failed = ""
    try:
        restore_tables(its)
    except ItsError as error:
        failed = error.name
    if failed:
        assert failed in ("EINVAL", "EEXIST", "EFAULT")
        assert its.mappings() == ()
        assert its.vgic.lpis == {}
    else:
        save_tables(its)
        assert len(decode(ram, its.basers[0], its.basers[1]).rows) >= len({row[:2] for row in its.mappings()})


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.integers(0, 8191), st.dictionaries(
    st.integers(0, 31), st.tuples(st.integers(8192, 65535), st.integers(0, 5)), max_size=6), max_size=6), targets)
def test_emulated_tables_decode_to_what_was_mapped(devices: dict[int, dict[int, tuple[int, int]]],
                                                   collections: dict[int, int]) -> None:
    ram = new_ram()
    its = EmulatedIts(ram, 3)
    its.write_register("GITS_BASER0", 0xB800000040100600)
    its.write_register("GITS_BASER1", 0xB800000040200600)
    fill(its, devices, collections)
    found = decode(ram, its.basers[0], its.basers[1], "qemu")
    assert found.mappings() == tuple(sorted(
        (device_id, event_id, pintid, icid, collections.get(icid, -1))
        for device_id, events in devices.items() for event_id, (pintid, icid) in events.items()))
    assert {row["icid"]: row["rdbase"] for row in found.collections} == collections


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["MAPC", "MAPD", "MAPTI", "MOVI", "DISCARD", "INT", "CLEAR", "MOVALL"]),
                          st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=60))
def test_targets_and_references_stay_consistent(steps: list[tuple[str, int, int, int, bool]]) -> None:
    """After any commands: each LPI counts its events, and stands in the group of its VCPU."""
    for kernel in PROFILES:
        its = machine(new_ram(), FLAT, kernel)
        its.write_register("GITS_CTLR", 1)
        for name, a, b, c, valid in steps:
            fields = {"MAPC": {"icid": a, "rdbase": b, "valid": int(valid)},
                      "MAPD": {"device_id": a, "size": 1, "itt_address": ITT + a * 0x100, "valid": int(valid)},
                      "MAPTI": {"device_id": a, "event_id": b, "pintid": 8192 + c, "icid": c},
                      "MOVI": {"device_id": a, "event_id": b, "icid": c},
                      "MOVALL": {"rdbase": a, "rdbase2": b}}.get(name, {"device_id": a, "event_id": b})
            its.apply(command(name, **fields))
        counts: dict[int, int] = {}
        for device in its.all_devices():
            for event in device.events.values():
                counts[event.lpi.intid] = counts.get(event.lpi.intid, 0) + 1
                if event.collection is not None:
                    assert event in its.collections[event.collection.icid].events
        assert counts == {intid: lpi.references for intid, lpi in its.vgic.lpis.items()}
        for lpi in its.vgic.lpis.values():
            assert lpi in lpi.group.lpis
            assert its.vgic._groups[lpi.group.vcpu] is lpi.group
