"""How a notebook becomes slides: nothing is left out, and no slide shows an answer with its question."""

from __future__ import annotations

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from livemig.publish.slides import split


def shown(slide) -> list[str]:
    return [part if isinstance(part, str) else part.source for part in slide.parts]


def test_headings_and_code_cells_make_slides() -> None:
    cells = [new_markdown_cell("# T\n\nintro"),
             new_markdown_cell("## A\n\ntext\n\n```\n## not a heading\n```\n\n### Predict\n\nq"),
             new_markdown_cell("### Run"), new_code_cell("1"), new_code_cell("2"), new_markdown_cell("so\n\n## B"),
             new_markdown_cell("left out", metadata={"slideshow": {"slide_type": "skip"}})]
    slides = split(new_notebook(cells=cells))
    assert [(slide.above, shown(slide)) for slide in slides] == [
        ("", ["# T\n\nintro"]),
        ("", ["## A\n\ntext\n\n```\n## not a heading\n```\n"]),
        ("A", ["### Predict\n\nq"]),
        ("A", ["### Run", "1"]),
        ("A · Run", ["2"]),
        ("A · Run", ["so\n"]),
        ("", ["## B"]),
    ]


def test_the_notebooks_lose_nothing_and_keep_answers_back(runs) -> None:
    for name, run in runs.items():
        slides = split(run)
        texts = [text for slide in slides for text in shown(slide)]
        shown_words = "".join("".join(texts).split())
        lost = [(i, part) for i, cell in enumerate(run.cells) for part in cell.source.split("\n\n")
                if "".join(part.split()) not in shown_words]
        for i, part in lost:  # a session on Binder is told of at the first cell's end
            about_binder = i == 0 and "On Binder" in run.cells[0].source[:run.cells[0].source.index(part) + 12]
            assert about_binder or "JupyterLab" in part or "Run the cells from top" in part, (name, part)
        for slide in slides:
            words = "\n".join(shown(slide))
            assert not ("### Predict" in words and ("### Run" in words or "### Reveal" in words)), name
            assert sum(not isinstance(part, str) for part in slide.parts) <= 1, name
