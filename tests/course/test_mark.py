"""Marks stand at first uses in prose, change nothing else, and are the same however often the tool runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import mistune
import pytest

from livemig.course.mark import GLOSSARY_LINE, main, mark_cells, mark_notebook, unmarked
from livemig.course.word import Term
from livemig.course.words import TERMS

CAT = Term("cat", "An animal that says \"miaow\" & sleeps.", "livemig", also=("dirty cat food",),
           never=("cat's cradle",))
ITS = Term("ITS", "A thing.", "livemig")
ABBR = '<abbr title="An animal that says &quot;miaow&quot; &amp; sleeps.">{}</abbr>'


def marked(*cells: str) -> list[str]:
    return mark_cells(cells, (CAT, ITS))


@pytest.mark.parametrize(("before", "after"), [
    ("A cat, a cat.", f"A {ABBR.format('cat')}, a cat."),
    ("Cats sleep.", f"{ABBR.format('Cats')} sleep."),
    ("**cat** and *cat*", f"**{ABBR.format('cat')}** and *cat*"),
    ("dirty cat food", ABBR.format("dirty cat food")),
    ("dirty\ncat food", ABBR.format("dirty\ncat food")),
    ("its own ITS", 'its own <abbr title="A thing.">ITS</abbr>'),
    ("> - | a cat | b |", f"> - | a {ABBR.format('cat')} | b |"),
    ("the cat's cradle, the cat's tail", f"the cat's cradle, the {ABBR.format('cat')}'s tail"),
])
def test_the_first_use_is_marked(before: str, after: str) -> None:
    assert marked(before) == [after]


@pytest.mark.parametrize("text", [
    "# The cat", "  ### cat", "`cat`", "``a ` cat``", "```\ncat\n```", "[cat](cat.md)", "![cat](a.png)", "$cat$",
    "$$\ncat\n$$", '<a href="x">cat</a>', '<img alt="cat">', "<!-- cat -->", "https://cat.example/cat", "concatenate",
    "cat-like", "cat/dog", "cat.png", "cat 是一种动物", "its",
])
def test_what_is_no_prose_is_left_alone(text: str) -> None:
    assert marked(text) == [text]


def test_a_notebook_marks_a_word_once_and_again_the_same() -> None:
    once = marked("# cat", "A `cat`, a cat.", "The cat.")
    assert once == ["# cat", f"A `cat`, a {ABBR.format('cat')}.", "The cat."]
    assert marked(*once) == once
    assert [unmarked(text) for text in once] == ["# cat", "A `cat`, a cat.", "The cat."]


def test_old_marks_move_to_the_new_first_use_with_the_new_sentence() -> None:
    old = 'B <abbr title="An old sentence.">cat</abbr>.'
    assert marked("A cat.", old) == [f"A {ABBR.format('cat')}.", "B cat."]


def test_the_link_below_the_sources_is_put_once() -> None:
    notebook = {"cells": [{"cell_type": "markdown", "source": ["## Sources\n", "\n", "- A book."]}]}
    for _ in range(2):
        mark_notebook(notebook)
        assert notebook["cells"][0]["source"] == ["## Sources\n", "\n", "- A book.\n", GLOSSARY_LINE]


def test_check_writes_nothing_and_fails_until_the_marks_are_put(root: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "one.ipynb"
    before = json.dumps({"cells": [{"cell_type": "markdown", "source": ["A VCPU."]}]}, indent=1) + "\n"
    path.write_text(before)
    assert main(["--check", str(path)]) == 1
    assert path.read_text() == before
    assert "make terms" in capsys.readouterr().out
    assert main([str(path)]) == 0
    assert main(["--check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: marked\n"


def prose(root: Path, path: str) -> list[str]:
    cells = json.loads((root / "notebooks" / path).read_text(encoding="utf-8"))["cells"]
    return [unmarked("".join(cell["source"])) for cell in cells if cell["cell_type"] == "markdown"]


NOTEBOOKS = sorted(path.name for path in (Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_mark_changes_nothing_that_a_reader_sees(root: Path, name: str) -> None:
    """Rendered as HTML, a marked cell is the unmarked cell plus the marks: no emphasis, table or formula breaks."""
    render = mistune.create_markdown(escape=False, plugins=["table", "math"])
    before = prose(root, name)
    after = mark_cells(before)
    assert [re.sub(r"</?abbr[^>]*>", "", render(text)) for text in after] == [render(text) for text in before]
    assert sum(text.count("<abbr ") for text in after) >= 12
    assert sum(render(text).count("<abbr ") for text in after) == sum(text.count("<abbr ") for text in after)


def test_the_notebooks_marks_are_current(root: Path, capsys) -> None:
    """Every word is marked where it is first used, with the glossary's present sentence; else: make terms."""
    assert main(["--check", *(str(root / "notebooks" / name) for name in NOTEBOOKS)]) == 0, capsys.readouterr().out
    for name in NOTEBOOKS:
        assert GLOSSARY_LINE in (root / "notebooks" / name).read_text(encoding="utf-8"), f"{name} has no ## Sources"


def test_every_word_is_used_in_a_notebook_or_a_page(root: Path) -> None:
    """An entry that nobody can meet is a word too many."""
    texts = [text for name in NOTEBOOKS for text in prose(root, name)]
    pages = [path.read_text(encoding="utf-8") for path in (*root.glob("*.md"), *root.glob("docs/**/*.md"))
             if path.name != "glossary.md"]
    everything = " ".join(" ".join([*texts, *pages]).split()).lower()
    assert [one.name for one in TERMS if not any(spelling.lower() in everything for spelling in one.spellings)] == []
