"""Notebook 08: throttling in steps, and a policy that runs simulated migrations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from livemig.course.model import Case, Draw, Exercise, Function, Task, Wrong, number
from livemig.engine.policies import NovaSteps, downtime_steps
from livemig.scenario import MIB, Action, Scenario

__all__ = ["EXERCISES"]

_DEFAULTS = Scenario()


def _steps(rate: float, bandwidth: float, first_pct: int, increment_pct: int) -> int:
    """How many steps until the guest, awake for the rest of the time, writes more slowly than is sent."""
    steps, throttle_pct = 1, first_pct
    while rate * (100 - throttle_pct) >= 100 * bandwidth:
        steps, throttle_pct = steps + 1, throttle_pct + increment_pct
    return steps


def _throttle(draw: Draw) -> Task:
    bandwidth = draw.choice((32, 40, 50, 64, 80))
    rate = round(bandwidth * draw.randrange(150, 560) / 100)
    first, increment = _DEFAULTS.throttle_initial_pct, _DEFAULTS.throttle_increment_pct
    value = _steps(rate, bandwidth, first, increment)
    reached = first + (value - 1) * increment
    key = number(
        value, "",
        (value - 1, f"Then the guest still writes {rate * (100 - reached + increment) / 100:.4g} MiB/s, not less than "
                    f"is "
                    "sent. Did you count the first step too?"),
        (_steps(rate, bandwidth, increment, increment), f"The first step is cpu-throttle-initial, {first} percent, "
                                                        f"not the "
                                                        f"increment of {increment}."),
        (reached, f"{reached} percent is the throttle that is reached; the number of steps was asked for."),
        tolerance=0.0, noun="steps")
    return Task(
        f"A guest that is bound to its CPU writes {rate} MiB/s on a large working set; the migration sends "
        f"{bandwidth} MiB/s. "
        f"Auto-converge has QEMU's defaults: cpu-throttle-initial {first}, cpu-throttle-increment {increment} "
        f"(percent). After "
        "how many steps, the first one counted, does the guest write more slowly than is sent?", key,
        ("A throttle of 20 percent leaves the guest 80 percent of its time.",
         f"Which part of {rate} MiB/s is below {bandwidth} MiB/s?",
         f"The steps are {first}, {first + increment}, {first + 2 * increment} percent and so on."),
        f"At {reached} percent the guest writes {rate * (100 - reached) / 100:.4g} MiB/s: step {value}.")


def _right(sample: Mapping[str, Any], memory: dict[str, Any]) -> Action | None:
    passes = sample["dirty-sync-count"]
    if passes < 4 or passes == memory.get("passes"):
        return None
    memory["passes"] = passes
    memory["limit_s"] = 2 * memory.get("limit_s", sample["downtime-limit"] / 1000)
    return Action("set_downtime_limit", value=memory["limit_s"])


def _waits(sample: Mapping[str, Any], memory: dict[str, Any]) -> Action | None:
    return None


def _at_once(sample: Mapping[str, Any], memory: dict[str, Any]) -> Action | None:
    return Action("set_downtime_limit", value=1000.0)


def _gives_up(sample: Mapping[str, Any], memory: dict[str, Any]) -> Action | None:
    return Action("cancel") if sample["dirty-sync-count"] > 6 else None


_SOLUTION = """\
def policy(sample, memory):
    passes = sample["dirty-sync-count"]
    if passes < 4 or passes == memory.get("passes"):
        return None
    memory["passes"] = passes
    memory["limit_s"] = 2 * memory.get("limit_s", sample["downtime-limit"] / 1000)
    return livemig.Action("set_downtime_limit", value=memory["limit_s"])
