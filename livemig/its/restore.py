"""RESTORE_TABLES: guest RAM -> state, entry by entry as KVM reads it, errors and partial effects included.

Collections first, then devices, each followed by its ITT. A failure empties what was restored. The tables are the
guest's bytes: nothing in them may cost more than `Budget` allows, which is far above what 16-bit ids need in practice.
Source: Linux arch/arm64/kvm/vgic/vgic-its.c, vgic_its_restore_tables_v0, scan_its_table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from livemig.its.device import Its
from livemig.its.errors import ItsError
from livemig.its.layout import CTE, DTE, ITE, L1, L2_PAGE_BYTES, UNMAPPED_RDBASE
from livemig.its.memory import PAGE_BYTES, Memory, is_ram, read_u64
from livemig.its.places import L2_ENTRIES, collection_has_place, device_entry_address, event_entry_address
from livemig.its.registers import (
    ENTRY_BYTES,
    EVENT_ID_BITS,
    baser_address,
    baser_indirect,
    baser_size_bytes,
    baser_valid,
)
from livemig.its.state import Device
from livemig.its.vgic import FIRST_LPI

__all__ = ["Budget", "restore_tables"]

_ZERO_PAGE = bytes(PAGE_BYTES)
_RDBASE_READ_MASK = 0xFFFF_FFFF
"""RESTORE keeps 32 of the documented 36 RDBase bits (recorded: restore-cte-rdbase-high-bits)."""


@dataclass
class Budget:
    """What one RESTORE_TABLES may cost: the tables come from a guest, the kernel would follow them for hours.

    entries: table entries looked at.   events: mappings created.
    """

    entries: int = 1 << 26
    events: int = 1 << 17

    def spend_entries(self, count: int) -> None:
        self.entries -= count
        if self.entries < 0:
            raise ItsError("ENOMEM", "the tables lead through more than 2^26 entries; this model stops there")

    def spend_event(self) -> None:
        self.events -= 1
        if self.events < 0:
            raise ItsError("ENOMEM", "the tables map more than 2^17 events; this model stops there")


def restore_tables(its: Its, memory: Memory | None = None, budget: Budget | None = None) -> None:
    """KVM_DEV_ARM_ITS_RESTORE_TABLES: read `memory` (default: the VM's RAM) into `its`; a second call needs a reset.

    ItsError: EBUSY, EINVAL, EEXIST, EFAULT (MemoryFault) as the kernel; ENOMEM beyond `budget`. After an error the
    collections are gone; the devices too, unless the collection table was at fault.
    """
    its.vgic.require_stopped()
    memory = its.memory if memory is None else memory
    try:
        _restore_collections(its, memory)
        try:
            _Devices(its, memory, budget or Budget()).restore()
        except ItsError:
            its.free_devices()
            raise
    except ItsError:
        its.free_collections()
        raise


def _restore_collections(its: Its, memory: Memory) -> None:
    baser = its.basers[1]
    if not baser_valid(baser):
        return
    start = baser_address(baser)
    for address in range(start, start + baser_size_bytes(baser), ENTRY_BYTES):
        fields = CTE.decode(read_u64(memory, address))
        if not fields["valid"]:
            return
        icid, rdbase = fields["icid"], fields["rdbase"] & _RDBASE_READ_MASK
        if rdbase != UNMAPPED_RDBASE and its.vgic.vcpu_at(rdbase) is None:
            raise ItsError("EINVAL", f"CTE at {address:#x}: RDBase {rdbase:#x} names no VCPU")
        if icid in its.collections:
            raise ItsError("EEXIST", f"CTE at {address:#x}: collection {icid} exists already")
        if not collection_has_place(baser, memory, icid):
            raise ItsError("EINVAL", f"CTE at {address:#x}: ICID {icid} has no place in the collection table")
        its.add_collection(icid).rdbase = rdbase


class _Devices:
    """One pass over the device tables."""

    def __init__(self, its: Its, memory: Memory, budget: Budget) -> None:
        self.its = its
        self.memory = memory
        self.budget = budget

    def restore(self) -> None:
        baser = self.its.basers[0]
        if not baser_valid(baser):
            return
        start, size_bytes = baser_address(baser), baser_size_bytes(baser)
        if baser_indirect(baser):
            self._scan(start, size_bytes, 0, L1.by_name["valid"].mask, self._level_1_entry)
        else:
            self._scan(start, size_bytes, 0, DTE.by_name["valid"].mask, self._device_entry)

    def _scan(self, address: int, size_bytes: int, number: int, live_mask: int,
              entry: Callable[[int, int, int], int]) -> bool:
        """Linux scan_its_table: go from entry to entry. `entry` says how far the next one is, 0 = it was the last.

        Entries without `live_mask` bits are stepped over one by one. Returns whether the end of the table was met.
        """
        end = address + size_bytes
        while address < end:
            value = read_u64(self.memory, address)
            self.budget.spend_entries(1)
            step = entry(number, value, address) if value & live_mask else self._gap(address, end, live_mask)
            if step == 0:
                return False
            address, number = address + step * ENTRY_BYTES, number + step
        return True

    def _gap(self, address: int, end: int, live_mask: int) -> int:
        """Number of entries from `address` to the next live one, at most to the end of the page."""
        size_bytes = min(end, (address | (PAGE_BYTES - 1)) + 1) - address
        data = self.memory.read(address, size_bytes)
        step = size_bytes // ENTRY_BYTES
        if data != _ZERO_PAGE[:size_bytes]:
            live = np.flatnonzero(np.frombuffer(data, "<u8") & np.uint64(live_mask))
            step = int(live[0]) if live.size else step
        self.budget.spend_entries(step)
        return step

    def _level_1_entry(self, index: int, value: int, address: int) -> int:
        """A level 2 page is scanned on its own: a `next` that leaves it goes on at the first entry of the next page."""
        page = L1.by_name["l2_address"].decode(value)
        more = self._scan(page, L2_PAGE_BYTES, index * L2_ENTRIES, DTE.by_name["valid"].mask, self._device_entry)
        return 1 if more else 0

    def _device_entry(self, device_id: int, value: int, address: int) -> int:
        fields = DTE.decode(value)
        where = f"DTE of device {device_id:#x} at {address:#x}"
        event_id_bits = fields["size"] + 1
        if event_id_bits > EVENT_ID_BITS:
            raise ItsError("EINVAL", f"{where}: {event_id_bits} EventID bits are more than {EVENT_ID_BITS}")
        if device_entry_address(self.its.basers[0], self.memory, device_id) is None:
            raise ItsError("EINVAL", f"{where}: the DeviceID has no place in the device table")
        device = self.its.add_device(device_id, fields["itt_address"], event_id_bits)
        self._scan(device.itt_address, ENTRY_BYTES << event_id_bits, 0, ITE.by_name["pintid"].mask,
                   lambda event_id, entry, at: self._event_entry(device, event_id, entry, at))
        return fields["next"]

    def _event_entry(self, device: Device, event_id: int, value: int, address: int) -> int:
        fields = ITE.decode(value)
        where = f"ITE of device {device.device_id:#x} event {event_id} at {address:#x}"
        if fields["pintid"] < FIRST_LPI:
            raise ItsError("EINVAL", f"{where}: pINTID {fields['pintid']} is below {FIRST_LPI}")
        if (event_id + fields["next"]) >> device.event_id_bits:
            raise ItsError("EINVAL", f"{where}: next = {fields['next']} leads to an EventID of more than "
                                     f"{device.event_id_bits} bits")
        collection = self.its.collections.get(fields["icid"])
        if collection is None:
            raise ItsError("EINVAL", f"{where}: there is no collection {fields['icid']}")
        if not is_ram(self.memory, event_entry_address(device.itt_address, event_id)):
            raise ItsError("EINVAL", f"{where}: not in RAM")
        vcpu = self.its.vgic.vcpu_at(collection.rdbase) if collection.mapped else None
        self.budget.spend_event()
        lpi = self.its.vgic.add_lpi(fields["pintid"], vcpu)
        self.its.add_event(device, event_id, lpi, collection)
        return fields["next"]
