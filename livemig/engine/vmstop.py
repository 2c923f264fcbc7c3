"""How a VM stops: the chain down to the change-state handlers, and the way back up (vm_start).

All of it runs in the thread that asks for the stop; in a migration that is the migration thread. A handler is not about
migration: every stop runs every handler. Sources: QEMU 10.0.13 system/cpus.c, system/runstate.c,
hw/core/vm-change-state-handler.c.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass

from livemig.engine.machine import FUNCTIONS, traced
from livemig.engine.state import MigrationState
from livemig.trace import Event

__all__ = [
    "Handler",
    "HandlerError",
    "default_handlers",
    "qdev_add_vm_change_state_handler",
    "qemu_add_vm_change_state_handler",
    "runstate_set",
    "vm_start",
    "vm_state_notify",
    "vm_stop_force_state",
]

Callback = Callable[[MigrationState, bool, str], None]


@dataclass(frozen=True)
class Handler:
    """A VM change-state handler: called with (state, running, runstate) at every stop and start.

    >>> import livemig
    >>> calls = []
    >>> mine = livemig.Handler("mine", priority=3, callback=lambda s, running, state: calls.append((running, state)))
    >>> livemig.simulate(handlers=[mine]).outcome.status, calls
    ('completed', [(False, 'finish-migrate'), (True, 'running')])

    `priority`: 0 by plain registration, the depth in the device tree for qdev devices. `prepare` runs in a round of its
    own before the callbacks (QEMU 10.0; 7.2 has no prepare callbacks).
    """

    name: str
    priority: int = 0
    callback: Callback | None = None
    prepare: Callback | None = None
    owner: str = ""
    file: str = ""


class HandlerError(RuntimeError):
    """A registered handler raised; the message names it. `trace` holds the rows up to there."""

    trace: object = None


def qemu_add_vm_change_state_handler(handlers: list[Handler], handler: Handler) -> None:
    """Insert by ascending priority, behind those of the same priority (system/runstate.c)."""
    place = bisect.bisect_right([h.priority for h in handlers], handler.priority)
    handlers.insert(place, handler)


def qdev_add_vm_change_state_handler(handlers: list[Handler], handler: Handler, depth: int) -> None:
    """A device's handler has its depth in the device tree as priority (hw/core/vm-change-state-handler.c)."""
    qemu_add_vm_change_state_handler(
        handlers, Handler(handler.name, depth, handler.callback, handler.prepare, handler.owner, handler.file)
    )


def order_of_calls(handlers: list[Handler], running: bool) -> list[Handler]:
    """Ascending by priority on start, the exact reverse on stop."""
    return list(handlers) if running else list(reversed(handlers))


def _save_its(s: MigrationState, running: bool, state: str) -> None:
    if not running and s.its is not None and s.scenario.save_tables_when == "stop":
        s.its.save_tables(s)


def _save_pending(s: MigrationState, running: bool, state: str) -> None:
    if not running and s.its is not None:
        s.its.save_pending(s)


_KVM_HANDLERS = (  # in order of registration: the virt board creates the CPUs, then the GIC, then the ITS
    Handler("kvm_arm_vm_state_change", owner="CPUs", file="target/arm/kvm.c"),
    Handler("vm_change_state_handler", callback=_save_pending, owner="GICv3", file="hw/intc/arm_gicv3_kvm.c"),
    Handler("vm_change_state_handler", callback=_save_its, owner="ITS", file="hw/intc/arm_gicv3_its_kvm.c"),
)


def default_handlers(accelerator: str) -> list[Handler]:
    """The list of a `virt` machine without extra devices: net first; under KVM CPUs, GICv3 and ITS after it."""
    handlers: list[Handler] = []
    qemu_add_vm_change_state_handler(handlers, Handler("net_vm_change_state_handler", owner="net", file="net/net.c"))
    for handler in _KVM_HANDLERS if accelerator == "kvm" else ():
        qemu_add_vm_change_state_handler(handlers, handler)
    return handlers


# -- the stop ---------------------------------------------------------------------------------------------------------
@traced("system/cpus.c")
def vm_stop_force_state(s: MigrationState, state: str) -> None:
    """Stop the VM; if it is stopped already only change the run state."""
    if s.runstate == "running":
        vm_stop(s, state)
    else:
        bdrv_drain_all(s)
        runstate_set(s, state)
        bdrv_flush_all(s)


@traced("system/cpus.c")
def vm_stop(s: MigrationState, state: str) -> None:
    """Not in a vCPU thread here, so the stop happens at once (the document's list leaves this frame out)."""
    do_vm_stop(s, state)


