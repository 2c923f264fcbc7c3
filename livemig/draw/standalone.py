"""Widgets on a page without a kernel: their values as JSON in the page, one module for all widgets of a kind.

`document()` is the page, `place()` is put where a widget belongs, `scripts()` and `styles()` once, however many there
are. The module is the one that anywidget gets; `static/standin.js` stands in for the kernel.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from livemig.draw.bytegrid import ByteGrid
from livemig.draw.modules import read_static, script, style

__all__ = ["KINDS", "Kind", "document", "kind_of", "place", "scripts", "styles"]

State = Mapping[str, Any]

_DOCUMENT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
script-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>
{style}
</style></head>
<body data-jp-theme-light="true"><script>
{theme}
</script>
{body}
</body></html>
"""


@dataclass(frozen=True)
class Kind:
    """How a kind of widget is shown without a kernel.

    widget: its Python class, as a widget's state names it (`_anywidget_id`).   module: its ES module's text.
    style: its style sheet.   without_kernel: makes of its values those that a page without a kernel can keep true.
    """

    widget: str
    module: Callable[[], str]
    style: Callable[[], str]
    without_kernel: Callable[[State], dict[str, Any]]


def _stage(state: State) -> dict[str, Any]:
    """No recordings but those that the state holds, and no controls where the browser has no model."""
    made = {**state, "_recordings": []}
    if not state.get("_tables"):
        made.update(_controls=[], _presets=[])
    return made


def _grid(state: State) -> dict[str, Any]:
    """Commands can be read and not be changed: Python's ITS runs them."""
    about = state["_about"]
    if not about["editable"]:
        return dict(state)
    words = "The commands are shown as they were run; to change them, open the notebook: there a kernel runs them."
    return {**state, "_about": {**about, "fixed": True, "note": f"{about['note']} {words}".strip()}}


KINDS: Mapping[str, Kind] = {
    "stage": Kind("livemig.draw.stage.Stage", script, style, _stage),
    "bytegrid": Kind("livemig.draw.bytegrid.ByteGrid", lambda: str(ByteGrid._esm), lambda: read_static("bytegrid.css"),
                     _grid),
}
_KIND_OF = {kind.widget: name for name, kind in KINDS.items()}
_NOT_VALUES = ("_esm", "_css", "_anywidget", "_dom", "_model", "_view")


def kind_of(state: State) -> str | None:
    """The name in `KINDS` of the widget with this state, None for another widget."""
    return _KIND_OF.get(str(state.get("_anywidget_id")))


def document(title: str, body_html: str, style: str) -> str:
    """A whole HTML file with this style sheet and what stands in `<body>`; nothing is loaded into it.

    The stage's themes are JupyterLab's, by an attribute of the body; here the system's setting decides.
    """
    return _DOCUMENT.format(title=html.escape(title), style=style, theme=read_static("theme.js"), body=body_html)


def place(kind: str, state: State, fallback_html: str) -> str:
    """A widget's place in a page, as HTML: its values, and `fallback_html` for readers without JavaScript."""
    values = {name: value for name, value in state.items() if not name.startswith(_NOT_VALUES)}
    text = json.dumps(KINDS[kind].without_kernel(values), separators=(",", ":"), allow_nan=False)
    text = text.replace("</", "<\\/").replace("<!--", "<\\u0021--")
    return f'<div data-widget="{kind}"><script type="application/json">{text}</script>{fallback_html}</div>'


def styles(kinds: Iterable[str]) -> str:
    """The style sheets of these kinds; the byte grid's needs the stage's."""
    wanted = set(kinds)
    needed = {*wanted, "stage"} if wanted else wanted
    return "\n".join(kind.style() for name, kind in KINDS.items() if name in needed)


def scripts(kinds: Iterable[str]) -> str:
    """The `<script>` elements of these kinds, each with its module once; they stand behind the last place."""
    wanted = set(kinds)
    return "\n".join(_script(name, kind) for name, kind in KINDS.items() if name in wanted)


def _script(name: str, kind: Kind) -> str:
    module = kind.module().replace("export default {", "const livemigWidget = {")
    text = f'{module}\n{read_static("standin.js")}\nmount("{name}", livemigWidget);'.replace("</script", "<\\/script")
    return f'<script type="module">\n{text}\n</script>'
