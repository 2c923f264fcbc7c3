"""`livemig lab`: JupyterLab on the notebooks, for those who installed livemig with pip (a clone has `make lab`)."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["LabError", "find_notebooks", "lab", "notebook_folders"]

FIRST = "00_start_here.ipynb"


class LabError(RuntimeError):
    """JupyterLab cannot be started; the message says what is missing and how to get it."""


def lab(
    folder: Annotated[Path | None, typer.Option("--notebooks", metavar="DIR", help="Folder of the notebooks.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; the next free one if it is taken.")] = 8888,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Start JupyterLab on livemig's notebooks; only this machine can reach it (127.0.0.1)."""
    found = find_notebooks(folder)
    try:
        jupyterlab = importlib.import_module("jupyterlab.labapp")
    except ImportError as error:
        raise LabError(f"JupyterLab is not usable in this Python ({error}); pip install jupyterlab") from None
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    jupyterlab.LabApp.launch_instance(_arguments(found, port, browser, is_root))


def notebook_folders() -> list[Path]:
    """Where notebooks are looked for: this folder, its `notebooks`, and the source checkout that livemig runs from."""
    checkout = Path(__file__).resolve().parents[2]
    return list(dict.fromkeys([Path.cwd() / "notebooks", Path.cwd(), checkout / "notebooks"]))


def find_notebooks(folder: Path | None) -> Path:
    """The folder of the notebooks, or `folder` if one is given; `LabError` where there are none."""
    places = notebook_folders() if folder is None else [folder.resolve()]
    for place in places:
        if (place / FIRST).is_file():
            return place
    looked = ", ".join(str(place) for place in places)
    raise LabError(f"no {FIRST} in {looked}; the notebooks are part of a clone of livemig's repository, not of the "
                   "wheel: run this inside a clone, or say --notebooks DIR")


def _arguments(folder: Path, port: int, browser: bool, is_root: bool) -> list[str]:
    """The same as `make lab`: localhost only, notebook 00 open, and terminals that find `livemig`.

    A login shell, which the server starts where its own output is no terminal, would put PATH back.
    """
    shell = os.environ.get("SHELL")
    terminals = [f"--ServerApp.terminado_settings={ {'shell_command': [shell]} }"] if shell else []
    return [*terminals, "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", f"--ServerApp.root_dir={folder.parent}",
            f"--LabApp.default_url=/lab/tree/{folder.name}/{FIRST}", *([] if browser else ["--no-browser"]),
            *(["--allow-root"] if is_root else [])]
