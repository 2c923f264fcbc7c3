"""What readers of a site, of slides and of the app are spared: what only works in JupyterLab."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from livemig import course
from livemig.publish.readers import HOW_TO_ANSWER, to_read, to_use

NAMES = [f"{number:02}" for number in range(9)]


def real(root: Path, number: str):
    (file,) = (root / "notebooks").glob(f"{number}_*.ipynb")
    return nbformat.read(file, as_version=4)


def words(notebook) -> str:
    return "\n".join(cell.source for cell in notebook.cells)


def headings(notebook) -> list[str]:
    return [line for line in words(notebook).splitlines() if line.startswith(("## ", "### "))]


@pytest.mark.parametrize("number", NAMES)
def test_the_app_has_no_exercises_and_says_where_they_are(root: Path, number: str) -> None:
    before = real(root, number)
    after = to_use(before)
    assert headings(after) == headings(before)  # what comes after the exercises stays
    assert "course.exercise" in words(before)
    for gone in ("course.", "place of the dots", "Run All", "elsewhere go to JupyterLab", "On Binder", "](../"):
        assert gone not in words(after), gone
    assert words(after).count(HOW_TO_ANSWER) == 1
    assert before == real(root, number)


@pytest.mark.parametrize("number", NAMES)
def test_a_page_keeps_the_questions_and_all_code(root: Path, number: str) -> None:
    before = real(root, number)
    after = to_read(before)
    assert [c.source for c in after.cells if c.cell_type == "code"] == [
        c.source for c in before.cells if c.cell_type == "code"]
    assert headings(after) == headings(before)
    assert words(after).count(HOW_TO_ANSWER) == 1
    assert len(words(before)) - len(words(after)) < 1500
    for gone in ("Run All", "elsewhere go to JupyterLab", "On Binder"):
        assert gone not in words(after), gone


def test_only_checks_without_an_answer_are_left_out() -> None:
    told = [course.exercise("00.1"), course.check("00.1", ...), course.check("00.1", "1 B", seed=9)]
    cells = [new_code_cell(str(i), outputs=[new_output("execute_result", {"text/html": one._repr_html_()})])
             for i, one in enumerate(told)]
    assert "not answered" in told[1].heading
    assert [len(cell.outputs) for cell in to_read(new_notebook(cells=cells)).cells] == [1, 0, 1]


def test_a_heading_in_a_code_block_ends_nothing() -> None:
    cells = [new_markdown_cell("## Exercises\n\n```\n## no heading\n```\n"), new_code_cell("1"),
             new_markdown_cell("text\n\n### After [x](y.md), [z](https://z.test)")]
    assert [cell.source for cell in to_use(new_notebook(cells=cells)).cells] == [
        f"## Exercises\n\n{HOW_TO_ANSWER}\n", "### After x, [z](https://z.test)"]
