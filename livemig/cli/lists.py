"""The lists that an option can carry: phases of a workload, the plan of a run, costs of the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from livemig.scenario import ACTION_MOMENTS, ACTIONS, PATTERNS, Action, Costs, Phase
from livemig.units import UnitError, parse_quantity, parse_rate, parse_time

__all__ = ["read_costs", "read_phases", "read_plan"]

_PHASE_PATTERNS = tuple(name for name in PATTERNS if name not in ("phases", "lab_random"))
_VALUES: Mapping[str, Callable[[str], float]] = {
    "set_downtime_limit": parse_time, "set_bandwidth": parse_rate,
    "set_max_throttle": lambda text: parse_quantity(text.removesuffix("%"), "")}
_EXAMPLES = {"set_downtime_limit": "1s", "set_bandwidth": "64MiB/s", "set_max_throttle": "50"}
_COST_UNITS = (("_bytes_per_s", "bytes/s"), ("_bytes", "bytes"), ("_s", "s"))


def read_phases(text: str) -> tuple[Phase, ...]:
    """Phases out of "2s sequential 20MiB/s, 5s idle": duration, pattern, dirty rate (idle needs none)."""
    found = []
    for entry in _entries(text):
        duration, pattern, rate = _split(entry, _PHASE_PATTERNS, "a duration, a pattern and a rate")
        if not duration:
            raise UnitError(f"{entry!r}: how long? a duration comes first, such as '2s {pattern} 20MiB/s'")
        if not rate and pattern != "idle":
            raise UnitError(f"{entry!r}: how fast? a dirty rate comes last, such as '{duration} {pattern} 20MiB/s'")
        found.append(Phase(parse_time(duration), pattern, parse_rate(rate) if rate else 0.0))
    return tuple(found)


def read_plan(text: str) -> tuple[Action, ...]:
    """Actions out of "2s cancel, pre-switchover+0.5s continue, 3s set_downtime_limit 1s": when, what, new value."""
    found = []
    for entry in _entries(text):
        when, do, value = _split(entry, ACTIONS, "a time, an action and, for the set_ actions, a value")
        at, at_s = _moment(when, entry)
        if do not in _VALUES and value:
            raise UnitError(f"{entry!r}: {do} takes no value, found {value!r}")
        if do in _VALUES and not value:
            raise UnitError(f"{entry!r}: {do} needs a value, such as '{when} {do} {_EXAMPLES[do]}'")
        found.append(Action(do, at_s, at, _value(do, value)))
    return tuple(found)


def read_costs(entries: Sequence[str]) -> Costs:
    """Costs out of ["sync_s=1ms", "memory_bytes_per_s=2 GB/s"]; the others keep their defaults."""
    known = {item.name: item for item in fields(Costs)}
    changed: dict[str, Any] = {}
    for entry in (one for text in entries for one in _entries(text)):
        name, equals, value = (part.strip() for part in entry.partition("="))
        if not equals or name not in known:
            raise UnitError(f"{entry!r} is not NAME=VALUE with one of the names {', '.join(known)}")
        unit = next(unit for suffix, unit in _COST_UNITS if name.endswith(suffix))
        number = parse_quantity(value, unit)
        if number < 0 or (unit == "bytes/s" and number == 0):
            raise UnitError(f"{entry!r}: {name} must be {'above' if unit == 'bytes/s' else 'at least'} 0")
        changed[name] = int(number) if str(known[name].type) == "int" else number
    return Costs(**changed)


def _entries(text: str) -> list[str]:
    """The entries of a list, separated by commas (or semicolons)."""
    return [" ".join(part.split()) for part in text.replace(";", ",").split(",") if part.strip()]


def _split(entry: str, names: Sequence[str], form: str) -> tuple[str, str, str]:
    """What stands before the first word of `names`, that word, and what stands after it."""
    words = entry.split(" ")
    for place, word in enumerate(words):
        if word.replace("-", "_") in names:
            return " ".join(words[:place]), word.replace("-", "_"), " ".join(words[place + 1:])
    raise UnitError(f"{entry!r} is not {form}: it has none of {', '.join(names)}")


def _moment(when: str, entry: str) -> tuple[str, float]:
    """("time", 2.0) of "2s", ("stop-copy", 0.001) of "stop-copy+1ms", ("pre-switchover", 0.0) of "pre-switchover"."""
    for moment in ACTION_MOMENTS:
        if moment != "time" and when.startswith(moment):
            rest = when.removeprefix(moment).strip()
            if rest and not rest.startswith("+"):
                break
            return moment, parse_time(rest[1:]) if rest else 0.0
    else:
        if when:
            return "time", parse_time(when)
    moments = ", ".join(moment for moment in ACTION_MOMENTS if moment != "time")
    raise UnitError(f"{entry!r}: when? it begins with a time, such as 2s, or with one of {moments} and a time, such as "
                    f"{ACTION_MOMENTS[-1]}+1ms")


def _value(do: str, text: str) -> float | None:
    if not text:
        return None
    if do == "set_bandwidth" and text.lower() == "none":
        return 0.0  # as QEMU has it: 0 is no limit
    return _VALUES[do](text)
