"""Table bytes -> mappings, with every inconsistency named. For dumps (`pmemsave`) and for the RAM of a stream.

KVM's tables are walked as RESTORE_TABLES walks them (`next` hops, one 64 KiB level 2 page after the other), the
emulated ITS's by index. Unlike RESTORE this does not stop at the first mistake, and it looks at the entries that no hop
reaches: left-over entries turn into ghost devices when a `next` is capped (data/its: resave-stale-devid-at-cap).
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from livemig.its import registers as reg
from livemig.its.codec import Layout
from livemig.its.errors import DataError, ItsError, MemoryFault
from livemig.its.layout import CTE, DTE, DTE_NEXT_MAX, ITE, ITE_NEXT_MAX, L1, L2_PAGE_BYTES, UNMAPPED_RDBASE
from livemig.its.memory import PAGE_BYTES, Memory
from livemig.its.registers import DEVICE_ID_BITS, EVENT_ID_BITS
from livemig.its.vgic import FIRST_LPI

__all__ = [
    "FileMemory", "Decoded", "decode_file", "decode", "Scanner", "MAX_PROBLEMS", "MAX_ROWS", "MAX_SCANNED_BYTES",
    "COLUMNS",
]

_LAST = -1
MAX_PROBLEMS = 1000
MAX_ROWS = 1 << 17
MAX_SCANNED_BYTES = 1 << 29
COLUMNS = ("device_id", "event_id", "pintid", "icid", "rdbase", "itt_address", "dte_address", "ite_address")


class FileMemory:
    """A raw dump of guest RAM (`pmemsave`) that begins at guest physical `base_address`; read only."""

    def __init__(self, path: str | Path, base_address: int) -> None:
        if base_address < 0:
            raise ItsError("EINVAL", f"base address {base_address:#x} is negative")
        self.base_address = base_address
        with open(path, "rb") as file:
            try:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError as error:
                raise DataError(f"{path}: an empty file is no memory dump") from error

    def read(self, address: int, size_bytes: int) -> bytes:
        start = address - self.base_address
        if start < 0 or start + size_bytes > len(self._bytes):
            raise MemoryFault("read", address, size_bytes)
        return self._bytes[start:start + size_bytes]

    def write(self, address: int, data: bytes) -> None:
        raise MemoryFault("write to a read-only dump", address, len(data))


@dataclass
class Decoded:
    """rows: mappings in table order, by COLUMNS; icid, rdbase -1 = none. problems: sentences, at most MAX_PROBLEMS."""

    layout: str
    rows: list[dict[str, int]] = field(default_factory=list)
    devices: list[dict[str, int]] = field(default_factory=list)
    collections: list[dict[str, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def problem(self, text: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(text)
        elif len(self.problems) == MAX_PROBLEMS:
            self.problems.append(f"more than {MAX_PROBLEMS} problems; the rest is not listed")

    def mappings(self) -> tuple[tuple[int, int, int, int, int], ...]:
        """Sorted as `Its.mappings`: (DeviceID, EventID, LPI, ICID, target)."""
        return tuple(sorted((row["device_id"], row["event_id"], row["pintid"], row["icid"], row["rdbase"])
                            for row in self.rows))

    def to_json(self) -> dict[str, Any]:
        return {"layout": self.layout, "mappings": self.rows, "devices": self.devices, "collections": self.collections,
                "problems": self.problems}

    def to_csv(self) -> str:
        lines = [",".join(COLUMNS)]
        lines += [",".join(str(row[name]) for name in COLUMNS) for row in self.rows]
        return "\n".join(lines) + "\n"


def decode_file(path: str | Path, base_address: int, baser0: int, baser1: int, layout: str = "kvm") -> Decoded:
    """Decode a raw guest memory dump; arguments and errors as `decode`, DataError for an empty file."""
    return decode(FileMemory(path, base_address), baser0, baser1, layout)


def decode(memory: Memory, baser0: int, baser1: int, layout: str = "kvm") -> Decoded:
    """Tables in `memory` -> mappings and problems.

    baser0, baser1: GITS_BASER0 and GITS_BASER1 as the ITS returns them.   layout: "kvm" or "qemu" (emulated ITS).
    ItsError(EINVAL) for another layout; ENOMEM if the tables lead through more than MAX_SCANNED_BYTES or MAX_ROWS.
    """
    if layout == "kvm":
        return _KvmDecoder(memory, Decoded(layout), baser0, baser1).decode()
    if layout == "qemu":
        from livemig.its.dump_qemu import QemuDecoder
        return QemuDecoder(memory, Decoded(layout), baser0, baser1).decode()
    raise ItsError("EINVAL", f"no table layout {layout!r}; there are kvm and qemu")


class Scanner:
    """Reads table ranges from memory, remembering where RAM ended and how much was read."""

    def __init__(self, memory: Memory, found: Decoded) -> None:
        self.memory = memory
        self.found = found
        self.scanned_bytes = 0

    def live(self, what: str, address: int, size_bytes: int, layout: Layout, mask: int) -> Iterator[tuple[int, int]]:
        """(index, raw entry) of the entries with a bit of `mask`, in order, as far as the range is RAM."""
        step = max(PAGE_BYTES * layout.size_bytes // 8, layout.size_bytes)
        for start in range(0, size_bytes, step):
            self.spend(min(step, size_bytes - start))
            try:
                data = self.memory.read(address + start, min(step, size_bytes - start))
            except MemoryFault as fault:
                self.found.problem(f"{what}: {fault.message}")
                return
            words = np.frombuffer(data, layout.word_dtype).reshape(-1, 8 * layout.size_bytes // layout.word_bits)
            for index in np.flatnonzero(words[:, 0] & layout.word_dtype.type(mask)):
                place = int(index) * layout.size_bytes
                yield (start + place) // layout.size_bytes, layout.raw(data[place:place + layout.size_bytes])

    def spend(self, size_bytes: int) -> None:
        self.scanned_bytes += size_bytes
        if self.scanned_bytes > MAX_SCANNED_BYTES:
            raise ItsError("ENOMEM", f"the tables lead through more than {MAX_SCANNED_BYTES} bytes; decoding stops")

    def add_row(self, **row: int) -> None:
        if len(self.found.rows) >= MAX_ROWS:
            raise ItsError("ENOMEM", f"more than {MAX_ROWS} mappings; decoding stops there")
        self.found.rows.append({name: row[name] for name in COLUMNS})


class _KvmDecoder(Scanner):
    """KVM ABI revision 0."""

    def __init__(self, memory: Memory, found: Decoded, baser0: int, baser1: int) -> None:
        super().__init__(memory, found)
        self.baser0, self.baser1 = baser0, baser1
        self.rdbase_of: dict[int, int] = {}
        self.lpi_of: dict[int, tuple[int, int]] = {}

    def decode(self) -> Decoded:
        self._collections()
        self._devices()
        return self.found

    def _collections(self) -> None:
        if not reg.baser_valid(self.baser1):
            self.found.problem("GITS_BASER1 is not valid: there is no collection table")
            return
        start, size_bytes = reg.baser_address(self.baser1), reg.baser_size_bytes(self.baser1)
        expected = 0
        for index, raw in self.live("collection table", start, size_bytes, CTE, CTE.by_name["valid"].mask):
            where = f"CTE {index} at {start + index * CTE.size_bytes:#x}"
            if index != expected:
                self.found.problem(f"{where}: behind the end of the list (entry {expected} is not valid); RESTORE does "
                                   "not see it")
                continue
            expected += 1
            self._collection(where, raw, size_bytes)

    def _collection(self, where: str, raw: int, size_bytes: int) -> None:
        fields = CTE.decode(raw)
        self._reserved(where, CTE, raw)
        icid, rdbase = fields["icid"], fields["rdbase"] & 0xFFFF_FFFF
        if fields["rdbase"] != rdbase:
            self.found.problem(f"{where}: rdbase = {fields['rdbase']:#x}; RESTORE reads {rdbase:#x}")
        if icid in self.rdbase_of:
            self.found.problem(f"{where}: ICID {icid} is there twice; RESTORE fails with EEXIST")
            return
        if icid >= size_bytes // CTE.size_bytes:
            self.found.problem(f"{where}: ICID {icid} has no place in a table of {size_bytes} bytes; RESTORE: EINVAL")
        self.rdbase_of[icid] = -1 if rdbase == UNMAPPED_RDBASE else rdbase
        self.found.collections.append({"icid": icid, "rdbase": self.rdbase_of[icid]})

    def _devices(self) -> None:
        if not reg.baser_valid(self.baser0):
            self.found.problem("GITS_BASER0 is not valid: there is no device table")
            return
        start, size_bytes = reg.baser_address(self.baser0), reg.baser_size_bytes(self.baser0)
        if not reg.baser_indirect(self.baser0):
            reach = self._walk("device table", start, size_bytes, 0, DTE, "valid", self._device)
            if reach > size_bytes // DTE.size_bytes:
                self.found.problem(f"device table: the last next leads to DeviceID {reach:#x}, out of the table; "
                                   "RESTORE ends there without an error")
            return
        self._two_levels(start, size_bytes)

    def _two_levels(self, start: int, size_bytes: int) -> None:
        done: set[int] = set()
        reach = 0
        for index, raw in self.live("level 1 table", start, size_bytes, L1, L1.by_name["valid"].mask):
            page = L1.decode(raw)["l2_address"]
            what = f"level 2 page {page:#x} of L1 entry {index}"
            if index * (L2_PAGE_BYTES // DTE.size_bytes) >> DEVICE_ID_BITS:
                self.found.problem(f"{what}: DeviceIDs of more than {DEVICE_ID_BITS} bits; if a DTE is there, RESTORE "
                                   "fails with EINVAL. The level 1 table is not looked at further")
                return
            if page in done:
                self.found.problem(f"{what}: another L1 entry has the same page")
                continue
            done.add(page)
            first, before = index * (L2_PAGE_BYTES // DTE.size_bytes), len(self.found.devices)
            if reach == _LAST:
                for number, _ in self.live(what, page, L2_PAGE_BYTES, DTE, DTE.by_name["valid"].mask):
                    self.found.problem(f"DTE {first + number} in {what}: left over, RESTORE ends before it")
                continue
            after = self._walk(what, page, L2_PAGE_BYTES, first, DTE, "valid", self._device)
            new = self.found.devices[before:before + 1]
            if new and new[0]["device_id"] < reach:
                self.found.problem(f"{what}: RESTORE takes device {new[0]['device_id']:#x}, the page's first, although "
                                   f"the next before it leads to {reach:#x}")
            reach = after if new else reach

    def _walk(self, what: str, address: int, size_bytes: int, first: int, layout: Layout, live: str,
              entry: Callable[[int, int, int], int]) -> int:
        """Visit live entries by `next`; live entries that are skipped are problems.

        Returns where the last `next` leads, _LAST if it was 0.
        """
        reach, step = first, -1
        for index, raw in self.live(what, address, size_bytes, layout, layout.by_name[live].mask):
            number, place = first + index, address + index * layout.size_bytes
            if step == 0 or number < reach:
                self.found.problem(f"{layout.name} {number} at {place:#x}: left over, no next leads to it")
                continue
            if number > reach > first and step not in (DTE_NEXT_MAX, ITE_NEXT_MAX):
                self.found.problem(f"{layout.name} {reach} of {what}: a next leads to it, but it is not mapped")
            step = entry(number, raw, place)
            reach = number + step
        return _LAST if step == 0 else reach

    def _device(self, device_id: int, raw: int, address: int) -> int:
        fields = DTE.decode(raw)
        where = f"DTE of device {device_id:#x} at {address:#x}"
        self._reserved(where, DTE, raw)
        bits = fields["size"] + 1
        if bits > EVENT_ID_BITS or device_id >> DEVICE_ID_BITS:
            self.found.problem(f"{where}: {bits} EventID bits or a DeviceID above 16 bits; RESTORE: EINVAL")
            return fields["next"]
        self.found.devices.append({"device_id": device_id, "itt_address": fields["itt_address"], "event_id_bits": bits,
                                   "next": fields["next"], "dte_address": address})

        def event(event_id: int, value: int, place: int) -> int:
            return self._event(device_id, bits, fields["itt_address"], address, event_id, value, place)

        self._walk(f"ITT of device {device_id:#x}", fields["itt_address"], ITE.size_bytes << bits, 0, ITE, "pintid",
                   event)
        return fields["next"]

    def _event(self, device_id: int, bits: int, itt_address: int, dte_address: int, event_id: int, raw: int,
               address: int) -> int:
        fields = ITE.decode(raw)
        where = f"ITE of device {device_id:#x} event {event_id} at {address:#x}"
        pintid, icid = fields["pintid"], fields["icid"]
        if pintid < FIRST_LPI:
            self.found.problem(f"{where}: pintid = {pintid} is below {FIRST_LPI}; RESTORE: EINVAL")
        if (event_id + fields["next"]) >> bits:
            self.found.problem(f"{where}: next = {fields['next']} leads out of {bits} EventID bits; RESTORE: EINVAL")
        if icid not in self.rdbase_of:
            self.found.problem(f"{where}: there is no collection {icid}; RESTORE: EINVAL")
        other = self.lpi_of.setdefault(pintid, (device_id, event_id))
        if other != (device_id, event_id):
            self.found.problem(f"{where}: LPI {pintid} is also mapped by device {other[0]:#x} event {other[1]}")
        self.add_row(device_id=device_id, event_id=event_id, pintid=pintid, icid=icid,
                     rdbase=self.rdbase_of.get(icid, -1), itt_address=itt_address, dte_address=dte_address,
                     ite_address=address)
        return fields["next"]

    def _reserved(self, where: str, layout: Layout, raw: int) -> None:
        if raw & layout.reserved_mask:
            self.found.problem(f"{where}: reserved bits hold {raw & layout.reserved_mask:#x}; RESTORE ignores them")

