"""`livemig compare`: one guest, several policies."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from livemig.cli.chosen import read_policies
from livemig.cli.errors import say
from livemig.cli.options import parameters, read_scenario
from livemig.cli.predict import LiveProgress
from livemig.cli.tables import note, table
from livemig.units import format_size, format_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from livemig.engine.compare import Comparison, Span, Summary

__all__ = ["compare"]


def _option(name: str, annotation: Any, default: Any, *names: str, panel: str = "Output",
            **more: Any) -> inspect.Parameter:
    made = typer.Option(default, *names, rich_help_panel=panel, **more)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=made)


_OWN = (
    _option("policy", list[str], None, "--policy", metavar="NAME", panel="What is compared", show_default=False,
            help="A policy, with values of its own if wanted (nova:steps=5,delay_s=30), or one of yours "
                 "(mine.py:my_policy); may be given again [all that livemig knows]"),
    _option("samples", int, 1, "--samples", min=1, max=10_000, panel="What is compared",
            help="So many guests at least: where the writer stands is varied, and without --pattern its pattern"),
    _option("as_json", bool, False, "--json", help="Print everything as JSON (livemig-comparison/1)"),
    _option("figure", Path | None, None, "--figure", metavar="FILE",
            help="Draw the comparison into FILE (.png, .svg, .pdf)"),
)


def compare(**given: Any) -> None:
    """Run one guest with several switchover policies and say what each makes of it.

    Policies: seed (a fixed threshold), qemu, auto-converge, nova, ovirt-minimal, ovirt-suspend, kubevirt-ramp
    (VEP 291), kubevirt-stall (VEP 248), xen. Inputs are those of `livemig run`; a policy sets its own before
    the migration.

    A policy that fails ends its own run, with its error in its row. Ctrl-C prints what was run until then.
    """
    from livemig.engine.compare import compare as run
    from livemig.engine.sampling import PATTERNS

    chosen, samples, as_json, figure = (given.pop(name) for name in ("policy", "samples", "as_json", "figure"))
    policies = read_policies(chosen or ())
    scenario = read_scenario({"its_devices": "0", **given})
    if figure is not None:
        from livemig.draw.validation import check_figure_file

        check_figure_file(figure)
    patterns = PATTERNS if samples > 1 and given.get("pattern") is None and not scenario.phases else ()
    progress = LiveProgress()
    try:
        found = run(scenario, policies, samples=samples, patterns=patterns,
                    progress=lambda _, done, of: progress("comparing policies", done, of))
    finally:
        progress.end()
    if as_json:
        print(json.dumps(found.to_json(), indent=1, allow_nan=False))
    else:
        print_comparison(found)
    if figure is not None and found.rows:
        from livemig.draw.policies import save_comparison

        save_comparison(found.to_json(), figure)
        say(f"figure written to {figure}")
    if found.interrupted:
        raise KeyboardInterrupt


compare.__signature__ = inspect.Signature([*_OWN, *parameters()])  # type: ignore[attr-defined]
compare.__annotations__ = {}  # typer would take the type of **given for each option


def print_comparison(found: Comparison) -> None:
    """One table, two where ranges need the room, and how those ended that did not complete."""
    from livemig.engine.sampling import time_limit_s

    summaries = found.summaries()
    over = f" over {found.guests} guests, from the smallest to the largest" if found.guests > 1 else ""
    rows = [_row(one) for one in summaries]
    names = ("policy", ">done", ">total time", ">downtime", ">syncs", ">sent", ">throttled")
    parts = ((0, 1, 2, 3, 4), (0, 5, 6)) if found.guests > 1 else (tuple(range(len(names))),)
    for number, part in enumerate(parts):
        table(f"Policies compared{over}" if not number else "What it costs",
              [names[i] for i in part], [[row[i] for i in part] for row in rows])
    for one in summaries:
        if one.reason:
            note(f"  - {one.policy}: {one.reason}.")
    note(f"  - A run is waited for {format_time(time_limit_s(found.scenario))} (--give-up).")
    if found.interrupted:
        note(f"  - interrupted after {len(found.rows)} runs.")


def _row(one: Summary) -> Sequence[str]:
    return (one.policy, f"{one.completed}/{one.runs}", _span(one.spans["total_time_s"], format_time),
            _span(one.spans["downtime_s"], format_time), _span(one.spans["passes"], lambda value: str(round(value))),
            _span(one.spans["transferred_bytes"], format_size), _span(one.spans["throttled_s"], format_time))


def _span(span: Span | None, shown: Any) -> str:
    if span is None:
        return "-"
    low, high = shown(span[0]), shown(span[2])
    return str(low) if low == high else _short(low, high)


def _short(low: str, high: str) -> str:
    """"5.1..5.4 s": the unit once where it is the same."""
    number, _, unit = low.partition(" ")
    return f"{number}..{high}" if high.endswith(f" {unit}") or not unit else f"{low}..{high}"
