"""`livemig sweep`: every combination of some inputs, as a table, a CSV file and a map."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from livemig.cli.errors import say
from livemig.cli.options import option_name, parameters, read_fields
from livemig.scenario import Scenario
from livemig.units import UnitError, format_quantity, format_size, format_time

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from livemig.sweeps.sweep import Sweep

__all__ = ["read_values", "sweep"]

_RANGE = re.compile(r"(?P<low>.+?)\.\.(?P<high>.+?):(?P<count>\d{1,7})(?P<even>lin)?")
_BESIDE = 20  # values an axis of the sweep whose boundary is drawn beside, where the engine computes it
_MODELS = ("closed_form", "rounds", "qemu")


def _option(name: str, annotation: Any, default: Any, *names: str, **more: Any) -> inspect.Parameter:
    made = typer.Option(default, *names, rich_help_panel="The sweep", **more)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=made)


_OWN = (
    _option("model", str, "closed_form", "--model",
            help="closed_form (the textbook), rounds (with the pattern's curve, auto-converge) or qemu (the engine)"),
    _option("processes", int | None, None, "--processes", min=1, help="Run on so many processes [default: this one]"),
    _option("output", Path | None, None, "--output", "-o", metavar="FILE", help="Write the rows as CSV into this file"),
    _option("figure", Path | None, None, "--figure", metavar="FILE",
            help="Draw a map of two inputs into this file (.png, .svg, .pdf); the first given is its vertical axis"),
    _option("value", str, "total_time_s", "--value",
            help="What the map shows: outcome, total_time_s, downtime_s or transferred_bytes"),
    _option("beside", str | None, None, "--beside", metavar="MODEL",
            help="Draw this model's boundary on the map, too [default: the textbook's beside qemu]"),
    _option("recorded", bool, False, "--recorded", help="Put the recorded runs with such inputs on the map"),
)


def sweep(**given: Any) -> None:
    """Answer for every combination of inputs: does it converge, in what time, with what stop and how many bytes.

    Every input of `livemig run` has the same option here, and may be a list of values (20MiB/s,40MiB/s) or a range
    (5MiB/s..200MiB/s:40, forty values with equal ratios; :40lin, or from 0, with equal distances). Ctrl-C keeps the
    rows that are done.
    """
    import livemig
    from livemig.sweeps.sweep import SweepFailed, SweepInterrupted

    own = {one.name: given.pop(one.name) for one in _OWN}
    if own["figure"] is not None:
        from livemig.draw.validation import check_figure_file

        check_figure_file(own["figure"])
    grid, base = _grid(given)
    _check_models(own)
    streamed = own["output"] if own["figure"] is None else None
    try:
        done = livemig.sweep(grid, base=base, model=own["model"], executor=own["processes"], out=streamed)
    except (SweepInterrupted, SweepFailed) as ended:
        if own["output"] is not None:
            _write(ended.sweep, own["output"])
        say(f"{ended}{'' if own['output'] is None else '; they are in ' + str(own['output'])}")
        raise typer.Exit(130 if isinstance(ended, SweepInterrupted) else 2) from None
    if own["output"] is not None:
        _write(done, own["output"])
        say(f"wrote {own['output']}")
    if own["figure"] is not None:
        _draw(done, grid, own)
        say(f"wrote {own['figure']}")
    if streamed is None:
        _print(done)
    else:
        print(f"{done.done} scenarios, model {done.model}")


sweep.__signature__ = inspect.Signature([*_OWN, *parameters()])  # type: ignore[attr-defined]
sweep.__annotations__ = {}  # typer would take the type of **given for each option


def read_values(text: str, unit: str) -> NDArray[np.float64] | None:
    """The values of a range or a list of a quantity; None for a single value. Raises `UnitError`."""
    import numpy as np

    from livemig.units import parse_quantity

    if match := _RANGE.fullmatch(text.strip()):
        low, high, count = parse_quantity(match["low"], unit), parse_quantity(match["high"], unit), int(match["count"])
        if count < 2 or not low < high:
            raise UnitError(f"{text!r}: a range rises from its first value and has at least two, such as 1..10:5")
        return np.linspace(low, high, count) if match["even"] or low <= 0 else np.geomspace(low, high, count)
    if ".." in text:
        raise UnitError(f"{text!r} is no range; expected LOW..HIGH:COUNT, such as 5MiB/s..200MiB/s:40")
    return np.array([parse_quantity(part, unit) for part in text.split(",")]) if "," in text else None


def _grid(given: Mapping[str, Any]) -> tuple[dict[str, Any], Scenario]:
    """What varies, and the scenario that has all the rest."""
    from livemig.sweeps.grid import make_grid

    fields = Scenario.__dataclass_fields__
    varied: dict[str, Any] = {}
    for name, text in given.items():
        meta = fields[name].metadata
        if not isinstance(text, str) or name in ("plan", "phases"):
            continue
        if "choices" in meta:
            if "," in text:
                varied[name] = [part.strip() for part in text.split(",")]
            continue
        try:
            values = read_values(text, meta["unit"])
        except UnitError as error:
            raise UnitError(f"{option_name(name)}: {error}") from None
        if values is not None:
            varied[name] = values
    if not varied:
        raise UnitError("nothing varies; give an input a range or a list, such as --rate 5MiB/s..200MiB/s:40")
    fixed = read_fields({name: text for name, text in given.items() if name not in varied})
    first = {name: column[0].item() for name, column in make_grid(varied, Scenario()).columns.items()}
    return varied, Scenario(**{**fixed, **first})  # a default could be impossible beside what is fixed


def _check_models(own: Mapping[str, Any]) -> None:
    for option in ("model", "beside"):
        if own[option] not in (*_MODELS, *((None, "none") if option == "beside" else ())):
            raise UnitError(f"--{option} {own[option]}: expected one of {', '.join(_MODELS)}")
    if own["figure"] is not None:
        from livemig.draw.maps import VALUES

        if own["value"] not in VALUES:
            raise UnitError(f"--value {own['value']}: expected one of {', '.join(VALUES)}")


def _write(done: Sweep, path: Path) -> None:
    """The rows into a file, unless they went there while they were computed."""
    if done.out is None:
        done.frame().to_csv(path, index=False, lineterminator="\n")


def _draw(done: Sweep, grid: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    import livemig
    from livemig.draw.maps import convergence_map, unshown_axes
    from livemig.lab.validate import recorded_runs

    model = own["beside"] or ("closed_form" if own["model"] == "qemu" else "none")
    beside = None
    if model != "none":
        coarse = {name: values[::-(-len(values) // _BESIDE)] if model == "qemu" else values
                  for name, values in grid.items()}
        beside = livemig.sweep(coarse, base=done.base, model=model, executor=own["processes"])
    runs = recorded_runs(livemig.data_dir() / "recordings") if own["recorded"] else []
    figure = convergence_map(done, own["value"], beside=beside, runs=runs, ax=unshown_axes()).get_figure(root=True)
    assert figure is not None
    figure.savefig(own["figure"], dpi=160)


def _print(done: Sweep) -> None:
    """One screen: what varied, how many converge, and between what the outcomes lie."""
    fields = Scenario.__dataclass_fields__
    names = [name for name in done.rows.dtype.names or () if name in fields]
    print(f"{done.size} scenarios, model {done.model}")
    for name in names:
        column, unit = done.rows[name], fields[name].metadata["unit"]
        words = (", ".join(map(str, sorted(set(column.tolist())))) if column.dtype.kind not in "iuf" else
                 f"{format_quantity(float(column.min()), unit)} to {format_quantity(float(column.max()), unit)}")
        print(f"  {option_name(name):<24}{words}")
    good = done.rows[done.rows["converges"]]
    print(f"{len(good)} converge{':' if len(good) else ''}")
    for name, label, write in (("total_time_s", "total time", format_time), ("downtime_s", "downtime", format_time),
                               ("transferred_bytes", "bytes sent", format_size)):
        if len(good):
            print(f"  {label:<24}{write(float(good[name].min()))} to {write(float(good[name].max()))}")
    if "error" in (done.rows.dtype.names or ()) and (wrong := int((done.rows["error"] != "").sum())):
        first = next(text for text in done.rows["error"].tolist() if text)
        print(f"{wrong} are impossible; the first: {first}")
