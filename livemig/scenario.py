"""Scenario: every input of a run, once, with its unit, label, range, default and source.

The field metadata feeds the command line's options, the stage's sliders and the error texts, so no other file repeats
a default or a limit. Inside everything is bytes, seconds and bytes per second; MiB and ms appear only at the edges.
This file imports nothing of livemig.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from difflib import get_close_matches
from typing import Any

__all__ = [
    "ITS_AREA_BYTES",
    "LONGEST_RUN_S",
    "MIB",
    "PATTERNS",
    "SAVE_MOMENTS",
    "Action",
    "Costs",
    "Phase",
    "Scenario",
    "ScenarioError",
    "check_value",
    "its_area_offset",
]

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40

PATTERNS = ("idle", "sequential", "uniform", "hot_cold", "zipf", "phases", "lab_random")
SWITCHOVER_RULES = ("qemu", "fixed")
QEMU_VERSIONS = ("10.0", "7.2")
ACCELERATORS = ("kvm", "tcg")
SAVE_MOMENTS = ("stop", "t0", "each_sync", "pre_save", "never")
ACTIONS = (
    "cancel",
    "link_failure",
    "continue",
    "set_downtime_limit",
    "set_bandwidth",
    "set_max_throttle",
    "silent_peer",
    "destination_dies",
)
ACTION_MOMENTS = ("time", "pre-switchover", "stop-copy")


class ScenarioError(ValueError):
    """An impossible input; the message names the field, its value, the limit and the reason."""


@dataclass(frozen=True)
class Costs:
    """Times and speeds of the host, set once from QEMU 10.0.13 on the recording machine, never per recording.

    >>> from livemig import Costs, Scenario
    >>> Scenario(costs=Costs(sync_s=0.002)).costs.sync_s
    0.002
    """

    memory_bytes_per_s: float = 2.6e9  # a RAM page into a local socket with no limit (recorded 1.6 to 2.9 GB/s)
    zero_page_s: float = 0.25e-6  # finding out that a page is zero and sending its 9 bytes
    sync_s: float = 0.25e-3  # dirty log to migration bitmap, median of 77 exact syncs
    setup_s: float = 1.5e-3  # migrate command to the first iteration, first sync included
    stop_s: float = 0.13e-3  # migration_stop_vm, median of 13 stops
    device_state_s: float = 0.8e-3  # non-iterable sections after the last page
    device_state_bytes: int = 33000  # those sections, their framing and the JSON description (recorded 32 to 34 kB)
    wakeup_s: float = 0.1e-3  # the thread wakes this late after a window's sleep
    save_tables_s: float = 0.3e-3  # SAVE_TABLES and SAVE_PENDING_TABLES together
    load_s: float = 1.5e-3  # the destination loads the device sections and starts the guest


@dataclass(frozen=True)
class Phase:
    """One stretch of a `phases` workload; the last one goes on to the end.

    >>> from livemig import Phase, Scenario
    >>> Scenario(pattern="phases", phases=(Phase(2.0, "sequential", 80e6), Phase(1.0, "idle", 0.0))).phases[1].pattern
    'idle'
    """

    duration_s: float
    pattern: str
    dirty_rate_bytes_per_s: float


@dataclass(frozen=True)
class Action:
    """A user command or a fault of the run's plan: what, and at a time or at a moment of the switchover.

    >>> import livemig
    >>> livemig.simulate(livemig.Scenario(plan=(livemig.Action("cancel", at_s=1.0),))).outcome.status
    'cancelled'

    `do` is one of ACTIONS. Faults: after `link_failure` the next write fails; a `silent_peer` keeps the connection and
    reads nothing, so that writes block; `destination_dies` ends that process (its socket closes). `at` is "time" (then
    `at_s` counts from T0), "pre-switchover" or "stop-copy" (then `at_s` counts from the beginning of that moment).
    `value` is the new limit in seconds, bytes per second or percent (`set_max_throttle`: max-cpu-throttle).
    """

    do: str
    at_s: float = 0.0
    at: str = "time"
    value: float | None = None


def _number(default: Any, unit: str, label: str, low: float, high: float, source: str, **more: Any) -> Any:
    return field(
        default=default, metadata={"unit": unit, "label": label, "min": low, "max": high, "source": source, **more}
    )


def _choice(default: str, label: str, choices: tuple[str, ...], source: str) -> Any:
    return field(default=default, metadata={"unit": "", "label": label, "choices": choices, "source": source})


def _switch(default: bool, label: str, source: str) -> Any:
    return field(default=default, metadata={"unit": "", "label": label, "flag": True, "source": source})


LONGEST_RUN_S = 10_000.0  # 100,000 windows
ITS_AREA_BYTES = 448 * KIB  # the tables, 64 KiB each, at the end of RAM

_LAB = "the lab's recordings (data/recordings)"
_QEMU = "QEMU 10.0.13 migration/options.c"


@dataclass(frozen=True)
class Scenario:
    """Every input of one migration. Frozen and hashable; wrong values raise `ScenarioError` when it is made.

    >>> from livemig import Scenario
    >>> Scenario(ram_bytes=1 << 30, dirty_rate_bytes_per_s=40e6).working_set_bytes
    67108864
    """

    # the guest's memory
    ram_bytes: int = _number(256 * MIB, "bytes", "Guest RAM", 4096, 16 * TIB, _LAB, slider=(64 * MIB, 64 * GIB))
    page_bytes: int = _number(4096, "bytes", "Page size", 512, GIB, "AArch64 4 KiB granule")
    other_ram_bytes: int = _number(
        128 * MIB + 136 * KIB,
        "bytes",
        "Other RAM blocks (zero)",
        0,
        TIB,
        "QEMU virt: two 64 MiB flash banks and 34 pages of tables; recorded ram.total",
    )
    filled_offset_bytes: int = _number(2 * MIB, "bytes", "First byte that is not zero", 0, 16 * TIB, _LAB)
    filled_bytes: int | None = _number(None, "bytes", "RAM that is not zero (default: all the rest)", 0, 16 * TIB, _LAB)
    contents: bool = _switch(False, "RAM as real bytes (guests up to 1 GiB)", "DESIGN.md, decision 5")
    # who writes where
    pattern: str = _choice("sequential", "Write pattern", PATTERNS, "engine/workload.py")
    dirty_rate_bytes_per_s: float = _number(20.0 * MIB, "bytes/s", "Dirty rate", 0, 1e14, _LAB, slider=(0, 512 * MIB))
    working_set_bytes: int = _number(64 * MIB, "bytes", "Working set", 0, 16 * TIB, _LAB, slider=(0, 256 * MIB))
    working_set_offset_bytes: int = _number(2 * MIB, "bytes", "Working set starts at", 0, 16 * TIB, _LAB)
    writer_start_writes: float = _number(
        0, "pages", "Page writes before T0", 0, 1e15, "tells where the writer stands at T0"
    )
    hot_fraction: float = _number(0.1, "", "Hot part of the working set", 0, 1, "hot_cold")
    hot_share: float = _number(0.9, "", "Share of writes that go to the hot part", 0, 1, "hot_cold")
    zipf_exponent: float = _number(1.0, "", "Zipf exponent (steps of 0.5)", 0.5, 3, "zipf")
    phases: tuple[Phase, ...] = field(default=(), metadata={"unit": "", "label": "Phases", "source": "pattern phases"})
    seed: int = _number(1, "", "Seed of random patterns", 0, 2**32 - 1, "engine/workload.py")
    # the migration's parameters
    bandwidth_bytes_per_s: float | None = _number(
        64.0 * MIB,
        "bytes/s",
        "Bandwidth (max-bandwidth; None = no limit)",
        4096,
        1e14,
        _QEMU,
        slider=(8 * MIB, 1024 * MIB),
    )
    link_bytes_per_s: float | None = _number(None, "bytes/s", "Link speed (default: memory speed)", 1, 1e14, _LAB)
    switchover_rule: str = _choice(
        "qemu",
        "Switchover rule",
        SWITCHOVER_RULES,
        "qemu: measured bandwidth x downtime-limit; fixed: the document's number of bytes",
    )
    downtime_limit_s: float = _number(0.3, "s", "Downtime limit", 0, 2000, _QEMU, slider=(0.01, 2))
    fixed_threshold_bytes: int = _number(
        64 * KIB, "bytes", "Fixed threshold", 0, 16 * TIB, "the document: usually 64 KB", slider=(4 * KIB, 256 * MIB)
    )
    avail_switchover_bandwidth_bytes_per_s: float | None = _number(
        None,
        "bytes/s",
        "avail-switchover-bandwidth (10.0 only; None: measured)",
        1000,
        1e14,
        _QEMU + "; below 1000 bytes/s it counts as 0",
    )
    qemu_version: str = _choice("10.0", "QEMU version", QEMU_VERSIONS, "10.0.13 and 7.2.22 are recorded")
    accelerator: str = _choice(
        "kvm", "Accelerator", ACCELERATORS, "kvm: the ITS lives in the kernel; tcg: in guest memory"
    )
    pause_before_switchover: bool = _switch(False, "pause-before-switchover", _QEMU)
    return_path: bool = _switch(False, "return-path", _QEMU)
    switchover_ack: bool = _switch(False, "switchover-ack (10.0 only)", _QEMU)
    destination_paused: bool = _switch(False, "Destination started with -S", "QEMU 10.0.13 system/vl.c; libvirt does")
    multifd_channels: int = _number(0, "", "multifd-channels (0: no multifd; 10.0 only)", 0, 255, _QEMU)
    auto_converge: bool = _switch(False, "auto-converge", _QEMU)
    throttle_initial_pct: int = _number(20, "", "cpu-throttle-initial, percent", 1, 99, _QEMU)
    throttle_increment_pct: int = _number(10, "", "cpu-throttle-increment, percent", 1, 99, _QEMU)
    throttle_max_pct: int = _number(99, "", "max-cpu-throttle, percent", 1, 99, _QEMU)
    throttle_trigger_pct: int = _number(50, "", "throttle-trigger-threshold, percent", 1, 100, _QEMU)
    catch_up_s: float | None = _number(
        0.0,
        "s",
        "Work that the guest catches up after a throttle's sleep (None: all)",
        0,
        1e6,
        "0: its writes are bound to its CPU time; the lab guest's maxlag",
    )
    # the ITS
    its_devices: int = _number(6, "", "Devices with interrupts (0: no ITS)", 0, 64, "data/recordings k01")
    its_events_per_device: int = _number(4, "", "Events per device", 1, 32, "data/recordings k01")
    its_command_period_s: float = _number(
        0.05, "s", "The guest maps or unmaps an event each (0: never)", 0, 3600, "data/recordings k01, ten times slower"
    )
    save_tables_when: str = _choice(
        "stop", "Save the tables", SAVE_MOMENTS, "QEMU: at the stop; the others are experiments"
    )
    # what happens when
    plan: tuple[Action, ...] = field(
        default=(), metadata={"unit": "", "label": "Plan", "source": "user commands, faults"}
    )
    give_up_s: float | None = _number(
        None,
        "s",
        "Give up after (default: ten bulk copies, 60 s at least)",
        0.001,
        LONGEST_RUN_S,
        "QEMU itself never gives up; the model keeps every 100 ms window of a run in memory",
    )
    costs: Costs = field(default=Costs(), metadata={"unit": "", "label": "Host costs", "source": "engine, set once"})

    def __new__(cls, *args: Any, **inputs: Any) -> Scenario:
        """Refuses names that are no inputs, as Python would, but with the name that was probably meant."""
        for name in inputs:
            if name not in cls.__dataclass_fields__:
                raise TypeError(f"Scenario has no input {name!r}; {_near(name)}")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for item in fields(self):
            _check_field(item, getattr(self, item.name))
        _check_together(self)

    @property
    def ram_pages(self) -> int:
        """Pages of the guest's RAM block."""
        return self.ram_bytes // self.page_bytes

    @property
    def pages(self) -> int:
        """Pages of all RAM blocks: RAM, then the other blocks (all zero)."""
        return self.ram_pages + self.other_ram_bytes // self.page_bytes

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `from_dict` takes them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scenario:
        """A scenario from plain values; unknown names raise `ScenarioError`."""
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ScenarioError(f"unknown input {unknown[0]!r}; {_near(unknown[0])}")
        made = dict(values)
        try:
            made["plan"] = tuple(a if isinstance(a, Action) else Action(**a) for a in made.get("plan", ()))
            made["phases"] = tuple(p if isinstance(p, Phase) else Phase(**p) for p in made.get("phases", ()))
            if isinstance(made.get("costs"), Mapping):
                made["costs"] = Costs(**made["costs"])
        except TypeError as error:
            raise ScenarioError(f"plan, phases or costs: {error}") from error
        return cls(**made)


