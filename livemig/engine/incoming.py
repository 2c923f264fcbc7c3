"""The destination: it loads section after section, restores the ITS, and starts the guest.

Source: QEMU 10.0.13 migration/migration.c process_incoming_migration_co and _bh, migration/savevm.c. The order is
recorded (data/recordings k01, k02): RAM, the GIC, the ITS's registers, RESTORE_TABLES, CTLR, RESUME, the handlers.
"""

from __future__ import annotations

from livemig.engine.machine import traced
from livemig.engine.savevm import DEVICE_SECTIONS
from livemig.engine.state import MigrationError, MigrationState
from livemig.engine.status import migrate_set_state, migration_block_activate
from livemig.engine.vmstop import runstate_set, vm_start

__all__ = ["process_incoming_migration_bh", "process_incoming_migration_co"]


@traced("migration/migration.c")
def process_incoming_migration_co(s: MigrationState) -> None:
    """Load everything (in QEMU a coroutine of the destination's main thread that runs from the first byte on)."""
    qemu_loadvm_state(s)


@traced("migration/savevm.c")
def qemu_loadvm_state(s: MigrationState) -> None:
    """The sections in the order of the stream."""
    qemu_loadvm_state_main(s)


@traced("migration/savevm.c")
def qemu_loadvm_state_main(s: MigrationState) -> None:
    """RAM was loaded page by page as it came; then the devices, the GIC before the ITS before all others."""
    s.machine.emit("load", "ram")
    for section, share in DEVICE_SECTIONS:
        s.machine.spend(share * s.scenario.costs.load_s)
        if s.destination_died:
            raise MigrationError("the destination died before it had loaded everything")
        qemu_loadvm_section_start_full(s, section)


@traced("migration/savevm.c")
def qemu_loadvm_section_start_full(s: MigrationState, section: str) -> None:
    """One device section and its post_load."""
    if section == "arm_gicv3_its" and s.its is not None:
        s.its.restore_there(s)
    s.machine.emit("load", section)


@traced("migration/migration.c")
def process_incoming_migration_bh(s: MigrationState) -> None:
    """Everything is there: activate the disks, start the guest (with -S: stay paused), say completed."""
    migration_block_activate(s)
    s.destination_loaded = True
    if s.scenario.destination_paused:
        runstate_set(s, "paused")
    else:
        vm_start(s)
    migrate_set_state(s, "completed")
