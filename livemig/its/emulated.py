"""QEMU's own ITS (TCG): nothing is held inside. Every command reads and writes the tables in guest RAM at once.

So there is no SAVE and no RESTORE, a migration only has to carry RAM and registers, and no `next` fields are needed.
Source: QEMU 10.0 hw/intc/arm_gicv3_its.c and arm_gicv3_redist.c; recorded in data/its-qemu-tcg.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from livemig.its import registers as reg
from livemig.its.commands import COMMAND_BYTES, Command, decode_command
from livemig.its.emulated_table import Table
from livemig.its.errors import ItsError, MemoryFault
from livemig.its.layout import QEMU_CTE, QEMU_DTE, QEMU_ITE, pending_bit
from livemig.its.memory import PAGE_BYTES, Memory
from livemig.its.registers import GICR_PENDBASER, GICR_PROPBASER, GITS_BASER, OFFSETS
from livemig.its.vgic import FIRST_LPI

__all__ = ["EmulatedIts", "EmulatedCpu", "Table", "IIDR_VALUE", "TYPER_VALUE", "NO_DOORBELL", "MAX_LPI_ID_BITS"]

IIDR_VALUE = 0x43B
TYPER_VALUE = 0x1F_0001_EFB1
"""As `registers.TYPER_VALUE`, with 12-byte ITEs and 16 ICID bits stated."""

NO_DOORBELL = 1023
MAX_LPI_ID_BITS = 16
_READ_ONLY = GITS_BASER.by_name["type"].mask | GITS_BASER.by_name["entry_size"].mask
_QUIESCENT = reg.GITS_CTLR.by_name["quiescent"].mask
_ENABLED = reg.GITS_CTLR.by_name["enabled"].mask
_STALLED = 1
_RDBASE_BITS = 0xFFFF
_SIZE_MAX = 15


@dataclass
class EmulatedCpu:
    """A redistributor: where its LPI tables are, and whether it takes LPIs."""

    propbaser: int = 0
    pendbaser: int = 0
    lpis_enabled: bool = False

    @property
    def pending_table_address(self) -> int:
        return GICR_PENDBASER.by_name["address"].decode(self.pendbaser)

    @property
    def lpi_limit(self) -> int:
        return 1 << min(GICR_PROPBASER.by_name["id_bits"].decode(self.propbaser) + 1, MAX_LPI_ID_BITS)


class EmulatedIts:
    """The ITS of `-accel tcg`, `-machine virt`: registers and two tables in `memory`, for `cpus` CPUs."""

    def __init__(self, memory: Memory, cpus: int = 1) -> None:
        self.memory = memory
        self.cpus = [EmulatedCpu() for _ in range(cpus)]
        self.enabled = False
        self.cbaser = self.creadr = self.cwriter = 0
        self.basers = [reg.baser_fixed(n) | GITS_BASER.encode(page_size=2) for n in (0, 1)]

    # -- registers

    def read_register(self, register: str) -> int:
        """A register by name; one that does not exist reads as 0."""
        values = {"GITS_CTLR": _QUIESCENT | (_ENABLED if self.enabled else 0), "GITS_IIDR": IIDR_VALUE,
                  "GITS_TYPER": TYPER_VALUE, "GITS_CBASER": self.cbaser, "GITS_CWRITER": self.cwriter,
                  "GITS_CREADR": self.creadr, "GITS_BASER0": self.basers[0], "GITS_BASER1": self.basers[1]}
        return values.get(register, 0)

    def write_register(self, register: str, value: int) -> None:
        """A 64-bit write by name. Table and queue registers are read-only while enabled; ItsError(ENXIO) if unknown."""
        if register not in OFFSETS:
            raise ItsError("ENXIO", f"no ITS register {register!r}")
        value &= (1 << 64) - 1
        if register == "GITS_CTLR":
            self.enabled = bool(value & _ENABLED)
            self.process_commands()
        elif register == "GITS_CWRITER":
            self.cwriter = value & ~_STALLED
            self.process_commands()
        elif register == "GITS_CBASER" and not self.enabled:
            self.cbaser, self.creadr = value, 0
        elif register in ("GITS_BASER0", "GITS_BASER1") and not self.enabled:
            index = int(register[-1])
            self.basers[index] = self.basers[index] & _READ_ONLY | value & ~_READ_ONLY

    @property
    def devices(self) -> Table:
        return Table.from_baser(self.basers[0], QEMU_DTE)

    @property
    def collections(self) -> Table:
        return Table.from_baser(self.basers[1], QEMU_CTE)

    # -- commands

    def process_commands(self) -> None:
        """Run the queue. Memory that cannot be reached stalls it (GITS_CREADR bit 0); bad fields skip the command."""
        fields = reg.GITS_CBASER.decode(self.cbaser)
        size_bytes = reg.cbaser_size_bytes(self.cbaser) if fields["valid"] else 0
        offset = reg.QUEUE_OFFSET.by_name["offset"]
        end, at = offset.decode(self.cwriter), offset.decode(self.creadr)
        if not self.enabled or end >= size_bytes or at >= size_bytes:
            return
        while at != end:
            try:
                self.apply(self.memory.read(fields["address"] + at, COMMAND_BYTES))
            except MemoryFault:
                self.creadr |= _STALLED
                return
            at = (at + COMMAND_BYTES) % size_bytes
            self.creadr = self.creadr & ~offset.mask | at

    def apply(self, command: Command | bytes) -> str:
        """Run one command; returns "" or why it is skipped. MemoryFault where the real one stalls."""
        if not isinstance(command, Command):
            command = decode_command(command)
        handler = _HANDLERS.get(command.name)
        return handler(self, command.fields) if handler else ""

    def translate(self, device_id: int, event_id: int) -> str:
        """A write of `event_id` to GITS_TRANSLATER by `device_id`; returns "" or why nothing happened."""
        if not self.enabled:
            return "GITS_CTLR.Enabled is 0"
        try:
            return self._level(device_id, event_id, 1)
        except MemoryFault as fault:
            return fault.message

    def _mapd(self, fields: Mapping[str, int]) -> str:
        if fields["device_id"] >= self.devices.entries or fields["size"] > _SIZE_MAX:
            return "DeviceID or size out of range"
        entry = {"valid": 1, "size": fields["size"], "itt_address": fields["itt_address"]} if fields["valid"] else {}
        self.devices.write(self.memory, fields["device_id"], **entry)
        return ""

    def _mapc(self, fields: Mapping[str, int]) -> str:
        rdbase = fields["rdbase"] & _RDBASE_BITS
        if fields["icid"] >= self.collections.entries or (fields["valid"] and rdbase >= len(self.cpus)):
            return "ICID or RDBase out of range"
        entry = {"valid": 1, "rdbase": rdbase} if fields["valid"] else {}
        self.collections.write(self.memory, fields["icid"], **entry)
        return ""

    def _mapti(self, fields: Mapping[str, int]) -> str:
        device = self.devices.read(self.memory, fields["device_id"])
        event_id, pintid = fields["event_id"], fields.get("pintid", fields["event_id"])
        if device is None or fields["icid"] >= self.collections.entries or event_id >> device["size"] + 1:
            return "device not mapped, or ICID or EventID out of range"
        if not FIRST_LPI <= pintid < 1 << MAX_LPI_ID_BITS:
            return f"LPI {pintid} out of range"
        self._write_event(device, event_id, valid=1, physical=1, pintid=pintid, icid=fields["icid"],
                          doorbell=NO_DOORBELL)
        return ""

    def _event_address(self, device: Mapping[str, int], event_id: int) -> int:
        return device["itt_address"] + event_id * QEMU_ITE.size_bytes

    def _write_event(self, device: Mapping[str, int], event_id: int, **entry: int) -> None:
        # Two stores, as in QEMU: the first 8 bytes reach RAM even if the other 4 do not.
        raw = QEMU_ITE.pack(**entry)
        address = self._event_address(device, event_id)
        self.memory.write(address, raw[:8])
        self.memory.write(address + 8, raw[8:])

    def _event(self, device_id: int, event_id: int) -> tuple[dict[str, int], dict[str, int]] | None:
        """(DTE, ITE) fields of a mapped event, else None."""
        device = self.devices.read(self.memory, device_id)
        if device is None or event_id >> device["size"] + 1:
            return None
        event = QEMU_ITE.decode(self.memory.read(self._event_address(device, event_id), QEMU_ITE.size_bytes))
        return (device, event) if event["valid"] and event["physical"] else None

    def _cpu(self, icid: int) -> EmulatedCpu | None:
        collection = self.collections.read(self.memory, icid)
        if collection is None or collection["rdbase"] >= len(self.cpus):
            return None
        return self.cpus[collection["rdbase"]]

    def _level(self, device_id: int, event_id: int, level: int) -> str:
        found = self._event(device_id, event_id)
        cpu = None
        with suppress(MemoryFault):  # QEMU goes on if only the collection table cannot be read
            cpu = self._cpu(found[1]["icid"]) if found else None
        if found is None or cpu is None:
            return "the event, or its collection, is not mapped"
        intid = found[1]["pintid"]
        if cpu.lpis_enabled and FIRST_LPI <= intid < cpu.lpi_limit:
            self._set_pending(cpu, intid, level)
        return ""

    def _set_pending(self, cpu: EmulatedCpu, intid: int, level: int) -> bool:
        """Change one bit of a pending table; returns whether it changed. Bits outside RAM are lost silently."""
        byte, mask = pending_bit(intid)
        try:
            stored = self.memory.read(cpu.pending_table_address + byte, 1)[0]
            if bool(stored & mask) == bool(level):
                return False
            self.memory.write(cpu.pending_table_address + byte, bytes([stored ^ mask]))
        except MemoryFault:
            return False
        return True

    def _int(self, fields: Mapping[str, int]) -> str:
        return self._level(fields["device_id"], fields["event_id"], 1)

    def _clear(self, fields: Mapping[str, int]) -> str:
        return self._level(fields["device_id"], fields["event_id"], 0)

    def _discard(self, fields: Mapping[str, int]) -> str:
        why_not = self._clear(fields)
        found = None if why_not else self._event(fields["device_id"], fields["event_id"])
        if found is not None:
            self._write_event(found[0], fields["event_id"])
        return why_not

    def _inv(self, fields: Mapping[str, int]) -> str:
        """Changes nothing here, but reads the entries: it stalls where they cannot be read."""
        found = self._event(fields["device_id"], fields["event_id"])
        cpu = self._cpu(found[1]["icid"]) if found else None
        return "" if cpu else "the event, or its collection, is not mapped"

    def _movi(self, fields: Mapping[str, int]) -> str:
        found = self._event(fields["device_id"], fields["event_id"])
        old = self._cpu(found[1]["icid"]) if found else None
        new = self._cpu(fields["icid"]) if old else None
        if found is None or old is None or new is None:
            return "the event, or one of the two collections, is not mapped"
        device, event = found
        if old is not new and old.lpis_enabled and new.lpis_enabled and self._set_pending(old, event["pintid"], 0):
            self._set_pending(new, event["pintid"], 1)
        self._write_event(device, fields["event_id"], **event | {"icid": fields["icid"]})
        return ""

    def _movall(self, fields: Mapping[str, int]) -> str:
        if max(fields["rdbase"], fields["rdbase2"]) >= len(self.cpus):
            return "RDBase out of range"
        source, target = self.cpus[fields["rdbase"]], self.cpus[fields["rdbase2"]]
        if source is target or not (source.lpis_enabled and target.lpis_enabled):
            return ""
        with suppress(MemoryFault):  # pending bits outside RAM are lost silently
            start, end = FIRST_LPI // 8, min(source.lpi_limit, target.lpi_limit) // 8
            while start < end:  # page by page: only pages with pending bits are written
                size_bytes = min(end, (start // PAGE_BYTES + 1) * PAGE_BYTES) - start
                self._move_pending(source.pending_table_address + start, target.pending_table_address + start,
                                   size_bytes)
                start += size_bytes
        return ""

    def _move_pending(self, source: int, target: int, size_bytes: int) -> None:
        moving = int.from_bytes(self.memory.read(source, size_bytes), "little")
        if moving:
            held = int.from_bytes(self.memory.read(target, size_bytes), "little")
            self.memory.write(source, bytes(size_bytes))
            self.memory.write(target, (held | moving).to_bytes(size_bytes, "little"))

    def _nothing(self, fields: Mapping[str, int]) -> str:
        return ""


_HANDLERS: Mapping[str, Callable[[EmulatedIts, Mapping[str, int]], str]] = {
    "MAPD": EmulatedIts._mapd, "MAPC": EmulatedIts._mapc, "MAPTI": EmulatedIts._mapti, "MAPI": EmulatedIts._mapti,
    "MOVI": EmulatedIts._movi, "MOVALL": EmulatedIts._movall, "INT": EmulatedIts._int, "CLEAR": EmulatedIts._clear,
    "DISCARD": EmulatedIts._discard, "INV": EmulatedIts._inv, "INVALL": EmulatedIts._nothing,
    "SYNC": EmulatedIts._nothing}