def _near(name: str) -> str:
    """The inputs that a wrong name may have meant: those that begin with it, then those that look like it; or all."""
    known = [item.name for item in fields(Scenario)]
    near = [one for one in known if one.startswith(name)] or get_close_matches(name, known)
    return f"did you mean {' or '.join(near[:3])}?" if near else f"known are {', '.join(sorted(known))}"


def check_value(name: str, value: Any) -> None:
    """Raise `ScenarioError` where one field could not have this value, whatever the others are."""
    _check_field(Scenario.__dataclass_fields__[name], value)


def _check_field(item: Field[Any], value: Any) -> None:
    meta = item.metadata
    if "choices" in meta:
        if value not in meta["choices"]:
            raise ScenarioError(f"{item.name} = {value!r}: expected one of {', '.join(meta['choices'])}")
        return
    if "flag" in meta:
        if not isinstance(value, bool):
            raise ScenarioError(f"{item.name} = {value!r}: expected True or False")
        return
    if "min" not in meta or (value is None and "None" in str(item.type)):
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ScenarioError(f"{item.name} = {value!r}: expected a number of {meta['unit'] or 'units'}")
    if str(item.type).startswith("int") and value != int(value):
        raise ScenarioError(f"{item.name} = {value!r}: expected a whole number")
    if not meta["min"] <= value <= meta["max"]:
        limit = ("below the smallest", meta["min"]) if value < meta["min"] else ("above the largest", meta["max"])
        raise ScenarioError(
            f"{item.name} = {value:g} {meta['unit']}: {limit[0]} allowed value, {limit[1]:g} ({meta['source']})"
        )


