"""Where an entry lies in guest RAM (Linux vgic_its_check_id, vgic_its_check_event_id)."""

from __future__ import annotations

from livemig.its.errors import MemoryFault
from livemig.its.layout import L1, L2_PAGE_BYTES
from livemig.its.memory import Memory, is_ram, read_u64
from livemig.its.registers import DEVICE_ID_BITS, ENTRY_BYTES, baser_address, baser_indirect, baser_size_bytes

__all__ = ["device_entry_address", "collection_has_place", "event_entry_address", "L2_ENTRIES"]

L2_ENTRIES = L2_PAGE_BYTES // ENTRY_BYTES
_ICID_BITS = 16


def device_entry_address(baser: int, memory: Memory, device_id: int) -> int | None:
    """Address of the DTE of `device_id`, flat or two-level; None if the id or its page has no place in RAM."""
    if device_id >> DEVICE_ID_BITS:
        return None
    if not baser_indirect(baser):
        return _flat_address(baser, memory, device_id)
    index, rest = divmod(device_id, L2_ENTRIES)
    if index >= baser_size_bytes(baser) // ENTRY_BYTES:
        return None
    try:
        entry = read_u64(memory, baser_address(baser) + index * ENTRY_BYTES)
    except MemoryFault:
        return None
    if not entry & L1.by_name["valid"].mask:
        return None
    address = L1.by_name["l2_address"].decode(entry) + rest * ENTRY_BYTES
    return address if is_ram(memory, address) else None


def collection_has_place(baser: int, memory: Memory, icid: int) -> bool:
    """Whether ICID `icid` is accepted: as if the table were indexed by it, although it is a packed list."""
    return not icid >> _ICID_BITS and _flat_address(baser, memory, icid) is not None


def _flat_address(baser: int, memory: Memory, number: int) -> int | None:
    if number >= baser_size_bytes(baser) // ENTRY_BYTES:
        return None
    address = baser_address(baser) + number * ENTRY_BYTES
    return address if is_ram(memory, address) else None


def event_entry_address(itt_address: int, event_id: int) -> int:
    """Address of an ITE of KVM's 8 bytes."""
    return itt_address + event_id * ENTRY_BYTES
