"""In a real Jupyter kernel: functions of a cell with the cell's globals, and one that never ends."""

from __future__ import annotations

import os

import nbformat
import pytest
from nbclient import NotebookClient

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
