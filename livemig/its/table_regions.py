"""Which pieces of guest RAM belong to an ITS, and their bytes in the sparse form of the recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from livemig.its import registers as reg
from livemig.its.dump import Decoded
from livemig.its.emulated_table import Table
from livemig.its.errors import MemoryFault
from livemig.its.layout import L1, LAYOUTS
from livemig.its.memory import Memory, read_u64
from livemig.its.registers import GICR_PENDBASER, GICR_PROPBASER

__all__ = ["sparse", "table_regions", "MAX_L2_PAGES", "MAX_ITTS", "MAX_REGION_BYTES"]

MAX_L2_PAGES = 256
MAX_ITTS = 4096
MAX_REGION_BYTES = 1 << 24


def sparse(data: bytes) -> dict[str, str]:
    """{offset: hexadecimal bytes} of the runs of 8-byte words that are not zero."""
    runs: dict[str, str] = {}
    at = 0
    zero = bytes(8)
    while at < len(data):
        if data[at:at + 8] == zero:
            at += 8
            continue
        end = at
        while end < len(data) and data[end:end + 8] != zero:
            end += 8
        runs[hex(at)] = data[at:end].hex()
        at = end
    return runs


def table_regions(memory: Memory, registers: Mapping[str, int], tables: Decoded,
                  redistributors: Sequence[Mapping[str, int]]) -> list[dict[str, Any]]:
    """Tables, queue, pending tables, ITTs: [{"name", "gpa", "size", "fill", "data"}]; what is not RAM is left out."""
    found = []
    for name, address, size_bytes in _places(memory, registers, tables, redistributors):
        try:
            data = memory.read(address, min(size_bytes, MAX_REGION_BYTES))
        except MemoryFault:
            continue
        found.append({"name": name, "gpa": hex(address), "size": hex(len(data)), "fill": "00", "data": sparse(data)})
    return found


def _places(memory: Memory, registers: Mapping[str, int], tables: Decoded,
            redistributors: Sequence[Mapping[str, int]]) -> Iterator[tuple[str, int, int]]:
    layouts = LAYOUTS[tables.layout]
    for kind, register in (("device", "GITS_BASER0"), ("collection", "GITS_BASER1")):
        table = Table.from_baser(registers[register], layouts[kind])
        if not table.entries:
            continue
        size_bytes = (reg.GITS_BASER.by_name["pages"].decode(registers[register]) + 1) * table.page_bytes
        yield f"level1_{kind}_table" if table.indirect else f"{kind}_table", table.base_address, size_bytes
        if table.indirect:
            yield from _level_2(memory, kind, table, size_bytes)
    yield "command_queue", reg.cbaser_address(registers["GITS_CBASER"]), reg.cbaser_size_bytes(registers["GITS_CBASER"])
    for index, row in enumerate(redistributors):
        bits = min(GICR_PROPBASER.by_name["id_bits"].decode(row["GICR_PROPBASER"]) + 1, reg.MAX_LPI_BITS)
        address = GICR_PENDBASER.by_name["address"].decode(row["GICR_PENDBASER"])
        yield f"pending_vcpu{index}", address, (1 << bits) // 8
    for device in tables.devices[:MAX_ITTS]:
        yield (f"itt_{device['itt_address']:x}", device["itt_address"],
               layouts["event"].size_bytes << device["event_id_bits"])


def _level_2(memory: Memory, kind: str, table: Table, size_bytes: int) -> Iterator[tuple[str, int, int]]:
    ids = "devids" if kind == "device" else "icids"
    for index in range(min(size_bytes // L1.size_bytes, MAX_L2_PAGES)):
        try:
            entry = L1.decode(read_u64(memory, table.base_address + index * L1.size_bytes))
        except MemoryFault:
            return
        if entry["valid"]:
            first = index * (table.page_bytes // table.layout.size_bytes)
            yield f"l2_{ids}_{first}", entry["l2_address"], table.page_bytes
