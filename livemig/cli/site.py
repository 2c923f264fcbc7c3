"""`livemig site`: the notebooks as a static site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from livemig.cli.errors import say
from livemig.cli.lab import find_notebooks

__all__ = ["site"]


def site(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the site; a former one is replaced.")],
    folder: Annotated[Path | None, typer.Option("--notebooks", metavar="DIR", help="Folder of the notebooks.")] = None,
) -> None:
    """Run every notebook and write them as pages that need no kernel and no network; open DIR/index.html.

    Takes one or two minutes. Ctrl-C leaves a former site as it was.
    """
    from livemig.publish.site import build_site

    pages = build_site(find_notebooks(folder), out, progress=say)
    say(f"{len(pages)} pages written; open {out / 'index.html'} in a browser")
