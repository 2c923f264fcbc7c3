"""GITS_* and GICR_* registers: offsets, layouts, and what Linux KVM makes of a value that is written.

Source: Linux arch/arm64/kvm/vgic/vgic-its.c and vgic-mmio-v3.c (vgic_sanitise_*); recorded in data/its.
"""

from __future__ import annotations

from collections.abc import Mapping

from livemig.its.codec import Field, Layout

__all__ = [
    "sanitise", "sanitise_cbaser", "sanitise_gicr", "baser_fixed", "baser_at_reset", "sanitise_baser",
    "baser_address", "baser_size_bytes", "baser_valid", "baser_indirect", "cbaser_address", "cbaser_size_bytes",
    "TABLE_PAGE_BYTES", "GITS_CTLR", "GITS_IIDR", "GITS_TYPER", "GITS_BASER", "GITS_CBASER", "QUEUE_OFFSET",
    "GICR_PROPBASER", "GICR_PENDBASER", "OFFSETS", "REGISTER_LAYOUTS", "ID_REGISTERS", "DEVICE_ID_BITS",
    "EVENT_ID_BITS", "MAX_LPI_BITS", "ENTRY_BYTES", "TABLE_TYPES", "IIDR_VALUE", "TYPER_VALUE",
]

_ARM = "Arm IHI 0069, ITS registers"
TABLE_PAGE_BYTES = 0x10000
"""KVM supports one ITS table page size, 64 KiB."""

GITS_CTLR = Layout("GITS_CTLR", 8, (
    Field("quiescent", "q", 31, 31, meaning="1 = CREADR has reached CWRITER", source=_ARM),
    Field("enabled", "e", 0, 0, meaning="1 = commands run and MSIs are translated", source=_ARM),
), _ARM)
GITS_IIDR = Layout("GITS_IIDR", 8, (
    Field("product", "p", 31, 24, meaning="product: 0x4b is KVM", source=_ARM),
    Field("revision", "r", 15, 12, meaning="KVM's table ABI revision; only 0 exists", source=_ARM),
    Field("implementer", "i", 11, 0, meaning="implementer: 0x43b is Arm", source=_ARM),
), _ARM)
GITS_TYPER = Layout("GITS_TYPER", 8, (
    Field("device_bits", "d", 17, 13, meaning="DeviceID bits minus 1", source=_ARM),
    Field("event_bits", "e", 12, 8, meaning="EventID bits minus 1", source=_ARM),
    Field("ite_size", "s", 7, 4, meaning="bytes of an ITE minus 1", source=_ARM),
    Field("physical", "p", 0, 0, meaning="1 = physical LPIs", source=_ARM),
), _ARM)
GITS_BASER = Layout("GITS_BASER", 8, (
    Field("valid", "V", 63, 63, meaning="1 = the table exists", source=_ARM),
    Field("indirect", "I", 62, 62, meaning="1 = two levels", source=_ARM),
    Field("inner", "i", 61, 59, meaning="inner cacheability", source=_ARM),
    Field("type", "t", 58, 56, meaning="1 = device table, 4 = collection table", source=_ARM),
    Field("outer", "o", 55, 53, meaning="outer cacheability", source=_ARM),
    Field("entry_size", "z", 52, 48, meaning="bytes of an entry minus 1", source=_ARM),
    Field("address", "a", 47, 16, shift=16, meaning="table address, bits [47:16]", source=_ARM),
    Field("address_high", "A", 15, 12, shift=48, meaning="table address, bits [51:48], with 64 KiB pages", source=_ARM),
    Field("shareability", "h", 11, 10, meaning="shareability", source=_ARM),
    Field("page_size", "g", 9, 8, meaning="0 = 4 KiB, 1 = 16 KiB, 2 = 64 KiB; KVM forces 2", source=_ARM),
    Field("pages", "n", 7, 0, meaning="table pages minus 1", source=_ARM),
), _ARM)
GITS_CBASER = Layout("GITS_CBASER", 8, (
    Field("valid", "V", 63, 63, meaning="1 = the queue exists", source=_ARM),
    Field("inner", "i", 61, 59, meaning="inner cacheability", source=_ARM),
    Field("outer", "o", 55, 53, meaning="outer cacheability", source=_ARM),
    Field("address", "a", 51, 12, shift=12, meaning="queue address; KVM clears [15:12]", source=_ARM),
    Field("shareability", "h", 11, 10, meaning="shareability", source=_ARM),
    Field("pages", "n", 7, 0, meaning="4 KiB pages minus 1", source=_ARM),
), _ARM)
QUEUE_OFFSET = Layout("GITS_CWRITER and GITS_CREADR", 8, (
    Field("offset", "o", 19, 5, shift=5, meaning="byte offset in the queue, a multiple of 32", source=_ARM),
), _ARM)
GICR_PROPBASER = Layout("GICR_PROPBASER", 8, (
    Field("outer", "o", 58, 56, meaning="outer cacheability", source=_ARM),
    Field("address", "a", 51, 12, shift=12, meaning="LPI configuration table", source=_ARM),
    Field("shareability", "h", 11, 10, meaning="shareability", source=_ARM),
    Field("inner", "i", 9, 7, meaning="inner cacheability", source=_ARM),
    Field("id_bits", "b", 4, 0, meaning="LPI number bits minus 1", source=_ARM),
), _ARM)
GICR_PENDBASER = Layout("GICR_PENDBASER", 8, (
    Field("table_zero", "z", 62, 62, meaning="1 = the table is all zeroes; reads as 0", source=_ARM),
    Field("outer", "o", 58, 56, meaning="outer cacheability", source=_ARM),
    Field("address", "a", 51, 16, shift=16, meaning="LPI pending table of this VCPU", source=_ARM),
    Field("shareability", "h", 11, 10, meaning="shareability", source=_ARM),
    Field("inner", "i", 9, 7, meaning="inner cacheability", source=_ARM),
), _ARM)

