"""The policies that real systems use to get a migration over, as small objects (`monitor.py` says how they are asked).

All of them turn one knob, QEMU's downtime-limit (hence the threshold), or give up, or slow the guest down. `POLICIES`
has one of each with its project's defaults; other values are other objects: `NovaSteps(downtime_ms=400)`. Rules that a
project states in its documents are followed as stated there; where its code does something else the docstring says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from livemig.engine.stall import KubevirtStall
from livemig.scenario import Action

__all__ = ["POLICIES", "AutoConverge", "FixedThreshold", "KubevirtRamp", "KubevirtStall", "NovaSteps", "Ovirt", "Qemu",
           "Xen", "downtime_steps"]

GIB = 1 << 30
Sample = Mapping[str, Any]
Memory = dict[str, Any]
_NOW_S = 2000.0  # QEMU's largest downtime-limit: the threshold is then above any guest, so QEMU switches over


@dataclass(frozen=True)
class FixedThreshold:
    """The document's: stop as soon as what is left is below a fixed number of bytes. No QEMU does this."""

    threshold_bytes: int = 64 << 10
    name: str = "seed"
    interval_s: float = 1.0

    @property
    def begins(self) -> Mapping[str, Any]:
        """The rule."""
        return {"switchover_rule": "fixed", "fixed_threshold_bytes": self.threshold_bytes}

    def look(self, sample: Sample, memory: Memory) -> None:
        """Nothing: it is set before the migration."""


@dataclass(frozen=True)
class Qemu:
    """QEMU as it is: downtime-limit stays where it was set, 300 ms (QEMU 10.0.13 migration/options.c)."""

    downtime_ms: float = 300
    name: str = "qemu"
    interval_s: float = 1.0

    @property
    def begins(self) -> Mapping[str, Any]:
        """The limit."""
        return {"switchover_rule": "qemu", "downtime_limit_s": self.downtime_ms / 1000}

    def look(self, sample: Sample, memory: Memory) -> None:
        """Nothing: nobody changes it."""


@dataclass(frozen=True)
class AutoConverge:
    """QEMU's auto-converge: the vCPUs are slowed down step by step (QEMU 10.0.13 migration/ram.c); the limit stays."""

    downtime_ms: float = 300
    name: str = "auto-converge"
    interval_s: float = 1.0

    @property
    def begins(self) -> Mapping[str, Any]:
        """The capability; its steps are the scenario's."""
        return {"switchover_rule": "qemu", "downtime_limit_s": self.downtime_ms / 1000, "auto_converge": True}

    def look(self, sample: Sample, memory: Memory) -> None:
        """Nothing: QEMU itself does it."""


def downtime_steps(downtime_ms: float, steps: int, delay_s: float, data_gib: float) -> list[tuple[int, int]]:
    """Nova's schedule: (seconds since the beginning, downtime-limit in ms), `steps` + 1 of them.

    OpenStack Nova nova/virt/libvirt/migration.py downtime_steps.
    """
    base = downtime_ms / steps
    offset = (downtime_ms - base) / steps
    return [(int(delay_s * data_gib) * i, int(base + offset * i)) for i in range(steps + 1)]


@dataclass(frozen=True)
class NovaSteps:
    """OpenStack Nova's: the limit rises in equal steps, each after so many seconds a GiB of the guest's memory.

    The defaults are live_migration_downtime, _steps and _delay. `data_gib` None: the guest's memory, 2 GiB at least.
    """

    downtime_ms: float = 500
    steps: int = 10
    delay_s: float = 75
    data_gib: float | None = None
    name: str = "nova"
    interval_s: float = 0.5

    @property
    def begins(self) -> Mapping[str, Any]:
        """QEMU's rule; the first step comes with the first look."""
        return {"switchover_rule": "qemu"}

    def look(self, sample: Sample, memory: Memory) -> Action | None:
        """The last step that is due, if it is a new one."""
        gib = self.data_gib if self.data_gib is not None else max(sample["base-memory"] / GIB, 2.0)
        due = [ms for at_s, ms in downtime_steps(self.downtime_ms, self.steps, self.delay_s, gib)
               if at_s * 1000 <= sample["total-time"]]
        if not due or due[-1] == memory.get("set"):
            return None
        memory["set"] = due[-1]
        return Action("set_downtime_limit", value=due[-1] / 1000)


