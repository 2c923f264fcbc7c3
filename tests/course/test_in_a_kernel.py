"""In a real Jupyter kernel: functions of a cell with the cell's globals, and one that never ends."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from livemig.course import EXERCISES
from livemig.course.judge import key_text

CELLS = (
    "import pandas as pd\nfrom livemig import course\nBITS = 8",
    "def shift(value):\n    return value >> BITS\n\ndef encode_dte(distance, itt_address, event_id_bits):\n"
    "    raw = 1 << 63 | min(distance, 16383) << 49 | shift(itt_address) << 5 | event_id_bits - 1\n"
    "    return raw.to_bytes(BITS, 'little')",
    "course.check('04.4', encode_dte)",
    "def saves(running, runstate):\n    while running or True:\n        pass",
    "course.check('05.3', saves)",
    "course.check('05.3', ...)",
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_functions_of_cells(tmp_path, progress_path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute(
        env={**os.environ, "LIVEMIG_PROGRESS": str(progress_path)})
    right, stopped, empty = ("".join(o["data"]["text/plain"] for o in cell.outputs) for cell in notebook.cells
                             if cell.source.startswith("course.check"))
    assert "Exercise 04.4 (seed 1): right" in right
    assert "did not end within 4 s and was stopped. It was in line" in stopped.replace("\n", " ")
    assert "(saves)" in stopped.replace("\n", " ")
    assert "not answered" in empty
    assert all("text/html" in o["data"] for cell in notebook.cells for o in cell.outputs)


def run(cells: tuple[str, ...], folder: Path, home: Path) -> list[str]:
    """What each cell shows, in a kernel of its own whose progress file is in `home`."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": folder}}).execute(
        env={**os.environ, "LIVEMIG_PROGRESS": str(home / "progress.json")})
    return [" ".join("".join(o["data"]["text/plain"] for o in cell.outputs).split()) for cell in notebook.cells]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_progress_goes_from_one_session_to_the_next_as_notebook_00_says(tmp_path, root) -> None:
    first_cell = nbformat.read(root / "notebooks/00_start_here.ipynb", as_version=4).cells[0].source
    export, load = re.findall(r"`(course\.(?:export|import)_progress\(.*?\))`", first_cell)
    key = key_text(EXERCISES["04.3"].task(1).key)
    solved = "from livemig import course", f"course.check('04.3', {key!r})"
    _, right, wrote = run((*solved, export), tmp_path, tmp_path / "lost")
    assert "right" in right
    assert "1 exercises written" in wrote
    again = solved[0], "course.progress()", load, "course.progress()"
    _, before, loaded, after = run(again, tmp_path, tmp_path / "new")
    assert "0 of" in before
    assert "1 exercises read" in loaded
    assert f"1 of {len(EXERCISES)} exercises solved" in after
