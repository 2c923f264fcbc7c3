"""The glossary: look up a word, list all of them, write docs/glossary.md.

>>> from livemig import course
>>> course.term("DTE")
DTE
Device Table Entry, 8 bytes: where the device's ITT is, how large, and how far the next entry is.
Source: Linux Documentation/virt/kvm/devices/arm-vgic-its.rst. See also: device table.

The words are data (`words_migration`, `words_machine`); notebooks show them on hover (`mark`), docs/glossary.md lists
them.
"""

from __future__ import annotations

import difflib
import re

from livemig.course.model import CourseError
from livemig.course.shown import Shown, ShownTable
from livemig.course.word import Term
from livemig.course.words_machine import ITS, LIVEMIG, QEMU
from livemig.course.words_migration import MIGRATION, TIME_POINTS

__all__ = ["GROUPS", "TERMS", "anchor", "as_markdown", "find", "glossary", "term"]

GROUPS: dict[str, tuple[Term, ...]] = {
    "Migration": MIGRATION,
    "The time points": TIME_POINTS,
    "QEMU and KVM": QEMU,
    "The interrupt controller and its tables": ITS,
    "livemig's own words": LIVEMIG,
}
TERMS: tuple[Term, ...] = tuple(one for group in GROUPS.values() for one in group)

_HEAD = """# Glossary

The words of the notebooks, the stage and these pages. In a notebook each word is underlined with dots where it is first
used, and explained when the pointer rests on it; in a cell, `course.term("LPI")` explains one
(`from livemig import course`).

<!-- Written by `make docs` from livemig/course/words_migration.py and words_machine.py; edit those. -->
"""


def find(word: str) -> Term:
    """The entry of `word` in any spelling, singular or plural. Raises `CourseError` with the words that are near it."""
    known = {_folded(spelling): one for one in TERMS for spelling in one.spellings}
    folded = _folded(str(word))
    for form in (folded, folded.removesuffix("s"), folded.removesuffix("es")):
        if form in known:
            return known[form]
    holding = [spelling for spelling in known if len(folded) > 2 and folded in spelling]
    near = [*difflib.get_close_matches(folded, known, n=3, cutoff=0.6), *holding]
    names = list(dict.fromkeys(known[spelling].name for spelling in near))[:4]
    hint = f"near it: {', '.join(names)}" if names else f"course.glossary() lists all {len(TERMS)}"
    raise CourseError(f"the glossary has no {word!r}; {hint}")


def term(word: str) -> Shown:
    """What a word of the course means, where that comes from, and which words belong to it.

    >>> from livemig import course
    >>> course.term("dirty log").heading
    'dirty log'

    Raises `CourseError` for a word that the glossary has not, with the words that are near it.
    """
    one = find(word)
    also = f"Also: {', '.join(one.also)}." if one.also else ""
    see = f" See also: {', '.join(one.see)}." if one.see else ""
    return Shown(one.name, (one.says, also, f"Source: {one.source}.{see}"))


def glossary() -> ShownTable:
    """Every word of the course in one table: the word, what it means, where that comes from.

    >>> from livemig import course
    >>> [row[0] for row in course.glossary().rows if row[0].startswith("T0")]
    ['T0']
    """
    rows = tuple((one.name, one.says, one.source) for one in TERMS)
    return ShownTable(f"Glossary: {len(rows)} words", ("Word", "What it means", "Where from"), rows,
                      "course.term(\"LPI\") shows one of them.")


def anchor(name: str) -> str:
    """The fragment under which a heading with this text is found on GitHub and on livemig's own pages."""
    return re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-")


def as_markdown() -> str:
    """The text of docs/glossary.md."""
    parts = [_HEAD]
    for title, terms in GROUPS.items():
        parts.append(f"## {title}\n")
        parts += [_entry(one) for one in sorted(terms, key=lambda one: one.name.lower())]
    return "\n".join(parts)


def _entry(one: Term) -> str:
    also = f" *Also:* {', '.join(one.also)}." if one.also else ""
    see = ", ".join(f"[{name}](#{anchor(name)})" for name in one.see)
    return f"### {one.name}\n\n{one.says}{also}\n\n*Source:* {one.source}.{f' *See:* {see}.' if see else ''}\n"


def _folded(word: str) -> str:
    return " ".join(word.lower().replace("-", " ").split())
