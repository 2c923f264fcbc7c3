"""Markdown to HTML for pages that load nothing: headings with anchors, formulas as MathML, code in colours.

The parser is nbconvert's (so the site reads a cell as Jupyter does); formulas become MathML, which browsers draw
without a script.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Callable, Iterator
from typing import Any

from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

__all__ = ["HEADING", "Address", "Anchors", "at_headings", "page_of", "plain_text", "to_html"]

Address = Callable[[str], str | None]
HEADING = re.compile(r"^(#{1,3}) +(.+?)\s*$")
_FENCE = re.compile(r"^\s*(```|~~~)")
_FOLDER = "notebooks"


def page_of(file: str) -> str | None:
    """The address, from the site's top, of the page of a notebook, named from the repository's top; else None."""
    found = re.fullmatch(rf"{_FOLDER}/([^/]+)\.ipynb", file)
    return f"{found[1]}.html" if found else None


class Anchors:
    """The ids of one page's headings; the second "Predict" of a page is `predict-2`."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self.headings: list[tuple[int, str, str]] = []

    def take(self, level: int, text: str) -> str:
        """The id of one more heading with this plain text; `headings` has (level, text, id) of all."""
        base = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "part"
        self._taken[base] = self._taken.get(base, 0) + 1
        name = base if self._taken[base] == 1 else f"{base}-{self._taken[base]}"
        self.headings.append((level, text, name))
        return name


def to_html(source: str, anchors: Anchors, address: Address = page_of) -> str:
    """One piece of Markdown of a notebook as HTML; its headings are added to `anchors`.

    `address`: of a file of the repository on the page's site, None where it has none; then the link becomes its words.
    """
    return MarkdownWithMath(renderer=_Renderer(anchors, address)).render(source)


def at_headings(text: str) -> Iterator[str]:
    """A Markdown text cut in front of each heading of the levels 1 to 3; a line in a code block is none."""
    lines: list[str] = []
    fenced = False
    for line in text.splitlines():
        fenced ^= bool(_FENCE.match(line))
        if not fenced and HEADING.match(line) and any(lines):
            yield "\n".join(lines)
            lines = []
        lines.append(line)
    if any(lines):
        yield "\n".join(lines)


def plain_text(source: str) -> str:
    """A line of Markdown without its marks."""
    return html.unescape(re.sub(r"<[^>]+>", "", to_html(source, Anchors()))).strip()


class _Renderer(IPythonRenderer):
    def __init__(self, anchors: Anchors, address: Address) -> None:
        super().__init__(escape=False)
        self._anchors = anchors
        self._address = address

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        plain = html.unescape(re.sub(r"<[^>]+>", "", text))
        name = self._anchors.take(level, plain)
        label = html.escape(f"Link to {plain}")
        return f'<h{level} id="{name}">{text}<a class="anchor" href="#{name}" aria-label="{label}">#</a></h{level}>\n'

    def block_math(self, body: str) -> str:
        formula = convert(body, display="block")
        return f'<span class="formula" tabindex="0" role="group" aria-label="Formula">{formula}</span>'

    def inline_math(self, body: str) -> str:
        return convert(body)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        if re.match(r"[a-z]+:|#", url):
            return super().link(text, url, title)
        name, _, fragment = url.partition("#")
        address = self._address(posixpath.normpath(posixpath.join(_FOLDER, name)))
        return text if address is None else super().link(text, address + (f"#{fragment}" if fragment else ""), title)
