"""The bit layouts of ITS tables, as data: KVM ABI revision 0 and QEMU's emulated ITS.

Every picture, explanation, encoder, decoder and error text of the room comes from these tables. Bit numbers are those
of the little-endian entry; `next` fields count entries, not bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

from livemig.its.codec import Field, Layout, Words
from livemig.its.commands import COMMANDS
from livemig.its.registers import REGISTER_LAYOUTS

__all__ = [
    "Layout", "Field", "DTE", "CTE", "ITE", "L1", "QEMU_DTE", "QEMU_CTE", "QEMU_ITE", "LPI_CONFIG", "LPI_PENDING",
    "LAYOUTS", "COMMANDS", "REGISTER_LAYOUTS", "Words", "UNMAPPED_RDBASE", "DTE_NEXT_MAX", "ITE_NEXT_MAX",
    "L2_PAGE_BYTES", "pending_bit"]

_DOC = "Linux Documentation/virt/kvm/devices/arm-vgic-its.rst"
_SEEN = "recorded: data/its"
_ARM = "Arm IHI 0069, LPI configuration and pending tables"
_QEMU = "QEMU 10.0 hw/intc/gicv3_internal.h; recorded: data/its-qemu-tcg"

DTE = Layout("DTE", 8, (
    Field("valid", "V", 63, 63, meaning="1 = this DeviceID is mapped", source=_DOC),
    Field("next", "n", 62, 49, meaning="distance to the next mapped DeviceID, 0 = last, capped at 16383", source=_DOC),
    Field("itt_address", "a", 48, 5, shift=8, meaning="guest physical address of the ITT, bits [51:8]", source=_DOC),
    Field("size", "s", 4, 0, meaning="number of EventID bits minus 1", source=_DOC),
), _DOC)

ITE = Layout("ITE", 8, (
    Field("next", "n", 63, 48, meaning="distance to the next mapped EventID, 0 = last", source=_DOC),
    Field("pintid", "p", 47, 16, meaning="the LPI that this event raises; 0 = no mapping here", source=_DOC),
    Field("icid", "c", 15, 0, meaning="the collection that says which VCPU takes it", source=_DOC),
), _DOC)

CTE = Layout("CTE", 8, (
    Field("valid", "V", 63, 63, meaning="1 = a collection, 0 = end of the list", source=_DOC),
    Field("rdbase", "r", 51, 16, meaning="target VCPU, 0xffffffff = none yet; RESTORE reads [47:16]", source=_SEEN),
    Field("icid", "c", 15, 0, meaning="collection number; the table is a packed list, not indexed by it", source=_SEEN),
), _DOC)

L1 = Layout("L1 entry", 8, (
    Field("valid", "V", 63, 63, meaning="1 = a level 2 page is there", source=_DOC),
    Field("l2_address", "a", 51, 16, shift=16, meaning="the 64 KiB page of 8192 DTEs", source=_DOC),
), _DOC)

LPI_CONFIG = Layout("LPI configuration", 1, (
    Field("priority", "p", 7, 2, shift=2, meaning="priority, lower is more urgent", source=_ARM),
    Field("enabled", "e", 0, 0, meaning="1 = the LPI may be delivered", source=_ARM),
), "Arm IHI 0069: one byte for each LPI from 8192 up, at GICR_PROPBASER")

LPI_PENDING = Layout("LPI pending", 1, tuple(
    Field(f"bit{bit}", str(bit), bit, bit, meaning=f"1 = LPI number 8 x byte + {bit} is pending", source=_ARM)
    for bit in range(7, -1, -1)), "Arm IHI 0069: one bit for each LPI, at GICR_PENDBASER of its VCPU")

QEMU_DTE = Layout("emulated DTE", 8, (
    Field("valid", "V", 0, 0, meaning="1 = this DeviceID is mapped", source=_QEMU),
    Field("size", "s", 5, 1, meaning="number of EventID bits minus 1", source=_QEMU),
    Field("itt_address", "a", 49, 6, shift=8, meaning="guest physical address of the ITT, bits [51:8]", source=_QEMU),
), _QEMU)

QEMU_CTE = Layout("emulated CTE", 8, (
    Field("valid", "V", 0, 0, meaning="1 = this collection is mapped; the table is indexed by ICID", source=_QEMU),
    Field("rdbase", "r", 16, 1, meaning="target CPU number", source=_QEMU),
), _QEMU)

QEMU_ITE = Layout("emulated ITE", 12, (
    Field("valid", "V", 0, 0, meaning="1 = this EventID is mapped", source=_QEMU),
    Field("physical", "t", 1, 1, meaning="1 = a physical LPI, 0 = a GICv4 virtual one", source=_QEMU),
    Field("pintid", "p", 25, 2, meaning="the LPI that this event raises", source=_QEMU),
    Field("icid", "c", 47, 32, meaning="the collection that says which CPU takes it", source=_QEMU),
    Field("vpeid", "v", 63, 48, meaning="GICv4 virtual PE, 0 for a physical LPI", source=_QEMU),
    Field("doorbell", "d", 95, 64, meaning="GICv4 doorbell interrupt, 1023 = none", source=_QEMU),
), _QEMU)

LAYOUTS: Mapping[str, Mapping[str, Layout]] = {
    "kvm": {"device": DTE, "collection": CTE, "event": ITE, "l1": L1},
    "qemu": {"device": QEMU_DTE, "collection": QEMU_CTE, "event": QEMU_ITE, "l1": L1},
}
"""Table layouts of the two ITSes by table kind."""

UNMAPPED_RDBASE = 0xFFFF_FFFF
"""RDBase of a collection that a MAPTI named before any MAPC (recorded)."""

DTE_NEXT_MAX = (1 << 14) - 1
ITE_NEXT_MAX = (1 << 16) - 1
L2_PAGE_BYTES = 0x10000


def pending_bit(pintid: int) -> tuple[int, int]:
    """Where LPI `pintid` lives in a pending table: (byte offset, bit mask). Source: Arm IHI 0069; recorded."""
    return pintid // 8, 1 << pintid % 8