OFFSETS: Mapping[str, int] = {
    "GITS_CTLR": 0x0, "GITS_IIDR": 0x4, "GITS_TYPER": 0x8, "GITS_CBASER": 0x80, "GITS_CWRITER": 0x88,
    "GITS_CREADR": 0x90, **{f"GITS_BASER{n}": 0x100 + 8 * n for n in range(8)},
    "GITS_PIDR4": 0xFFD0, "GITS_PIDR0": 0xFFE0, "GITS_PIDR1": 0xFFE4, "GITS_PIDR2": 0xFFE8,
    "GITS_CIDR0": 0xFFF0, "GITS_CIDR1": 0xFFF4, "GITS_CIDR2": 0xFFF8, "GITS_CIDR3": 0xFFFC}
"""Register name -> offset in the ITS control frame."""

REGISTER_LAYOUTS: Mapping[str, Layout] = {
    "GITS_CTLR": GITS_CTLR, "GITS_IIDR": GITS_IIDR, "GITS_TYPER": GITS_TYPER, "GITS_CBASER": GITS_CBASER,
    "GITS_CWRITER": QUEUE_OFFSET, "GITS_CREADR": QUEUE_OFFSET,
    **{f"GITS_BASER{n}": GITS_BASER for n in range(8)},
    "GICR_PROPBASER": GICR_PROPBASER, "GICR_PENDBASER": GICR_PENDBASER}

ID_REGISTERS: Mapping[int, int] = {
    0xFFD0: 0x40, 0xFFE0: 0x92, 0xFFE4: 0xB4, 0xFFE8: 0x3B, 0xFFF0: 0x0D, 0xFFF4: 0xF0, 0xFFF8: 0x05, 0xFFFC: 0xB1}
"""Offset -> constant; the other words of [0xffd0, 0x10000) read as 0."""

