"""The ITS out of a migration stream: registers from its section, tables, queue and pending bits from the RAM pages.

QEMU's own reader (scripts/analyze-migration.py) shows the registers and knows nothing of the tables. Here the parts are
checked against each other: tables against registers, pending bits against mappings, and RESTORE_TABLES is tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from livemig.its import registers as reg
from livemig.its.codec import Field as F
from livemig.its.codec import Layout
from livemig.its.commands import COMMAND_BYTES, decode_command
from livemig.its.device import Its
from livemig.its.dump import Decoded, decode
from livemig.its.emulated import IIDR_VALUE as EMULATED_IIDR
from livemig.its.errors import DataError, ItsError, MemoryFault
from livemig.its.memory import PAGE_BYTES, Memory
from livemig.its.migration import post_load
from livemig.its.registers import GICR_PENDBASER, GICR_PROPBASER
from livemig.its.stream import Section, Stream, open_stream, read_stream
from livemig.its.stream_ram import RamBlock
from livemig.its.table_regions import table_regions
from livemig.its.vgic import FIRST_LPI, Vgic

__all__ = [
    "section_registers", "StreamMemory", "StreamIts", "its", "stream_memory", "stream_its", "VIRT_RAM_BASE_ADDRESS",
    "SECTION_NAME", "MAX_LISTED_COMMANDS", "SECTION",
]

VIRT_RAM_BASE_ADDRESS = 0x4000_0000
"""Where RAM begins on QEMU's machine `virt` (hw/arm/virt.c, VIRT_MEM); a stream does not say it."""

SECTION_NAME = "arm_gicv3_its"
MAX_LISTED_COMMANDS = 1 << 15
_SOURCE = "QEMU 10.0 hw/intc/arm_gicv3_its_common.c vmstate_its"

SECTION = Layout("arm_gicv3_its section", 96, (
    F("GITS_CTLR", "c", 31, 0, meaning="enabled, quiescent", source=_SOURCE),
    F("GITS_IIDR", "i", 63, 32, meaning="0 = no state was saved", source=_SOURCE),
    F("GITS_CBASER", "q", 127, 64, meaning="command queue", source=_SOURCE),
    F("GITS_CWRITER", "w", 191, 128, meaning="where the guest writes", source=_SOURCE),
    F("GITS_CREADR", "r", 255, 192, meaning="where the ITS reads", source=_SOURCE),
    *(F(f"GITS_BASER{n}", str(n), 319 + 64 * n, 256 + 64 * n, meaning=f"table {n}", source=_SOURCE) for n in range(8)),
), _SOURCE)
"""Field order of the section. The stream is big-endian: `section_registers` turns each field round first."""


def section_registers(data: bytes) -> dict[str, int]:
    """The 96 bytes of the section -> registers by name; ItsError(EINVAL) for another length."""
    SECTION.raw(data)
    registers = {}
    for one in SECTION.fields:
        start, size = one.lo // 8, one.width_bits // 8
        registers[one.name] = int.from_bytes(data[start:start + size], "big")
    return registers


class StreamMemory:
    """Guest RAM as the stream left it, at `base_address`; writes stay in this object."""

    def __init__(self, block: RamBlock, base_address: int) -> None:
        self.block = block
        self.base_address = base_address
        self._written: dict[int, bytearray] = {}

    def read(self, address: int, size_bytes: int) -> bytes:
        self._check("read", address, size_bytes)
        parts = []
        while size_bytes > 0:
            offset = address % PAGE_BYTES
            step = min(size_bytes, PAGE_BYTES - offset)
            parts.append(bytes(self._page(address - offset)[offset:offset + step]))
            address, size_bytes = address + step, size_bytes - step
        return b"".join(parts)

    def write(self, address: int, data: bytes) -> None:
        self._check("write", address, len(data))
        done = 0
        while done < len(data):
            offset = (address + done) % PAGE_BYTES
            start = address + done - offset
            step = min(len(data) - done, PAGE_BYTES - offset)
            page = self._written.setdefault(start, bytearray(self._page(start)))
            page[offset:offset + step] = data[done:done + step]
            done += step

    def _page(self, address: int) -> bytes | bytearray:
        written = self._written.get(address)
        assert self.block.store is not None
        return self.block.store.page(address - self.base_address) if written is None else written

    def _check(self, what: str, address: int, size_bytes: int) -> None:
        if not self.base_address <= address <= self.base_address + self.block.size_bytes - size_bytes:
            raise MemoryFault(what, address, size_bytes)


