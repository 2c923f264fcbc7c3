"""Guest RAM -> the entries of every ITS table in it, byte for byte, for pictures and comparisons.

`dump.decode` says what the tables mean; here they are only cut into entries: which table, which address, which bytes.
Entries that no `next` leads to are there too. A table is {"name", "layout", "place", "base", "entry_bytes", "fill",
"entries": [[index, hex], ...]}, lowest byte first; entry i lies at base + i * entry_bytes (a level 2 page begins at
`place`, not with entry 0). Entries whose bytes are all `fill` are left out, `more` counts those past MAX_ENTRIES.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from livemig.its.codec import Layout
from livemig.its.emulated import Table
from livemig.its.errors import DataError, ItsError, MemoryFault
from livemig.its.layout import L1, LAYOUTS, LPI_PENDING
from livemig.its.memory import Memory, read_u64
from livemig.its.registers import GICR_PENDBASER, GICR_PROPBASER, GITS_BASER, MAX_LPI_BITS
from livemig.its.replay_kvm import number, size_of

__all__ = ["RegionMemory", "entry_tables"]

MAX_ENTRIES = 512
MAX_TABLES = 256
MAX_TABLE_BYTES = 1 << 24

class RegionMemory:
    """The regions of a recorded dump ({"gpa", "size", "fill", "data"}) as memory; outside of them nothing is readable.

    DataError for a region that is malformed.
    """

    def __init__(self, regions: Iterable[Mapping[str, Any]]) -> None:
        self.fills: list[int] = []
        self._parts: list[tuple[int, bytearray]] = []
        for region in regions:
            try:
                data = bytearray(bytes.fromhex(region["fill"]) * size_of(region["size"]))
                for offset, text in region["data"].items():
                    run = bytes.fromhex(text)
                    data[number(offset):number(offset) + len(run)] = run
                self._parts.append((number(region["gpa"]), data))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise DataError(f"not a region of a recorded dump: {error!r}") from error

    def read(self, address: int, size_bytes: int) -> bytes:
        for start, data in self._parts:
            if start <= address and address + size_bytes <= start + len(data):
                return bytes(data[address - start:address - start + size_bytes])
        raise MemoryFault("read outside the recorded regions", address, size_bytes)

    def write(self, address: int, data: bytes) -> None:
        raise MemoryFault("write to a recording", address, len(data))


def entry_tables(memory: Memory, registers: Mapping[str, int], redistributors: Sequence[Mapping[str, int]] = (),
                 layout: str = "kvm", itts: Mapping[int, int] | None = None, fill: int = 0) -> list[dict[str, Any]]:
    """Every table that GITS_BASER0 and 1 and the redistributors lead to, and the ITT of each DTE.

    registers: by name, as the ITS returns them.   redistributors: GICR_PROPBASER, GICR_PENDBASER, GICR_CTLR by name.
    itts: further ITTs, {address: EventID bits}, such as those of devices that were unmapped.   fill: the byte that the
    RAM was filled with before.   Tables that are not RAM are left out; ItsError(EINVAL) for an unknown layout.
    """
    if layout not in LAYOUTS:
        raise ItsError("EINVAL", f"no table layout {layout!r}; there are {', '.join(LAYOUTS)}")
    cut = _Cutter(memory, layout, fill)
    cut.baser_table("Device table", "device", registers["GITS_BASER0"])
    cut.baser_table("Collection table", "collection", registers["GITS_BASER1"])
    cut.itts(itts or {})
    for index, row in enumerate(redistributors):
        if row.get("GICR_CTLR", 1) & 1:
            bits = min(GICR_PROPBASER.by_name["id_bits"].decode(row["GICR_PROPBASER"]) + 1, MAX_LPI_BITS)
            cut.add(f"Pending LPIs of VCPU {index}", LPI_PENDING,
                    GICR_PENDBASER.by_name["address"].decode(row["GICR_PENDBASER"]), (1 << bits) // 8)
    return cut.tables


class _Cutter:
    def __init__(self, memory: Memory, kind: str, fill: int) -> None:
        self.memory = memory
        self.kind = kind
        self.layouts = LAYOUTS[kind]
        self.fill = fill
        self.tables: list[dict[str, Any]] = []

    def add(self, name: str, layout: Layout, base: int, size_bytes: int, first: int = 0, keep: int = 0) -> None:
        """Cut one table; `keep` entries at its start are listed even if they are empty."""
        if len(self.tables) >= MAX_TABLES:
            return
        try:
            data = self.memory.read(base, min(size_bytes, MAX_TABLE_BYTES))
        except MemoryFault:
            return
        step = layout.size_bytes
        rows = np.frombuffer(data[:len(data) // step * step], np.uint8).reshape(-1, step)
        listed = (rows != self.fill).any(axis=1)
        listed[:keep] = True
        places = np.flatnonzero(listed)
        entries = [[first + int(at), data[at * step:(at + 1) * step].hex()] for at in places[:MAX_ENTRIES].tolist()]
        self.tables.append({
            "name": name, "layout": layout.name, "place": base, "base": base - first * step, "entry_bytes": step,
            "fill": f"{self.fill:02x}", "entries": entries, "more": max(0, len(places) - MAX_ENTRIES)})

    def baser_table(self, name: str, kind: str, baser: int) -> None:
        layout = self.layouts[kind]
        table = Table.from_baser(baser, layout)
        if not table.entries:
            return
        size_bytes = (GITS_BASER.by_name["pages"].decode(baser) + 1) * table.page_bytes
        if table.indirect:
            self.add(f"{name}, level 1", L1, table.base_address, size_bytes)
            for index, page in self._level_2(table, size_bytes):
                first = index * (table.page_bytes // layout.size_bytes)
                self.add(f"{name}, level 2 from {first}", layout, page, table.page_bytes, first)
        elif kind == "collection" and self.kind == "kvm":
            self.add(name, layout, table.base_address, size_bytes, keep=self._list_length(table))
        else:
            self.add(name, layout, table.base_address, size_bytes)

    def _list_length(self, table: Table) -> int:
        """Entries of KVM's collection list, the zero that ends it included."""
        count = 0
        while count < table.entries and table.read(self.memory, count) is not None:
            count += 1
        return min(count + 1, table.entries)

    def _level_2(self, table: Table, size_bytes: int) -> Iterator[tuple[int, int]]:
        for index in range(min(size_bytes // L1.size_bytes, MAX_TABLES)):
            try:
                entry = L1.decode(read_u64(self.memory, table.base_address + index * L1.size_bytes))
            except MemoryFault:
                return
            if entry["valid"]:
                yield index, entry["l2_address"]

    def itts(self, more: Mapping[int, int]) -> None:
        """The ITT of each DTE that was cut, by DeviceID; then those of `more` that no DTE names."""
        layout, device = self.layouts["event"], self.layouts["device"]
        named: set[int] = set()
        for table in [one for one in self.tables if one["layout"] == device.name]:
            for device_id, raw in table["entries"]:
                fields = device.decode(bytes.fromhex(raw))
                if fields["valid"] and fields["size"] < 16:
                    named.add(fields["itt_address"])
                    self.add(f"Events of device {device_id}", layout, fields["itt_address"],
                             layout.size_bytes << fields["size"] + 1)
        for address, bits in more.items():
            if address not in named:
                self.add(f"ITT at {address:#x}, no device", layout, address, layout.size_bytes << bits)