@traced("system/cpus.c")
def do_vm_stop(s: MigrationState, state: str) -> None:
    """Run state first, then the vCPUs, then the handlers, then the STOP event, then the block layer."""
    runstate_set(s, state)
    cpu_disable_ticks(s)
    pause_all_vcpus(s)
    vm_state_notify(s, False, state)
    s.event("STOP")
    bdrv_drain_all(s)
    bdrv_flush_all(s)


@traced("system/runstate.c")
def runstate_set(s: MigrationState, new: str) -> None:
    """Change the run state of this side; only transitions of the table are allowed."""
    s.set_runstate(new)


@traced("system/cpu-timers.c")
def cpu_disable_ticks(s: MigrationState) -> None:
    """The guest's clock stands."""


@traced("system/cpus.c")
def pause_all_vcpus(s: MigrationState) -> None:
    """Ask each vCPU to leave and wait; the run state says finish-migrate already while the guest still runs."""
    cpu_pause(s)
    all_vcpus_paused(s)
    s.machine.spend(0.4 * s.scenario.costs.stop_s)
    s.pause_guest()
    all_vcpus_paused(s)


@traced("system/cpus.c")
def cpu_pause(s: MigrationState) -> None:
    """Kick one vCPU."""


@traced("system/cpus.c")
def all_vcpus_paused(s: MigrationState) -> bool:
    """True when none is left running."""
    return s.paused_at_s is not None


@traced("system/runstate.c")
def vm_state_notify(s: MigrationState, running: bool, state: str) -> None:
    """Call the handlers: prepare callbacks first (10.0), ascending priority on start, descending on stop."""
    _notify(s, order_of_calls(s.handlers, running), running, state)


def _notify(s: MigrationState, handlers: list[Handler], running: bool, state: str) -> None:
    if s.rules.prepare_callbacks:
        for handler in handlers:
            if handler.prepare is not None:
                _call(s, handler, handler.prepare, running, state, phase="prepare")
    for handler in handlers:
        _call(s, handler, handler.callback, running, state, phase="callback")


def _call(
    s: MigrationState, handler: Handler, callback: Callback | None, running: bool, state: str, phase: str
) -> None:
    machine = s.machine
    FUNCTIONS.setdefault(handler.name, handler.file)
    lane = machine.lane
    depth = machine.depth[lane]
    data = {
        "owner": handler.owner or handler.name,
        "priority": handler.priority,
        "running": running,
        "phase": phase,
        "file": handler.file,
    }
    machine.rows.append(Event(machine.t_s, "call", lane, handler.name, depth, data))
    machine.depth[lane] = depth + 1
    try:
        if callback is not None:
            callback(s, running, state)
    except Exception as error:
        where = f"priority {handler.priority}, {phase}, running={running}"
        raise HandlerError(
            f"change-state handler {handler.name!r} ({where}) raised {type(error).__name__}: {error}"
        ) from error
    finally:
        machine.depth[lane] = depth
        machine.rows.append(Event(machine.t_s, "return", lane, handler.name, depth, {}))


@traced("block/io.c")
def bdrv_drain_all(s: MigrationState) -> None:
    """Wait for requests of the disks in flight."""


@traced("block/io.c")
def bdrv_flush_all(s: MigrationState) -> None:
    """Flush the disks, even if a handler failed."""
    s.machine.spend(0.2 * s.scenario.costs.stop_s)


# -- the start --------------------------------------------------------------------------------------------------------
@traced("system/cpus.c")
def vm_start(s: MigrationState) -> None:
    """Run (again): handlers before vCPUs."""
    vm_prepare_start(s)
    resume_all_vcpus(s)


@traced("system/cpus.c")
def vm_prepare_start(s: MigrationState) -> None:
    """RESUME event, ticks, run state, handlers."""
    s.event("RESUME")
    cpu_enable_ticks(s)
    runstate_set(s, "running")
    vm_state_notify(s, True, "running")


@traced("system/cpu-timers.c")
def cpu_enable_ticks(s: MigrationState) -> None:
    """The guest's clock runs."""


@traced("system/cpus.c")
def resume_all_vcpus(s: MigrationState) -> None:
    """The vCPUs go."""
    cpu_resume(s)
    if s.machine.lane == "dst":
        s.destination_runs = True
    else:
        s.resume_guest()


@traced("system/cpus.c")
def cpu_resume(s: MigrationState) -> None:
    """Wake one vCPU."""
