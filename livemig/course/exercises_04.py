"""Notebook 04: table entries as bytes. Keys are packed by the its room's layouts."""

from __future__ import annotations

from livemig.course.model import Bytes, Case, Draw, Exercise, Function, Task, Wrong, number
from livemig.its.layout import DTE, DTE_NEXT_MAX, ITE, pending_bit

__all__ = ["EXERCISES"]

FIRST_LPI = 8192
_SWAPPED = "The bytes are in the wrong order: entries are little-endian, the lowest byte comes first."


def _dte(draw: Draw) -> Task:
    device, distance = draw.randrange(1, 200), draw.randrange(2, 900)
    itt = draw.randrange(0x4000_0000, 0x4800_0000, 0x1_0000) + 0x100 * draw.randrange(1, 255)
    bits = draw.randrange(3, 9)
    fields = {"valid": 1, "next": distance, "itt_address": itt, "size": bits - 1}
    right = DTE.pack(**fields)
    unshifted = DTE.encode(**{**fields, "itt_address": 0}) | (itt << DTE.field("itt_address").lo) & (1 << 49) - 1
    wrongs = (
        Wrong(right[::-1], _SWAPPED),
        Wrong(DTE.pack(**{**fields, "size": bits}), "size holds the number of EventID bits minus 1."),
        Wrong(DTE.pack(**{**fields, "next": device + distance}), "next is no DeviceID: it is the distance to the next "
                                                                 "one."),
        Wrong(DTE.pack(**{**fields, "next": 8 * distance}), "next counts entries, not bytes."),
        Wrong(DTE.pack(**{**fields, "valid": 0}), "Bit 63, valid, is 0: the entry would count as empty."),
        Wrong(unshifted.to_bytes(8, "little"), "The address field holds bits [51:8] of the address: shift it by 8 "
                                               "first."))
    return Task(
        f"KVM saves its device table. Device {device} has its ITT at {itt:#x}, for {bits} EventID bits; the next "
        f"mapped device "
        f"is {device + distance}. Which 8 bytes does the DTE of device {device} have?", Bytes(right, DTE, wrongs),
        ("Fields: valid [63], next [62:49], itt_address [48:5] (address bits [51:8]), size [4:0].",
         f"next = {device + distance} - {device}; size = {bits} - 1; the address is shifted right by 8.",
         "Put the fields together as one number of 64 bits, then write it with the lowest byte first."),
        f"next = {distance}, size = {bits - 1}, address field {itt >> 8:#x}: the number is "
        f"{int.from_bytes(right, 'little'):#018x}, "
        f"in memory {right.hex(' ')}.")


def _ite(draw: Draw) -> Task:
    event, distance, icid = draw.randrange(1, 12), draw.randrange(2, 12), draw.randrange(1, 5)
    lpi = FIRST_LPI + draw.randrange(1, 400)
    fields = {"next": distance, "pintid": lpi, "icid": icid}
    right = ITE.pack(**fields)
    wrongs = (
        Wrong(right[::-1], _SWAPPED),
        Wrong(ITE.pack(**{**fields, "next": event + distance}), "next is no EventID: it is the distance to the next "
                                                                "one."),
        Wrong(ITE.pack(**{**fields, "next": 8 * distance}), "next counts entries, not bytes."),
        Wrong(ITE.pack(**{**fields, "pintid": lpi - FIRST_LPI}), "pintid is the LPI number itself, from 8192 up."),
        Wrong(ITE.pack(**{**fields, "next": 0}), "next = 0 says that this is the last event; another one follows."))
    return Task(
        f"Event {event} of a device raises LPI {lpi} in collection {icid}; the device's next mapped event is "
        f"{event + distance}. Which 8 "
        f"bytes does the ITE of event {event} have?", Bytes(right, ITE, wrongs),
        ("Fields: next [63:48], pintid [47:16], icid [15:0].",
         f"next = {event + distance} - {event}.",
         "The lowest two bytes are the icid, and the lowest byte comes first."),
        f"{int.from_bytes(right, 'little'):#018x} as a number, {right.hex(' ')} in memory.")


def _pending(draw: Draw) -> Task:
    lpi = FIRST_LPI + draw.randrange(9, 4000)
    byte, mask = pending_bit(lpi)
    key = number(
        byte, "",
        ((lpi - FIRST_LPI) // 8, "The table has a bit for every interrupt number from 0 up, although LPIs begin at "
                                 "8192: its "
                                 "first 1024 bytes are not used for them."),
        (lpi, "One bit for each LPI, not one byte."),
        (mask.bit_length() - 1, "That is the bit within the byte; the byte was asked for."),
        (lpi // 64 * 8, "That is where the word of 64 bits begins; the byte was asked for."),
        tolerance=0.0)
    return Task(
        f"LPI {lpi} is pending. In which byte of its VCPU's pending table is its bit?", key,
        ("One bit for each interrupt number.", "The table begins with number 0.", f"{lpi} / 8, without the rest."),
        f"{lpi} = 8 x {byte} + {lpi % 8}: byte {byte}, value {mask:#04x}.")


def _right(distance: int, itt_address: int, event_id_bits: int) -> bytes:
    return DTE.pack(valid=1, next=min(distance, DTE_NEXT_MAX), itt_address=itt_address, size=event_id_bits - 1)


def _big_endian(distance: int, itt_address: int, event_id_bits: int) -> bytes:
    return _right(distance, itt_address, event_id_bits)[::-1]


def _not_minus_one(distance: int, itt_address: int, event_id_bits: int) -> bytes:
    return _right(distance, itt_address, event_id_bits + 1)


def _not_capped(distance: int, itt_address: int, event_id_bits: int) -> bytes:
    return _right(distance & DTE_NEXT_MAX, itt_address, event_id_bits)


_SOLUTION = """\
def encode_dte(distance, itt_address, event_id_bits):
    fields = 1 << 63 | min(distance, 16383) << 49 | (itt_address >> 8) << 5 | event_id_bits - 1
    return fields.to_bytes(8, "little")
"""


def _encode(draw: Draw) -> Task:
    distances = (draw.randrange(2, 500), 0, DTE_NEXT_MAX, DTE_NEXT_MAX + 1, draw.randrange(17000, 60000))
    cases = [(one, draw.randrange(0x4000_0000, 0x7000_0000, 0x100), draw.randrange(2, 16)) for one in distances]
    key = Function("encode_dte", _right, tuple(Case(one, _right(*one)) for one in cases), (
        Wrong(_big_endian, _SWAPPED),
        Wrong(_not_minus_one, "size holds the number of EventID bits minus 1."),
        Wrong(_not_capped, "next has 14 bits. What is further away than 16383 is capped at 16383; your bits run "
                           "over.")), solution=_SOLUTION)
    return Task(
        "Write encode_dte(distance, itt_address, event_id_bits): the 8 bytes (bytes, lowest address first) of a valid "
        "DTE. "
        "distance: to the next mapped device, 0 if this is the last one.", key,
        ("valid [63], next [62:49], itt_address [48:5], size [4:0]; int.to_bytes(8, 'little') makes bytes.",
         "The address field holds address bits [51:8]: (itt_address >> 8) << 5.",
         "How many bits has next, and what does KVM do with a distance of 16384?"),
        "The four fields in one number, the distance capped at 16383, as eight bytes with the lowest first.")


EXERCISES = (
    Exercise("04.1", "an entry of the device table", _dte),
    Exercise("04.2", "an entry of an ITT", _ite),
    Exercise("04.3", "where a pending bit is", _pending),
    Exercise("04.4", "encode a DTE: a function", _encode),
)
