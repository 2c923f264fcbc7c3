"""The engine: a live migration as a plain call tree on a virtual clock, by the rules of real QEMU.

Theory of operation. `simulate` makes a `MigrationState` and calls QEMU's functions in QEMU's order (`migration`, `ram`,
`savevm`, `vmstop`, `incoming`). Time passes only in `machine.Machine.spend`; `rules` holds the decisions and what
differs between versions; `memory` holds pages and bitmaps, `workload` says what the guest writes; `devices` has
the ITS.
The `@traced` decorator records every call, so that the Trace shows QEMU's stack.
"""

from livemig.engine.machine import FUNCTIONS
from livemig.engine.names import qemu_names
from livemig.engine.simulate import run, simulate
from livemig.engine.state import MigrationState
from livemig.engine.vmstop import (
    Handler,
    HandlerError,
    qdev_add_vm_change_state_handler,
    qemu_add_vm_change_state_handler,
)

__all__ = [
    "FUNCTIONS",
    "Handler",
    "HandlerError",
    "MigrationState",
    "qdev_add_vm_change_state_handler",
    "qemu_add_vm_change_state_handler",
    "qemu_names",
    "run",
    "simulate",
]
