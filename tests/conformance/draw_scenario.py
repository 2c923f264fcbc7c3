"""Random scenarios for the differential test: small guests, every switch, values near the limits more often."""

from __future__ import annotations

import random
from typing import Any

from livemig.scenario import ACTIONS, PATTERNS, SAVE_MOMENTS, Scenario, ScenarioError, its_area_offset

KIB, MIB = 1 << 10, 1 << 20
MAPPINGS = ((0, 1), (1, 1), (6, 4), (2, 32), (64, 2))
"""(its_devices, its_events_per_device): few, because each needs its own tables."""

LAB_WRITES = 200_000


def log_uniform(rng: random.Random, low: float, high: float) -> float:
    return low * (high / low) ** rng.random()


def random_fields(rng: random.Random) -> dict[str, Any]:
    """Fields of a valid Scenario; combinations that Scenario refuses are drawn again."""
    while True:
        fields = _memory(rng) | _switches(rng)
        _writer(rng, fields)
        _parameters(rng, fields)
        _plan(rng, fields)
        try:
            Scenario.from_dict(fields)
        except ScenarioError:
            continue
        return fields


def _memory(rng: random.Random) -> dict[str, Any]:
    page = rng.choice((512, 4096, 4096, 4096, 4096, 16 * KIB, 64 * KIB, MIB))
    pages = int(log_uniform(rng, 1, 8192))
    ram = page * pages
    devices, events = rng.choice(MAPPINGS)
    accelerator = rng.choice(("kvm", "kvm", "kvm", "tcg"))
    end = its_area_offset(ram) // page if devices and accelerator == "kvm" else pages
    first = rng.choice((0, rng.randint(0, max(0, end - 1)), max(0, min(end - 1, 512))))
    return {
        "ram_bytes": ram,
        "page_bytes": page,
        "other_ram_bytes": page * rng.choice((0, 0, 1, rng.randint(0, 4096))),
        "filled_offset_bytes": page * rng.choice((0, 0, first, rng.randint(0, pages))),
        "filled_bytes": rng.choice((None, None, 0, rng.randint(0, ram), page * rng.randint(0, pages))),
        "working_set_offset_bytes": page * first,
        "working_set_bytes": page * rng.randint(0, max(0, end - first)),
        "its_devices": devices,
        "its_events_per_device": events,
        "accelerator": accelerator,
    }


def _switches(rng: random.Random) -> dict[str, Any]:
    return_path = rng.random() < 0.3
    version = rng.choice(("10.0", "7.2"))
    return {
        "qemu_version": version,
        "return_path": return_path,
        "switchover_ack": return_path and version == "10.0" and rng.random() < 0.3,
        "pause_before_switchover": rng.random() < 0.2,
        "destination_paused": rng.random() < 0.15,
        "multifd_channels": rng.choice((0, 0, 0, 1, 2, rng.randint(1, 255))) if version == "10.0" else 0,
        **_throttle(rng),
        "save_tables_when": rng.choice(SAVE_MOMENTS),
        "its_command_period_s": rng.choice((0, 0.05, 0.05, log_uniform(rng, 1e-4, 1.0))),
        "seed": rng.choice((0, 1, 2**32 - 1, rng.getrandbits(32))),
    }


def _throttle(rng: random.Random) -> dict[str, Any]:
    most = rng.choice((99, 99, rng.randint(1, 99)))
    return {
        "auto_converge": rng.random() < 0.35,
        "throttle_initial_pct": rng.randint(1, most),
        "throttle_increment_pct": rng.choice((10, rng.randint(1, 99))),
        "throttle_max_pct": most,
        "throttle_trigger_pct": rng.choice((50, 1, rng.randint(1, 100))),
        "catch_up_s": rng.choice((0.0, 0.0, None, log_uniform(rng, 1e-4, 1.0))),
    }


