"""Cells of an executed notebook as HTML: text, code in colours, outputs; stages and byte grids that need no kernel."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbconvert.filters import Highlight2HTML, ansi2html

from livemig.draw.standalone import kind_of, place, scripts, styles
from livemig.publish.markdown import Address, Anchors, page_of, to_html

__all__ = ["WIDGET", "Page", "code_html", "outputs_html"]

WIDGET = "application/vnd.jupyter.widget-view+json"
_STATES = "application/vnd.jupyter.widget-state+json"
FIGURES = {"timeline": "Timeline of passes, VM and migration thread", "pending": "Curve of what is pending",
           "sequence": "Sequence diagram", "convergence_map": "Map of which migrations converge",
           "comparison": "Comparison of policies", "page_map": "Map of pages, one panel for each pass",
           "transitions": "Diagram of states"}
_highlight = Highlight2HTML(pygments_lexer="ipython3")  # type: ignore[no-untyped-call]


@dataclass
class Page:
    """One page that cells are put on: knows the widgets' states, and collects which kinds and headings it has.

    `address`: where links to files of the repository lead, as of `to_html`.
    """

    notebook: Any
    address: Address = page_of
    anchors: Anchors = field(default_factory=Anchors)
    kinds: set[str] = field(default_factory=set)

    def text(self, source: str) -> str:
        """A Markdown text."""
        return to_html(source, self.anchors, self.address)

    def code(self, cell: Any, code_below: bool = False) -> str:
        """A code cell with its outputs."""
        code, outputs = code_html(str(cell.source)), outputs_html(cell, self)
        return outputs + code if code_below else code + outputs

    def state(self, model_id: str) -> Mapping[str, Any]:
        """The values of a widget; {} where the notebook does not hold them."""
        states = self.notebook.metadata.get("widgets", {}).get(_STATES, {}).get("state", {})
        return states.get(model_id, {}).get("state", {})  # type: ignore[no-any-return]

    def scripts(self) -> str:
        """For the end of the page's body."""
        return scripts(self.kinds)

    def styles(self) -> str:
        """For the page's head."""
        return styles(self.kinds)


def code_html(source: str) -> str:
    """Python in colours; by keyboard it can be scrolled where it is wide."""
    marked = str(_highlight(source)) if source.strip() else ""
    return marked.replace("<pre>", '<pre tabindex="0" role="group" aria-label="Code">', 1)


def outputs_html(cell: Any, page: Page) -> str:
    """What a cell put out, in its order."""
    return "".join(_output(one, str(cell.source), page) for one in cell.get("outputs", []))


def _output(output: Any, source: str, page: Page) -> str:
    if output.output_type == "stream":
        return _words(output.text, "out" if output.name == "stdout" else "out err")
    if output.output_type == "error":
        return _words("\n".join(output.traceback), "out err")
    data = output.data
    for mime, draw in _DRAWN.items():
        if mime in data:
            return draw(data, source, page)
    return ""


def _words(text: str, kind: str = "out") -> str:
    lines = (line.rsplit("\r", 1)[-1] for line in text.replace("\r\n", "\n").rstrip("\r\n").split("\n"))
    marked = ansi2html("\n".join(lines))  # type: ignore[no-untyped-call]
    return f'<pre class="{kind}" tabindex="0" role="group" aria-label="Output">{marked}</pre>'


def _widget(data: Mapping[str, Any], source: str, page: Page) -> str:
    """The widget itself where it can live without a kernel, else its words and its picture."""
    still = _fallback(data)
    kind = kind_of(state := page.state(str(data[WIDGET].get("model_id"))))
    if kind is None:
        return f'<div class="wide">{still}<p class="aside">This is a control; it works in the notebook.</p></div>'
    page.kinds.add(kind)
    return f'<div class="wide">{place(kind, state, still)}</div>'


def _fallback(data: Mapping[str, Any]) -> str:
    words = html.escape(data.get("text/plain", ""))
    if "image/png" not in data:
        return f'<pre class="out">{words}</pre>'
    return f'<figure><img src="{_png(data)}" alt="{words}"><figcaption>{words}</figcaption></figure>'


def _png(data: Mapping[str, Any]) -> str:
    return "data:image/png;base64," + "".join(str(data["image/png"]).split())


def _html(data: Mapping[str, Any], source: str, page: Page) -> str:
    """pandas leaves the corner of a table as an empty heading, which heads nothing."""
    text = re.sub(r"<th>\s*</th>", "<td></td>", data["text/html"])
    return f'<div class="out scroll" tabindex="0" role="group" aria-label="Output">{text}</div>'


def _image(data: Mapping[str, Any], source: str, page: Page) -> str:
    """A figure's words: what kind it is, by the function that drew it, and the section that it stands in."""
    drawn_by = [FIGURES[name] for name in re.findall(r"(\w+)\(", source) if name in FIGURES]
    sections = [text for level, text, _ in page.anchors.headings if level < 3]
    words = f"{drawn_by[-1] if drawn_by else 'Figure'}, in: {sections[-1] if sections else 'this page'}"
    return f'<div class="picture"><img src="{_png(data)}" alt="{html.escape(words)}"></div>'


def _markdown(data: Mapping[str, Any], source: str, page: Page) -> str:
    return f'<div class="out">{page.text(data["text/markdown"])}</div>'


def _plain(data: Mapping[str, Any], source: str, page: Page) -> str:
    return _words(str(data["text/plain"]))


# The first of these that an output has is shown.
_DRAWN: Mapping[str, Callable[[Mapping[str, Any], str, Page], str]] = {
    WIDGET: _widget, "text/html": _html, "text/markdown": _markdown, "image/png": _image, "text/plain": _plain,
}
