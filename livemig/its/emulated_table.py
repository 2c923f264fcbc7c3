"""A table of QEMU's emulated ITS in guest RAM: indexed, flat or two-level, with the page size that was written.

Source: QEMU 10.0 hw/intc/arm_gicv3_its.c extract_table_params, table_entry_addr; recorded in data/its-qemu-tcg.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from livemig.its import registers as reg
from livemig.its.codec import Layout
from livemig.its.memory import Memory, read_u64
from livemig.its.registers import GITS_BASER

__all__ = ["Table", "PAGE_BYTES"]

PAGE_BYTES: Mapping[int, int] = {0: 0x1000, 1: 0x4000, 2: 0x10000, 3: 0x10000}
"""GITS_BASER.page_size -> bytes; unlike KVM, what is written stays."""

_L1_ENTRY_BYTES = 8
_L1_VALID = 1 << 63
_L1_ADDRESS = (1 << 51) - 1
"""QEMU takes the L1 entry's bits [50:0] as they are: low bits are not dropped."""


@dataclass(frozen=True)
class Table:
    """A device or collection table as GITS_BASER describes it; `entries` is 0 if it is not valid."""

    layout: Layout
    base_address: int
    entries: int
    indirect: bool
    page_bytes: int

    @classmethod
    def from_baser(cls, baser: int, layout: Layout) -> Table:
        fields = GITS_BASER.decode(baser)
        page_bytes = PAGE_BYTES[fields["page_size"]]
        count = (fields["pages"] + 1) * page_bytes // layout.size_bytes
        if fields["indirect"]:
            count *= page_bytes // layout.size_bytes
        address = reg.baser_address(baser) if page_bytes == 0x10000 else baser & 0xFFFF_FFFF_F000
        return cls(layout, address, min(count, 1 << 16) if fields["valid"] else 0, bool(fields["indirect"]), page_bytes)

    def address_of(self, memory: Memory, number: int) -> int | None:
        """Address of entry `number` < `entries`; None if its L1 entry is not valid. MemoryFault on the L1 table."""
        if not self.indirect:
            return self.base_address + number * self.layout.size_bytes
        index = number // (self.page_bytes // _L1_ENTRY_BYTES)
        entry = read_u64(memory, self.base_address + index * _L1_ENTRY_BYTES)
        if not entry & _L1_VALID:
            return None
        return (entry & _L1_ADDRESS) + number % (self.page_bytes // self.layout.size_bytes) * self.layout.size_bytes

    def read(self, memory: Memory, number: int) -> dict[str, int] | None:
        """Fields of entry `number`, None if there is no valid one."""
        address = self.address_of(memory, number) if number < self.entries else None
        if address is None:
            return None
        fields = self.layout.decode(memory.read(address, self.layout.size_bytes))
        return fields if fields["valid"] else None

    def write(self, memory: Memory, number: int, **fields: int) -> None:
        """Store entry `number`; without fields, a zero entry. Dropped where its L1 entry is not valid."""
        address = self.address_of(memory, number)
        if address is not None:
            memory.write(address, self.layout.pack(**fields))
