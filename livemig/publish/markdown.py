"""Markdown to HTML for pages that load nothing: headings with anchors, formulas as MathML, code in colours.

The parser is nbconvert's (so the site reads a cell as Jupyter does); formulas become MathML, which browsers draw
without a script.
"""

from __future__ import annotations

import html
import posixpath
import re
from typing import Any

from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from livemig.publish.docs import on_the_site

__all__ = ["Anchors", "to_html"]


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


def to_html(source: str, anchors: Anchors) -> str:
    """One piece of Markdown as HTML; its headings are added to `anchors`. Links to notebooks become links to pages."""
    return MarkdownWithMath(renderer=_Renderer(anchors)).render(source)


class _Renderer(IPythonRenderer):
    def __init__(self, anchors: Anchors) -> None:
        super().__init__(escape=False)
        self._anchors = anchors

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
        name, mark, fragment = url.partition("#")
        page = None if re.match(r"[a-z]+:|#", url) else on_the_site(posixpath.normpath(f"notebooks/{name}"))
        return super().link(text, f"{page}{mark}{fragment}" if page else url, title)