def _writer(rng: random.Random, fields: dict[str, Any]) -> None:
    pattern = rng.choice(PATTERNS)
    fields["pattern"] = pattern
    fields["dirty_rate_bytes_per_s"] = rng.choice((0, log_uniform(rng, 1e3, 1e9)))
    fields["writer_start_writes"] = rng.choice((0, 0, rng.random() * 1e5, log_uniform(rng, 1, 1e15)))
    fields["hot_fraction"] = rng.choice((0, 1, rng.random(), 0.1))
    fields["hot_share"] = rng.choice((0, 1, rng.random(), 0.9))
    fields["zipf_exponent"] = rng.choice((0.5, 1, 1.5, 2.0, 2.5, 3))
    if pattern == "lab_random":  # its states are made one by one
        fields["dirty_rate_bytes_per_s"] = min(fields["dirty_rate_bytes_per_s"], fields["page_bytes"] * 2e4)
        fields["writer_start_writes"] = min(fields["writer_start_writes"], LAB_WRITES)
    if pattern == "phases":
        fields["phases"] = [
            {
                "duration_s": log_uniform(rng, 1e-3, 2),
                "pattern": rng.choice(PATTERNS[:5]),
                "dirty_rate_bytes_per_s": log_uniform(rng, 1e3, 1e9),
            }
            for _ in range(rng.randint(1, 5))
        ]


def _parameters(rng: random.Random, fields: dict[str, Any]) -> None:
    ram = fields["ram_bytes"] + fields["other_ram_bytes"]
    fields["bandwidth_bytes_per_s"] = rng.choice(
        (None, max(4096.0, ram / log_uniform(rng, 0.01, 2)), int(max(4096, ram)), log_uniform(rng, 1e5, 1e10))
    )
    fields["link_bytes_per_s"] = rng.choice((None, None, max(1.0, ram / log_uniform(rng, 0.01, 3))))
    if fields["qemu_version"] == "10.0" and rng.random() < 0.2:
        fields["avail_switchover_bandwidth_bytes_per_s"] = log_uniform(rng, 1000, 1e10)
    fields["switchover_rule"] = rng.choice(("qemu", "qemu", "fixed"))
    fields["downtime_limit_s"] = rng.choice((0.3, 0, log_uniform(rng, 1e-4, 3), rng.randint(0, 40) / 2000))
    fields["fixed_threshold_bytes"] = rng.choice((64 * KIB, 0, int(log_uniform(rng, 1, ram + 2))))
    fields["give_up_s"] = rng.choice((log_uniform(rng, 0.001, 0.6), 0.25, 0.25, 0.25, 0.8))
    if fields["auto_converge"]:  # it looks once a second, and syncs by itself each five
        fields["give_up_s"] = rng.choice((0.25, 3.5, 3.5, 6.0, 11.0))
    if rng.random() < 0.3:
        fields["costs"] = {
            "memory_bytes_per_s": log_uniform(rng, 1e8, 1e11),
            "zero_page_s": rng.choice((0, 1e-6)),
            "sync_s": rng.choice((0, 1e-3, 0.02)),
            "setup_s": rng.choice((0, 1e-4, 0.1)),
            "stop_s": rng.choice((0, 0.01)),
            "device_state_bytes": rng.choice((0, 33000, 12345, 10**6)),
            "wakeup_s": rng.choice((0, 1e-4)),
            "load_s": rng.choice((0, 0.5)),
        }


def _plan(rng: random.Random, fields: dict[str, Any]) -> None:
    plan: list[dict[str, Any]] = []
    for _ in range(rng.choice((0, 0, 0, 1, 2, 3))):
        do = rng.choice(tuple(action for action in ACTIONS if action != "continue"))
        at = rng.choice(("time", "time", "stop-copy", "pre-switchover"))
        if at == "pre-switchover" and not fields["pause_before_switchover"]:
            at = "time"
        late_s = {"time": log_uniform(rng, 1e-3, 3), "stop-copy": rng.random() * 0.01}.get(at, rng.random())
        value = None
        if do.startswith("set_"):
            limits = (0.01, 5) if do == "set_downtime_limit" else (1e5, 1e9)
            value = rng.choice((0, log_uniform(rng, *limits)))
        if do == "set_max_throttle":
            value = rng.randint(fields["throttle_initial_pct"], 99)
        plan.append({"do": do, "at": at, "at_s": rng.choice((0.0, late_s, late_s)), "value": value})
    if fields["pause_before_switchover"] and rng.random() < 0.8:
        plan.append({"do": "continue", "at": "pre-switchover", "at_s": rng.random() * 0.5, "value": None})
    fields["plan"] = plan
