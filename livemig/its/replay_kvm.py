"""The input side of `kvm-its-golden/1`: KVM's ioctls, done on the model, answered in the recorded form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from livemig.its.device import Its
from livemig.its.errors import DataError, ItsError, KernelCrash
from livemig.its.memory import RamSlots
from livemig.its.tables import restore_tables, save_pending_tables, save_tables
from livemig.its.vgic import Vgic

__all__ = ["number", "outcome", "size_of", "queue_pieces", "KvmMachine", "Step", "MAX_REGION_BYTES"]

Step = Mapping[str, Any]
MAX_REGION_BYTES = 1 << 28
"""Largest memory range that a step may fill, write or dump."""


def number(text: str | int) -> int:
    """"0x10", "16" or 16 -> 16."""
    return text if isinstance(text, int) else int(text, 0)


def outcome(error: ItsError | None) -> dict[str, Any]:
    """An ioctl's answer as recorded: {"ret": 0 or -errno, "name"}."""
    return {"ret": 0, "name": "OK"} if error is None else {"ret": -error.errno, "name": error.name}


def size_of(text: str | int) -> int:
    size_bytes = number(text)
    if not 0 <= size_bytes <= MAX_REGION_BYTES:
        raise DataError(f"a range of {size_bytes:#x} bytes is larger than the limit of {MAX_REGION_BYTES:#x}")
    return size_bytes


def queue_pieces(step: Step) -> list[tuple[int, bytes]]:
    """Where the commands of a step go in the queue: (address, bytes), two pieces if it wraps."""
    raw = bytes.fromhex(step["raw_all"]) if "raw_all" in step else b"".join(
        bytes.fromhex(one["raw"]) for one in step["commands"])
    base, start, end = number(step["queue_gpa"]), number(step["queue_offset"]), number(step["cwriter"])
    past_end = start + len(raw) - end
    if past_end == 0 or not raw:
        return [(base + start, raw)]
    first = past_end - start  # the queue is `past_end` bytes long
    return [(base + start, raw[:first]), (base, raw[first:])]


