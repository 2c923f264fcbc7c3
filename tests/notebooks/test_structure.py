"""What every notebook tells its reader: what is learned and needed, how long, in which order, where to go next."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from livemig.course.mark import unmarked

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
TITLES = {nbformat.read(path, as_version=4).cells[0].source.splitlines()[0]: path.name for path in NOTEBOOKS}


@pytest.fixture(params=NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def cells(request: pytest.FixtureRequest) -> list:
    """As written, without the glossary's marks."""
    cells = nbformat.read(request.param, as_version=4).cells
    for cell in cells:
        cell.source = unmarked(cell.source) if cell.cell_type == "markdown" else cell.source
    return cells


def prose(cells: list) -> str:
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def code(cells: list) -> list[str]:
    return [cell.source for cell in cells if cell.cell_type == "code"]


def test_there_are_nine() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{n:02}" for n in range(9)]


def test_it_begins_with_what_is_seen_learned_and_needed(cells) -> None:
    begin = next(cell.source for cell in cells[:2] if "**What you will see**" in cell.source)
    lines = re.search(r"\*\*You will learn\*\*\n\n((?:\d\. .+\n)+)", begin)[1].splitlines()
    assert [line[:2] for line in lines] == ["1.", "2.", "3."]
    assert all(20 < len(line) < 140 for line in lines), lines
    needed = re.search(r"^\*\*You need\*\* (.+)", begin, re.M)[1]
    number = int(TITLES[cells[0].source.splitlines()[0]][:2])
    before = [int(one) for one in re.findall(r"\b(0\d)\b", needed.split(";")[0])]
    assert before or number == 0
    assert all(one < number for one in before)


def test_the_time_is_one_in_which_it_can_be_done(cells) -> None:
    """Between a quick reader (250 words a minute, a minute a cell) and a slow one (80 words, three minutes)."""
    minutes, for_exercises = map(int, re.search(r"^\*\*Time\*\*: (\d+) minutes, and (\d+) for the exercises\.",
                                                prose(cells), re.M).groups())
    words, runs = len(prose(cells).split()), sum("course." not in source for source in code(cells))
    exercises = sum("course.check(" in source for source in code(cells))
    assert words / 250 + runs <= minutes <= words / 80 + 3 * runs
    assert 3 * exercises <= for_exercises <= 10 * exercises


def test_it_predicts_then_runs_then_reveals_in_every_section(cells) -> None:
    steps = []
    for cell in cells:
        if cell.cell_type == "code":
            steps.append("code")
        else:
            steps += re.findall(r"^### (Predict|Run|Reveal)$", cell.source, re.M)
    assert steps.count("Predict") == steps.count("Run") >= 2
    for at in (i for i, step in enumerate(steps) if step == "Predict"):
        following = steps[at + 1:]
        run = following.index("Run")
        assert set(following[:run]) <= {"code"}, "only cells that prepare stand between the two"
        assert following[run + 1] == "code"
        assert "Reveal" in following[run + 1:]


def test_it_ends_with_exercises_sources_and_what_to_read_next(cells) -> None:
    text = prose(cells)
    assert 3 <= sum("course.check(" in source for source in code(cells)) <= 5
    order = [text.index(mark) for mark in ("## Exercises", "These check themselves.", "### Explore",
                                           "## The sentence to remember", "## Sources", "- What to read next: ")]
    assert order == sorted(order)
    sources = text[text.index("## Sources"):]
    assert re.search(r"`[\w/.-]+\.(c|py|rst|md)`", sources)
    last = re.search(r"^- What to read next: (.+)", sources, re.M)[1]
    named = [int(one) for one in re.findall(r"\b(0\d)\b", last)]
    assert all(one < len(NOTEBOOKS) for one in named)
    assert named or "`" in last
