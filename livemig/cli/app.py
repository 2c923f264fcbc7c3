"""All commands, in the order of --help."""

from __future__ import annotations

from typing import Annotated

import typer

from livemig import __version__
from livemig.cli.compare import compare
from livemig.cli.course import course
from livemig.cli.errors import Commands, SectionedCommand
from livemig.cli.export import export
from livemig.cli.handout import handout
from livemig.cli.its import its
from livemig.cli.lab import lab
from livemig.cli.predict import predict
from livemig.cli.record import record
from livemig.cli.replay import replay
from livemig.cli.run import run
from livemig.cli.serve import serve
from livemig.cli.site import site
from livemig.cli.slides import slides
from livemig.cli.stream import stream
from livemig.cli.sweep import sweep
from livemig.cli.validate import validate

__all__ = ["app"]

# Plain help: rich's panels cut long option names off at 80 columns.
app = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
                  add_completion=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"livemig {__version__}")
        raise typer.Exit


@app.callback()
def livemig(version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_print_version,
                                                  is_eager=True)] = False) -> None:
    """Live migration of a QEMU/KVM guest with an ARM GICv3 ITS: simulated, recorded, explained."""


app.command(cls=SectionedCommand, short_help="Simulate one migration.")(run)
app.command(cls=SectionedCommand, short_help="Predict a migration, and what would help.")(predict)
app.command(cls=SectionedCommand, short_help="One guest, several switchover policies.")(compare)
app.command(cls=SectionedCommand, short_help="Every combination of inputs: table, CSV, map.")(sweep)
app.command(cls=SectionedCommand, short_help="Record a migration of real QEMU.")(record)
app.command(cls=SectionedCommand, short_help="Compare simulations with recordings.")(validate)
app.command(cls=SectionedCommand, short_help="Show a migration that somebody logged.")(replay)
app.command(cls=SectionedCommand, short_help="The stage as one HTML file, a run as picture or animation.")(export)
app.command(cls=SectionedCommand, short_help="Start JupyterLab on the notebooks.")(lab)
app.command(cls=SectionedCommand, short_help="The notebooks for a class: students', instructor's.")(course)
app.command("app", cls=SectionedCommand, short_help="A notebook as an app, without code.")(serve)
app.command(cls=SectionedCommand, short_help="The notebooks as a static site.")(site)
app.command(cls=SectionedCommand, short_help="The notebooks as slides.")(slides)
app.command(cls=SectionedCommand, short_help="One page for paper.")(handout)
app.add_typer(its, name="its")
app.add_typer(stream, name="stream")