def its_area_offset(ram_bytes: int) -> int:
    """Where in RAM the ITS's tables begin: the last whole 64 KiB pieces (KVM's table pages are 64 KiB)."""
    return (ram_bytes - ITS_AREA_BYTES) // (64 * KIB) * (64 * KIB)


def _check_together(s: Scenario) -> None:
    page = s.page_bytes
    if page & (page - 1):
        raise ScenarioError(f"page_bytes = {page}: not a power of two (a page address is a bit field)")
    for name in (
        "ram_bytes",
        "other_ram_bytes",
        "working_set_bytes",
        "working_set_offset_bytes",
        "filled_offset_bytes",
    ):
        if getattr(s, name) % page:
            raise ScenarioError(f"{name} = {getattr(s, name)}: not a multiple of page_bytes = {page}")
    if s.ram_bytes < page:
        raise ScenarioError(f"ram_bytes = {s.ram_bytes}: smaller than one page of {page} bytes")
    if s.pages > 2**32:
        raise ScenarioError(
            f"ram_bytes = {s.ram_bytes}: {s.pages} pages; more than 2^32 need larger pages (page_bytes)"
        )
    room = s.ram_bytes - s.working_set_offset_bytes
    if s.working_set_bytes > room:
        raise ScenarioError(
            f"working_set_bytes = {s.working_set_bytes}: larger than the {max(room, 0)} bytes of RAM "
            f"({s.ram_bytes}) behind working_set_offset_bytes = {s.working_set_offset_bytes}"
        )
    its_room = its_area_offset(s.ram_bytes)
    if s.its_devices and s.accelerator == "kvm" and s.working_set_offset_bytes + s.working_set_bytes > its_room:
        raise ScenarioError(
            f"working_set_bytes = {s.working_set_bytes}: the ITS's tables need {ITS_AREA_BYTES} bytes at "
            f"the end of RAM, so the working set must end at {its_room} at the latest (or its_devices = 0)"
        )
    if s.pattern not in ("idle", "phases") and s.dirty_rate_bytes_per_s > 0 and not s.working_set_bytes:
        raise ScenarioError("working_set_bytes = 0: a guest that writes needs a working set (or pattern idle, rate 0)")
    if s.contents and s.ram_bytes > GIB:
        raise ScenarioError(f"contents = True with ram_bytes = {s.ram_bytes}: real bytes are for guests up to {GIB}")
    if s.pattern == "zipf" and (2 * s.zipf_exponent) % 1:
        raise ScenarioError(
            f"zipf_exponent = {s.zipf_exponent}: steps of 0.5 only (every language must compute the same)"
        )
    if s.switchover_ack and not s.return_path:
        raise ScenarioError("switchover_ack = True: needs return_path = True, the ACK comes back on it")
    if s.switchover_ack and s.qemu_version == "7.2":
        raise ScenarioError("switchover_ack = True: QEMU 7.2 has no such capability (10.0 has)")
    _check_versions(s)
    _check_phases(s)
    _check_plan(s)
    _check_costs(s.costs)


