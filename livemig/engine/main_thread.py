"""What QEMU's main thread does: the migrate command (T0), cancel, cleanup (QEMU 10.0.13 migration/migration.c)."""

from __future__ import annotations

from livemig.engine.machine import traced
from livemig.engine.migration import close_return_path_on_source
from livemig.engine.ram import migration_bitmap_sync_precopy
from livemig.engine.state import MigrationState
from livemig.engine.status import migrate_set_state

__all__ = ["cpu_throttle_dirty_sync_timer_tick", "migration_cancel", "migration_cleanup_bh", "qmp_migrate"]


# -- T0 ---------------------------------------------------------------------------------------------------------------
@traced("migration/migration.c")
def qmp_migrate(s: MigrationState) -> None:
    """The command: check, state setup, open the socket. The VM runs on."""
    migrate_prepare(s)


@traced("migration/migration.c")
def migrate_prepare(s: MigrationState) -> None:
    """Nothing blocks the migration."""
    migrate_init(s)


@traced("migration/migration.c")
def migrate_init(s: MigrationState) -> None:
    """Counters to zero, state setup."""
    migrate_set_state(s, "setup")


# -- auto-converge's own sync ------------------------------------------------------------------------------------------
@traced("migration/cpu-throttle.c")
def cpu_throttle_dirty_sync_timer_tick(s: MigrationState) -> None:
    """Sync if nobody has since the last tick, so that the throttle has something to look at; never in pass 1."""
    syncs = s.counters.dirty_sync_count
    if syncs > 1 and syncs == s.syncs_at_timer:
        migration_bitmap_sync_precopy(s)
    s.syncs_at_timer = s.counters.dirty_sync_count
    s.arm_sync_timer()


# -- cancel and cleanup -----------------------------------------------------------------------------------------------
@traced("migration/migration.c")
def migration_cancel(s: MigrationState) -> None:
    """State cancelling, socket shut down; the thread notices at its next write or when it wakes."""
    migrate_set_state(s, "cancelling")
    qemu_file_shutdown(s)


@traced("migration/qemu-file.c")
def qemu_file_shutdown(s: MigrationState) -> None:
    """Every later write fails."""
    s.channel.error = s.channel.error or "the migration was cancelled"


@traced("migration/migration.c")
def migration_cleanup_bh(s: MigrationState) -> None:
    """Main thread: free what the migration used."""
    migration_cleanup(s)


@traced("migration/migration.c")
def migration_cleanup(s: MigrationState) -> None:
    """Close the stream; `cancelled` is set here."""
    close_return_path_on_source(s)
    if s.status == "cancelling":
        migrate_set_state(s, "cancelled")
