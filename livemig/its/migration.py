"""The ITS in a migration, as QEMU does it: registers travel in the device section, tables travel in RAM.

Source: QEMU 10.0.13 hw/intc/arm_gicv3_its_kvm.c vm_change_state_handler, kvm_arm_its_pre_save, kvm_arm_its_post_load;
the order of the calls is recorded in data/recordings (k02: rows "ITS GET", "ITS SET").
"""

from __future__ import annotations

from collections.abc import Mapping

from livemig.its.device import Its
from livemig.its.errors import ItsError
from livemig.its.memory import Memory
from livemig.its.tables import restore_tables, save_tables

__all__ = ["vm_change_state_handler", "migration_state", "post_load", "PRE_SAVE_ORDER", "POST_LOAD_ORDER"]

PRE_SAVE_ORDER = (*(f"GITS_BASER{n}" for n in range(8)), "GITS_CTLR", "GITS_CBASER", "GITS_CREADR", "GITS_CWRITER",
                  "GITS_IIDR")
POST_LOAD_ORDER = ("GITS_IIDR", "GITS_CBASER", "GITS_CREADR", "GITS_CWRITER", *(f"GITS_BASER{n}" for n in range(8)),
                   "RESTORE_TABLES", "GITS_CTLR")


def vm_change_state_handler(its: Its, running: bool, memory: Memory | None = None) -> None:
    """Every VM stop, migration or not, saves the tables to RAM; a start does nothing. Errors as `save_tables`."""
    if not running:
        save_tables(its, memory)


def migration_state(its: Its) -> dict[str, int]:
    """The registers that pre_save reads, in its order. Tables are not among them: they are guest RAM."""
    return {name: its.read_register(name) for name in PRE_SAVE_ORDER}


def post_load(its: Its, registers: Mapping[str, int], memory: Memory | None = None,
              order: tuple[str, ...] = POST_LOAD_ORDER) -> None:
    """Load a destination's ITS: write `registers` and restore the tables, CTLR last.

    RAM must be complete and the redistributors restored before. A GITS_IIDR of 0 means that the source had no state:
    nothing is loaded. `order` is there to try wrong orders. ItsError as the single steps; missing registers are EINVAL.
    """
    missing = [name for name in PRE_SAVE_ORDER if name not in registers]
    if missing:
        raise ItsError("EINVAL", f"registers are missing: {', '.join(missing)}")
    if not registers["GITS_IIDR"]:
        return
    for step in order:
        if step == "RESTORE_TABLES":
            restore_tables(its, memory)
        else:
            its.write_register(step, registers[step])