def _check_versions(s: Scenario) -> None:
    if s.qemu_version == "7.2" and s.avail_switchover_bandwidth_bytes_per_s is not None:
        raise ScenarioError(
            f"avail_switchover_bandwidth_bytes_per_s = {s.avail_switchover_bandwidth_bytes_per_s:g}: QEMU 7.2 has no "
            "such parameter (10.0 has)"
        )
    if s.qemu_version == "7.2" and s.multifd_channels:
        raise ScenarioError(f"multifd_channels = {s.multifd_channels}: only the multifd of QEMU 10.0 is modelled")
    if s.throttle_initial_pct > s.throttle_max_pct:
        raise ScenarioError(
            f"throttle_initial_pct = {s.throttle_initial_pct}: above throttle_max_pct = {s.throttle_max_pct}"
        )


def _check_phases(s: Scenario) -> None:
    if s.pattern == "phases" and not s.phases:
        raise ScenarioError("pattern = 'phases': phases is empty, at least one Phase is needed")
    for i, phase in enumerate(s.phases):
        if phase.pattern not in PATTERNS or phase.pattern in ("phases", "lab_random"):
            raise ScenarioError(f"phases[{i}].pattern = {phase.pattern!r}: expected one of {', '.join(PATTERNS[:5])}")
        if not (0 < phase.duration_s <= 1e6 and 0 <= phase.dirty_rate_bytes_per_s <= 1e14):
            raise ScenarioError(
                f"phases[{i}]: duration_s = {phase.duration_s} must be > 0 (to 1e6), "
                f"dirty_rate_bytes_per_s = {phase.dirty_rate_bytes_per_s} must be >= 0 (to 1e14)"
            )
        if phase.pattern != "idle" and not s.working_set_bytes:
            raise ScenarioError(f"phases[{i}] writes: working_set_bytes = 0 leaves it no page to write")


