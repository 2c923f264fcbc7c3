"""What is fuzzed: RESTORE_TABLES, commands (KVM and emulated), the table decoder and the stream reader.

Each target takes bytes and may raise `ItsError` only. `targets[name](data)` runs one input; fuzz.py drives them with
atheris, test_corpus.py replays the kept corpus in the ordinary test run.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import suppress

from livemig.its import Its, RamSlots, restore_tables, save_pending_tables, save_tables, stream
from livemig.its.dump import decode
from livemig.its.emulated import EmulatedIts
from livemig.its.errors import ItsError
from livemig.its.profile import PROFILES
from livemig.its.restore import Budget

RAM, SIZE = 0x40000000, 0x2000000
DEVICE_TABLE, COLLECTION_TABLE, L2_PAGE, ITT, QUEUE = 0x40100000, 0x40200000, 0x40600000, 0x41000000, 0x40300000
BUDGET_ENTRIES, BUDGET_EVENTS = 1 << 20, 1 << 12


def machine(choice: int, kernel: str) -> Its:
    """A VM with RAM and registers; bits of `choice`: two levels, a table that leaves RAM."""
    ram = RamSlots()
    ram.add(0, RAM, SIZE, log_dirty=True)
    its = Its.create(ram, (0, 1, 2), kernel, 0x4040000F, (0x40500000, 0x40510000, 0x40520000))
    place = 0x41FF0001 if choice & 2 else DEVICE_TABLE  # two pages, the second one outside RAM
    its.write_register("GITS_BASER0", 0xB800000000000600 | (choice & 1) << 62 | place)
    its.write_register("GITS_BASER1", 0xB800000000000600 | COLLECTION_TABLE)
    its.write_register("GITS_CBASER", 0xB80000000000040F | QUEUE)
    return its


def scatter(ram: RamSlots, data: bytes) -> None:
    """10-byte records: where (2 bytes choose table and entry), then the 8 bytes of the entry."""
    bases = (DEVICE_TABLE, COLLECTION_TABLE, L2_PAGE, ITT, 0x41FF0000, 0x40500400, 0x41000100, 0x40610000)
    for at in range(0, len(data) - 9, 10):
        place = int.from_bytes(data[at:at + 2], "little")
        ram.poke(bases[place % 8] + place // 8 * 8, data[at + 2:at + 10])


def restore(data: bytes) -> None:
    """Tables from the input -> RESTORE; what was restored is saved, a failure leaves nothing behind."""
    if not data:
        return
    its = machine(data[0], sorted(PROFILES)[data[0] // 4 % 3])
    assert isinstance(its.memory, RamSlots)
    scatter(its.memory, data[1:])
    try:
        restore_tables(its, budget=Budget(BUDGET_ENTRIES, BUDGET_EVENTS))
    except ItsError:
        if its.mappings() or its.vgic.lpis:
            raise AssertionError("a failed RESTORE left something behind") from None
        return
    save_tables(its)
    save_pending_tables(its)


def commands(data: bytes) -> None:
    """A queue from the input, run by both ITSes; KVM's state is saved and restored."""
    its = machine(data[0] if data else 0, "7.2")
    emulated_ram = RamSlots()
    emulated_ram.add(0, RAM, SIZE)
    emulated = EmulatedIts(emulated_ram, 3)
    for register in ("GITS_BASER0", "GITS_BASER1", "GITS_CBASER"):
        emulated.write_register(register, its.read_register(register))
    raw = data[1:1 + 32 * 200]
    for one in (its, emulated):
        assert isinstance(one.memory, RamSlots)
        one.memory.poke(QUEUE, raw)
        one.memory.poke(DEVICE_TABLE, bytes.fromhex("0000604000000080"))
        one.write_register("GITS_CTLR", 1)
        one.write_register("GITS_CWRITER", len(raw) // 32 * 32)
    for kind, table in (("kvm", its), ("qemu", emulated)):
        with suppress(ItsError):
            decode(table.memory, table.basers[0], table.basers[1], kind)
    with suppress(ItsError):
        save_tables(its)
        save_pending_tables(its)


def tables(data: bytes) -> None:
    """The decoder on scattered entries, both layouts."""
    its = machine(data[0] if data else 0, "6.12")
    assert isinstance(its.memory, RamSlots)
    scatter(its.memory, data[1:])
    for kind in ("kvm", "qemu"):
        with suppress(ItsError):
            decode(its.memory, its.basers[0], its.basers[1], kind)


def stream_reader(data: bytes) -> None:
    """A migration stream: sections only, then with tables."""
    for read in (stream.show, stream.its):
        with suppress(ItsError):
            read(io.BytesIO(data))


targets: Mapping[str, Callable[[bytes], None]] = {
    "restore": restore, "commands": commands, "tables": tables, "stream": stream_reader}
