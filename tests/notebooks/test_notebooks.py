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
                assert len(line) <= 95, f"cut off in a window of 1280 px: {line}"
                if line.startswith(("import ", "from ")):
                    assert line.split()[1].split(".")[0] in ("livemig", "pandas"), line


def test_it_predicts_before_it_runs_and_names_its_sources(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "What you will see" in text
    assert text.index("### Predict") < text.index("### Run") < text.index("### Reveal")
    assert "## Exercises" in text
    assert "## Sources" in text


# What the prose of a notebook takes from its cells' output.
SAYS = {
    "01_the_two_phases": (
        " 76 pages sent while it ran, 64 different ones\n  2 pages sent while it stood, 2 different ones",
        "before their turn: 24-27; sent again: 24-27",
        "after their turn : 28-35; sent again: 28-35",
        "0.6006 s estimate  4 pages left, threshold 5.0 pages\n0.6008 s exact    16 pages left",
        "left over by pass 1: 60-63",
        "pages that differ in the end: 0"),
    "06_the_handler_chain": (
        "o01: thread mig/src/main, 9 frames, the simulated ones too",
        "o03: thread mig/src/main, 9 frames, the simulated ones too",
        "  stop  mine → ITS → GICv3 → CPUs → net\n  start net → CPUs → GICv3 → ITS → mine\npriority -1:",
        "  stop  ITS → GICv3 → CPUs → net → mine\n  start mine → net → CPUs → GICv3 → ITS",
        "10.0 mine (prepare) → late (prepare) → mine → ITS → GICv3 → CPUs → net → late",
        "0 handlers of mine: the last sync found 4 new pages; pages that differ at the destination: []",
        "1 handlers of mine: the last sync found 5 new pages; pages that differ at the destination: []",
        "3 stops, 3 saves of the tables",
        "o05, cancelled in pre-copy: no handler was called",
        "o07, destination killed in the stop-copy: ['src running 0', 'src running 1']",
        "k04, cancelled, KVM: 0 saves",
        "broken link: failed, the guest runs on: source"),
}


@pytest.mark.timeout(300)
def test_it_runs_and_says_what_its_prose_says(notebook, request):
    run(notebook)
    said = "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))
    for words in SAYS.get(request.node.callspec.id, ()):
        assert words in said


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
