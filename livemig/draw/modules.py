"""The stage's ES modules joined into the one text that anywidget takes; no bundler.

The files import each other by `import { a, b } from "./file.js";` and in no other way. Joined, all names live in one
module: the imports and the word `export` fall away (but for `export default`), so no two files may use the same
top-level name; a test asserts that.
"""

from __future__ import annotations

import re
from importlib.resources import files

__all__ = ["MODULES", "join", "script", "style"]

MODULES = ("words.js", "wire.js", "steps.js", "scene.js", "axis.js", "timeline.js", "sequence.js", "itsbytes.js",
           "itspanel.js", "controls.js", "keys.js", "mailbox.js", "player.js", "page.js", "tableview.js", "stage.js")
"""In an order in which each file stands after those it imports from."""

_IMPORT = re.compile(r'^import\s*\{[^}]*\}\s*from\s*"\./[\w.]+";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:const|let|class|function|async function)\b)", re.MULTILINE)


def join(texts: list[str]) -> str:
    """One module out of several; raises `ValueError` when an import or export of another form is left."""
    joined = "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)
    left = re.search(r"^(import\b.*|export (?!default).*)$", joined, re.MULTILINE)
    if left:
        raise ValueError(f"cannot join {left[0]!r}: only `import {{ names }} from \"./file.js\";` "
                         "and `export` before a declaration")
    return joined


def _read(name: str) -> str:
    return files("livemig.draw").joinpath("static", name).read_text(encoding="utf-8")


def script() -> str:
    """The whole stage as one ES module."""
    return join([_read(name) for name in MODULES])


def style() -> str:
    """The stage's style sheet."""
    return _read("stage.css")
