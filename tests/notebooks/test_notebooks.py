"""Every notebook runs from top to bottom, has no outputs in git, short cells, and the headings of the house."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")


def names() -> list[str]:
    return [path.stem for path in NOTEBOOKS]


@pytest.fixture(params=NOTEBOOKS, ids=names())
def notebook(request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    return nbformat.read(request.param, as_version=4)


def test_there_are_notebooks():
    assert "00_start_here" in names()


def test_it_is_stored_without_outputs_and_with_a_kernel(notebook):
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_cells_are_short_and_import_only_the_package_and_pandas(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 12, cell.source
            for line in cell.source.splitlines():
                if line.startswith(("import ", "from ")):
                    assert line.split()[1].split(".")[0] in ("livemig", "pandas"), line


def test_it_predicts_before_it_runs_and_names_its_sources(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "What you will see" in text
    assert text.index("### Predict") < text.index("### Run") < text.index("### Reveal")
    assert "## Exercises" in text
    assert "## Sources" in text


@pytest.mark.timeout(300)
def test_it_runs(notebook):
    run(notebook)


@pytest.mark.timeout(300)
def test_07_runs_without_qemu_too_and_says_so():
    notebook = nbformat.read(NOTEBOOKS[0].parent / "07_real_qemu.ipynb", as_version=4)
    run(notebook, env={**os.environ, "PATH": ""})
    said = "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))
    assert said.count("Nothing is recorded: qemu-system-aarch64 is missing") == 3
    assert "QEMU 10.0.13: completed in 5.21 s" in said
    assert "failed; the guest runs on: source" in said


def run(notebook, **how):
    folder = NOTEBOOKS[0].parent
    client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": folder}})
    client.execute(**how)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output.get("text")