class KvmMachine:
    """A VM with GIC and ITSes, driven step by step."""

    def __init__(self, kernel: str) -> None:
        self.kernel = kernel
        self.ram = RamSlots()
        self.vgic = Vgic(self.ram, (), kernel)
        self.itses: list[Its] = []

    def run(self, step: Step) -> Any:
        """Do one step. DataError for an operation that does not exist."""
        operation = _OPERATIONS.get(step["op"])
        if operation is None:
            raise DataError(f"unknown operation {step['op']!r}")
        return operation(self, step)

    def responses(self, step: Step) -> int:
        operation = step["op"]
        if operation == "setup":
            itses = len(step["its"])
            return 2 + len(step["ram"]) + (3 * itses if itses else 1) + len(step["redist"])
        return {"write_mem": 0, "fill_mem": 0, "commands": 2, "dump": len(step.get("regions", ())),
                "get_regs": len(step.get("result", ()))}.get(operation, 1)

    def setup(self, step: Step) -> dict[str, Any]:
        old = self.ram.slots if step.get("keep_ram") else {}
        self.ram = RamSlots()
        for row in step["ram"]:
            slot = self.ram.add(row["slot"], number(row["base"]), number(row["size"]), row["dirty_log"])
            if row["slot"] in old:
                slot.pages = old[row["slot"]].pages
        self.vgic = Vgic(self.ram, step["vcpu_ids"], self.kernel)
        self.itses = [Its(self.vgic, number(base)) for base in step["its"]] or [Its(self.vgic, None)]
        for row in step["redist"]:
            for register in ("GICR_PROPBASER", "GICR_PENDBASER", "GICR_CTLR"):
                self.vgic.write_redistributor(self.vgic.vcpus[row["vcpu_index"]], register, number(row[register]))
        return {"errors": []}

    def write_mem(self, step: Step) -> None:
        self.ram.poke(number(step["gpa"]), bytes.fromhex(step["hex"]))

    def fill_mem(self, step: Step) -> None:
        self.ram.poke(number(step["gpa"]), bytes.fromhex(step["byte"]) * size_of(step["size"]))

    def set_reg(self, step: Step) -> dict[str, Any]:
        its = self.itses[step["its"]]
        return _try(lambda: its.write_register(number(step["offset"]), number(step["value"])))

    def get_regs(self, step: Step) -> dict[str, str]:
        return {name: self._register(step["its"], name) for name in step["result"]}

    def _register(self, index: int, register: str | int) -> str:
        try:
            return hex(self.itses[index].read_register(register))
        except ItsError as error:
            return error.name

    def get_reg_offset(self, step: Step) -> dict[str, Any]:
        try:
            return outcome(None) | {"value": hex(self.itses[step["its"]].read_register(number(step["offset"])))}
        except ItsError as error:
            return outcome(error)

    def commands(self, step: Step) -> dict[str, Any]:
        for address, raw in queue_pieces(step):
            self.ram.poke(address, raw)
        its = self.itses[step["its"]]
        written = _try(lambda: its.write_register("GITS_CWRITER", number(step["cwriter"])))
        return {"cwriter_write": written, "creadr_after": self._register(step["its"], "GITS_CREADR")}

    def save_tables(self, step: Step) -> dict[str, Any]:
        return _try(lambda: save_tables(self.itses[step["its"]]))

    def restore_tables(self, step: Step) -> dict[str, Any]:
        return _try(lambda: restore_tables(self.itses[step["its"]]))

    def reset(self, step: Step) -> dict[str, Any]:
        return _try(self.itses[step["its"]].reset)

    def unknown_ctrl_attr(self, step: Step) -> dict[str, Any]:
        return _try(lambda: self.itses[step["its"]].control(step["attr"]))

    def save_pending_tables(self, step: Step) -> dict[str, Any]:
        return _try(lambda: save_pending_tables(self.itses[0]))

    def signal_msi(self, step: Step) -> dict[str, Any]:
        its = next((its for its in self.itses if its.doorbell(number(step["address"]))), None)
        if its is None:
            return outcome(ItsError("EINVAL", f"no ITS at {step['address']}"))
        try:
            delivered = its.signal_msi(step["devid"], step["data"])
        except ItsError as error:
            return outcome(error)
        return {"ret": delivered, "name": "delivered" if delivered else "blocked"}

    def dump(self, step: Step) -> dict[str, bytes]:
        return {region["name"]: self.ram.peek(number(region["gpa"]), size_of(region["size"]))
                for region in step["regions"]}

    def get_dirty_log(self, step: Step) -> dict[str, Any]:
        return outcome(None) | {"dirty_pages": [hex(page) for page in self.ram.take_dirty_log(step["slot"])]}

    def remove_ram_slot(self, step: Step) -> dict[str, Any]:
        return _try(lambda: self.ram.remove(step["slot"]))

    def get_redist(self, step: Step) -> dict[str, Any]:
        registers = self.vgic.read_redistributor(self.vgic.vcpus[step["vcpu_index"]])
        return outcome(None) | {name: hex(value) for name, value in registers.items()}

    def run_vcpu_spinning(self, step: Step) -> dict[str, Any]:
        self.ram.poke(number(step["gpa"]), (0x14000000).to_bytes(4, "little"))  # a branch to itself
        self.vgic.vcpu_running = True
        return outcome(None)

    def stop_vcpu(self, step: Step) -> dict[str, Any]:
        self.vgic.vcpu_running = False
        return outcome(None)


def _try(action: Callable[[], None]) -> dict[str, Any]:
    try:
        action()
    except KernelCrash:
        raise
    except ItsError as error:
        return outcome(error)
    return outcome(None)


_OPERATIONS: Mapping[str, Callable[[KvmMachine, Step], Any]] = {
    "setup": KvmMachine.setup, "write_mem": KvmMachine.write_mem, "fill_mem": KvmMachine.fill_mem,
    "set_reg": KvmMachine.set_reg, "get_regs": KvmMachine.get_regs, "get_reg_offset": KvmMachine.get_reg_offset,
    "commands": KvmMachine.commands, "save_tables": KvmMachine.save_tables,
    "restore_tables": KvmMachine.restore_tables, "reset": KvmMachine.reset,
    "unknown_ctrl_attr": KvmMachine.unknown_ctrl_attr, "save_pending_tables": KvmMachine.save_pending_tables,
    "signal_msi": KvmMachine.signal_msi, "dump": KvmMachine.dump, "get_dirty_log": KvmMachine.get_dirty_log,
    "remove_ram_slot": KvmMachine.remove_ram_slot, "get_redist": KvmMachine.get_redist,
    "run_vcpu_spinning": KvmMachine.run_vcpu_spinning, "stop_vcpu": KvmMachine.stop_vcpu}
