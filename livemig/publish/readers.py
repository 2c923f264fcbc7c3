"""What of a notebook stays where it is read and not run: on the site, on slides, in the app.

Left out is what is about JupyterLab or Binder, and the outputs of checks that nobody answered; of the Exercises there
is one sentence that says where they can be answered. The notebook itself is never changed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

from livemig.publish.markdown import HEADING, at_headings

__all__ = ["HOW_TO_ANSWER", "to_read", "to_use"]

EXERCISES = "Exercises"
HOW_TO_ANSWER = "To answer the exercises: `make lab`."
# In the first cell: from this paragraph to the cell's end.
_BINDER = re.compile(r"\n+(?:\*\*)?On Binder\b.*\Z", re.DOTALL)
_ONLY_IN_JUPYTERLAB = tuple(re.compile(pattern) for pattern in (
    r" Run the cells from top to bottom[^.\n]*\.",
    r" \(keys typed\s+elsewhere go to JupyterLab[^)]*\)",
))
_UNANSWERED = re.compile(r'<section aria-label="[^"]*: not answered"')
_LINK_TO_A_FILE = re.compile(r"(?<!!)\[([^\]]+)\]\((?![a-z]+:|#)[^)]*\)")


def to_read(notebook: Any) -> Any:
    """A copy of an executed notebook without what only works in JupyterLab; questions stay, and code as it was run."""
    made = copy.deepcopy(notebook)
    for number, cell in enumerate(made.cells):
        if cell.cell_type == "markdown":
            cell.source = "\n".join(_answered_elsewhere(_without_jupyterlab(cell.source, first=number == 0)))
        elif cell.cell_type == "code":
            cell.outputs = [one for one in cell.get("outputs", []) if not _is_unanswered(one)]
    return made


def to_use(notebook: Any) -> Any:
    """A copy of a notebook for the app, which shows no code: without exercises, and links to files as their words."""
    made = copy.deepcopy(notebook)
    made.cells = list(_without_exercises(made.cells))
    for number, cell in enumerate(made.cells):
        if cell.cell_type == "markdown":
            cell.source = _LINK_TO_A_FILE.sub(r"\1", _without_jupyterlab(cell.source, first=number == 0))
    return made


def _without_jupyterlab(text: str, first: bool) -> str:
    kept = _BINDER.sub("", text) if first else text
    for pattern in _ONLY_IN_JUPYTERLAB:
        kept = pattern.sub("", kept)
    return kept


def _is_unanswered(output: Any) -> bool:
    return bool(_UNANSWERED.match("".join(output.get("data", {}).get("text/html", ""))))


def _is_exercises(text: str) -> bool | None:
    """Whether a text begins the exercises; None without a heading. The next heading ends them, "Explore" too."""
    found = HEADING.match(text.strip().partition("\n")[0])
    return None if found is None else found[2] == EXERCISES


def _answered_elsewhere(text: str) -> Iterator[str]:
    """The text's parts; the one that begins the exercises also says where they can be answered."""
    for part in at_headings(text):
        yield f"{part.rstrip()}\n\n*Nothing can be run here. {HOW_TO_ANSWER}*\n" if _is_exercises(part) else part


def _without_exercises(cells: list[Any]) -> Iterator[Any]:
    inside = False
    for cell in cells:
        if cell.cell_type != "markdown":
            if not inside:
                yield cell
            continue
        kept = []
        for part in at_headings(cell.source):
            begins = _is_exercises(part)
            inside = inside if begins is None else begins
            if begins:
                kept.append(f"## {EXERCISES}\n\n{HOW_TO_ANSWER}\n")
            elif not inside:
                kept.append(part)
        if kept:
            cell.source = "\n".join(kept)
            yield cell