DEVICE_ID_BITS = 16
EVENT_ID_BITS = 16
MAX_LPI_BITS = 16
ENTRY_BYTES = 8
TABLE_TYPES: Mapping[int, int] = {0: 1, 1: 4}
"""GITS_BASER index -> table type; KVM has a device table at 0 and a collection table at 1."""

IIDR_VALUE = GITS_IIDR.encode(product=0x4B, revision=0, implementer=0x43B)
TYPER_VALUE = GITS_TYPER.encode(device_bits=DEVICE_ID_BITS - 1, event_bits=EVENT_ID_BITS - 1,
                                ite_size=ENTRY_BYTES - 1, physical=1)

_KEPT: Mapping[str, Mapping[int, int]] = {
    "shareability": {2: 1},                      # outer shareable -> inner shareable
    "inner": {0: 3, 1: 3},                       # no device or non-cacheable -> read-allocate write-back
    "outer": dict.fromkeys(range(2, 8), 0)}  # same as inner, or non-cacheable, nothing else
"""Field name -> {value written: value kept}; other values stay."""

_CBASER_CLEARED = 0xF000
_GICR_CLEARED: Mapping[str, int] = {
    "GICR_PROPBASER": 0xF8F0_0000_0000_0060, "GICR_PENDBASER": 0xB8F0_0000_0000_F07F}


def sanitise(layout: Layout, value: int) -> int:
    """Replace memory attributes that KVM does not accept (vgic_sanitise_shareability and its kin)."""
    for name, kept in _KEPT.items():
        field = layout.by_name[name]
        raw = (value & field.mask) >> field.lo
        value = value & ~field.mask | kept.get(raw, raw) << field.lo
    return value


def sanitise_cbaser(value: int) -> int:
    """What GITS_CBASER holds after `value` was written."""
    return sanitise(GITS_CBASER, value) & ~_CBASER_CLEARED


def sanitise_gicr(name: str, value: int) -> int:
    """What GICR_PROPBASER or GICR_PENDBASER holds after `value` was written."""
    return sanitise(REGISTER_LAYOUTS[name], value) & ~_GICR_CLEARED[name]


def baser_fixed(index: int) -> int:
    """The read-only part of GITS_BASER0 or 1: table type and entry size."""
    return GITS_BASER.encode(type=TABLE_TYPES[index], entry_size=ENTRY_BYTES - 1)


def baser_at_reset(index: int) -> int:
    """GITS_BASER0 or 1 of a new ITS: not valid, with KVM's default attributes."""
    return baser_fixed(index) | GITS_BASER.encode(inner=3, shareability=1, page_size=2)


def sanitise_baser(index: int, value: int) -> int:
    """What GITS_BASER0 or 1 holds after `value` was written."""
    fields = GITS_BASER.by_name
    value &= ~(fields["type"].mask | fields["entry_size"].mask | fields["page_size"].mask)
    if index == 1:
        value &= ~fields["indirect"].mask
    return sanitise(GITS_BASER, value) | baser_fixed(index) | GITS_BASER.encode(page_size=2)


def baser_address(value: int) -> int:
    """Guest physical address of the table, 52 bits."""
    fields = GITS_BASER.by_name
    return fields["address"].decode(value) | fields["address_high"].decode(value)


def baser_size_bytes(value: int) -> int:
    """Size of the table, a multiple of 64 KiB."""
    return (GITS_BASER.by_name["pages"].decode(value) + 1) * TABLE_PAGE_BYTES


def baser_valid(value: int) -> bool:
    return bool(value & GITS_BASER.by_name["valid"].mask)


def baser_indirect(value: int) -> bool:
    return bool(value & GITS_BASER.by_name["indirect"].mask)


def cbaser_address(value: int) -> int:
    return GITS_CBASER.by_name["address"].decode(value)


def cbaser_size_bytes(value: int) -> int:
    """Size of the command queue, a multiple of 4 KiB, at most 1 MiB."""
    return (GITS_CBASER.by_name["pages"].decode(value) + 1) * 4096
