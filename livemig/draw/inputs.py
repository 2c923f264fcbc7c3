"""The stage's controls, from the field metadata of a Scenario that is handed in (this room does not import it)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["INPUTS", "controls", "scenario_values"]

_KIB = 1 << 10
_MIB = 1 << 20


@dataclass(frozen=True)
class _Input:
    """How one field is shown: unit and its size in the field's own unit; `grain`: values are multiples of it."""

    name: str
    unit: str = ""
    scale: float = 1.0
    grain: int | None = None
    whole: bool = False
    only: tuple[str, str] | None = None


INPUTS: tuple[_Input, ...] = (
    _Input("dirty_rate_bytes_per_s", "MiB/s", _MIB),
    _Input("bandwidth_bytes_per_s", "MiB/s", _MIB),
    _Input("switchover_rule"),
    _Input("downtime_limit_s", "ms", 1e-3, only=("switchover_rule", "qemu")),
    _Input("fixed_threshold_bytes", "KiB", _KIB, grain=1, only=("switchover_rule", "fixed")),
    _Input("ram_bytes", "MiB", _MIB, grain=4096, whole=True),
    _Input("working_set_bytes", "MiB", _MIB, grain=4096, whole=True),
    _Input("pattern"),
    _Input("qemu_version"),
    _Input("save_tables_when"),
)

_WORDS = {
    "qemu": "rate × limit", "fixed": "fixed (seed)", "hot_cold": "hot and cold",
    "lab_random": "random (lab)", "stop": "at the stop", "t0": "at T0", "each_sync": "at each sync",
    "pre_save": "in pre_save",
}


def scenario_values(scenario: Any) -> dict[str, Any]:
    """All fields of a Scenario, or of a mapping, as plain values."""
    if isinstance(scenario, Mapping):
        return dict(scenario)
    return dict(scenario.to_dict())


def controls(scenario: Any) -> list[dict[str, Any]]:
    """One entry a control: name, label, unit, range or choices; labels and ranges are those of Scenario's fields."""
    known = {item.name: item for item in dataclasses.fields(scenario)}
    return [_control(item, known[item.name].metadata, getattr(scenario, item.name), known[item.name].type, scenario)
            for item in INPUTS]


def _control(item: _Input, meta: Mapping[str, Any], value: Any, type_: Any, scenario: Any) -> dict[str, Any]:
    label = str(meta["label"]).split(" (")[0]
    if "choices" in meta:
        usable = [c for c in meta["choices"] if c != "phases" or getattr(scenario, "phases", ()) or c == value]
        choices = [[c, _WORDS.get(c, c)] for c in usable]
        return {"name": item.name, "label": label, "kind": "choice", "choices": choices}
    low, high = meta["slider"]
    return {"name": item.name, "label": label, "kind": "number", "unit": item.unit, "scale": item.scale,
            "low": low / item.scale, "high": high / item.scale, "grain": item.grain, "whole": item.whole,
            "nullable": "None" in str(type_), "only": item.only, "limits": [meta["min"], meta["max"]],
            "field_unit": meta["unit"] or "units", "source": meta["source"]}
