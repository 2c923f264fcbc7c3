"""What a recording holds beside QEMU's own words: polls as rows, readings of the host, figures made of both."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from livemig.lab.guest import DOT_PAGES, PAGE_BYTES
from livemig.lab.request import MIB

__all__ = ["EVENT_COLS", "POLL_COLS", "Reading", "available_bytes", "event_rows", "link_seen_mib_s", "poll_row",
           "rates", "sanity", "stop_copy_mb_s"]

EVENT_COLS = ("t_received", "t_qemu", "side", "event", "data")
POLL_COLS = ("t", "status", "transferred", "remaining", "normal", "duplicate", "dirty_sync_count", "dirty_pages_rate",
             "mbps", "expected_downtime", "precopy_bytes", "downtime_bytes", "postcopy_bytes", "multifd_bytes",
             "src_dots", "dst_dots", "throttle_pct")
LATE_MS = 104  # a window of 100 ms that took longer than this was disturbed (or its link is slow)

_OF_RAM = {"transferred": "transferred", "remaining": "remaining", "normal": "normal", "duplicate": "duplicate",
           "dirty_sync_count": "dirty-sync-count", "dirty_pages_rate": "dirty-pages-rate",
           "precopy_bytes": "precopy-bytes", "downtime_bytes": "downtime-bytes", "postcopy_bytes": "postcopy-bytes",
           "multifd_bytes": "multifd-bytes"}

Rows = Sequence[Sequence[Any]]


def poll_row(t_s: float, answer: Mapping[str, Any], src_dots: int, dst_dots: int) -> list[Any]:
    """One answer to `query-migrate` in the order of POLL_COLS."""
    ram = answer.get("ram", {})
    values = {"t": round(t_s, 4), "status": answer.get("status"), "mbps": round(ram.get("mbps", 0), 3),
              "expected_downtime": answer.get("expected-downtime"), "src_dots": src_dots, "dst_dots": dst_dots,
              "throttle_pct": answer.get("cpu-throttle-percentage"),
              **{name: ram.get(key) for name, key in _OF_RAM.items()}}
    return [values[name] for name in POLL_COLS]


@dataclass(frozen=True)
class Reading:
    """Clocks and the CPU times of the host and of both QEMUs; None where the host does not say."""

    wall_s: float
    mono_s: float
    cpu_s: tuple[float | None, float | None]
    busy_s: float | None
    steal_s: float | None

    @classmethod
    def take(cls, source_pid: int, destination_pid: int) -> Reading:
        """Read them now."""
        busy_s, steal_s = _host_times()
        return cls(time.time(), time.monotonic(), (_cpu_time(source_pid), _cpu_time(destination_pid)), busy_s, steal_s)


def sanity(before: Reading, after: Reading, trace_src: Rows, final: Mapping[str, Any]) -> dict[str, Any]:
    """How undisturbed the run was."""
    wall_s = after.wall_s - before.wall_s
    windows = [row[2]["time_spent"] for row in trace_src if row[1] == "migrate_transferred"]
    speed = stop_copy_mb_s(trace_src, final)
    return {"wall_s": round(wall_s, 4), "mono_minus_wall_s": round(after.mono_s - before.mono_s - wall_s, 6),
            "cpu_src_s": _difference(before.cpu_s[0], after.cpu_s[0]),
            "cpu_dst_s": _difference(before.cpu_s[1], after.cpu_s[1]),
            "host_busy_s": _difference(before.busy_s, after.busy_s),
            "host_steal_s": _difference(before.steal_s, after.steal_s), "host_cores": os.cpu_count(),
            "loadavg": os.getloadavg()[0], "windows": len(windows),
            "windows_over_104_ms": [spent for spent in windows if spent > LATE_MS],
            **({} if speed is None else {"stopcopy_mb_s": speed})}


def stop_copy_mb_s(trace_src: Rows, final: Mapping[str, Any]) -> float | None:
    """Megabytes a second from the stop to the end; None where nothing was sent then."""
    sent = final.get("ram", {}).get("downtime-bytes")
    stop_s = next((row[0] for row in trace_src if row[0] is not None and row[0] > 0 and row[1] == "runstate_set"
                   and "finish-migrate" in str(row[2])), None)
    done_s = [row[0] for row in trace_src if row[0] is not None and row[1] == "migrate_set_state"
              and row[2].get("state") in ("completed", "failed", "cancelled")]
    if not sent or stop_s is None or not done_s or done_s[-1] <= stop_s:
        return None
    seconds: float = done_s[-1] - stop_s
    return round(float(sent) / seconds / 1e6, 1)


def event_rows(sides: Iterable[tuple[str, Sequence[tuple[float, Mapping[str, Any]]]]], t0_s: float) -> list[list[Any]]:
    """QMP events of both sides in QEMU's order of time: when received, when sent, side, name, data."""
    rows = []
    for side, events in sides:
        for received_s, event in events:
            stamp = event["timestamp"]
            sent_s = stamp["seconds"] + stamp["microseconds"] / 1e6
            if received_s > t0_s - 0.5:
                rows.append([round(received_s - t0_s, 5), round(sent_s - t0_s, 5), side, event["event"],
                             event.get("data", {})])
    return sorted(rows, key=lambda row: row[1])


def rates(polls: Rows, trace_src: Rows, link: bool) -> dict[str, float]:
    """The write rate by the guest's dots during the migration, and what a paced link carried."""
    found = {}
    active = [dict(zip(POLL_COLS, row, strict=True)) for row in polls if row[1] == "active"]
    if len(active) > 2:
        dots = active[-1]["src_dots"] - active[0]["src_dots"]
        found["write_rate_during_mib_s"] = round(
            dots * DOT_PAGES * PAGE_BYTES / MIB / (active[-1]["t"] - active[0]["t"]), 3)
    seen = link_seen_mib_s(trace_src) if link else None
    return found if seen is None else found | {"link_seen_mib_s": seen}


def link_seen_mib_s(trace_src: Rows) -> float | None:
    """What a paced link really carried, over all windows but the last; None if there are fewer than two."""
    windows = [(row[0], row[2]["transferred"]) for row in trace_src if row[1] == "migrate_transferred"][:-1]
    return round(sum(sent for _, sent in windows) / windows[-1][0] / MIB, 2) if windows else None


def available_bytes() -> int | None:
    """Memory that new processes can have; None where the host does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/meminfo") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return None


def _cpu_time(pid: int) -> float | None:
    with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()  # the name before may hold anything
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return None


def _host_times() -> tuple[float | None, float | None]:
    """Seconds that all CPUs were busy (stolen time included), and stolen, since the host started."""
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/stat") as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal = (int(x) for x in file.readline().split()[1:9])
        ticks_per_s = os.sysconf("SC_CLK_TCK")
        return (user + nice + system + irq + softirq + steal) / ticks_per_s, steal / ticks_per_s
    return None, None


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else round(after - before, 2)
