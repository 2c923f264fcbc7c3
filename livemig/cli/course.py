"""`livemig course`: the notebooks for a class, as the student's and the instructor's version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from livemig.cli.errors import say
from livemig.cli.lab import find_notebooks
from livemig.units import UnitError

__all__ = ["course"]


def course(
    student: Annotated[Path | None, typer.Option(metavar="DIR", help="Notebooks with stubs go into DIR.")] = None,
    instructor: Annotated[Path | None, typer.Option(metavar="DIR", help="Notebooks with answers go into DIR.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The seed of the exercises' numbers.")] = 1,
    folder: Annotated[Path | None, typer.Option("--notebooks", metavar="DIR", help="Folder of the notebooks.")] = None,
) -> None:
    """Write the notebooks for a class: stubs for students, answers for the instructor, with nbgrader's markers.

    Both may be asked for at once. The instructor's version is what nbgrader calls the source of an assignment.
    """
    from livemig.course.versions import write_versions

    wanted = {"student": student, "instructor": instructor}
    if not any(wanted.values()):
        raise UnitError("livemig course: say --student DIR, --instructor DIR or both")
    found = find_notebooks(folder)
    for version, target in wanted.items():
        if target is not None:
            written = write_versions(found, target, seed, version)
            say(f"{len(written)} notebooks, {version}'s version, seed {seed}, written into {target}")
