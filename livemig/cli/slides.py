"""`livemig slides`: the notebooks as slides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from livemig.cli.errors import say
from livemig.cli.lab import find_notebooks

__all__ = ["slides"]


def slides(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the slides; a former one is replaced.")],
    folder: Annotated[Path | None, typer.Option("--notebooks", metavar="DIR", help="Folder of the notebooks.")] = None,
) -> None:
    """Run every notebook and write each as one HTML file of slides that needs no kernel and no network.

    Space and Page Down go on, the arrows turn. Takes one or two minutes; Ctrl-C leaves former slides as they were.
    """
    from livemig.publish.slides import build_slides

    files = build_slides(find_notebooks(folder), out, progress=say)
    say(f"{len(files) - 1} decks written; open {out / 'index.html'} in a browser")
