"""`livemig validate`: simulate each recording from its inputs and compare."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from livemig.cli.errors import say
from livemig.cli.validated import print_report

__all__ = ["print_report", "validate"]

_EVERY = 10  # progress into a file: one line for so many recordings


def validate(
    folder: Annotated[Path | None, typer.Argument(
        metavar="[DIR|FILE]", help="Folder of recordings (*.json, *.json.gz), or one of them; default: those that "
                                   "livemig ships.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print runs and summary as JSON.")] = False,
    figure: Annotated[Path | None, typer.Option(
        "--figure", metavar="FILE", help="Draw predicted against recorded into this file (.png, .svg, .pdf).")] = None,
) -> None:
    """Simulate each recording of real QEMU from its inputs and compare the outcomes.

    Errors are (predicted - recorded) / recorded; the summary has their absolute values. Beside them stands the
    textbook model of pre-copy, for the runs that it can be asked about. Runs that use a feature which is not modelled,
    and runs whose times mean nothing, are listed with the reason. The exit status is 0 however large the errors are,
    and 2 if the folder or one of its files cannot be read (the others are compared all the same).
    """
    import livemig
    from livemig.lab.validate import BrokenRecordings

    if figure is not None:
        from livemig.draw.validation import check_figure_file

        check_figure_file(figure)  # before the work, not after it
    progress = _Progress()
    try:
        report = livemig.validate(folder, progress)
    except BrokenRecordings as broken:
        progress.end()
        _tell(broken.report, as_json, figure)
        raise
    progress.end()
    _tell(report, as_json, figure)


def _tell(report: Mapping[str, Any], as_json: bool, figure: Path | None) -> None:
    if figure is not None:
        from livemig.draw.validation import save_figure

        save_figure(report, figure)
        say(f"wrote {figure}")
    if as_json:
        print(json.dumps(report, indent=1, allow_nan=False))
    else:
        print_report(report)
    sys.stdout.flush()


class _Progress:
    """Which recording is being simulated, on stderr: one line that changes, or in a file a line now and then."""

    def __init__(self) -> None:
        self._count = 0
        self._live = sys.stderr.isatty()

    def __call__(self, name: str) -> None:
        self._count += 1
        if self._live:
            print(f"\r\x1b[Ksimulating {self._count}: {name}", end="", file=sys.stderr, flush=True)
        elif self._count % _EVERY == 1:
            say(f"simulating {name}, recording {self._count}")

    def end(self) -> None:
        """Leave a clean line."""
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
