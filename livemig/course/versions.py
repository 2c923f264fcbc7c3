"""Two versions of a notebook for a class, in nbgrader's form: the instructor's with answers, the student's with stubs.

Theory of operation. In git there is one notebook, the one that a learner opens: it holds no answer. Its exercise cells
are found by their `course.check("02.1", ...)`. `instructor_version` makes of each a solution cell, which has the key
of a seed or the catalogue's solution between nbgrader's markers, and a locked cell that checks it and raises when it is
wrong, by which nbgrader gives points. `student_version` replaces what is between the markers by nbgrader's stub.
"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any, TypeAlias

import nbformat

from livemig.course.catalogue import EXERCISES
from livemig.course.judge import key_text
from livemig.course.model import CourseError, Function, Task, find

__all__ = ["STUB", "instructor_version", "student_version", "write_versions"]

Notebook: TypeAlias = Any  # nbformat's NotebookNode
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"  # nbgrader/preprocessors/clearsolutions.py looks for these
STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")
_CHECK = re.compile(r'^course\.check\("(\d\d\.\d)", \.\.\.\)(?:  # (.*))?$', re.M)
_QUESTION = re.compile(r'^course\.exercise\("(\d\d\.\d)"\)$', re.M)
_PLACE = ("in the place of the dots and run the cell",  # what the prose says of the answers
          f"in the place of the dots (a function's body below its first line), take out the line `{STUB[1]}` and run "
          "the cells")
_SCHEMA = 3  # of nbgrader's cell metadata since 0.6


def instructor_version(notebook: Notebook, seed: int) -> Notebook:
    """A copy with the answers of `seed`; run from top to bottom, every check is right. Raises `CourseError`."""
    made = copy.deepcopy(notebook)
    made.cells = [new for cell in notebook.cells for new in _cells(cell, seed)]
    return made


def student_version(notebook: Notebook) -> Notebook:
    """A copy of an instructor's version in which nbgrader's stub stands for each solution."""
    made = copy.deepcopy(notebook)
    for cell in made.cells:
        cell.source = "\n".join(_cleared(cell.source.split("\n")))
    return made


def _cleared(lines: list[str]) -> list[str]:
    kept: list[str] = []
    inside = False
    for line in lines:
        if line.strip() == BEGIN:
            indent = line[: len(line) - len(line.lstrip())]
            kept += [indent + stub for stub in STUB]
            inside = True
        elif line.strip() == END:
            inside = False
        elif not inside:
            kept.append(line)
    return kept


def _cells(cell: Notebook, seed: int) -> list[Notebook]:
    """What becomes of one cell; all but questions and answers stay as they are."""
    if cell.cell_type != "code":
        told = copy.deepcopy(cell)
        told.source = told.source.replace(*_PLACE)
        return [told]
    if asks := _QUESTION.search(cell.source):
        made = copy.deepcopy(cell)
        if "import course" in cell.source:  # the first of a notebook
            made.source = _QUESTION.sub(lambda match: f"course.use_seed({seed})\n{match[0]}", cell.source)
        return [_graded(made, "question", asks[1], locked=True)]
    if found := _CHECK.search(cell.source):
        return _answered(cell, found[1], found[2] or "", find(EXERCISES, found[1]).task(seed))
    return [copy.deepcopy(cell)]


def _answered(cell: Notebook, exercise_id: str, how: str, task: Task) -> list[Notebook]:
    if isinstance(task.key, Function):
        name, source = task.key.name, _function(task.key.solution)
    else:
        name = f"answer_{exercise_id.replace('.', '_')}"
        # The dots stay in the student's version: an answer without the name is no NameError, but no answer.
        lines = (f"{name} = ...  # {how}", BEGIN, f"{name} = {json.dumps(key_text(task.key))}", END)
        source = "\n".join(lines)
    solution, check = copy.deepcopy(cell), copy.deepcopy(cell)
    solution.source, check["id"] = source, f"{cell['id']}-check"
    check.source = f'checked = course.check("{exercise_id}", {name})\nassert checked.right, checked\nprint(checked)'
    return [_graded(solution, "answer", exercise_id, solution=True),
            _graded(check, "check", exercise_id, locked=True, grade=True, points=1)]


def _function(solution: str) -> str:
    head, *body = solution.rstrip("\n").split("\n")
    return "\n".join([head, f"    {BEGIN}", *body, f"    {END}"])


def _graded(cell: Notebook, what: str, exercise_id: str, **given: Any) -> Notebook:
    """The cell with nbgrader's metadata (nbgrader/nbgraderformat)."""
    plain = {"grade": False, "locked": False, "solution": False, "task": False, "schema_version": _SCHEMA}
    cell.metadata["nbgrader"] = {**plain, **given, "grade_id": f"{what}-{exercise_id.replace('.', '-')}"}
    return cell


def _read(path: Path) -> Notebook:
    try:
        return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise CourseError(f"{path}: is no notebook that can be read: {error}") from None


def write_versions(folder: Path, target: Path, seed: int, version: str) -> list[Path]:
    """Write the `version` ("student", "instructor") of each notebook of `folder` into `target`, which may be new.

    No file is written over. Raises `CourseError` for that, for a folder without notebooks and for what is no seed.
    """
    sources = sorted(folder.glob("*.ipynb"))
    if not sources:
        raise CourseError(f"{folder}: no notebooks (*.ipynb) in it")
    written = [target / path.name for path in sources]
    if there := next((path for path in written if path.exists()), None):
        raise CourseError(f"{there}: is there already; choose another folder")
    made = [instructor_version(_read(path), seed) for path in sources]
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path, notebook in zip(written, made, strict=True):
            chosen = student_version(notebook) if version == "student" else notebook
            nbformat.write(chosen, path)  # type: ignore[no-untyped-call]
    except OSError as error:
        raise CourseError(f"{target}: cannot be written: {error}") from None
    return written
