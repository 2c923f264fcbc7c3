"""`livemig replay`: somebody else's migration, from what they logged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from livemig.cli.errors import say
from livemig.units import format_time, parse_time

if TYPE_CHECKING:
    from livemig.trace import Trace

__all__ = ["replay"]


def replay(
    log: Annotated[Path, typer.Argument(metavar="FILE", help="The log, also .gz.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the Trace as JSON (livemig-trace/1).")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", show_default=False,
                                                help="Write the Trace into this file (.json or .json.gz).")] = None,
    figure: Annotated[Path | None, typer.Option(metavar="FILE", show_default=False,
                                                help="Draw timeline and pending curve into this .png or .svg.")] = None,
    migration: Annotated[int, typer.Option(metavar="NUMBER", min=0, show_default=False, help=(
        "Which migration, where the log has several [the last]."))] = 0,
    gap: Annotated[str | None, typer.Option(metavar="TIME", show_default=False, help=(
        "So long without an answer is a gap [three usual intervals]."))] = None,
) -> None:
    """Show a migration that was logged: passes, bytes, stop, and what nobody saw.

    FILE holds answers to QMP's query-migrate as JSON, one after the other, with a time (t, time or timestamp: seconds
    or ISO 8601) or without; QMP events between them make it more exact. Or what `virsh domjobinfo DOMAIN` printed
    in a loop (with LC_ALL=C; the output of `date` between helps), also --completed; or what libvirt's jobStats() gave.

    Lines that cannot be read are named and left out: the rest is shown, and the exit status is 2.
    """
    import livemig
    from livemig.lab.replay import BrokenLog

    gap_s = None if gap is None else parse_time(gap)
    try:
        _show(livemig.replay(log, migration, gap_s), as_json, output, figure)
    except BrokenLog as broken:
        _show(broken.trace, as_json, output, figure)
        raise


def _show(trace: Trace, as_json: bool, output: Path | None, figure: Path | None) -> None:
    if output is not None:
        trace.save(output)
        say(f"trace written to {output}")
    if figure is not None:
        from livemig.draw.export import save_picture

        save_picture(trace, figure)
        say(f"picture written to {figure}")
    if as_json and output is None:
        print(json.dumps(trace.to_json(), separators=(",", ":"), allow_nan=False), flush=True)
    elif not as_json:
        _print(trace)


def _print(trace: Trace) -> None:
    import sys

    from livemig.cli.report import print_run
    from livemig.cli.tables import note

    print_run(trace)
    log = trace.meta["log"]
    of = f", migration {log['migration']} of {log['of']} (--migration has the others)" if log["of"] > 1 else ""
    note(f"From {log['form']}: {log['answers']} answers, usually {format_time(log['interval_s'])} apart{of}. T0 is "
         f"{log['zero']}. A pass may begin up to one interval later than shown.")
    gaps = trace.gaps()
    for from_s, to_s in gaps[:5]:
        note(f"  Nobody looked from {from_s:.3f} s to {to_s:.3f} s ({format_time(to_s - from_s)}).")
    if len(gaps) > 5:
        note(f"  ... and {len(gaps) - 5} more such gaps.")
    sys.stdout.flush()