"""


def _policy(draw: Draw) -> Task:
    cases = []
    for _ in range(3):
        link, working_set = draw.choice((32, 48, 64)) * MIB, draw.choice((32, 40, 48)) * MIB
        fields = {"ram_bytes": 160 * MIB, "other_ram_bytes": 0, "its_devices": 0, "working_set_bytes": working_set,
                  "dirty_rate_bytes_per_s": 2.0 * link, "bandwidth_bytes_per_s": None, "link_bytes_per_s": float(link),
                  "downtime_limit_s": 0.1, "give_up_s": 60.0}
        cases.append(Case((fields, 1.2 * working_set / link), "completed"))
    key = Function("policy", _right, tuple(cases), (
        Wrong(_waits, "It never does anything, and QEMU does not give up by itself: the migration goes on for ever."),
        Wrong(_at_once, "It allows a long stop at once, so QEMU stops the guest while most of its memory is still to "
                        "be "
                        "sent. Wait until the first passes are over."),
        Wrong(_gives_up, "It cancels. That keeps the guest where it is; here it is to be moved.")), driver="policy",
        solution=_SOLUTION)
    return Task(
        "Write policy(sample, memory) as in notebook 08. These guests write twice as fast as the link carries, and the "
        "downtime limit is 100 ms. Get each of three over by raising the limit, and stop it for little longer than its "
        "working set takes on the link.", key,
        ("sample['dirty-sync-count'] counts the passes, sample['downtime-limit'] is in ms; memory is a dictionary of "
         "yours.",
         "After the first pass no more than the working set can be dirty. Before that, more is left.",
         "Return livemig.Action('set_downtime_limit', value=...) (seconds), larger from pass to pass."),
        "As doubling in notebook 08: wait for three passes, then double the limit with every pass. As soon as the "
        "working "
        "set fits under the threshold the guest is stopped.")


def _nova(draw: Draw) -> Task:
    nova = NovaSteps(downtime_ms=draw.choice((400, 500, 600, 800)), delay_s=draw.choice((30, 60, 75, 90)))
    gib, needed_ms = draw.choice((4, 8, 12, 16, 24, 32)), draw.randrange(150, 390, 10)
    schedule = downtime_steps(nova.downtime_ms, nova.steps, nova.delay_s, gib)
    number_of, (at_s, limit_ms) = next((i, step) for i, step in enumerate(schedule) if step[1] >= needed_ms)
    plain = downtime_steps(nova.downtime_ms, nova.steps, nova.delay_s, 1)
    key = number(
        at_s, "s",
        (plain[number_of][0], "The delay counts for each GiB of the guest's memory: a larger guest waits longer."),
        (nova.delay_s * gib, f"That is the wait before one step; {number_of} steps are needed."),
        (schedule[-1][0], "That is the end of the schedule. The limit is enough before."),
        (schedule[number_of - 1][0], f"By then the limit is {schedule[number_of - 1][1]} ms, which is too little."),
        (schedule[min(number_of + 1, nova.steps)][0], "One step too many. The first step is set at once, without a "
                                                      "wait."),
        tolerance=0.005)
    return Task(
        f"Nova migrates a guest of {gib} GiB with live_migration_downtime {nova.downtime_ms:g} ms, {nova.steps} steps "
        f"and a delay of {nova.delay_s:g} s a GiB. The guest needs a downtime limit of {needed_ms} ms. How long after "
        "the beginning is the limit that high?", key,
        (f"The first limit is {nova.downtime_ms:g} / {nova.steps} ms; it holds from the beginning.",
         f"From there {nova.steps} equal steps lead to {nova.downtime_ms:g} ms.",
         f"Between two steps lie {nova.delay_s:g} s x {gib}."),
        f"The limits are {', '.join(str(ms) for _, ms in schedule[:number_of + 1])} ms. Step {number_of}, {limit_ms} "
        f"ms, comes after {number_of} x {nova.delay_s:g} s x {gib} = {at_s} s.")


EXERCISES = (
    Exercise("08.1", "steps of the throttle", _throttle),
    Exercise("08.2", "a policy: a function", _policy),
    Exercise("08.3", "how long Nova waits", _nova),
)
