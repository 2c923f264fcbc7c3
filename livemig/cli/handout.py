"""`livemig handout`: one page for paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from livemig.cli.errors import say

__all__ = ["handout"]


def handout(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The PDF to write.")] = Path("handout.pdf"),
) -> None:
    """Write one A4 page: sequence diagram and timeline of notebook 00's migration, the time points in a line each, the
    chain of functions at the stop. In greys, for any printer.
    """
    import livemig
    from livemig.draw.handout import handout as draw

    draw(livemig.simulate(livemig.Scenario(downtime_limit_s=0.03)), out)
    say(f"one page written to {out}")
