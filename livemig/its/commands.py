"""ITS command queue entries: 32 bytes each, as `Layout` tables.

Bit n of the table is bit n % 64 of little-endian word n // 64. Field widths are those that Linux KVM reads
(arch/arm64/kvm/vgic/vgic-its.c, its_cmd_* accessors; 32-bit RDbase); the placement is that of Arm IHI 0069.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from livemig.its.codec import Field, Layout
from livemig.its.errors import ItsError

__all__ = [
    "Command", "encode_command", "command", "decode_command", "decode_commands", "pack_commands", "COMMAND_BYTES",
    "COMMANDS", "OPCODES", "NAMES",
]

COMMAND_BYTES = 32
_ARM = "Arm IHI 0069, ITS commands"

_OPCODE = Field("opcode", "o", 7, 0, meaning="command number", source=_ARM)
_DEVICE_ID = Field("device_id", "d", 63, 32, meaning="DeviceID of the device that signals", source=_ARM)
_SIZE = Field("size", "s", 68, 64, meaning="number of EventID bits minus 1", source=_ARM)
_EVENT_ID = Field("event_id", "e", 95, 64, meaning="EventID: the value the device writes as MSI data", source=_ARM)
_PINTID = Field("pintid", "p", 127, 96, meaning="LPI number, 8192 or more", source=_ARM)
_ICID = Field("icid", "c", 143, 128, meaning="collection number", source=_ARM)
_ITT_ADDRESS = Field("itt_address", "a", 179, 136, shift=8, meaning="address of the device's ITT", source=_ARM)
_RDBASE = Field("rdbase", "r", 175, 144, meaning="target VCPU (GITS_TYPER.PTA is 0)", source=_ARM)
_RDBASE2 = Field("rdbase2", "R", 239, 208, meaning="VCPU that takes the LPIs over", source=_ARM)
_VALID = Field("valid", "V", 191, 191, meaning="1 = map, 0 = unmap", source=_ARM)

_FORMS: tuple[tuple[str, int, tuple[Field, ...], str], ...] = (
    ("MOVI", 0x01, (_DEVICE_ID, _EVENT_ID, _ICID), "move an event to another collection"),
    ("INT", 0x03, (_DEVICE_ID, _EVENT_ID), "make the event's LPI pending"),
    ("CLEAR", 0x04, (_DEVICE_ID, _EVENT_ID), "make the event's LPI not pending"),
    ("SYNC", 0x05, (_RDBASE,), "wait until earlier commands took effect"),
    ("MAPD", 0x08, (_DEVICE_ID, _SIZE, _ITT_ADDRESS, _VALID), "map a device to its ITT, or unmap it"),
    ("MAPC", 0x09, (_ICID, _RDBASE, _VALID), "map a collection to a VCPU, or unmap it"),
    ("MAPTI", 0x0A, (_DEVICE_ID, _EVENT_ID, _PINTID, _ICID), "map an event to an LPI and a collection"),
    ("MAPI", 0x0B, (_DEVICE_ID, _EVENT_ID, _ICID), "map an event to the LPI of the same number"),
    ("INV", 0x0C, (_DEVICE_ID, _EVENT_ID), "read the LPI's configuration byte again"),
    ("INVALL", 0x0D, (_ICID,), "read all configuration bytes of a collection's VCPU again"),
    ("MOVALL", 0x0E, (_RDBASE, _RDBASE2), "move pending LPIs from one VCPU to another"),
    ("DISCARD", 0x0F, (_DEVICE_ID, _EVENT_ID), "unmap an event and drop its pending state"),
)

COMMANDS: Mapping[str, Layout] = {
    name: Layout(name, COMMAND_BYTES, (_OPCODE, *fields), purpose) for name, _, fields, purpose in _FORMS}
"""Command name -> layout; `Layout.source` holds what the command is for."""

OPCODES: Mapping[str, int] = {name: opcode for name, opcode, _, _ in _FORMS}
NAMES: Mapping[int, str] = {opcode: name for name, opcode in OPCODES.items()}


@dataclass(frozen=True)
class Command:
    """One queue entry. `name` is "unknown" where no command has that opcode; `fields` then is empty."""

    name: str
    fields: Mapping[str, int]
    raw: bytes

    def __str__(self) -> str:
        if self.name == "unknown":
            return f"unknown {self.raw[0]:#04x}"
        layout = COMMANDS[self.name]
        shown = (f"{name}={value:#x}" if layout.by_name[name].shift else f"{name}={value}"
                 for name, value in self.fields.items())
        return " ".join((self.name, *shown))

    def explain(self) -> tuple[str, ...]:
        """One sentence for each field; what an unknown opcode means."""
        if self.name == "unknown":
            return (f"opcode {self.raw[0]:#04x}: no such command; the ITS steps over it",)
        return COMMANDS[self.name].explain(self.raw)


def encode_command(name: str, **fields: int) -> bytes:
    """The 32 bytes of command `name`; fields not given are 0. ItsError(EINVAL) names what does not fit."""
    if name not in COMMANDS:
        raise ItsError("EINVAL", f"there is no ITS command {name!r}; there are {', '.join(COMMANDS)}")
    return COMMANDS[name].pack(opcode=OPCODES[name], **fields)


def command(name: str, **fields: int) -> Command:
    """Build a `Command`; errors as `encode_command`."""
    return decode_command(encode_command(name, **fields))


def decode_command(raw: bytes) -> Command:
    """32 bytes -> Command. Any 32 bytes decode; ItsError(EINVAL) for another length."""
    if len(raw) != COMMAND_BYTES:
        raise ItsError("EINVAL", f"a command is {COMMAND_BYTES} bytes, not {len(raw)}")
    name = NAMES.get(raw[0], "unknown")
    if name == "unknown":
        return Command(name, {}, bytes(raw))
    value = int.from_bytes(raw, "little")
    fields = {field.name: field.decode(value) for field in COMMANDS[name].fields[1:]}
    return Command(name, fields, bytes(raw))


def decode_commands(raw: bytes) -> Iterator[Command]:
    """A whole queue (or a piece of it) -> its commands; ItsError(EINVAL) if it is no multiple of 32 bytes."""
    if len(raw) % COMMAND_BYTES:
        raise ItsError("EINVAL", f"{len(raw)} bytes are no whole number of {COMMAND_BYTES}-byte commands")
    return (decode_command(raw[at:at + COMMAND_BYTES]) for at in range(0, len(raw), COMMAND_BYTES))


def pack_commands(commands: Iterable[Command]) -> bytes:
    return b"".join(one.raw for one in commands)
