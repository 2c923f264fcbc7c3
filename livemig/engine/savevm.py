"""The sections of the stream in their order: RAM in passes, then every device (QEMU 10.0.13 migration/savevm.c)."""

from __future__ import annotations

from livemig.engine.machine import traced
from livemig.engine.ram import (
    ram_save_complete,
    ram_save_iterate,
    ram_save_setup,
    ram_state_pending_estimate,
    ram_state_pending_exact,
)
from livemig.engine.state import MigrationError, MigrationState

__all__ = ["DEVICE_SECTIONS"]

# The virt machine's non-iterable sections in the order in which they are saved and loaded (recorded), and the share of
# the device state's time that each takes (recorded: b05). The GIC comes before the ITS, the ITS before devices.
DEVICE_SECTIONS: tuple[tuple[str, float], ...] = (
    ("arm_gicv3", 0.31),
    ("arm_gicv3_its", 0.03),
    ("timer", 0.03),
    ("pflash_cfi01", 0.03),
    ("pflash_cfi01", 0.03),
    ("cpu_common", 0.05),
    ("cpu", 0.29),
    ("pl011", 0.05),
    ("pl031", 0.03),
    ("gpex_root", 0.03),
    ("PCIHost", 0.01),
    ("PCIBUS", 0.01),
    ("pl061", 0.03),
    ("gpio-key", 0.01),
    ("fw_cfg", 0.02),
    ("virt_acpi_build", 0.01),
    ("globalstate", 0.03),
)


@traced("migration/savevm.c")
def qemu_savevm_state_header(s: MigrationState) -> None:
    """Magic, version, the machine's name and the capabilities."""


@traced("migration/savevm.c")
def qemu_savevm_send_open_return_path(s: MigrationState) -> None:
    """Ask the destination to answer on the same connection."""


@traced("migration/savevm.c")
def qemu_savevm_send_ping(s: MigrationState) -> None:
    """The destination answers with a pong."""


@traced("migration/savevm.c")
def qemu_savevm_state_setup(s: MigrationState) -> None:
    """Every iterable device prepares; for RAM that is the first sync."""
    s.machine.spend(max(0.0, s.scenario.costs.setup_s - s.scenario.costs.sync_s))
    ram_save_setup(s)


@traced("migration/savevm.c")
def qemu_savevm_state_pending_estimate(s: MigrationState) -> int:
    """What the bitmap holds, in bytes; costs microseconds and asks the guest nothing."""
    size = ram_state_pending_estimate(s)
    s.machine.emit("pending", "estimate", {"size_bytes": size})
    return size


@traced("migration/savevm.c")
def qemu_savevm_state_pending_exact(s: MigrationState) -> int:
    """Sync the dirty log, then count, in bytes."""
    size = ram_state_pending_exact(s)
    s.machine.emit("pending", "exact", {"size_bytes": size})
    return size


@traced("migration/savevm.c")
def qemu_savevm_state_iterate(s: MigrationState) -> None:
    """Let RAM send one slice; a write error shows in migration_detect_error."""
    try:
        ram_save_iterate(s)
    except MigrationError as error:
        s.channel.error = str(error)


@traced("migration/savevm.c")
def qemu_savevm_maybe_send_switchover_start(s: MigrationState) -> None:
    """Tell the destination that the final part begins (10.0)."""
    if s.rules.has_switchover_start:
        s.mark("Tn+3", "the last dirty pages and the device state are sent")
        qemu_savevm_send_switchover_start(s)


@traced("migration/savevm.c")
def qemu_savevm_send_switchover_start(s: MigrationState) -> None:
    """The SWITCHOVER_START command."""


@traced("migration/savevm.c")
def qemu_savevm_state_complete_precopy(s: MigrationState) -> None:
    """Iterable sections (RAM) to their end, then every other device once."""
    if not s.rules.has_switchover_start:
        s.mark("Tn+3", "the last dirty pages and the device state are sent")
    qemu_savevm_state_complete_precopy_iterable(s)
    qemu_savevm_state_complete_precopy_non_iterable(s)
    s.all_sent = True


@traced("migration/savevm.c")
def qemu_savevm_state_complete_precopy_iterable(s: MigrationState) -> None:
    """RAM: the final sync and the final pass."""
    ram_save_complete(s)


@traced("migration/savevm.c")
def qemu_savevm_state_complete_precopy_non_iterable(s: MigrationState) -> None:
    """Device after device. By now RAM has been sent: what a device writes to RAM here is lost."""
    cpu_synchronize_all_states(s)
    costs = s.scenario.costs
    for section, share in DEVICE_SECTIONS:
        vmstate_save(s, section, share * costs.device_state_s, round(share * costs.device_state_bytes))


@traced("system/cpus.c")
def cpu_synchronize_all_states(s: MigrationState) -> None:
    """Fetch the vCPUs' registers out of the kernel."""


@traced("migration/savevm.c")
def vmstate_save(s: MigrationState, section: str, cost_s: float, size_bytes: int) -> None:
    """One device section: its pre_save, then its fields."""
    start_s = s.machine.t_s
    before_save = _PRE_SAVE.get(section)
    if before_save is not None:
        before_save(s)
    s.machine.spend(cost_s + size_bytes / s.channel.speed_bytes_per_s)
    s.wait_while_silent()
    if s.channel.error is not None:
        raise MigrationError(s.channel.error)
    s.channel.count(size_bytes)
    s.counters.device_bytes += size_bytes
    s.machine.emit("send", section, {"start_s": start_s, "bytes": size_bytes})


@traced("hw/intc/arm_gicv3_common.c")
def gicv3_pre_save(s: MigrationState) -> None:
    """The GIC's registers (under KVM: hundreds of reads)."""


@traced("hw/intc/arm_gicv3_its_common.c")
def gicv3_its_pre_save(s: MigrationState) -> None:
    """The ITS's registers, and only they: its tables went with RAM."""
    if s.its is not None:
        s.its.pre_save(s)


@traced("migration/global_state.c")
def global_state_pre_save(s: MigrationState) -> None:
    """The run state that the destination shall have."""


_PRE_SAVE = {"arm_gicv3": gicv3_pre_save, "arm_gicv3_its": gicv3_its_pre_save, "globalstate": global_state_pre_save}
