"""Bit ranges typed from the documents and not from livemig/its: name, hi:lo, ">>n" where n low bits drop.

Sources: Linux Documentation/virt/kvm/devices/arm-vgic-its.rst (DTE, ITE, CTE, L1), Arm IHI 0069 (commands as 64-bit
words w0..w3, registers), QEMU hw/intc/gicv3_internal.h (emulated tables).
"""

TABLES = {
    "DTE": "valid 63 next 62:49 itt_address 48:5>>8 size 4:0",
    "ITE": "next 63:48 pintid 47:16 icid 15:0",
    "CTE": "valid 63 rdbase 51:16 icid 15:0",
    "L1 entry": "valid 63 l2_address 51:16>>16",
    "LPI configuration": "priority 7:2>>2 enabled 0",
    "LPI pending": "bit7 7 bit6 6 bit5 5 bit4 4 bit3 3 bit2 2 bit1 1 bit0 0",
    "emulated DTE": "valid 0 size 5:1 itt_address 49:6>>8",
    "emulated CTE": "valid 0 rdbase 16:1",
    "emulated ITE": "valid 0 physical 1 pintid 25:2 icid 47:32 vpeid 63:48 doorbell 95:64",
}

COMMANDS = {
    "MOVI": "opcode w0 7:0 device_id w0 63:32 event_id w1 31:0 icid w2 15:0",
    "INT": "opcode w0 7:0 device_id w0 63:32 event_id w1 31:0",
    "CLEAR": "opcode w0 7:0 device_id w0 63:32 event_id w1 31:0",
    "SYNC": "opcode w0 7:0 rdbase w2 47:16",
    "MAPD": "opcode w0 7:0 device_id w0 63:32 size w1 4:0 itt_address w2 51:8>>8 valid w2 63",
    "MAPC": "opcode w0 7:0 icid w2 15:0 rdbase w2 47:16 valid w2 63",
    "MAPTI": "opcode w0 7:0 device_id w0 63:32 event_id w1 31:0 pintid w1 63:32 icid w2 15:0",
    "MAPI": "opcode w0 7:0 device_id w0 63:32 event_id w1 31:0 icid w2 15:0",
    "INV": "opcode w0 7:0 device_id w0 63:32 event_id w1 31:0",
    "INVALL": "opcode w0 7:0 icid w2 15:0",
    "MOVALL": "opcode w0 7:0 rdbase w2 47:16 rdbase2 w3 47:16",
    "DISCARD": "opcode w0 7:0 device_id w0 63:32 event_id w1 31:0",
}

REGISTERS = {
    "GITS_CTLR": "quiescent 31 enabled 0",
    "GITS_IIDR": "product 31:24 revision 15:12 implementer 11:0",
    "GITS_TYPER": "device_bits 17:13 event_bits 12:8 ite_size 7:4 physical 0",
    "GITS_CBASER": "valid 63 inner 61:59 outer 55:53 address 51:12>>12 shareability 11:10 pages 7:0",
    "GITS_BASER": ("valid 63 indirect 62 inner 61:59 type 58:56 outer 55:53 entry_size 52:48 address 47:16>>16 "
                   "address_high 15:12>>48 shareability 11:10 page_size 9:8 pages 7:0"),
    "GITS_CWRITER and GITS_CREADR": "offset 19:5>>5",
    "GICR_PROPBASER": "outer 58:56 address 51:12>>12 shareability 11:10 inner 9:7 id_bits 4:0",
    "GICR_PENDBASER": "table_zero 62 outer 58:56 address 51:16>>16 shareability 11:10 inner 9:7",
}

SECTION = ("GITS_CTLR 31:0 GITS_IIDR 63:32 GITS_CBASER w1 63:0 GITS_CWRITER w2 63:0 GITS_CREADR w3 63:0 "
           + " ".join(f"GITS_BASER{n} w{4 + n} 63:0" for n in range(8)))


def fields(text: str) -> dict[str, tuple[int, int, int]]:
    """{name: (hi, lo, shift)} of one line above."""
    found, words = {}, text.split()
    while words:
        name, place, base = words.pop(0), words.pop(0), 0
        if place.startswith("w"):
            base, place = 64 * int(place[1:]), words.pop(0)
        bits, _, shift = place.partition(">>")
        hi, _, lo = bits.partition(":")
        found[name] = (base + int(hi), base + int(lo or hi), int(shift or 0))
    return found


def all_documented() -> dict[str, dict[str, tuple[int, int, int]]]:
    return {name: fields(text) for name, text in
            (TABLES | COMMANDS | REGISTERS | {"arm_gicv3_its section": SECTION}).items()}
