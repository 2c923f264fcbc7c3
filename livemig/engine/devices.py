"""The ITS in the story: a guest that maps and unmaps events, the tables in its RAM, the destination's ITS.

Under KVM the ITS's mappings live in the kernel. They reach guest RAM when the change-state handler saves them at a stop
(`save_tables`), and the destination's kernel when QEMU's post_load restores them there (`restore_there`).
What is lost when the tables are saved at another moment is what `report` says.

Sources: QEMU 10.0.13 hw/intc/arm_gicv3_its_kvm.c; the guest follows the one of data/recordings k01 to k12.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from livemig.engine.contents import RAM_BASE
from livemig.engine.its_guest import CYCLE, ITT_BYTES, VCPUS, boot_commands, running_command
from livemig.its.device import Its
from livemig.its.errors import ItsError
from livemig.its.layout import CTE, DTE, ITE, Layout
from livemig.its.memory import Memory
from livemig.its.migration import POST_LOAD_ORDER, migration_state
from livemig.its.registers import GICR_PENDBASER, GICR_PROPBASER, GITS_BASER, GITS_CBASER
from livemig.its.tables import restore_tables, save_pending_tables, save_tables
from livemig.scenario import ITS_AREA_BYTES, its_area_offset

if TYPE_CHECKING:
    from livemig.engine.state import MigrationState

__all__ = ["ItsModel", "Mapping5"]

Mapping5 = tuple[int, int, int, int, int]  # DeviceID, EventID, LPI, ICID, target VCPU

_K64 = 0x10000
_TABLES = ("device", "collection", "config", "pending0", "pending1", "queue", "itts")


class ItsModel:
    """The source's ITS with its guest, and the destination's ITS."""

    def __init__(self, s: MigrationState) -> None:
        scenario = s.scenario
        self._memory = s.memory
        self.place = {name: RAM_BASE + its_area_offset(scenario.ram_bytes) + i * _K64 for i, name in enumerate(_TABLES)}
        self.devices = scenario.its_devices
        self._events = scenario.its_events_per_device
        self._period_s = scenario.its_command_period_s
        self.source = self._create(s.memory)
        self.there: Its | None = None
        self.commands_done = 0
        self.saves = 0
        self.at_stop: tuple[Mapping5, ...] | None = None
        self.registers: dict[str, int] = {}
        self.restore_error: str | None = None
        self._map_devices()

    # -- the guest -------------------------------------------------------------------------------------------------
    def _create(self, memory: Memory) -> Its:
        return Its.create(
            memory,
            VCPUS,
            propbaser=GICR_PROPBASER.encode(address=self.place["config"], id_bits=15),
            pendbasers=[GICR_PENDBASER.encode(address=self.place[f"pending{n}"]) for n in VCPUS],
        )

    def _map_devices(self) -> None:
        """What the guest's driver did at boot: tables, collections, devices and their events; some LPIs pending."""
        its, place = self.source, self.place
        self._memory.zero_at_boot(place["device"], ITS_AREA_BYTES)
        its.write_register("GITS_BASER0", GITS_BASER.encode(valid=1, address=place["device"], type=1, entry_size=7))
        its.write_register("GITS_BASER1", GITS_BASER.encode(valid=1, address=place["collection"], type=4, entry_size=7))
        its.write_register("GITS_CBASER", GITS_CBASER.encode(valid=1, address=place["queue"], pages=15))
        its.write_register("GITS_CTLR", 1)
        for command in boot_commands(self.devices, self._events, place["itts"]):
            its.apply(command)

    def guest_runs_until(self, guest_s: float) -> None:
        """Run the guest's ITS commands that fall due by `guest_s` (seconds of guest time)."""
        if not self._period_s:
            return
        due = int(guest_s / self._period_s)
        if due - self.commands_done > 2 * CYCLE:  # what a whole turn leaves, the next one leaves again
            self.commands_done += (due - self.commands_done) // CYCLE * CYCLE - CYCLE
        for k in range(self.commands_done, due):
            self.source.apply(running_command(k, self.devices))
        self.commands_done = max(self.commands_done, due)

    # -- saving and restoring ----------------------------------------------------------------------------------------
    def save_tables(self, s: MigrationState) -> None:
        """SAVE_TABLES and, by the GIC's handler, SAVE_PENDING_TABLES; an error is printed and the migration goes on."""
        self.guest_runs_until(s.guest_s)
        self._save(s, "SAVE_TABLES", save_tables)

    def save_pending(self, s: MigrationState) -> None:
        """The GIC's share: pending bits into the redistributors' tables."""
        self._save(s, "SAVE_PENDING_TABLES", save_pending_tables)

    def _save(self, s: MigrationState, name: str, save: Any) -> None:
        before = set(s.memory.take_device_pages())
        error = 0
        try:
            save(self.source)
        except ItsError as problem:
            error = problem.errno
        s.machine.spend(s.scenario.costs.save_tables_s / 2)
        self.saves += name == "SAVE_TABLES"
        pages = sorted(set(s.memory.take_device_pages()) - before)
        data: dict[str, Any] = {"pages": pages, "errno": error}
        if name == "SAVE_TABLES":
            data["tables"] = self.tables(self._memory.read)
        s.machine.emit("its", name, data, lane="its")

    def vm_stopped(self) -> None:
        """Note what is mapped now: the destination must have exactly this."""
        self.at_stop = self.source.mappings()

    def pre_save(self, s: MigrationState) -> None:
        """The device section carries registers only (gicv3_its_pre_save)."""
        if s.scenario.save_tables_when == "pre_save":
            self.save_tables(s)  # too late: RAM has been sent
        self.registers = migration_state(self.source)
        for name, value in self.registers.items():
            s.machine.emit("its", f"GET {name[5:]}", {"value": f"{value:#x}"}, lane="its")

    def restore_there(self, s: MigrationState) -> None:
        """post_load on the destination: IIDR, CBASER, CREADR, CWRITER, BASERs, the tables out of its RAM, CTLR last."""
        self.there = self._create(s.memory.there)
        for step in POST_LOAD_ORDER:
            if step == "RESTORE_TABLES":
                error = 0
                try:
                    restore_tables(self.there)
                except ItsError as problem:
                    error, self.restore_error = problem.errno, str(problem)
                s.machine.emit(
                    "its",
                    step,
                    {
                        "errno": error,
                        "mappings": len(self.there.mappings()),
                        "tables": self.tables(s.memory.there.read),
                    },
                    lane="dst",
                )
            else:
                value = self.registers[step]
                self.there.write_register(step, value)
                s.machine.emit("its", f"SET {step[5:]}", {"value": f"{value:#x}"}, lane="dst")

    # -- what came of it -----------------------------------------------------------------------------------------------
    def tables(self, read: Any) -> list[dict[str, Any]]:
        """The entries of the mapped devices, events and collections as they lie in RAM (hex, lowest byte first)."""
        its = self.source
        shown = [
            self._table("Device table", DTE, self.place["device"], sorted(its.devices), read),
            self._table("Collection table", CTE, self.place["collection"], range(len(its.collections) + 1), read),
        ]
        for number, device_id in enumerate(sorted(its.devices)):
            device = its.device(device_id)
            if device is not None:
                shown.append(
                    self._table(
                        f"Events of device {device_id}",
                        ITE,
                        self.place["itts"] + number * ITT_BYTES,
                        sorted(device.events),
                        read,
                    )
                )
        return shown

    def _table(self, name: str, layout: Layout, base: int, entries: Sequence[int], read: Any) -> dict[str, Any]:
        return {
            "name": name,
            "layout": layout.name,
            "base": base,
            "entry_bytes": 8,
            "entries": [[i, read(base + 8 * i, 8).hex()] for i in entries],
        }

    def report(self) -> dict[str, Any]:
        """Mappings that the destination lost, has stale (unmapped at the source) or has wrong, each listed exactly."""
        want = {m[:2]: m for m in (self.at_stop if self.at_stop is not None else self.source.mappings())}
        have = {m[:2]: m for m in (self.there.mappings() if self.there else ())}
        pending = set(self._pending(self.source))
        there = set(self._pending(self.there)) if self.there else set()
        return {
            "mapped_at_source": len(want),
            "mapped_at_destination": len(have),
            "lost": [list(want[key]) for key in sorted(want.keys() - have.keys())],
            "stale": [list(have[key]) for key in sorted(have.keys() - want.keys())],
            "wrong": [
                [list(want[key]), list(have[key])]
                for key in sorted(want.keys() & have.keys())
                if want[key] != have[key]
            ],
            "pending_lost": sorted(pending - there),
            "restore_error": self.restore_error,
        }

    @staticmethod
    def _pending(its: Its) -> tuple[int, ...]:
        return tuple(lpi for lpis in its.vgic.pending_lpis().values() for lpi in lpis)