@dataclass(frozen=True)
class Ovirt:
    """oVirt's: 100 ms at first; with the 1st, 2nd, 3rd, 4th and 6th stalled iteration 150, 200, 300, 400, 500 ms.

    Then come the `last` limits one by one, each at a further stall, and then an abort. An iteration has stalled when
    what remains is not below the least that was seen. oVirt engine, config value MigrationPolicies ("Minimal downtime",
    "Suspend workload if needed": both with auto-converge); VDSM lib/vdsm/virt/migration.py looks every 10 s (newer ones
    count every iteration instead).
    """

    name: str = "ovirt-minimal"
    last: tuple[float, ...] = ()
    first_ms: float = 100
    schedule: tuple[tuple[int, float], ...] = ((1, 150), (2, 200), (3, 300), (4, 400), (6, 500))
    auto_converge: bool = True
    interval_s: float = 10.0

    @property
    def begins(self) -> Mapping[str, Any]:
        """The first limit."""
        return {"switchover_rule": "qemu", "downtime_limit_s": self.first_ms / 1000,
                "auto_converge": self.auto_converge}

    def look(self, sample: Sample, memory: Memory) -> Action | None:
        """At a stalled iteration the next item of the schedule, if its number has come."""
        iteration, remaining = sample["dirty-sync-count"], sample["remaining"]
        is_new = iteration > memory.setdefault("iteration", iteration)
        lowest = memory.get("lowest")
        memory["iteration"] = iteration
        memory["lowest"] = remaining if lowest is None else min(lowest, remaining)
        if not is_new or lowest is None or remaining < lowest:
            return None
        memory["stalls"] = memory.get("stalls", 0) + 1
        done = memory.setdefault("done", 0)
        items = [*self.schedule, *((0, ms) for ms in self.last)]
        if done < len(items) and memory["stalls"] < items[done][0]:
            return None
        memory["done"] += 1
        if done >= len(items):
            return Action("cancel")
        return Action("set_downtime_limit", value=items[done][1] / 1000)


@dataclass(frozen=True)
class KubevirtRamp:
    """KubeVirt's downtimeTuning (VEP 291): from iteration 3 on the limit rises every 10 s, in 7 levels to the largest.

    kubevirt/enhancements veps/sig-compute/291-dynamic-downtime-tuning/vep.md: the cooldown begins when the iteration is
    reached; the levels are those that it lists (150, 300 ... 1050 ms). Its time limit (completionTimeoutPerGiB) ends in
    an abort here.
    """

    initial_ms: float = 150
    max_ms: float = 1050
    steps: int = 7
    start_after_iteration: int = 3
    cooldown_s: float = 10
    completion_timeout_s_per_gib: float = 150
    name: str = "kubevirt-ramp"
    interval_s: float = 0.4

    @property
    def begins(self) -> Mapping[str, Any]:
        """The first level."""
        return {"switchover_rule": "qemu", "downtime_limit_s": self.initial_ms / 1000}

    @property
    def levels(self) -> tuple[int, ...]:
        """The limits in ms, in order."""
        each = (self.max_ms - self.initial_ms) / max(self.steps - 1, 1)
        return tuple(int(self.initial_ms + each * i) for i in range(self.steps))

    def look(self, sample: Sample, memory: Memory) -> Action | None:
        """The next level when the cooldown is over."""
        now_s = sample["total-time"] / 1000
        if now_s > self.completion_timeout_s_per_gib * sample["base-memory"] / GIB:
            return Action("cancel")
        if sample["dirty-sync-count"] < self.start_after_iteration:
            return None
        since_s = memory.setdefault("since_s", now_s)
        level = memory.setdefault("level", 0)
        if now_s - since_s < self.cooldown_s or level + 1 >= len(self.levels):
            return None
        memory.update(since_s=now_s, level=level + 1)
        return Action("set_downtime_limit", value=self.levels[level + 1] / 1000)


@dataclass(frozen=True)
class Xen:
    """Xen's stop rule: after 29 iterations, below 50 pages, after 3 x RAM, or if an iteration sent more than the last.

    xen-project/xen tools/libxc/xc_domain_save.c. QEMU cannot be told to stop now, but with the largest downtime-limit
    it does at its next window. Until then the limit is 1 ms, the least that is not QEMU's special case 0.
    """

    iterations: int = 29
    pages: int = 50
    ram_factor: float = 3.0
    name: str = "xen"
    interval_s: float = 0.1

    @property
    def begins(self) -> Mapping[str, Any]:
        """QEMU's own rule as good as out of the way."""
        return {"switchover_rule": "qemu", "downtime_limit_s": 0.001}

    def look(self, sample: Sample, memory: Memory) -> Action | None:
        """Stop where Xen would."""
        if memory.get("stopped") or not sample["dirty-sync-count"]:
            return None
        if not self._stops(sample, memory):
            return None
        memory["stopped"] = True
        return Action("set_downtime_limit", value=_NOW_S)

    def _stops(self, sample: Sample, memory: Memory) -> bool:
        iteration, sent = sample["dirty-sync-count"], sample["transferred"]
        more = False
        if iteration > memory.setdefault("iteration", iteration):
            this = sent - memory.get("sent", 0)
            more = iteration > 2 and this > memory.get("this", this)
            memory.update(iteration=iteration, sent=sent, this=this)
        return (more or iteration > self.iterations or sent > self.ram_factor * sample["base-memory"]
                or 0 < sample["remaining"] < self.pages * sample["page-size"])


POLICIES: Mapping[str, Any] = {policy.name: policy for policy in (
    FixedThreshold(), Qemu(), AutoConverge(), NovaSteps(), Ovirt(), Ovirt("ovirt-suspend", last=(5000,)),
    KubevirtRamp(), KubevirtStall(), Xen())}
