"""`livemig run`: simulate one migration and print it."""

from __future__ import annotations

import csv
import inspect
import io
import json
from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from livemig.cli.errors import say
from livemig.cli.options import parameters, read_scenario
from livemig.scenario import Scenario
from livemig.units import UnitError

if TYPE_CHECKING:
    from livemig.trace import Trace  # needs numpy, which `livemig --version` does not

__all__ = ["passes_csv", "run"]

_OWN = (
    inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, annotation=bool, default=typer.Option(
        False, "--json", help="Print the Trace as JSON (livemig-trace/1)", rich_help_panel="Output")),
    inspect.Parameter("as_csv", inspect.Parameter.KEYWORD_ONLY, annotation=bool, default=typer.Option(
        False, "--csv", help="Print the passes as CSV", rich_help_panel="Output")),
    inspect.Parameter("output", inspect.Parameter.KEYWORD_ONLY, annotation=Path | None, default=typer.Option(
        None, "--output", "-o", metavar="FILE", rich_help_panel="Output",
        help="Write into this file instead; a name ending in .json, .json.gz or .csv says which form, if --json or "
             "--csv does not")),
)


def run(**given: Any) -> None:
    """Simulate one live migration and print T0 to Tn+4, the passes, and how it ended.

    Every input has an option. Sizes, rates and times take units: --ram 256MiB --bandwidth 32MiB/s
    --downtime-limit 300ms; a plain number is in bytes, bytes per second or seconds.

    A migration that does not converge ends at its give-up time with the status "cancelled" and says why; that is a
    result, and the exit status is 0, as it is for a migration that fails on the way. Bad input: one message and
    exit status 2.
    """
    from livemig.engine import simulate

    form = _form(given.pop("as_json"), given.pop("as_csv"), output := given.pop("output"))
    scenario = read_scenario(given)
    trace = simulate(scenario)
    if form == "tables":
        from livemig.cli.report import print_run

        print_run(trace)
        _say_what_has_no_effect(given, scenario)
    elif output is None:
        print(_text(trace, form), end="")
    else:
        _write(trace, form, output)
        say(f"{'trace' if form == 'json' else 'passes'} written to {output}")


run.__signature__ = inspect.Signature([*_OWN, *parameters()])  # type: ignore[attr-defined]
run.__annotations__ = {}  # typer would take the type of **given for each option


def passes_csv(trace: Trace) -> str:
    """The passes as CSV: one line a pass, columns are the fields of `Pass` (seconds, bytes, pages)."""
    from livemig.trace import Pass

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([item.name for item in fields(Pass)])
    writer.writerows(astuple(one) for one in trace.passes())
    return out.getvalue()


def _form(as_json: bool, as_csv: bool, output: Path | None) -> str:
    if as_json and as_csv:
        raise UnitError("--json and --csv: one of them, please")
    if as_json or as_csv:
        return "json" if as_json else "csv"
    if output is None:
        return "tables"
    form = "json" if output.name.endswith((".json", ".json.gz")) else output.suffix.removeprefix(".")
    if form not in ("json", "csv"):
        raise UnitError(f"--output {output}: which form? add --json or --csv, or let it end in .json, .json.gz or .csv")
    return form


def _text(trace: Trace, form: str) -> str:
    if form == "csv":
        return passes_csv(trace)
    return json.dumps(trace.to_json(), separators=(",", ":"), allow_nan=False) + "\n"


def _write(trace: Trace, form: str, output: Path) -> None:
    if form == "json" and output.suffix == ".gz":
        trace.save(output)
    else:
        output.write_text(_text(trace, form), encoding="utf-8")


def _say_what_has_no_effect(given: dict[str, Any], scenario: Scenario) -> None:
    """The threshold is one of two rules; whoever sets the other one's number should know."""
    if scenario.switchover_rule == "qemu" and given.get("fixed_threshold_bytes") is not None:
        say("note: --fixed-threshold has no effect with --switchover-rule qemu (say --switchover-rule fixed)")
    if scenario.switchover_rule == "fixed" and given.get("downtime_limit_s") is not None:
        say("note: --downtime-limit has no effect with --switchover-rule fixed")
