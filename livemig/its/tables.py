"""SAVE_TABLES, RESTORE_TABLES and SAVE_PENDING_TABLES: what KVM writes to guest RAM and reads from it, in its order.

SAVE: for each device, by DeviceID, its ITEs by EventID and then its DTE; after all devices the collections in mapping
order, closed by a zero entry unless the table is exactly full. Nothing else is written: what an earlier save left
between the entries stays. Every write marks its page dirty, equal bytes or not.
Source: Linux arch/arm64/kvm/vgic/vgic-its.c vgic_its_save_tables_v0 and vgic-v3.c vgic_v3_save_pending_tables.
"""

from __future__ import annotations

from itertools import zip_longest

from livemig.its.device import Its
from livemig.its.errors import ItsError, KernelCrash
from livemig.its.layout import CTE, DTE, DTE_NEXT_MAX, ITE, ITE_NEXT_MAX, pending_bit
from livemig.its.memory import Memory, write_u64
from livemig.its.places import device_entry_address, event_entry_address
from livemig.its.registers import ENTRY_BYTES, baser_address, baser_size_bytes, baser_valid
from livemig.its.restore import restore_tables
from livemig.its.state import Device, Event

__all__ = ["restore_tables", "save_pending_tables", "save_tables"]


def save_tables(its: Its, memory: Memory | None = None) -> None:
    """KVM_DEV_ARM_ITS_SAVE_TABLES: write the state of `its` to `memory` (default: the VM's RAM).

    ItsError: EBUSY a VCPU runs; EFAULT (MemoryFault) an ITT or the collection table is not RAM; EINVAL a DTE has no
    place (6.x). What came before is written. KernelCrash where a 6.x host kernel crashed.
    """
    its.vgic.require_stopped()
    memory = its.memory if memory is None else memory
    _save_devices(its, memory)
    _save_collections(its, memory)


def _save_devices(its: Its, memory: Memory) -> None:
    if not baser_valid(its.basers[0]):
        return
    devices = its.devices_in_save_order()
    if its.vgic.profile.save_unresolved_device == "skip":
        devices = [device for device in devices
                   if device_entry_address(its.basers[0], memory, device.device_id) is not None]
    for device, following in zip_longest(devices, devices[1:]):
        address = device_entry_address(its.basers[0], memory, device.device_id)
        if address is None:
            raise ItsError("EINVAL", f"the DTE of device {device.device_id:#x} has no place in RAM")
        _save_events(its, memory, device)
        distance = following.device_id - device.device_id if following else 0
        write_u64(memory, address, DTE.encode(valid=1, next=min(distance, DTE_NEXT_MAX),
                                              itt_address=device.itt_address, size=device.event_id_bits - 1))


def _save_events(its: Its, memory: Memory, device: Device) -> None:
    events = device.in_order()
    for event, following in zip_longest(events, events[1:]):
        distance = following.event_id - event.event_id if following else 0
        write_u64(memory, event_entry_address(device.itt_address, event.event_id),
                  _event_entry(its, device, event, min(distance, ITE_NEXT_MAX)))


def _event_entry(its: Its, device: Device, event: Event, distance: int) -> int:
    if event.collection is not None:
        return ITE.encode(next=distance, pintid=event.lpi.intid, icid=event.collection.icid)
    if its.vgic.profile.save_without_collection == "crash":
        raise KernelCrash(
            f"SAVE_TABLES with device {device.device_id:#x} event {event.event_id} whose collection is gone: "
            f"Linux {its.vgic.profile.release} dereferences NULL here and the host kernel crashes (recorded)")
    return 0


def _save_collections(its: Its, memory: Memory) -> None:
    if not baser_valid(its.basers[1]):
        return
    address = baser_address(its.basers[1])
    for collection in its.collections.values():
        write_u64(memory, address, CTE.encode(valid=1, rdbase=collection.rdbase, icid=collection.icid))
        address += ENTRY_BYTES
    if len(its.collections) * ENTRY_BYTES != baser_size_bytes(its.basers[1]):
        write_u64(memory, address, 0)


def save_pending_tables(its: Its, memory: Memory | None = None) -> None:
    """KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES: each mapped LPI's pending bit goes to its VCPU's table.

    A byte is written only if a bit changes. The bit in a table that an LPI has left is not cleared (recorded:
    pending-movi). ItsError: EBUSY a VCPU runs; EFAULT a pending table is not RAM, earlier LPIs are written.
    """
    its.vgic.require_stopped()
    memory = its.memory if memory is None else memory
    last_address, stored = -1, 0
    for lpi in its.vgic.lpis_in_order():
        if lpi.target is None:
            continue
        byte, mask = pending_bit(lpi.intid)
        address = lpi.target.pending_table_address + byte
        if address != last_address:
            stored, last_address = memory.read(address, 1)[0], address
        if bool(stored & mask) != lpi.pending:
            stored ^= mask
            memory.write(address, bytes([stored]))
