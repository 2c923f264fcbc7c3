"""The stage's ES modules bundled into the one text that anywidget takes; no tool from outside.

The files import each other by `import { a, b } from "./file.js";` and in no other way. Bundled, each file is a function
that is called once and returns what it exports, so files may use the same names; an import takes names out of what an
earlier file returned. The last file stays as it is: its `export default` is the module's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files

__all__ = ["bundle", "join", "modules", "read_static", "script", "style"]

_IMPORT = re.compile(r'^import\s*(\{[^}]*\})\s*from\s*"\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:const|let|class|function|async function)\b)", re.MULTILINE)
_EXPORTED = re.compile(r"^export (?:const|let|class|function|async function)\s+(\w+)", re.MULTILINE)


def join(texts: list[str]) -> str:
    """A small widget's files in one scope: no two may use the same top-level name. Errors as in `bundle`."""
    return "\n".join(_plain(_IMPORT.sub("", text)) for text in texts)


def bundle(named: Sequence[tuple[str, str]]) -> str:
    """One module out of several (name, text); raises `ValueError` when an import or export of another form is left."""
    parts = [_scoped(name, text) for name, text in named[:-1]]
    return "\n".join([*parts, _plain(named[-1][1])])


def _scoped(name: str, text: str) -> str:
    exported = ", ".join(_EXPORTED.findall(text))
    return f"const {_variable(name)} = (() => {{\n{_plain(text)}\nreturn {{ {exported} }};\n}})();\n"


def _plain(text: str) -> str:
    taken = _IMPORT.sub(lambda found: f"const {found[1].replace(' as ', ': ')} = {_variable(found[2])};\n", text)
    plain = _EXPORT.sub("", taken)
    left = re.search(r"^(import\b.*|export (?!default).*)$", plain, re.MULTILINE)
    if left:
        raise ValueError(f"cannot join {left[0]!r}: only `import {{ names }} from \"./file.js\";` "
                         "and `export` before a declaration")
    return plain


def _variable(name: str) -> str:
    return "file_" + name.removesuffix(".js").replace(".", "_")


def read_static(name: str) -> str:
    """The text of a file of `static/`."""
    return files("livemig.draw").joinpath("static", name).read_text(encoding="utf-8")


def modules(last: str = "stage.js") -> tuple[str, ...]:
    """`last` and all files that it needs, each behind those it imports from; a cycle raises `ValueError`."""
    order: list[str] = []
    _visit(last, (), order)
    return tuple(order)


def _visit(name: str, above: tuple[str, ...], order: list[str]) -> None:
    if name in above:
        raise ValueError(f"{name} imports itself: {' -> '.join([*above[above.index(name):], name])}")
    for _, needed in _IMPORT.findall(read_static(name)):
        if needed not in order:
            _visit(needed, (*above, name), order)
    order.append(name)


def script() -> str:
    """The whole stage as one ES module."""
    return bundle([(name, read_static(name)) for name in modules()])


def style() -> str:
    """The stage's style sheet."""
    return read_static("stage.css")
