"""The QEMU functions that the engine mirrors, with their source files: the list that texts are checked against."""

from __future__ import annotations

from livemig.engine import incoming, main_thread, migration, ram, savevm, status, throttle, vmstop
from livemig.engine.machine import FUNCTIONS

__all__ = ["qemu_names"]

_MODULES = (incoming, main_thread, migration, ram, savevm, status, throttle, vmstop)  # those with traced functions
_LIST_FUNCTIONS = {
    "qemu_add_vm_change_state_handler": "system/runstate.c",
    "qdev_add_vm_change_state_handler": "hw/core/vm-change-state-handler.c",
}


def qemu_names() -> dict[str, tuple[str, ...]]:
    """Every QEMU function that the engine has under its own name, with the files of QEMU 10.0.13 that define it.

    >>> from livemig.engine import qemu_names
    >>> qemu_names()["do_vm_stop"]
    ('system/cpus.c',)

    `migration_maybe_pause` is of 7.2 only. A name may have several files: `vm_change_state_handler` is a static
    function of each device that has a handler.
    """
    # Not FUNCTIONS as it is: a run adds the handlers that its user registered.
    traced = {value.__name__ for module in _MODULES for value in vars(module).values() if hasattr(value, "__wrapped__")}
    pairs = {*((name, FUNCTIONS[name]) for name in traced), *_LIST_FUNCTIONS.items(),
             *((handler.name, handler.file) for handler in vmstop.default_handlers("kvm"))}
    return {name: tuple(sorted(file for other, file in pairs if other == name)) for name, _ in sorted(pairs)}
