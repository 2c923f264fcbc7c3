"""Marks the first use of each glossary word in a notebook's prose, so that the pointer shows what it means.

    python -m livemig.course.mark notebooks/*.ipynb            # puts and refreshes the marks
    python -m livemig.course.mark --check notebooks/*.ipynb    # says which notebooks would change

Theory of operation. A mark is `<abbr title="...">word</abbr>`, plain HTML that JupyterLab, nbconvert and GitHub show.
All marks are taken away first and put anew, so the tool may run at any time and a second run changes nothing. Words are
sought in Markdown cells, in their order; headings, code, links, formulas, other HTML and lines with Chinese are
masked. The longest spelling wins, so "dirty log" is not marked as something else. Below *Sources* stands a line that
links the glossary, for keyboards and fingers, which cannot hover.
"""

from __future__ import annotations

import argparse
import html
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from livemig.course.word import Term
from livemig.course.words import TERMS

__all__ = ["GLOSSARY_LINE", "main", "mark_cells", "mark_notebook", "unmarked"]

GLOSSARY_LINE = "- Words: [the glossary](../docs/glossary.md)."

_MARK = re.compile(r'<abbr title="[^"]*">(.*?)</abbr>', re.DOTALL)
_MASKED = re.compile(
    r"""^(?P<fence>```|~~~).*?^(?P=fence)          # a block of code
      | ^[ ]{0,3}\#{1,6}[ ].*?$                    # a heading
      | ^.*[\u3400-\u9fff\uf900-\ufaff].*$         # a line with Chinese
      | (?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`) # code
      | !?\[[^\]]*\]\([^)]*\)                      # a link or a picture
      | \$\$.+?\$\$ | \$[^$\n]+\$                  # a formula
      | <!--.*?-->
      | <(?P<tag>a|code|kbd|button|svg|script|style|summary)\b.*?</(?P=tag)>
      | </?[a-zA-Z][^>]*>
      | https?://\S+""",
    re.MULTILINE | re.DOTALL | re.VERBOSE)
_SOURCES = re.compile(r"^## Sources$", re.MULTILINE)


def unmarked(text: str) -> str:
    """A cell's text without marks."""
    return _MARK.sub(r"\1", text)


def mark_cells(cells: Iterable[str], terms: Sequence[Term] = TERMS) -> list[str]:
    """The texts of a notebook's Markdown cells, in order, with each term marked where it is first used."""
    pattern, owner = _pattern(terms)
    seen: set[str] = set()
    marked = []
    for text in map(unmarked, cells):
        taken = [match.span() for match in _MASKED.finditer(text)]
        taken += [match.span() for one in terms for phrase in one.never for match in re.finditer(_spaced(phrase), text)]
        pieces, done = [], 0
        for match in pattern.finditer(text):
            one = owner[str(match.lastgroup)]
            free = not any(start < match.end() and match.start() < end for start, end in taken)
            if free and one.name not in seen:
                seen.add(one.name)
                title = html.escape(one.says, quote=False).replace('"', "&quot;")
                pieces += [text[done:match.start()], f'<abbr title="{title}">{match[0]}</abbr>']
                done = match.end()
        marked.append("".join(pieces) + text[done:])
    return marked


def mark_notebook(notebook: dict[str, Any]) -> None:
    """Put the marks and the link to the glossary into a notebook, as JSON reads it; other cells stay as they are."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    for cell, text in zip(cells, mark_cells("".join(cell["source"]) for cell in cells), strict=True):
        cell["source"] = _linked(text).splitlines(keepends=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 when `--check` finds a notebook that is not up to date."""
    parser = argparse.ArgumentParser(prog="python -m livemig.course.mark", description=str(__doc__).splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a notebook would change")
    chosen = parser.parse_args(arguments)
    stale = [path for path in chosen.notebooks if _refresh(path, write=not chosen.check)]
    for path in stale:
        print(f"{path}: {'its glossary marks are not up to date; run make terms' if chosen.check else 'marked'}")
    return int(chosen.check and bool(stale))


def _refresh(path: Path, write: bool) -> bool:
    before = path.read_text(encoding="utf-8")
    notebook = json.loads(before)
    mark_notebook(notebook)
    after = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    if write and after != before:
        path.write_text(after, encoding="utf-8", newline="\n")
    return after != before


def _linked(text: str) -> str:
    """With the link to the glossary as the last line of a cell that ends with the sources."""
    if not _SOURCES.search(text):
        return text
    lines = [line for line in text.rstrip().splitlines() if line != GLOSSARY_LINE]
    return "\n".join([*lines, GLOSSARY_LINE])


def _pattern(terms: Sequence[Term]) -> tuple[re.Pattern[str], dict[str, Term]]:
    """One alternative a spelling, the longest first; the group's name leads to the term."""
    spelled = sorted(((spelling, one) for one in terms for spelling in one.spellings), key=lambda pair: -len(pair[0]))
    owner = {f"t{i}": one for i, (_, one) in enumerate(spelled)}
    words = "|".join(f"(?P<t{i}>{_any_case(spelling)}(?:es|s)?)" for i, (spelling, _) in enumerate(spelled))
    return re.compile(rf"(?<![\w/+-])(?:{words})(?![\w/+-]|\.\w)"), owner


def _any_case(spelling: str) -> str:
    """A spelling in lower case may begin a sentence; one with capitals is a name and stays as it is."""
    if spelling != spelling.lower():
        return _spaced(spelling)
    return f"[{spelling[0]}{spelling[0].upper()}]{_spaced(spelling[1:])}"


def _spaced(phrase: str) -> str:
    """A space may be the end of a line."""
    return re.escape(phrase).replace(r"\ ", r"[ \n]")


if __name__ == "__main__":
    raise SystemExit(main())
