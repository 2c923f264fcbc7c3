"""The golden scenarios: every workload, rule, version and edge, on guests small enough for short traces."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from typing import Any

from livemig.scenario import PATTERNS, SAVE_MOMENTS
from tests.conformance.draw_scenario import random_fields

KIB, MIB = 1 << 10, 1 << 20
RANDOM_CASES = 60
MOST_ROWS = 1500  # of a random case, so that the file stays small

SMALL = {
    "ram_bytes": 16 * MIB,
    "other_ram_bytes": 2 * MIB,
    "working_set_bytes": 4 * MIB,
    "bandwidth_bytes_per_s": 48 * MIB,
    "dirty_rate_bytes_per_s": 12 * MIB,
    "downtime_limit_s": 0.02,
    "its_command_period_s": 0.01,
    "give_up_s": 1.0,
}

PHASES = [
    {"duration_s": 0.1, "pattern": "zipf", "dirty_rate_bytes_per_s": 20.0 * MIB},
    {"duration_s": 0.15, "pattern": "idle", "dirty_rate_bytes_per_s": 0.0},
    {"duration_s": 0.1, "pattern": "hot_cold", "dirty_rate_bytes_per_s": 30.0 * MIB},
    {"duration_s": 0.2, "pattern": "uniform", "dirty_rate_bytes_per_s": 8.0 * MIB},
    {"duration_s": 0.1, "pattern": "sequential", "dirty_rate_bytes_per_s": 4.0 * MIB},
]


def cases() -> Iterator[tuple[str, dict[str, Any], int | None]]:
    """Name, fields and, for coarse pages, the number of pages from which on they are used."""
    yield "the default scenario", {}, None
    for name, fields in (
        *_workloads(),
        *_its(),
        *_switchover(),
        *_memories(),
        *_plans(),
        *_limits(),
        *_faults(),
        *_throttled(),
        *_channels(),
    ):
        yield name, SMALL | fields, None
    yield from _coarse()
    yield from _random()


def _workloads() -> Iterator[tuple[str, dict[str, Any]]]:
    for pattern, rule, version in product(PATTERNS, ("qemu", "fixed"), ("10.0", "7.2")):
        fields = {"pattern": pattern, "switchover_rule": rule, "qemu_version": version}
        yield f"{pattern}, {rule}, {version}", fields | _phases(pattern)
    for pattern in PATTERNS[1:]:
        fields = {"pattern": pattern, "dirty_rate_bytes_per_s": 100 * MIB, "give_up_s": 0.5} | _phases(pattern)
        yield f"{pattern}, too fast", fields
        yield f"{pattern}, an odd number of pages", fields | {"working_set_bytes": 997 * 4096, "seed": 2**32 - 1}
        if pattern != "lab_random":
            yield f"{pattern}, late in the count", fields | {"writer_start_writes": 2**49 + 2**33 - 12345}
    for exponent in (0.5, 1.5, 2, 2.5, 3):
        yield f"zipf {exponent}", {"pattern": "zipf", "zipf_exponent": exponent}
    for fraction, share in ((0, 1), (1, 0.5), (0.5, 0), (0.001, 0.999)):
        yield f"hot {fraction} of {share}", {"pattern": "hot_cold", "hot_fraction": fraction, "hot_share": share}
    yield "no writes", {"dirty_rate_bytes_per_s": 0}
    yield "no working set", {"pattern": "idle", "working_set_bytes": 0}
    yield "one page, over and over", {"working_set_bytes": 4096, "dirty_rate_bytes_per_s": 1e9, "give_up_s": 0.2}


def _phases(pattern: str) -> dict[str, Any]:
    return {"phases": PHASES} if pattern == "phases" else {}


def _its() -> Iterator[tuple[str, dict[str, Any]]]:
    for moment, version in product(SAVE_MOMENTS, ("10.0", "7.2")):
        for period_s in (0, 0.004, 0.05, 1e-4):
            fields = {"save_tables_when": moment, "qemu_version": version, "its_command_period_s": period_s}
            yield f"tables saved {moment}, {version}, a command each {period_s} s", fields
    for devices, events in ((0, 1), (1, 1), (64, 2), (2, 32)):
        yield f"{devices} x {events} mappings", {"its_devices": devices, "its_events_per_device": events}
    for page in (512, 16 * KIB, 64 * KIB, MIB):
        for moment in ("stop", "each_sync", "pre_save"):
            yield f"pages of {page}, tables saved {moment}", {"page_bytes": page, "save_tables_when": moment}
    yield "emulated ITS", {"accelerator": "tcg"}
    yield "tables high up", {"ram_bytes": 1 << 30, "filled_bytes": MIB, "bandwidth_bytes_per_s": 400 * MIB}


def _switchover() -> Iterator[tuple[str, dict[str, Any]]]:
    for version in ("10.0", "7.2"):
        base = {"qemu_version": version}
        yield f"return path, {version}", base | {"return_path": True}
        go_on = {"do": "continue", "at": "pre-switchover", "at_s": 0.03}
        pause = base | {"pause_before_switchover": True}
        yield f"pause and continue, {version}", pause | {"plan": [go_on]}
        yield f"pause until it gives up, {version}", pause
        yield f"pause and cancel, {version}", pause | {"plan": [{"do": "cancel", "at": "pre-switchover", "at_s": 0.01}]}
        yield (
            f"pause, return path, link failure, {version}",
            pause | {"return_path": True, "plan": [go_on, {"do": "link_failure", "at": "stop-copy", "at_s": 0.001}]},
        )
    yield "switchover-ack", {"return_path": True, "switchover_ack": True}
    for limit_s in (0, 0.0005, 0.0015, 0.0025, 2):
        yield f"downtime limit {limit_s} s", {"downtime_limit_s": limit_s, "give_up_s": 0.6}
    for threshold in (0, 4096, 64 * KIB, MIB, 1 << 40):
        fields = {"switchover_rule": "fixed", "fixed_threshold_bytes": threshold, "give_up_s": 0.4}
        yield f"threshold {threshold}", fields


def _memories() -> Iterator[tuple[str, dict[str, Any]]]:
    for pattern in PATTERNS[1:]:
        fields = {"pattern": pattern, "filled_bytes": 4 * MIB} | _phases(pattern)
        yield f"{pattern} into zero pages", fields | {"working_set_offset_bytes": 4 * MIB}
    yield "all zero", {"filled_bytes": 0}
    yield "all zero, slow", {"filled_bytes": 0, "bandwidth_bytes_per_s": 100e3}
    yield "nothing zero", {"filled_offset_bytes": 0, "other_ram_bytes": 0}
    yield "half a page filled", {"filled_bytes": 6 * MIB + 2048, "filled_offset_bytes": 4096}
    yield "one page of RAM", {"ram_bytes": 4096, "working_set_offset_bytes": 0, "its_devices": 0} | {
        "working_set_bytes": 4096,
        "other_ram_bytes": 0,
    }


def _plans() -> Iterator[tuple[str, dict[str, Any]]]:
    for do, version in product(("cancel", "link_failure"), ("10.0", "7.2")):
        for at_s in (0.0015001, 0.01, 0.1, 0.2003):
            fields = {"qemu_version": version, "plan": [{"do": do, "at_s": at_s}]}
            yield f"{do} at {at_s} s, {version}", fields
        late = {"do": do, "at": "stop-copy", "at_s": 0.0004}
        yield f"{do} in stop-copy, {version}", {"qemu_version": version, "plan": [late]}
    slower = {"do": "set_bandwidth", "at_s": 0.05, "value": 5e6}
    free = {"do": "set_bandwidth", "at_s": 0.2, "value": 0}
    yield "slower, then without a limit", {"plan": [slower, free]}
    patient = {"do": "set_downtime_limit", "at_s": 0.3, "value": 1.5}
    yield "another limit", {"dirty_rate_bytes_per_s": 4e7, "plan": [patient]}


def _limits() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "no bandwidth limit", {"bandwidth_bytes_per_s": None}
    yield "no bandwidth limit, slow link", {"bandwidth_bytes_per_s": None, "link_bytes_per_s": 3e7}
    yield "link slower than the limit", {"link_bytes_per_s": 2e7}
    yield "a limit below one page a window", {"bandwidth_bytes_per_s": 4096, "ram_bytes": 4 * MIB, "give_up_s": 2.0} | {
        "working_set_bytes": MIB
    }
    yield "costly host", {"costs": {"sync_s": 0.02, "setup_s": 0.1, "stop_s": 0.05, "load_s": 0.3, "wakeup_s": 0.01}}
    yield "host without costs", {"costs": dict.fromkeys(("sync_s", "setup_s", "stop_s", "wakeup_s", "zero_page_s"), 0)}
    never = {"switchover_rule": "fixed", "dirty_rate_bytes_per_s": 400 * MIB, "working_set_bytes": 12 * MIB}
    yield "gives up by itself", never | {"give_up_s": None}
    yield "gives up in the first pass", {"give_up_s": 0.07, "bandwidth_bytes_per_s": 4 * MIB}


def _faults() -> Iterator[tuple[str, dict[str, Any]]]:
    for do, version, return_path in product(("silent_peer", "destination_dies"), ("10.0", "7.2"), (False, True)):
        base = {"qemu_version": version, "return_path": return_path}
        for at, at_s in (("time", 0.0005), ("time", 0.15), ("stop-copy", 0.0), ("stop-copy", 0.0009)):
            plan = [{"do": do, "at": at, "at_s": at_s}]
            yield f"{do}, {at} {at_s} s, {version}, return path {return_path}", base | {"plan": plan}
    loads = {"return_path": True, "costs": {"load_s": 0.1}}
    for do in ("silent_peer", "destination_dies", "link_failure", "cancel"):
        late = {"do": do, "at": "stop-copy", "at_s": 0.05}
        yield f"{do} while the destination loads", loads | {"plan": [late]}
        yield f"{do} while it loads and the source has completed", loads | {"plan": [late], "return_path": False}
    silent = {"do": "silent_peer", "at": "stop-copy", "at_s": 0.0004}
    for do in ("cancel", "link_failure", "destination_dies"):
        later = {"do": do, "at": "stop-copy", "at_s": 0.3}
        yield f"a silent peer, then {do}", {"plan": [silent, later]}
    pause = {"pause_before_switchover": True}
    go_on = {"do": "continue", "at": "pre-switchover", "at_s": 0.03}
    for do in ("silent_peer", "destination_dies"):
        yield f"{do} in the pause", pause | {"plan": [{"do": do, "at": "pre-switchover", "at_s": 0.01}, go_on]}
    for version in ("10.0", "7.2"):
        yield f"destination with -S, {version}", {"destination_paused": True, "qemu_version": version}
    yield "destination with -S, return path", {"destination_paused": True, "return_path": True}


def _throttled() -> Iterator[tuple[str, dict[str, Any]]]:
    base = {
        "auto_converge": True,
        "dirty_rate_bytes_per_s": 90 * MIB,
        "bandwidth_bytes_per_s": 16 * MIB,
        "its_command_period_s": 0.05,
        "give_up_s": 12.0,
    }
    for catch_up_s, accelerator in product((0.0, 0.003, None), ("kvm", "tcg")):
        fields = base | {"catch_up_s": catch_up_s, "accelerator": accelerator}
        yield f"auto-converge, {accelerator}, catches up {catch_up_s}", fields
    for pattern in ("uniform", "phases"):
        yield f"auto-converge, {pattern}", base | {"pattern": pattern} | _phases(pattern)
    yield "auto-converge, 7.2", base | {"qemu_version": "7.2", "give_up_s": 6.0}
    yield "auto-converge in one step", base | {"throttle_initial_pct": 99, "catch_up_s": None, "accelerator": "tcg"}
    yield "auto-converge, at most 25 %", base | {"throttle_max_pct": 25, "throttle_increment_pct": 7, "give_up_s": 9.0}
    lowered = [{"do": "set_max_throttle", "at_s": 0.1, "value": 25}]
    yield "auto-converge, the largest throttle is lowered", base | {"plan": lowered, "give_up_s": 9.0}
    yield "auto-converge, looks at 100 %", base | {"throttle_trigger_pct": 100, "give_up_s": 6.0}
    slow = {"bandwidth_bytes_per_s": 2.2e6, "give_up_s": 20.0, "working_set_bytes": 15 * MIB, "its_devices": 0}
    yield "auto-converge, syncs by its own timer", base | slow | {"working_set_offset_bytes": MIB}
    sleeps = {"throttle_initial_pct": 90, "downtime_limit_s": 0.2, "accelerator": "tcg"}
    for do in ("cancel", "link_failure"):
        late = {"do": do, "at": "stop-copy", "at_s": 0.0003}
        yield f"auto-converge, {do} in stop-copy", base | sleeps | {"plan": [late]}
    pause = {"pause_before_switchover": True, "plan": [{"do": "cancel", "at": "pre-switchover", "at_s": 1.0}]}
    yield "auto-converge, cancelled in the pause", base | sleeps | pause


def _channels() -> Iterator[tuple[str, dict[str, Any]]]:
    for channels in (1, 2, 3, 255):
        yield f"multifd, {channels} channels", {"multifd_channels": channels}
    two = {"multifd_channels": 2}
    for page in (512, 16 * KIB, 64 * KIB, MIB):
        yield f"multifd, pages of {page}", two | {"page_bytes": page}
    for pattern in ("uniform", "hot_cold", "phases"):
        yield f"multifd, {pattern}", two | {"pattern": pattern, "downtime_limit_s": 0.005} | _phases(pattern)
    yield "multifd into zero pages", two | {"filled_bytes": 4 * MIB, "working_set_offset_bytes": 4 * MIB}
    yield "multifd, all zero", two | {"filled_bytes": 0}
    yield "multifd without a limit", two | {"bandwidth_bytes_per_s": None}
    yield "multifd on a slow link", two | {"bandwidth_bytes_per_s": None, "link_bytes_per_s": 3e7}
    yield "multifd, a limit below one packet", two | {"bandwidth_bytes_per_s": 1e6, "give_up_s": 3.0}
    throttled = {"auto_converge": True, "return_path": True, "dirty_rate_bytes_per_s": 120 * MIB, "give_up_s": 4.0}
    yield "multifd, auto-converge, return path", two | throttled
    yield "multifd, downtime limit 0", two | {"downtime_limit_s": 0}
    for speed in (1000, 1999, 5e7, 1e10):
        fields = {"avail_switchover_bandwidth_bytes_per_s": speed, "give_up_s": 0.6}
        yield f"avail-switchover-bandwidth {speed:g}", fields
    yield "avail-switchover-bandwidth, fixed threshold", {
        "avail_switchover_bandwidth_bytes_per_s": 1e9,
        "switchover_rule": "fixed",
    }
    for pattern in ("sequential", "uniform", "lab_random", "phases"):
        written = {"filled_bytes": 0, "writer_start_writes": 700, "pattern": pattern}
        yield f"zero but for what was written before, {pattern}", written | _phases(pattern)


def _coarse() -> Iterator[tuple[str, dict[str, Any], int | None]]:
    for pattern, most_pages in product(PATTERNS, (1000, 100)):
        yield f"{pattern} in {most_pages} pages", SMALL | {"pattern": pattern} | _phases(pattern), most_pages
    yield "an odd guest in 100 pages", SMALL | {
        "ram_bytes": 4096 * 4001,
        "working_set_bytes": 4096 * 77,
        "working_set_offset_bytes": 4096 * 3800,
        "other_ram_bytes": 4096 * 3,
        "qemu_version": "7.2",
    }, 100
    for taken, most_pages in ((4, 1000), (41, 100)):
        yield f"multifd, about {taken} pages in one", SMALL | {"multifd_channels": 2}, most_pages
    huge = {"ram_bytes": 64 << 30, "filled_bytes": 1 << 30, "multifd_channels": 4, "bandwidth_bytes_per_s": 4e9}
    yield "multifd, 64 GiB in 1 MiB pages", huge | {"costs": {"zero_page_s": 2e-8}}, 65536
    yield "64 GiB", {"ram_bytes": 64 << 30, "filled_bytes": MIB, "bandwidth_bytes_per_s": 4e9} | {
        "working_set_offset_bytes": 32 << 30,
        "pattern": "uniform",
        "costs": {"zero_page_s": 2e-8},
    }, None


def _random() -> Iterator[tuple[str, dict[str, Any], int | None]]:
    rng = random.Random(4)
    for number in range(RANDOM_CASES):
        yield f"random {number}", random_fields(rng), rng.choice((None, None, 100))
