"""Short texts that a notebook shows: words first, the same in a terminal, to a screen reader and on the page.

Theory of operation. A `Shown` is a heading and paragraphs. `repr` gives lines of text; `_repr_html_` gives a labelled
section with the same words, without colours of its own (so that it is readable in every theme) and with nothing that
only a colour or a sign says. Everything is escaped: an answer may hold anything.
"""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass, field

__all__ = ["Shown", "ShownTable"]

WIDTH = 100


@dataclass(frozen=True, repr=False)
class Shown:
    """A heading and paragraphs; a paragraph that begins with spaces keeps its lines."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    right: bool | None = field(default=None)

    def __repr__(self) -> str:
        lines = [self.heading]
        for text in filter(None, self.paragraphs):
            lines += text.splitlines() if _kept(text) else textwrap.wrap(text, WIDTH, break_long_words=False)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        heading = html.escape(self.heading)
        body = "".join(f"<pre>{html.escape(text)}</pre>" if _kept(text) else f"<p>{html.escape(text)}</p>"
                       for text in filter(None, self.paragraphs))
        return f'<section aria-label="{heading}" lang="en"><p><strong>{heading}</strong></p>{body}</section>'


def _kept(text: str) -> bool:
    return text.startswith("  ")


@dataclass(frozen=True, repr=False)
class ShownTable:
    """A caption and rows of texts; `columns` are their names. The rows can be read as `rows`."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    below: str = ""

    def __repr__(self) -> str:
        table = (self.columns, *self.rows)
        widths = [max(len(row[i]) for row in table) for i in range(len(self.columns))]
        lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
                 for row in table]
        return "\n".join(filter(None, (self.caption, *lines, self.below)))

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.columns)
        rows = "".join(f'<tr><th scope="row">{html.escape(row[0])}</th>'
                       + "".join(f"<td>{html.escape(text)}</td>" for text in row[1:]) + "</tr>" for row in self.rows)
        below = f"<p>{html.escape(self.below)}</p>" if self.below else ""
        return (f'<table lang="en"><caption>{html.escape(self.caption)}</caption><thead><tr>{head}</tr></thead>'
                f"<tbody>{rows}</tbody></table>{below}")
