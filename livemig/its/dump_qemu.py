"""Decode the tables of QEMU's emulated ITS: indexed, no `next` fields, 12-byte ITEs."""

from __future__ import annotations

from livemig.its.dump import Decoded, Scanner
from livemig.its.emulated_table import Table
from livemig.its.layout import L1, QEMU_CTE, QEMU_DTE, QEMU_ITE
from livemig.its.memory import Memory
from livemig.its.registers import EVENT_ID_BITS
from livemig.its.vgic import FIRST_LPI

__all__ = ["QemuDecoder"]


class QemuDecoder(Scanner):
    """One pass over both tables and all ITTs."""

    def __init__(self, memory: Memory, found: Decoded, baser0: int, baser1: int) -> None:
        super().__init__(memory, found)
        self.devices = Table.from_baser(baser0, QEMU_DTE)
        self.collections = Table.from_baser(baser1, QEMU_CTE)
        self.rdbase_of: dict[int, int] = {}

    def decode(self) -> Decoded:
        for icid, raw, _ in self._entries("collection table", self.collections):
            self.rdbase_of[icid] = QEMU_CTE.decode(raw)["rdbase"]
            self.found.collections.append({"icid": icid, "rdbase": self.rdbase_of[icid]})
        for device_id, raw, address in self._entries("device table", self.devices):
            self._device(device_id, raw, address)
        return self.found

    def _entries(self, what: str, table: Table) -> list[tuple[int, int, int]]:
        """(number, raw, address) of all valid entries, flat or two-level."""
        if not table.entries:
            self.found.problem(f"GITS_BASER of the {what} is not valid: there is no table")
        valid = table.layout.by_name["valid"].mask
        size_bytes = table.entries * table.layout.size_bytes
        if not table.indirect:
            return [(number, raw, table.base_address + number * table.layout.size_bytes) for number, raw in
                    self.live(what, table.base_address, size_bytes, table.layout, valid)]
        per_page = table.page_bytes // table.layout.size_bytes
        pages = (table.entries + per_page - 1) // per_page
        found = []
        for index, entry in self.live(f"level 1 of the {what}", table.base_address, pages * 8, L1,
                                      L1.by_name["valid"].mask):
            page = entry & ((1 << 51) - 1)
            found += [(index * per_page + number, raw, page + number * table.layout.size_bytes) for number, raw in
                      self.live(f"level 2 page {page:#x} of the {what}", page, table.page_bytes, table.layout, valid)]
        return found

    def _device(self, device_id: int, raw: int, dte_address: int) -> None:
        fields = QEMU_DTE.decode(raw)
        bits, itt_address = fields["size"] + 1, fields["itt_address"]
        if bits > EVENT_ID_BITS:
            self.found.problem(f"DTE of device {device_id:#x} at {dte_address:#x}: {bits} EventID bits")
            return
        self.found.devices.append({"device_id": device_id, "itt_address": itt_address, "event_id_bits": bits,
                                   "dte_address": dte_address})
        for event_id, entry in self.live(f"ITT of device {device_id:#x}", itt_address, QEMU_ITE.size_bytes << bits,
                                         QEMU_ITE, QEMU_ITE.by_name["valid"].mask):
            self._event(device_id, itt_address, dte_address, event_id, entry)

    def _event(self, device_id: int, itt_address: int, dte_address: int, event_id: int, raw: int) -> None:
        fields = QEMU_ITE.decode(raw)
        address = itt_address + event_id * QEMU_ITE.size_bytes
        where = f"ITE of device {device_id:#x} event {event_id} at {address:#x}"
        if not fields["physical"] or fields["pintid"] < FIRST_LPI:
            self.found.problem(f"{where}: not a physical LPI ({fields['pintid']})")
        if fields["icid"] not in self.rdbase_of:
            self.found.problem(f"{where}: there is no collection {fields['icid']}; its interrupts are dropped")
        self.add_row(device_id=device_id, event_id=event_id, pintid=fields["pintid"], icid=fields["icid"],
                     rdbase=self.rdbase_of.get(fields["icid"], -1), itt_address=itt_address, dte_address=dte_address,
                     ite_address=address)
