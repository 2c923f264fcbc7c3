"""KubeVirt's stall detection (VEP 248 and 252): wait for a good moment once nothing gets better.

kubevirt/enhancements veps/sig-compute/migration-convergence-enhancements.md. Theory of operation: at an iteration's end
the migration has stalled if what remains is not below the least of all iterations older than the progress timeout, and
if it went up since the last iteration. Five more iterations are then samples; the first one after them that is below
the least seen is the moment: if the downtime that it implies is no more than the largest allowed, that is allowed (and
QEMU switches over), else the migration is aborted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from livemig.scenario import Action

__all__ = ["KubevirtStall"]

GIB = 1 << 30
QEMUS_DEFAULT_MS = 300


@dataclass(frozen=True)
class KubevirtStall:
    """KubeVirt's stall detection, see above. `interval_s`: it learns of an iteration's end within so long.

    KubeVirt is told by an event; `max_ms` is maxDowntimeMs, here that of its documents' ramp.
    """

    progress_timeout_s: float = 75
    sample_iterations: int = 5
    max_ms: float = 1050
    completion_timeout_s_per_gib: float = 150
    name: str = "kubevirt-stall"
    interval_s: float = 0.1

    @property
    def begins(self) -> Mapping[str, Any]:
        """QEMU's default limit, unless the largest is smaller."""
        return {"switchover_rule": "qemu", "downtime_limit_s": min(QEMUS_DEFAULT_MS, self.max_ms) / 1000}

    def look(self, sample: Mapping[str, Any], memory: dict[str, Any]) -> Action | None:
        """At the end of an iteration: has it stalled, is this the moment?"""
        now_s = sample["total-time"] / 1000
        if now_s > self.completion_timeout_s_per_gib * sample["base-memory"] / GIB:
            return Action("cancel")
        iteration = sample["dirty-sync-count"]
        if iteration <= max(memory.get("iteration", 1), 1) or memory.get("acted"):
            return None
        memory["iteration"] = iteration
        remaining, before = sample["remaining"], memory.get("remaining")
        memory["remaining"] = remaining
        if "samples" not in memory:
            if self._stalled(now_s, remaining, before, memory):
                memory["samples"] = []
            return None
        samples: list[int] = memory["samples"]
        if len(samples) < self.sample_iterations:
            samples.append(remaining)
            return None
        if remaining >= min(samples):
            return None
        memory["acted"] = True
        return self._switch(sample)

    def _stalled(self, now_s: float, remaining: int, before: int | None, memory: dict[str, Any]) -> bool:
        """`recent` are the iterations younger than the progress timeout, `least` the least of the older ones."""
        recent: list[tuple[float, int]] = memory.setdefault("recent", [])
        while recent and now_s - recent[0][0] > self.progress_timeout_s:
            memory["least"] = min(memory.get("least", recent[0][1]), recent.pop(0)[1])
        recent.append((now_s, remaining))
        least = memory.get("least")
        return least is not None and before is not None and remaining >= least and remaining > before

    def _switch(self, sample: Mapping[str, Any]) -> Action:
        """Allow the largest downtime if what remains implies less at the present bandwidth, or give up.

        QEMU then switches over at its next window, so the stop is as long as what remains then.
        """
        bytes_per_ms = sample["mbps"] * 1e6 / 8 / 1000
        implied_ms = sample["remaining"] / bytes_per_ms if bytes_per_ms else float("inf")
        if implied_ms > self.max_ms:
            return Action("cancel")
        return Action("set_downtime_limit", value=self.max_ms / 1000)