@dataclass
class StreamIts:
    """What was found. `pending`: VCPU index -> all LPIs with a pending bit. `restore`: "OK" or the error."""

    section: Section
    registers: dict[str, int]
    tables: Decoded
    commands: list[str] = field(default_factory=list)
    pending: dict[int, list[int]] = field(default_factory=dict)
    redistributors: list[dict[str, int]] = field(default_factory=list)
    regions: list[dict[str, Any]] = field(default_factory=list)
    restore: str = ""
    queue_replay_equal: bool | None = None
    problems: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {"section": {"offset": self.section.offset, "size_bytes": self.section.size_bytes,
                            "bytes": self.section.data.hex()},
                "registers": {name: hex(value) for name, value in self.registers.items()},
                "redistributors": [{name: hex(value) for name, value in row.items()} for row in self.redistributors],
                "tables": self.regions, **self.tables.to_json(),
                "pending": {str(vcpu): lpis for vcpu, lpis in self.pending.items()},
                "commands": self.commands, "restore": self.restore, "queue_replay_equal": self.queue_replay_equal,
                "problems": self.problems + self.tables.problems}


def its(where: str | Path | BinaryIO, ram_base_address: int = VIRT_RAM_BASE_ADDRESS, block: str = "") -> dict[str, Any]:
    """Registers, tables, queue and pending LPIs of a stream, as JSON-ready data; `stream_its` with its own file."""
    with open_stream(where) as source:
        return stream_its(read_stream(source, keep_ram=True), ram_base_address, block).to_json()


def stream_memory(stream: Stream, ram_base_address: int = VIRT_RAM_BASE_ADDRESS, block: str = "") -> StreamMemory:
    """The RAM of a stream that was read with keep_ram. block: its name, by default the largest one."""
    blocks = stream.ram.blocks
    if not blocks or (block and block not in blocks):
        raise DataError(f"no RAM block {block!r} in the stream; it has {', '.join(blocks) or 'none'}")
    chosen = blocks[block] if block else max(blocks.values(), key=lambda one: one.size_bytes)
    if chosen.store is None:
        raise DataError("the stream was read without its RAM contents")
    return StreamMemory(chosen, ram_base_address)


def stream_its(stream: Stream, ram_base_address: int = VIRT_RAM_BASE_ADDRESS, block: str = "") -> StreamIts:
    """Take the ITS out of a stream (read with keep_ram, still open) and check its parts against each other.

    DataError if there is no ITS section, if it has another length, or if there is no RAM.
    """
    section = stream.device(SECTION_NAME)
    if section is None:
        raise DataError(f"the stream has no section {SECTION_NAME}: no ITS in that machine")
    if section.size_bytes != SECTION.size_bytes:
        raise DataError(f"section {SECTION_NAME}: {section.size_bytes} bytes, not {SECTION.size_bytes}", section.offset)
    registers = section_registers(section.data)
    memory = stream_memory(stream, ram_base_address, block)
    layout = "qemu" if registers["GITS_IIDR"] == EMULATED_IIDR else "kvm"
    found = StreamIts(section, registers, decode(memory, registers["GITS_BASER0"], registers["GITS_BASER1"], layout))
    _described_registers(stream, section, found)
    _redistributors(stream, found)
    _commands(memory, found)
    _pending(memory, found)
    found.regions = table_regions(memory, found.registers, found.tables, found.redistributors)
    if layout == "kvm":
        _try_restore(memory, found)
    return found


def _described_registers(stream: Stream, section: Section, found: StreamIts) -> None:
    """The stream's own description must give the same numbers."""
    if stream.description is None:
        found.problems.append("the stream has no description; section boundaries were found by their footers only")
        return
    values = stream.values(section)
    described = {"GITS_CTLR": values.get("ctlr"), "GITS_IIDR": values.get("iidr"), "GITS_CBASER": values.get("cbaser"),
                 "GITS_CWRITER": values.get("cwriter"), "GITS_CREADR": values.get("creadr"),
                 **{f"GITS_BASER{n}": value for n, value in enumerate(values.get("baser", ()))}}
    if described != found.registers:
        found.problems.append(f"the stream's description gives other registers: {described}")


def _redistributors(stream: Stream, found: StreamIts) -> None:
    gic = stream.device("arm_gicv3")
    if gic is None or stream.description is None:
        found.problems.append("no described arm_gicv3 section: where the pending tables are is not known")
        return
    names = ("gicr_ctlr", "gicr_propbaser", "gicr_pendbaser")
    cpus = stream.values(gic).get("cpu", [])
    for cpu in cpus if isinstance(cpus, list) else [cpus]:
        if not isinstance(cpu, dict) or not all(isinstance(cpu.get(name), int) for name in names):
            raise DataError("section arm_gicv3 describes no redistributors", gic.offset)
        found.redistributors.append({name.upper(): cpu[name] for name in names})


