"""`livemig app`: a notebook as an app, for learners who need no code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from livemig.cli.lab import FIRST, find_notebooks

__all__ = ["serve"]


def serve(
    folder: Annotated[Path | None, typer.Option("--notebooks", metavar="DIR", help="Folder of the notebooks.")] = None,
    name: Annotated[str, typer.Option("--notebook", metavar="NAME", help="Which one.")] = FIRST,
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; the next free one if it is taken.")] = 8866,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Show a notebook as an app: its text, its pictures and its controls, no code. Only this machine can reach it.

    Needs no network. Ctrl-C ends it.
    """
    from livemig.publish.app import serve as run
    from livemig.publish.notebooks import PublishError

    notebook = find_notebooks(folder) / name
    if not notebook.is_file():
        raise PublishError(f"no notebook {name} in {notebook.parent}")
    run(notebook, port, browser)
