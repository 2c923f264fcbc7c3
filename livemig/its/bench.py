"""A bench for the ITS: a machine set up once, a list of commands run on it from the start, its tables saved and cut.

A recorded case (data/its, data/its-qemu-tcg, data/its-linux-guest) gives the set-up, the commands and what the real
kernel wrote; whoever edits the commands sees what changes. Nothing is remembered from one run to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livemig.its.commands import COMMANDS, OPCODES, Command, command, decode_commands
from livemig.its.device import Its
from livemig.its.emulated import EmulatedIts
from livemig.its.entries import RegionMemory, entry_tables
from livemig.its.errors import DataError, ItsError, MemoryFault
from livemig.its.memory import RamSlots
from livemig.its.profile import REFERENCE
from livemig.its.registers import cbaser_address, cbaser_size_bytes
from livemig.its.replay import _kernel_for, load_case
from livemig.its.replay_kvm import KvmMachine
from livemig.its.replay_qemu import QemuMachine
from livemig.its.tables import save_pending_tables, save_tables
from livemig.its.vgic import Vgic

__all__ = ["Bench", "Run", "command_rows"]

MAX_COMMANDS = 1 << 14
_READS = ("get_dirty_log", "get_regs")
_SETTING = ("setup", "write_mem", "fill_mem", "set_reg", *_READS)
_SAVES = ("save_tables", "save_pending_tables")
_SAVE = {"save_tables": save_tables, "save_pending_tables": save_pending_tables}

Row = Mapping[str, Any]
"""One command as an editor holds it: {"name": "MAPD", "fields": {"device_id": 8 or "0x8", ...}}."""


def command_rows(commands: Iterable[Command]) -> list[dict[str, Any]]:
    """Commands -> rows for an editor; opcodes that name no command are left out."""
    return [{"name": one.name, "fields": {name: hex(value) if COMMANDS[one.name].by_name[name].shift else str(value)
                                          for name, value in one.fields.items()}}
            for one in commands if one.name in OPCODES]


@dataclass
class Run:
    """What came of a list of commands.

    its: the device after them.   ram: guest RAM.   outcomes: one row a command, {"ok", "text", "pages"}.
    saves: {"op", "ok", "text", "pages"} for each save.   tables: see `entries`.
    """

    its: Its | EmulatedIts
    ram: RamSlots
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    saves: list[dict[str, Any]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)


class Bench:
    """A machine before its first command.

    setting: recorded steps that set it up.   rows: its commands, for an editor.   saves: which saves follow, in order.
    recorded: tables as the real kernel (or QEMU) wrote them after exactly these commands, [] where none were recorded.
    """

    def __init__(self, setting: Sequence[Mapping[str, Any]], commands: Sequence[Command] = (),
                 saves: Sequence[str] = _SAVES, kernel: str = REFERENCE, emulated: bool = False,
                 regions: Sequence[Mapping[str, Any]] = (), name: str = "bench") -> None:
        self.name = name
        self.setting = [*setting]
        self.rows = command_rows(commands)
        self.saves = tuple(saves)
        self.kernel = kernel
        self.emulated = emulated
        fills = {step["byte"] for step in self.setting if step["op"] == "fill_mem" and step["byte"] != "a1"}
        self._fill = int(fills.pop(), 16) if len(fills) == 1 else 0
        self._itts: dict[int, int] = {}
        first = self.run(self.rows)
        self.recorded = self._cut(RegionMemory(regions), first.its) if regions else []

    @classmethod
    def of_case(cls, case: Mapping[str, Any] | str | Path, kernel: str = REFERENCE) -> Bench:
        """The set-up and the commands of a recorded case (parsed, or its file), and its first dump after them.

        kernel: whose answers; a case that was not recorded on it is run as one that it was recorded on. DataError if it
        is no case, or does something else than set up, queue commands, save and dump, in this order.
        """
        if isinstance(case, (str, Path)):
            case = load_case(Path(case))
        setting: list[Mapping[str, Any]] = []
        raw, saves = b"", list[str]()
        regions: Sequence[Mapping[str, Any]] = ()
        for step in case["steps"]:
            operation = step["op"]
            if _its_count(step) > 1:
                raise DataError(f"case {case.get('name')}: it has more than one ITS; a bench has one")
            if operation == "commands" and not saves:
                raw += bytes.fromhex(step["raw_all"] if "raw_all" in step else
                                     "".join(one["raw"] for one in step["commands"]))
            elif operation in _SAVES:
                saves.append(operation)
            elif operation == "dump":
                regions = step["regions"]
                break
            elif operation in _SETTING and not raw:
                setting.append(step)
            elif operation not in _READS:
                raise DataError(f"case {case.get('name')}: step {operation} is nothing for a bench")
        if not setting or setting[0]["op"] != "setup":
            raise DataError(f"case {case.get('name')}: it does not begin with a set-up")
        return cls(setting, list(decode_commands(raw)), saves, _kernel_for(case, kernel)[0],
                   "agreeing_versions" in case, regions, str(case.get("name", "unnamed")))

    def run(self, rows: Sequence[Row], save: bool = True) -> Run:
        """Set up, run `rows` one by one, save (if `save`), cut the tables. A row that is no command is told of.

        ItsError(EINVAL) for more than MAX_COMMANDS rows.
        """
        if len(rows) > MAX_COMMANDS:
            raise ItsError("EINVAL", f"{len(rows)} commands are more than the bench's limit of {MAX_COMMANDS}")
        run = self._set_up()
        for row in rows:
            run.outcomes.append(self._do(run, row))
        if save and isinstance(run.its, Its):
            for name in self.saves:
                run.saves.append({"op": name} | _told(run, self._save(run.its, name), "written"))
        run.tables = self._cut(run.ram, run.its)
        return run

    def destination(self, run: Run, gic: bool = True) -> Its:
        """Another machine with a copy of the run's RAM, its ITS new: ready for `post_load`.

        gic: whether the redistributors were loaded before the ITS, as QEMU does. ItsError(EINVAL) for the emulated ITS.
        """
        there = self._set_up(run.ram)
        if not isinstance(there.its, Its):
            raise ItsError("EINVAL", "the emulated ITS has no state to load but registers and RAM")
        ids = [vcpu.vcpu_id for vcpu in there.its.vgic.vcpus]
        return there.its if gic else Its(Vgic(there.ram, ids, self.kernel))

    # -- inside

    def _set_up(self, ram: RamSlots | None = None) -> Run:
        """A machine; with `ram`, over a copy of it and with no ITS register written."""
        machine = QemuMachine() if self.emulated else KvmMachine(self.kernel)
        for step in self.setting:
            if ram is None or step["op"] == "setup":
                machine.run(step)
        for number, slot in machine.ram.slots.items():
            slot.log_dirty = True
            if ram is not None:
                slot.pages = {address: bytearray(page) for address, page in ram.slots[number].pages.items()}
        return Run(machine.its if isinstance(machine, QemuMachine) else machine.itses[0], machine.ram)

    def _do(self, run: Run, row: Row) -> dict[str, Any]:
        try:
            one = command(str(row["name"]), **{str(name): _number(str(name), value)
                                               for name, value in dict(row["fields"]).items()})
        except (ItsError, KeyError, TypeError, ValueError) as error:
            why = error.message if isinstance(error, ItsError) else f"{error}"
            return {"ok": False, "text": f"not queued: {why}", "pages": []}
        if one.name == "MAPD" and one.fields["valid"] and one.fields["size"] < 16:
            self._itts.setdefault(one.fields["itt_address"], one.fields["size"] + 1)
        _queue(run, one)
        try:
            why = run.its.apply(one)
        except MemoryFault as fault:
            why = f"the queue stalls: {fault.message}"
        return _told(run, f"dropped: {why}" if why else "", "done")

    def _save(self, its: Its, name: str) -> str:
        try:
            _SAVE[name](its)
        except ItsError as error:
            return str(error)
        return ""

    def _cut(self, memory: RamSlots | RegionMemory, its: Its | EmulatedIts) -> list[dict[str, Any]]:
        registers = {name: its.read_register(name) for name in ("GITS_BASER0", "GITS_BASER1")}
        layout = "qemu" if isinstance(its, EmulatedIts) else "kvm"
        return entry_tables(memory, registers, _redistributors(its), layout, self._itts, self._fill)


def _its_count(step: Mapping[str, Any]) -> int:
    its = step.get("its", 0)
    return len(its) if isinstance(its, list) else its + 1 if isinstance(its, int) else 1


def _number(name: str, value: Any) -> int:
    if isinstance(value, int):
        return value
    try:
        return int(str(value), 0)
    except ValueError:
        raise ValueError(f"{name} = {str(value)[:40]!r} is no number (such as 8 or 0x41000000)") from None


def _queue(run: Run, one: Command) -> None:
    """Store the command where a guest would, and move both queue pointers past it: `apply` runs it."""
    its = run.its
    run.ram.poke(cbaser_address(its.cbaser) + its.cwriter, one.raw)
    its.creadr = its.cwriter = (its.cwriter + len(one.raw)) % cbaser_size_bytes(its.cbaser)


def _told(run: Run, why_not: str, done: str) -> dict[str, Any]:
    pages = [page for number in run.ram.slots for page in run.ram.take_dirty_log(number)]
    return {"ok": not why_not, "text": why_not or done, "pages": sorted(pages)}


def _redistributors(its: Its | EmulatedIts) -> list[dict[str, int]]:
    if isinstance(its, Its):
        return [its.vgic.read_redistributor(vcpu) for vcpu in its.vgic.vcpus]
    return [{"GICR_PROPBASER": cpu.propbaser, "GICR_PENDBASER": cpu.pendbaser, "GICR_CTLR": int(cpu.lpis_enabled)}
            for cpu in its.cpus]
