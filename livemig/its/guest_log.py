"""Replay the command log of the recorded guest (data/recordings/k*) and compare every memory dump, byte for byte.

The recordings hold each ITS command the bare-metal guest queued, and dumps of its tables: of the source and the
destination, running and stopped. Here the log runs through `Its`; each stop saves, a migration copies RAM and
registers, each start delivers what is pending. So the tables of the stopped VM, the stale ones of the running VM, the
pending bits that RESTORE took, and the mapping that k10 lost come out of the model, from commands alone.

About the guest (recorded set-up, see its description in the recordings): VCPU 0 runs and takes enabled LPIs at once,
VCPU 1 is off. It writes the L1 entries and the LPI configuration table itself, enables LPIs 8195 and 8196 before the
INV commands that name them, and zeroes the ITT of device 65 before it maps it again (`zeroes_itt_before_remap`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from livemig.its.commands import Command, command
from livemig.its.device import Its
from livemig.its.errors import DataError
from livemig.its.layout import L1
from livemig.its.memory import RamSlots
from livemig.its.migration import migration_state, post_load
from livemig.its.profile import REFERENCE
from livemig.its.registers import GITS_BASER, GITS_CBASER
from livemig.its.replay_kvm import number, size_of
from livemig.its.tables import save_pending_tables, save_tables

__all__ = [
    "parse_command", "LoggedGuest", "DumpResult", "replay_recording", "stops_that_explain", "unseen_stops",
]

RAM_BASE_ADDRESS, RAM_BYTES = 0x4000_0000, 0x400_0000
_DEVICE_TABLE, _COLLECTION_TABLE, _QUEUE, _CONFIG = 0x4100_0000, 0x4104_0000, 0x4120_0000, 0x4106_0000
_L2_PAGES = {0: 0x4102_0000, 2: 0x4103_0000}
_PENDING = (0x4108_0000, 0x4109_0000)
_REMAPPED_DEVICE, _REMAPPED_ITT_BYTES = 65, 128
_LATE_LPIS = (8195, 8196)
_CONFIG_BYTES, _ENABLED = 0x2000, 0xA1
_UNSEEN_MARGIN = 12
"""Commands before and after the estimated place of a stop that no dump shows."""

_FIELDS = {"dev": "device_id", "ev": "event_id", "lpi": "pintid", "icid": "icid", "rd": "rdbase", "v": "valid",
           "itt": "itt_address"}


def parse_command(text: str) -> Command:
    """"mapti dev=0 ev=5 lpi=8240 icid=0" -> Command; DataError if it is none."""
    name, *pairs = text.split()
    fields = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key == "bits":
            fields["size"] = int(value) - 1
        elif key in _FIELDS:
            fields[_FIELDS[key]] = int(value, 0)
        else:
            raise DataError(f"command log: {text!r} has an unknown field {key!r}")
    return command(name.upper(), **{key: value for key, value in fields.items() if value >= 0})


class LoggedGuest:
    """One VM running the logged guest; `done` commands of the log were executed."""

    def __init__(self, ram: RamSlots, kernel: str, zero_itt: bool) -> None:
        self.ram = ram
        self.zero_itt = zero_itt
        self.done = 0
        self.enabled: dict[int, bool] = {}
        self.its = Its.create(ram, (0, 1), kernel, _CONFIG | 15, _PENDING)

    @classmethod
    def booted(cls, kernel: str, zero_itt: bool) -> LoggedGuest:
        """The guest after its set-up, before its first command."""
        ram = RamSlots()
        ram.add(0, RAM_BASE_ADDRESS, RAM_BYTES, log_dirty=True)
        guest = cls(ram, kernel, zero_itt)
        ram.poke(_CONFIG, bytes([_ENABLED]) * _CONFIG_BYTES)
        for lpi in _LATE_LPIS:
            ram.poke(_CONFIG + lpi - 8192, bytes([_ENABLED & ~1]))
        for index, page in _L2_PAGES.items():
            ram.poke(_DEVICE_TABLE + 8 * index, L1.pack(valid=1, l2_address=page))
        its = guest.its
        its.write_register("GITS_BASER0", GITS_BASER.encode(valid=1, indirect=1, address=_DEVICE_TABLE, page_size=2))
        its.write_register("GITS_BASER1", GITS_BASER.encode(valid=1, address=_COLLECTION_TABLE, page_size=2))
        its.write_register("GITS_CBASER", GITS_CBASER.encode(valid=1, address=_QUEUE, pages=255))
        its.write_register("GITS_CTLR", 1)
        return guest

    def run(self, log: list[Command], until: int) -> None:
        """Execute the log up to `until` commands."""
        for one in log[self.done:until]:
            self._guest_writes(one)
            self.its.apply(one)
            if one.name in ("MAPTI", "MAPI", "INV", "INT"):
                self._deliver_event(one)
        self.done = max(self.done, until)

    def _guest_writes(self, one: Command) -> None:
        """What the guest stores in its own RAM before it queues a command."""
        if one.name == "MAPD" and one.fields["device_id"] == _REMAPPED_DEVICE and one.fields["valid"] and self.zero_itt:
            self.ram.poke(one.fields["itt_address"], bytes(_REMAPPED_ITT_BYTES))
        if one.name == "INV":
            event = self.its.event(one.fields["device_id"], one.fields["event_id"])
            if event is not None and event.lpi.intid in _LATE_LPIS:
                self.ram.poke(_CONFIG + event.lpi.intid - 8192, bytes([_ENABLED]))

    def _deliver_event(self, one: Command) -> None:
        event = self.its.event(one.fields["device_id"], one.fields["event_id"])
        if event is None:
            return
        if one.name != "INT":  # MAPTI and INV read the configuration byte, INT uses what was read
            self.enabled[event.lpi.intid] = bool(self.its.vgic.read_config(event.lpi.intid) & 1)
        self._deliver(event.lpi.intid)

    def _deliver(self, intid: int) -> None:
        lpi = self.its.vgic.lpis[intid]
        if lpi.pending and self.enabled[intid] and lpi.target is self.its.vgic.vcpus[0]:
            lpi.pending = False

    def start(self) -> None:
        """VCPU 0 enters: it takes every enabled LPI that waits for it, also those that a MOVI brought."""
        for intid in list(self.its.vgic.lpis):
            self._deliver(intid)

    def stop(self) -> None:
        """The VM stops: tables, then pending tables."""
        save_tables(self.its)
        save_pending_tables(self.its)

    def migrate(self, kernel: str) -> LoggedGuest:
        """A destination with a copy of RAM and of the registers, loaded and not yet started."""
        ram = RamSlots()
        ram.add(0, RAM_BASE_ADDRESS, RAM_BYTES, log_dirty=True)
        for address, page in self.ram.slots[0].pages.items():
            ram.poke(address, bytes(page))
        destination = LoggedGuest(ram, kernel, self.zero_itt)
        destination.done = self.done
        post_load(destination.its, migration_state(self.its))
        destination.enabled = {intid: bool(destination.its.vgic.read_config(intid) & 1)
                               for intid in destination.its.vgic.lpis}
        return destination


@dataclass(frozen=True)
class DumpResult:
    """One dump of a recording. `first_difference` is None if all regions are equal."""

    name: str
    commands: int
    regions: int
    first_difference: str | None


def replay_recording(recording: Mapping[str, Any], kernel: str = REFERENCE) -> list[DumpResult]:
    """Replay one recording of data/recordings/k* (its parsed JSON) and compare its dumps in order.

    A stop of the source that no dump shows (k05: the migration failed, the source ran on) has a time in the recording
    but no command count; the place in the log near that time is taken that explains every dump, if there is one.
    DataError if it is no recording with an ITS command log.
    """
    try:
        log = [parse_command(text) for text in recording["its"]["commands"]]
        unseen = unseen_stops(recording)
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise DataError(f"not a recording with an ITS command log: {error!r}") from error
    if not unseen:
        return _replay(recording, log, kernel, None)
    fitting = stops_that_explain(recording, unseen, kernel)
    return _replay(recording, log, kernel, fitting[0] if fitting else unseen[len(unseen) // 2])


def stops_that_explain(recording: Mapping[str, Any], places: Iterable[int], kernel: str = REFERENCE) -> list[int]:
    """Those of `places` in the log where a stop without a dump explains every dump; [] if there is none."""
    log = [parse_command(text) for text in recording["its"]["commands"]]
    return [place for place in places
            if all(result.first_difference is None for result in _replay(recording, log, kernel, place))]


def unseen_stops(recording: Mapping[str, Any]) -> range:
    """Where in the log a save of the source may have been that no dump shows; empty if each save has its dump.

    The time of the save lies between two dumps; the guest queues commands at a steady rate while it runs.
    """
    dumps = [dump | {"name": name} for name, dump in recording["its"]["dumps"].items() if dump["side"] == "src"]
    saves = [row[0] for row in recording["kvm"]["rows"] if row[1] == "src" and row[2] == "kernel save_tables"]
    for save in saves:
        following = next((dump for dump in dumps if dump["t"] > save), None)
        if following is None or not _runs(following["name"]):
            continue
        before = next(dump for dump in reversed(dumps) if dump["t"] <= save)
        resumed = next(row[0] for row in recording["timeline"] if row[0] > save and row[3] == "vm_state_notify"
                       and row[4].get("running") == 1)
        counts = [int(dump["guest_books"]["commands_queued"]) for dump in (before, following)]
        rate = (counts[1] - counts[0]) / ((save - before["t"]) + (following["t"] - resumed))
        guess = counts[0] + round(rate * (save - before["t"]))
        return range(max(counts[0], guess - _UNSEEN_MARGIN), min(counts[1], guess + _UNSEEN_MARGIN) + 1)
    return range(0)


def _runs(dump_name: str) -> bool:
    return "-running" in dump_name


def _replay(recording: Mapping[str, Any], log: list[Command], kernel: str, unseen_stop: int | None,
            ) -> list[DumpResult]:
    guest = LoggedGuest.booted(kernel, bool(recording["guest"]["zeroes_itt_before_remap"]))
    side, stopped, results = "src", False, []
    for name, dump in recording["its"]["dumps"].items():
        count = int(dump["guest_books"]["commands_queued"])
        if unseen_stop is not None and guest.done <= unseen_stop < count:
            guest.run(log, unseen_stop)
            guest.stop()
            guest.start()
        if dump["side"] != side:
            if not stopped:
                guest.run(log, int(recording["its"]["commands_at_restore"]))
                guest.stop()
            guest, side, stopped = guest.migrate(kernel), dump["side"], True
        if "-loaded" not in name:
            if stopped and count > guest.done:
                guest.start()
            guest.run(log, count)
            stopped = not _runs(name)
            if stopped:
                guest.stop()
        results.append(DumpResult(name, count, len(dump["tables"]), _first_difference(guest.ram, dump["tables"])))
    return results


def _first_difference(ram: RamSlots, regions: list[Mapping[str, Any]]) -> str | None:
    for region in regions:
        start, size_bytes = number(region["gpa"]), size_of(region["size"])
        want = bytearray(bytes.fromhex(region["fill"]) * size_bytes)
        for offset, text in region["data"].items():
            data = bytes.fromhex(text)
            want[number(offset):number(offset) + len(data)] = data
        have = ram.peek(start, size_bytes)
        if have != want:
            at = next(i for i, (a, b) in enumerate(zip(want, have, strict=True)) if a != b) & ~7
            return f"{region['name']}+{at:#x}: {want[at:at + 8].hex()} recorded, {have[at:at + 8].hex()} here"
    return None

