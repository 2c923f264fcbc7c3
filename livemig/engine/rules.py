"""Pure decisions: what differs between QEMU versions (as data), when to switch over, how much a window may send.

No clock, no state, no I/O: every function here can be read and tested alone. Sources are QEMU 10.0.13 and 7.2.22.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BUFFER_DELAY_S",
    "MAX_WAIT_S",
    "RULES",
    "QemuRules",
    "Wire",
    "switchover_allowed",
    "threshold_bytes",
]

BUFFER_DELAY_S = 0.1  # migration/migration.h: counters and the rate limit work in windows of 100 ms
MAX_WAIT_S = 0.051  # migration/ram.c ram_save_iterate: leaves when whole milliseconds exceed MAX_WAIT (50)
SLICE_PAGES = 64  # ... and looks at the clock every 64 pages
RATES_PERIOD_S = 1.0  # migration/ram.c migration_bitmap_sync: rates and throttling at most once a second


@dataclass(frozen=True)
class QemuRules:
    """What differs between the versions that livemig follows."""

    version: str
    flush_pages: int  # full pages that QEMUFile gathers (64 iovecs) before their bytes count against the limit
    has_can_switchover: bool  # switchover-ack exists
    has_switchover_start: bool  # SWITCHOVER_START command, state `device` on every switchover
    prepare_callbacks: bool  # vm_state_notify runs the prepare callbacks first
    counts_device_bytes: bool  # query-migrate's `transferred` includes the device sections
    completion_stops_vm: bool  # 7.2: migration_completion itself calls vm_stop_force_state
    sync_timer_s: float  # auto-converge: sync after so long without a sync (migration/cpu-throttle.c); 0: never


RULES: dict[str, QemuRules] = {
    "10.0": QemuRules("10.0", 32, True, True, True, True, False, 5.0),
    "7.2": QemuRules("7.2", 1, False, False, False, False, True, 0.0),
}


@dataclass(frozen=True)
class Wire:
    """Bytes on the wire (migration/ram.c save_page_header, save_zero_page; migration/savevm.c section framing)."""

    page_bytes: int
    header_bytes: int = 8
    zero_page_extra_bytes: int = 1
    block_name_bytes: int = 14  # "mach-virt.ram" and its length byte, once for each change of block
    framing_bytes: int = 18  # section header 5, end mark 8, footer 5

    @property
    def normal_bytes(self) -> int:
        """A full page: header and contents."""
        return self.header_bytes + self.page_bytes

    @property
    def zero_bytes(self) -> int:
        """A page of zeros: header and one byte."""
        return self.header_bytes + self.zero_page_extra_bytes


def threshold_bytes(
    rule: str,
    fixed_bytes: int,
    bandwidth_bytes_per_s: float,
    downtime_limit_s: float,
    avail_bytes_per_s: float | None = None,
) -> int:
    """The switchover threshold: bandwidth x downtime-limit (QEMU), or the document's fixed number of bytes.

    The bandwidth is the measured one, unless the user has set avail-switchover-bandwidth. QEMU computes in bytes per
    millisecond and whole milliseconds (migration/migration.c migration_update_counters).
    """
    if rule == "fixed":
        return fixed_bytes
    if avail_bytes_per_s is not None:
        return int(avail_bytes_per_s) // 1000 * round(downtime_limit_s * 1000.0)
    return int(bandwidth_bytes_per_s / 1000.0 * round(downtime_limit_s * 1000.0))


def switchover_allowed(pending_bytes: int, limit_bytes: int) -> bool:
    """Nothing left, or less than the threshold (migration/migration.c migration_iteration_run)."""
    return pending_bytes == 0 or pending_bytes < limit_bytes
