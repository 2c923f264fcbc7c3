"""Slides: one HTML file for each notebook, for a lecture hall without a network. Stages play on their slides.

A heading begins a slide, and so does what follows a code cell with its outputs: no slide shows an answer before its
question. A stage or a byte grid has a slide of its own, and its code stands below it. A slide that is higher than the
screen scrolls; nothing is cut. The deck is livemig's own (`static/deck.js`): nbconvert's slides load reveal.js from a
network, and no maintained Python package ships it.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livemig.draw.standalone import document
from livemig.publish.cells import WIDGET, Page
from livemig.publish.folder import replaced
from livemig.publish.markdown import HEADING, at_headings, plain_text
from livemig.publish.notebooks import Notebook, executed, read_notebooks
from livemig.publish.page import SITE_NAME, page, static_text, titled
from livemig.publish.readers import to_read

__all__ = ["Slide", "build_slides", "deck", "split"]

_LEFT_OUT = ("skip", "notes")  # of a cell's "slide type" in JupyterLab; the other types change nothing


@dataclass
class Slide:
    """Texts and at most one code cell, in order; `above` says what they belong to where no heading of theirs does."""

    above: str
    parts: list[Any] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """Whether it has its code cell."""
        return any(not isinstance(part, str) for part in self.parts)

    @property
    def is_heading(self) -> bool:
        """Whether there is nothing on it but a heading."""
        return len(self.parts) == 1 and isinstance(self.parts[0], str) and "\n" not in self.parts[0].strip()


def split(run: Any) -> list[Slide]:
    """The slides of a notebook, less what only works in JupyterLab: parts are Markdown texts and code cells."""
    slides = [Slide("")]
    section, heading = "", ""
    for part in _parts(to_read(run)):
        found = HEADING.match(part.strip().partition("\n")[0]) if isinstance(part, str) else None
        if found is not None:
            level, heading = len(found[1]), plain_text(found[2])
            section = heading if level < 3 else section
            slides.append(Slide(section if level == 3 else ""))
        elif slides[-1].full or (_is_widget(part) and not slides[-1].is_heading):
            slides.append(Slide(section if heading == section else f"{section} · {heading}"))
        slides[-1].parts.append(part)
    return [slide for slide in slides if slide.parts]


def _is_widget(part: Any) -> bool:
    return not isinstance(part, str) and any(WIDGET in one.get("data", {}) for one in part.get("outputs", []))


def _parts(run: Any) -> Iterator[Any]:
    """Code cells, and texts that have a heading at their beginning or none."""
    for cell in run.cells:
        if cell.metadata.get("slideshow", {}).get("slide_type") in _LEFT_OUT:
            continue
        if cell.cell_type == "code":
            yield cell
        elif cell.cell_type == "markdown":
            yield from at_headings(str(cell.source))


def build_slides(notebooks: Path, folder: Path, progress: Callable[[str], None] | None = None,
                 runs: Mapping[str, Any] | None = None) -> list[Path]:
    """Write a deck for each notebook and an index into `folder`; arguments and errors as of `build_site`."""
    chapters = read_notebooks(notebooks)
    with replaced(folder) as made:
        runs = executed(chapters, progress) if runs is None else runs
        for one in chapters:
            (made / one.page).write_text(deck(one.title, runs[one.name]), encoding="utf-8")
        (made / "index.html").write_text(_index(chapters), encoding="utf-8")
    return sorted(folder.glob("*.html"))


def deck(title: str, run: Any) -> str:
    """An executed notebook as one file of slides."""
    target = Page(run)
    slides = split(run)
    shown = "\n".join(_slide(slide, i, len(slides), target) for i, slide in enumerate(slides, start=1))
    body = (f'<main class="deck"><h1 class="unseen">{html.escape(title)}</h1>{shown}</main>\n'
            '<nav class="turn-slides" aria-label="Slides"><span role="status" data-keys></span>'
            '<button data-more hidden>more ↓</button>'
            '<button data-turn="-1" aria-label="Previous slide">‹</button><span role="status" data-place></span>'
            f'<button data-turn="1" aria-label="Next slide">›</button></nav>{target.scripts()}'
            f'<script>\n{static_text("deck.js")}\n</script>')
    return document(titled(title), body, "\n".join((static_text("page.css"), static_text("deck.css"), target.styles())))


def _slide(slide: Slide, number: int, count: int, target: Page) -> str:
    above = f'<p class="above">{html.escape(slide.above)}</p>' if slide.above else ""
    parts = "".join(target.text(part) if isinstance(part, str) else target.code(part, code_below=_is_widget(part))
                    for part in slide.parts)
    return (f'<section class="slide" id="slide-{number}" aria-label="Slide {number} of {count}" tabindex="0">'
            f'{above}{parts}</section>')


def _index(chapters: list[Notebook]) -> str:
    rows = "".join(f'<li><a href="{one.page}">{html.escape(one.title)}</a></li>' for one in chapters)
    keys = ("Space or Page Down goes on (a high slide scrolls first), Page Up goes back, the arrows left and right "
            "turn at once. In a stage the same keys are the stage's; Escape gives them back to the slides; the bar "
            "below says so while a stage has them. Its button \"more\" is there as long as a slide goes on below.")
    return page(SITE_NAME, f'<h1>Slides</h1><p>{keys}</p><ol class="chapters" start="0">{rows}</ol>')