def _commands(memory: Memory, found: StreamIts) -> None:
    """The queue as it lies in RAM, from its start to CWRITER: all commands, as long as it never wrapped."""
    registers = found.registers
    end = reg.QUEUE_OFFSET.decode(registers["GITS_CWRITER"] & reg.QUEUE_OFFSET.by_name["offset"].mask)["offset"]
    if registers["GITS_CREADR"] != registers["GITS_CWRITER"]:
        found.problems.append(f"commands wait: CREADR {registers['GITS_CREADR']:#x}, CWRITER "
                              f"{registers['GITS_CWRITER']:#x}")
    base = reg.cbaser_address(registers["GITS_CBASER"])
    try:
        raw = memory.read(base, min(end, COMMAND_BYTES * MAX_LISTED_COMMANDS))
    except MemoryFault as fault:
        found.problems.append(f"command queue: {fault.message}")
        return
    found.commands = [str(decode_command(raw[at:at + COMMAND_BYTES])) for at in range(0, len(raw), COMMAND_BYTES)]


def _pending(memory: Memory, found: StreamIts) -> None:
    mapped = {row["pintid"]: row["rdbase"] for row in found.tables.rows}
    for index, row in enumerate(found.redistributors):
        address = GICR_PENDBASER.by_name["address"].decode(row["GICR_PENDBASER"])
        bits = min(GICR_PROPBASER.by_name["id_bits"].decode(row["GICR_PROPBASER"]) + 1, reg.MAX_LPI_BITS)
        if not row["GICR_CTLR"] & 1 or (1 << bits) <= FIRST_LPI:
            continue
        try:
            table = memory.read(address + FIRST_LPI // 8, ((1 << bits) - FIRST_LPI) // 8)
        except MemoryFault as fault:
            found.problems.append(f"pending table of VCPU {index}: {fault.message}")
            continue
        lpis = FIRST_LPI + np.flatnonzero(np.unpackbits(np.frombuffer(table, np.uint8), bitorder="little"))
        found.pending[index] = [int(lpi) for lpi in lpis]
        for lpi in found.pending[index]:
            if lpi not in mapped:
                found.problems.append(f"LPI {lpi} is pending on VCPU {index}, but no event maps it")
            elif mapped[lpi] != index:
                found.problems.append(f"LPI {lpi} is pending in the table of VCPU {index}, but goes to VCPU "
                                      f"{mapped[lpi]}: a bit left by an earlier save")


def _destination(memory: Memory, redistributors: list[dict[str, int]]) -> Its:
    vgic = Vgic(memory, tuple(range(len(redistributors))))
    for vcpu, row in zip(vgic.vcpus, redistributors, strict=True):
        for name in ("GICR_PROPBASER", "GICR_PENDBASER", "GICR_CTLR"):
            vgic.write_redistributor(vcpu, name, row[name])
    return Its(vgic)


def _try_restore(memory: StreamMemory, found: StreamIts) -> None:
    """What a destination's kernel would make of it, and what running the queue from its start would."""
    if not found.redistributors:
        return
    scratch = StreamMemory(memory.block, memory.base_address)
    destination = _destination(scratch, found.redistributors)
    registers: Mapping[str, int] = {**found.registers, "GITS_CTLR": 0}
    try:
        post_load(destination, registers)
    except ItsError as error:
        found.restore = str(error)
        found.problems.append(f"RESTORE_TABLES fails: {error}")
        return
    found.restore = "OK"
    if destination.mappings() != found.tables.mappings():
        found.problems.append("RESTORE_TABLES gives other mappings than the walk over the tables")
    found.queue_replay_equal = _queue_mappings(memory, found) == destination.mappings()


def _queue_mappings(memory: StreamMemory, found: StreamIts) -> tuple[tuple[int, int, int, int, int], ...]:
    fresh = _destination(StreamMemory(memory.block, memory.base_address), found.redistributors)
    for name in ("GITS_BASER0", "GITS_BASER1", "GITS_CBASER"):
        fresh.write_register(name, found.registers[name])
    fresh.write_register("GITS_CTLR", 1)
    fresh.write_register("GITS_CWRITER", found.registers["GITS_CWRITER"])
    return fresh.mappings()
