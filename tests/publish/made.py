"""Notebooks made up for the tests of publishing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import livemig
from livemig.publish.cells import WIDGET

FIRST = """# A title

**What you will see**

- one <abbr title="x">thing</abbr> `of` **many**.

**Time**: 30 minutes, and 10 for the exercises.

## Part"""


def with_widgets(widgets: list[Any]) -> Any:
    """An executed notebook that shows these widgets, one a cell, as nbclient leaves it."""
    cells = [new_code_cell(f"livemig.stage()  # {i}", outputs=[
        new_output("execute_result", {WIDGET: {"model_id": str(i)}, "text/plain": f"the words of widget {i}"})])
        for i in range(len(widgets))]
    states = {str(i): {"state": widget.get_state()} for i, widget in enumerate(widgets)}
    return new_notebook(cells=[new_markdown_cell(FIRST), *cells], metadata={
        "widgets": {"application/vnd.jupyter.widget-state+json": {"state": states}}})


def four_stages() -> Any:
    """Three different stages and a byte grid."""
    stages = [livemig.stage(livemig.Scenario(dirty_rate_bytes_per_s=rate * 1e6)) for rate in (10, 20, 30)]
    return with_widgets([*stages, livemig.stage(livemig.Scenario(), recorded="b05"), livemig.its_bench()])


def write(folder: Path, code: str, name: str = "00_made.ipynb") -> Path:
    """A notebook with one code cell, in a folder."""
    folder.mkdir(exist_ok=True)
    notebook = new_notebook(cells=[new_markdown_cell(FIRST), new_code_cell(code)], metadata={
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}})
    nbformat.write(notebook, folder / name)
    return folder
