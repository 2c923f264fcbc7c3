"""Guest RAM as the ITS sees it: a two-method protocol, and RAM slots that log dirty pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from livemig.its.errors import ItsError, MemoryFault

__all__ = ["Memory", "read_u64", "write_u64", "is_ram", "RamSlot", "RamSlots", "PAGE_BYTES"]

PAGE_BYTES = 4096
_OFFSET_MASK = PAGE_BYTES - 1
_ZERO_PAGE = bytes(PAGE_BYTES)


class Memory(Protocol):
    """Guest physical memory. Both methods raise `MemoryFault` for an address outside RAM."""

    def read(self, address: int, size_bytes: int) -> bytes:
        """Return `size_bytes` bytes at guest physical `address`."""

    def write(self, address: int, data: bytes) -> None:
        """Store `data` at guest physical `address`; the pages touched become dirty."""


def read_u64(memory: Memory, address: int) -> int:
    """One little-endian 64-bit word; MemoryFault outside RAM."""
    return int.from_bytes(memory.read(address, 8), "little")


def write_u64(memory: Memory, address: int, value: int) -> None:
    """Store one little-endian 64-bit word; MemoryFault outside RAM."""
    memory.write(address, value.to_bytes(8, "little"))


def is_ram(memory: Memory, address: int) -> bool:
    """Whether the 4 KiB page of `address` is guest RAM (Linux kvm_is_visible_gfn)."""
    try:
        memory.read(address & ~_OFFSET_MASK, 1)
    except MemoryFault:
        return False
    return True


@dataclass
class RamSlot:
    """One KVM memory slot. `pages` is sparse: a page that was never written reads as zeroes.

    base_address, size_bytes: guest physical range, both multiples of 4096.
    live: False after the slot was removed; its contents stay readable through `RamSlots.peek`.
    """

    base_address: int
    size_bytes: int
    log_dirty: bool = False
    live: bool = True
    pages: dict[int, bytearray] = field(default_factory=dict)
    dirty: set[int] = field(default_factory=set)

    def holds(self, address: int) -> bool:
        return self.base_address <= address < self.base_address + self.size_bytes


class RamSlots:
    """Guest RAM made of slots, sparse, with KVM's per-slot dirty log.

    `read`/`write` are the kernel's view: removed slots fault, writes mark pages dirty.
    `peek`/`poke` are the host's (userspace) view: they ignore `live` and mark nothing.
    """

    def __init__(self) -> None:
        self.slots: dict[int, RamSlot] = {}

    def add(self, slot: int, base_address: int, size_bytes: int, log_dirty: bool = False) -> RamSlot:
        """Add RAM slot number `slot`; ItsError(EINVAL) if it is unaligned, empty or overlaps another."""
        if base_address % PAGE_BYTES or size_bytes % PAGE_BYTES or size_bytes <= 0 or base_address < 0:
            raise ItsError("EINVAL", f"RAM slot {slot}: base {base_address:#x} and size {size_bytes:#x} "
                                     f"must be positive multiples of {PAGE_BYTES}")
        for number, other in self.slots.items():
            if other.base_address < base_address + size_bytes and base_address < other.base_address + other.size_bytes:
                raise ItsError("EEXIST", f"RAM slot {slot} at {base_address:#x} overlaps slot {number}")
        self.slots[slot] = RamSlot(base_address, size_bytes, log_dirty)
        return self.slots[slot]

    def remove(self, slot: int) -> None:
        """Take slot number `slot` away from the guest; ItsError(EINVAL) if there is none."""
        self._slot(slot).live = False

    def take_dirty_log(self, slot: int) -> tuple[int, ...]:
        """Addresses of the pages written since the last call, ascending; then forgets them (KVM_GET_DIRTY_LOG)."""
        found = self._slot(slot)
        pages = tuple(sorted(found.dirty))
        found.dirty.clear()
        return pages

    def read(self, address: int, size_bytes: int) -> bytes:
        return self._get(address, size_bytes, kernel=True)

    def write(self, address: int, data: bytes) -> None:
        self._put(address, data, kernel=True)

    def peek(self, address: int, size_bytes: int) -> bytes:
        """Host view of memory: removed slots included."""
        return self._get(address, size_bytes, kernel=False)

    def poke(self, address: int, data: bytes) -> None:
        """Host store: no dirty marking."""
        self._put(address, data, kernel=False)

    def _slot(self, slot: int) -> RamSlot:
        if slot not in self.slots:
            raise ItsError("EINVAL", f"there is no RAM slot {slot}; slots are {sorted(self.slots)}")
        return self.slots[slot]

    def _find(self, address: int, kernel: bool) -> RamSlot | None:
        for slot in self.slots.values():
            if slot.holds(address) and (slot.live or not kernel):
                return slot
        return None

    def _get(self, address: int, size_bytes: int, kernel: bool) -> bytes:
        offset = address & _OFFSET_MASK
        if offset + size_bytes <= PAGE_BYTES:
            slot = self._find(address, kernel)
            if slot is None:
                raise MemoryFault("read", address, size_bytes)
            page = slot.pages.get(address - offset)
            return _ZERO_PAGE[:size_bytes] if page is None else bytes(page[offset:offset + size_bytes])
        parts: list[bytes] = []
        while size_bytes > 0:
            step = min(size_bytes, PAGE_BYTES - (address & _OFFSET_MASK))
            parts.append(self._get(address, step, kernel))
            address, size_bytes = address + step, size_bytes - step
        return b"".join(parts)

    def _put(self, address: int, data: bytes, kernel: bool) -> None:
        done = 0
        while done < len(data):
            offset = address & _OFFSET_MASK
            step = min(len(data) - done, PAGE_BYTES - offset)
            slot = self._find(address, kernel)
            if slot is None:
                raise MemoryFault("write", address, len(data) - done)
            page = slot.pages.setdefault(address - offset, bytearray(PAGE_BYTES))
            page[offset:offset + step] = data[done:done + step]
            if kernel and slot.log_dirty:
                slot.dirty.add(address - offset)
            address, done = address + step, done + step
