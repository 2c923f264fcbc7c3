"""Run states and migration states with the transitions that this engine may take.

The tables are data: the engine checks each change against them, and the diagrams of the documentation are drawn from
them. Sources: QEMU 10.0.13 system/runstate.c runstate_transitions_def (the part that a migration uses) and the callers
of migrate_set_state in migration/migration.c.
"""

from __future__ import annotations

__all__ = ["MIGRATION_TRANSITIONS", "RUNSTATE_TRANSITIONS", "TransitionError", "check_transition"]

RUNSTATE_TRANSITIONS: dict[str, tuple[str, ...]] = {
    "inmigrate": ("running", "paused", "postmigrate"),
    "running": ("finish-migrate", "paused", "shutdown"),
    "paused": ("running", "finish-migrate", "shutdown"),
    "finish-migrate": ("running", "paused", "postmigrate", "shutdown"),
    "postmigrate": ("running", "finish-migrate", "shutdown"),
    "shutdown": (),
}

MIGRATION_TRANSITIONS: dict[str, tuple[str, ...]] = {
    "none": ("setup",),
    "setup": ("active", "failed", "cancelling"),
    "active": ("pre-switchover", "device", "completed", "failed", "cancelling"),
    "pre-switchover": ("device", "failed", "cancelling"),
    "device": ("completed", "failed", "cancelling"),
    "cancelling": ("cancelled",),
    "cancelled": ("setup",),
    "failed": ("setup",),
    "completed": ("setup",),
}


class TransitionError(RuntimeError):
    """A state change that QEMU does not allow: a defect of the engine or of a user's handler."""


def check_transition(table: dict[str, tuple[str, ...]], old: str, new: str) -> None:
    """Raise `TransitionError` unless `old -> new` is in the table."""
    if new not in table.get(old, ()):
        allowed = ", ".join(table.get(old, ())) or "nowhere"
        raise TransitionError(f"{old} -> {new} is not allowed; from {old} one may go to {allowed}")