def _check_plan(s: Scenario) -> None:
    for i, action in enumerate(s.plan):
        if action.do not in ACTIONS:
            raise ScenarioError(f"plan[{i}].do = {action.do!r}: expected one of {', '.join(ACTIONS)}")
        if action.at not in ACTION_MOMENTS:
            raise ScenarioError(f"plan[{i}].at = {action.at!r}: expected one of {', '.join(ACTION_MOMENTS)}")
        if not action.at_s >= 0:
            raise ScenarioError(f"plan[{i}].at_s = {action.at_s}: a plan cannot begin before T0 (0)")
        if action.do.startswith("set_") and not (action.value is not None and action.value >= 0):
            raise ScenarioError(f"plan[{i}].value = {action.value}: {action.do} needs a number >= 0")
        if action.do == "set_max_throttle" and action.value not in range(s.throttle_initial_pct, 100):
            raise ScenarioError(
                f"plan[{i}].value = {action.value}: max-cpu-throttle is a whole percentage from throttle_initial_pct = "
                f"{s.throttle_initial_pct} to 99 (QEMU refuses others)"
            )
        if action.at == "pre-switchover" and not s.pause_before_switchover:
            raise ScenarioError(f"plan[{i}].at = 'pre-switchover': needs pause_before_switchover = True")


def _check_costs(costs: Costs) -> None:
    if not isinstance(costs, Costs):
        raise ScenarioError(f"costs = {costs!r}: expected Costs")
    for name, value in vars(costs).items():
        low, high = (4096, 1e14) if name == "memory_bytes_per_s" else (0, 1e9 if name.endswith("_bytes") else 3600)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ScenarioError(f"costs.{name} = {value!r}: expected a number from {low:g} to {high:g}")
