"""The input side of `qemu-its-golden/1`: register and memory accesses of a guest, done on the emulated ITS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from livemig.its.emulated import EmulatedIts
from livemig.its.errors import DataError
from livemig.its.memory import RamSlots
from livemig.its.replay_kvm import Step, number, queue_pieces, size_of

__all__ = ["QemuMachine", "RAM_BASE_ADDRESS", "RAM_BYTES"]

RAM_BASE_ADDRESS = 0x4000_0000
RAM_BYTES = 0x4000_0000
"""RAM of QEMU's machine `virt` starts at 1 GiB."""


class QemuMachine:
    """A `virt` machine with an emulated ITS, driven step by step."""

    def __init__(self) -> None:
        self.ram = RamSlots()
        self.its = EmulatedIts(self.ram)

    def run(self, step: Step) -> Any:
        """Do one step. DataError for an operation that does not exist."""
        operation = _OPERATIONS.get(step["op"])
        if operation is None:
            raise DataError(f"unknown operation {step['op']!r}")
        return operation(self, step)

    def responses(self, step: Step) -> int:
        return 1

    def setup(self, step: Step) -> None:
        self.ram = RamSlots()
        self.ram.add(0, RAM_BASE_ADDRESS, RAM_BYTES)
        self.its = EmulatedIts(self.ram, min(int(step["cpus"]), 512))
        for row in step["redist"]:
            cpu = self.its.cpus[row["cpu"]]
            cpu.propbaser, cpu.pendbaser = number(row["GICR_PROPBASER"]), number(row["GICR_PENDBASER"])
            cpu.lpis_enabled = bool(number(row["GICR_CTLR"]) & 1)

    def write_mem(self, step: Step) -> None:
        self.ram.poke(number(step["gpa"]), bytes.fromhex(step["hex"]))

    def fill_mem(self, step: Step) -> None:
        self.ram.poke(number(step["gpa"]), bytes.fromhex(step["byte"]) * size_of(step["size"]))

    def set_reg(self, step: Step) -> None:
        self.its.write_register(step["reg"], number(step["value"]))

    def get_regs(self, step: Step) -> dict[str, str]:
        return {name: hex(self.its.read_register(name)) for name in step["result"]}

    def commands(self, step: Step) -> dict[str, str]:
        for address, raw in queue_pieces(step):
            self.ram.poke(address, raw)
        self.its.write_register("GITS_CWRITER", number(step["cwriter"]))
        return {"creadr_after": hex(self.its.read_register("GITS_CREADR"))}

    def write_translater(self, step: Step) -> None:
        self.its.translate(step["devid"], step["data"])

    def dump(self, step: Step) -> dict[str, bytes]:
        return {region["name"]: self.ram.peek(number(region["gpa"]), size_of(region["size"]))
                for region in step["regions"]}


_OPERATIONS: Mapping[str, Callable[[QemuMachine, Step], Any]] = {
    "setup": QemuMachine.setup, "write_mem": QemuMachine.write_mem, "fill_mem": QemuMachine.fill_mem,
    "set_reg": QemuMachine.set_reg, "get_regs": QemuMachine.get_regs, "commands": QemuMachine.commands,
    "write_translater": QemuMachine.write_translater, "dump": QemuMachine.dump}
