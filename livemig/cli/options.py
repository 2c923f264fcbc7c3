"""One command line option for every field of `Scenario`, made from the fields' metadata.

An option is called like its field without the unit: `ram_bytes` is `--ram`, `downtime_limit_s` is `--downtime-limit`. A
new field of Scenario has its option without a change here.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from typing import Any, cast

import typer

from livemig.cli.lists import read_costs, read_phases, read_plan
from livemig.scenario import Costs, Scenario
from livemig.units import UnitError, format_quantity, parse_quantity

__all__ = ["option_name", "parameters", "read_fields", "read_scenario"]

_UNIT_SUFFIX = re.compile(r"_(bytes_per_s|bytes|s)$")
_MORE_NAMES = {
    "working_set_bytes": ("--wset",),
    "dirty_rate_bytes_per_s": ("--rate",),
    "page_bytes": ("--page-size",),
    "fixed_threshold_bytes": ("--threshold",),
    "writer_start_writes": ("--writer-start",),
    "costs": ("--costs",),
}
_NAMES = {"costs": "--cost"}
_METAVARS = {"bytes": "SIZE", "bytes/s": "RATE", "s": "TIME", "pages": "NUMBER", "": "NUMBER"}
_LISTS: Mapping[str, tuple[str, str, Callable[[Any], Any]]] = {
    "phases": ("LIST", "The workload's phases, such as '2s sequential 20MiB/s, 5s idle' (implies --pattern phases)",
               read_phases),
    "plan": ("LIST", "What happens when, such as '2s cancel, pre-switchover+0.5s continue, stop-copy+1ms link_failure, "
                     "3s set_downtime_limit 1s, 4s set_bandwidth 64MiB/s'", read_plan),
    "costs": ("NAME=VALUE", "A time or speed of the host, such as sync_s=1ms; may be given again. Names: "
              + ", ".join(item.name for item in fields(Costs)), read_costs),
}
# A panel of --help begins with this field.
_PANELS = {
    "ram_bytes": "The guest's memory", "pattern": "Who writes where", "bandwidth_bytes_per_s": "The migration",
    "its_devices": "The ITS", "plan": "What happens when, and when to give up",
}


def option_name(field_name: str) -> str:
    """The option of a Scenario field: "ram_bytes" is "--ram"."""
    return _NAMES.get(field_name) or "--" + _UNIT_SUFFIX.sub("", field_name).replace("_", "-")


def parameters() -> list[inspect.Parameter]:
    """Keyword parameters, one a field, in the form in which typer reads a function's signature. None: not given."""
    made, panel = [], ""
    for item in fields(Scenario):
        panel = _PANELS.get(item.name, panel)
        kind: Any = bool if "flag" in item.metadata else list[str] if item.name == "costs" else str
        made.append(inspect.Parameter(item.name, inspect.Parameter.KEYWORD_ONLY, default=_option(item, panel),
                                      annotation=kind | None))
    return made


def read_scenario(values: Mapping[str, Any]) -> Scenario:
    """The Scenario of the options that were given (field name to text, flag, or None for not given).

    Raises `UnitError`, naming the option, or `ScenarioError`.
    """
    return Scenario(**read_fields(values))


def read_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the options that were given, with their values; raises `UnitError`, naming the option."""
    given = {item.name: _read(item, values[item.name]) for item in fields(Scenario)
             if values.get(item.name) not in (None, [])}
    if "phases" in given:
        given.setdefault("pattern", "phases")
    return given


def _option(item: Field[Any], panel: str) -> Any:
    meta, name = item.metadata, option_name(item.name)
    names = (name, *_MORE_NAMES.get(item.name, ()))
    text, metavar, default = str(meta["label"]), "NAME", str(item.default)
    if "flag" in meta:
        names = (f"{name}/--no-{name[2:]}",)
    elif item.name in _LISTS:
        metavar, text, _ = _LISTS[item.name]
    elif "choices" in meta:
        text += f": {', '.join(meta['choices'])}"
    else:
        metavar = _METAVARS[meta["unit"]] + ("|none" if _takes_none(item) else "")
        default = format_quantity(cast("float | None", item.default), meta["unit"])
    if "flag" not in meta and item.name not in _LISTS and item.default is not None:
        text += f" [{default}]"
    return typer.Option(None, *names, help=text, metavar=metavar, show_default=False, rich_help_panel=panel)


def _takes_none(item: Field[Any]) -> bool:
    return "None" in str(item.type)


def _read(item: Field[Any], given: Any) -> Any:
    meta = item.metadata
    if "flag" in meta or "choices" in meta:
        return given
    try:
        if item.name in _LISTS:
            return _LISTS[item.name][2](given)
        if _takes_none(item) and given.strip().lower() == "none":
            return None
        number = parse_quantity(given, meta["unit"])
    except UnitError as error:
        raise UnitError(f"{option_name(item.name)}: {error}{'; or none' if _takes_none(item) else ''}") from None
    return int(number) if str(item.type).startswith("int") and number == int(number) else number
