"""The migration's status and who owns the disks, on the side (lane) that asks (QEMU 10.0.13 migration/migration.c)."""

from __future__ import annotations

from livemig.engine.machine import traced
from livemig.engine.state import MigrationState

__all__ = ["migrate_generate_event", "migrate_set_state", "migration_block_activate", "migration_block_inactivate"]


@traced("migration/migration.c")
def migrate_set_state(s: MigrationState, new: str) -> None:
    """Change this side's status; with the capability `events` an event says so.

    QEMU compares and sets: once somebody cancels, the thread's own changes find another old state and do nothing.
    """
    if s.status == "cancelling" and new != "cancelled" and s.machine.lane != "dst":
        return
    s.set_status(new)
    migrate_generate_event(s, new)


@traced("migration/migration.c")
def migrate_generate_event(s: MigrationState, new: str) -> None:
    """QMP event MIGRATION."""
    s.event("MIGRATION", {"status": new})


@traced("migration/block-active.c")
def migration_block_inactivate(s: MigrationState) -> None:
    """The source gives its disks away."""


@traced("migration/block-active.c")
def migration_block_activate(s: MigrationState) -> None:
    """The source takes its disks back."""
