"""The reference pages in Markdown: every public name of `livemig` and `livemig.course`, from its docstring.

Theory of operation. Each name in `__all__` is loaded as a user would load it (`livemig` has lazy names), so a name that
does not exist fails here. Where the object was defined leads to griffe's reading of the source: signature, docstring,
fields, methods as they are written. griffe is needed only here, to write docs/reference, and only in the test packages.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

__all__ = ["MODULES", "reference_page", "unit_of"]

MODULES = {"livemig": "The public names of `import livemig`.",
           "livemig.course": "Exercises and glossary: `from livemig import course`."}

# Longest first: the end of a name says its unit (DESIGN.md, decision 13).
UNITS = (("_bytes_per_s", "bytes/s"), ("_per_s", "1/s"), ("_bytes", "bytes"), ("_pages", "pages"), ("_ms", "ms"),
         ("_pct", "%"), ("_s", "s"))
_ARGUMENT = re.compile(r"^(\w+(?:, \w+)*): ", re.MULTILINE)
_Read: TypeAlias = Any  # griffe's objects; it is no package of a user's installation


def reference_page(module_name: str, root: Path) -> str:
    """docs/reference/*.md of one module. `root`: the folder that holds the package `livemig`."""
    import griffe

    package = griffe.load("livemig", search_paths=[root])
    module = importlib.import_module(module_name)
    names = [name for name in module.__all__ if not name.startswith("_")]
    parts = [f"# {module_name}\n\n{MODULES[module_name]}\n", _note(), _contents(names)]
    parts += [_entry(name, getattr(module, name), package, module_name) for name in names]
    return "\n".join(parts)


def unit_of(name: str) -> str:
    """The unit that the end of a name says, empty for a plain number or a text."""
    return next((unit for ending, unit in UNITS if name.endswith(ending)), "")


def _note() -> str:
    return "<!-- Written by `make docs` from the docstrings; edit those. -->\n"


def _contents(names: Sequence[str]) -> str:
    """Links to the names; of two that differ in capitals only the second has the anchor `stage-1`, as on GitHub."""
    lower = [name.lower() for name in names]
    again = [f"-{lower[:i].count(one)}" if one in lower[:i] else "" for i, one in enumerate(lower)]
    links = [f"[{name}](#{one}{number})" for name, one, number in zip(names, lower, again, strict=True)]
    return ", ".join(links) + "\n"


def _entry(name: str, value: Any, package: _Read, module_name: str) -> str:
    if isinstance(value, ModuleType):
        return "\n".join([f"## {name}\n", *_module(name, value, package)])
    origin = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not inspect.isroutine(value) and not inspect.isclass(value):
        return f"## {name}\n\nA `{type(value).__name__}`; its first key is `{next(iter(value))}`.\n"
    read = package[f"{origin[0]}.{origin[1]}".removeprefix("livemig.")]
    text = _class(name, value, read) if inspect.isclass(value) else _function(name, read)
    return "\n".join([f"## {name}\n", *text])


def _module(name: str, module: ModuleType, package: _Read) -> Iterator[str]:
    read = package[module.__name__.removeprefix("livemig.")]
    yield from _text(read)
    for member in vars(module)["__all__"]:
        value = getattr(module, member)
        if inspect.isfunction(value) or inspect.isclass(value):
            full = f"{name}.{member}"
            yield f"### {full}\n"
            yield from _class(full, value, read[member]) if inspect.isclass(value) else _function(full, read[member])


def _function(name: str, read: _Read) -> Iterator[str]:
    yield _code(_signature(name, read))
    yield from _text(read)


def _class(name: str, value: type, read: _Read) -> Iterator[str]:
    if not dataclasses.is_dataclass(value) and "__init__" in read.members:
        yield _code(_signature(name, read.members["__init__"]).removesuffix(" -> None"))
    yield from _text(read)
    if dataclasses.is_dataclass(value):
        yield _fields(value)
    for member in read.members.values():
        if member.name.startswith("_") or not member.has_docstring or not (member.is_function or member.is_attribute):
            continue
        call = f"`{_signature(member.name, member)}`" if member.is_function else f"`{member.name}: {member.annotation}`"
        yield f"- {call}\n\n  {_indented(member.docstring.value)}\n"
    yield ""


def _signature(name: str, read: _Read) -> str:
    """As it is called: without `self`, with the annotations and defaults that stand in the source."""
    shown: list[str] = []
    kinds = [str(one.kind.value) for one in read.parameters]
    for one, kind in zip(read.parameters, kinds, strict=True):
        if one.name in ("self", "cls"):
            continue
        if kind == "keyword-only" and "*" not in shown and not any(text.startswith("*") for text in shown):
            shown.append("*")
        star = {"variadic positional": "*", "variadic keyword": "**"}.get(kind, "")
        typed = f"{star}{one.name}" + (f": {one.annotation}" if one.annotation else "")
        equal = " = " if one.annotation else "="
        shown.append(typed + (f"{equal}{one.default}" if one.default is not None and not star else ""))
    return f"{name}({', '.join(shown)})" + (f" -> {read.returns}" if read.returns else "")


def _fields(value: Any) -> str:
    """A table of a dataclass's fields: unit, default, range, meaning where the field says them."""
    rows = ["| field | default | unit | from, to | what |", "|---|---|---|---|---|"]
    for one in dataclasses.fields(value):
        meta = one.metadata
        unit = str(meta.get("unit", "")) or unit_of(one.name)
        choices = ", ".join(meta.get("choices", ()))
        reach = f"{_plain(meta['min'])} to {_plain(meta['max'])}" if "min" in meta else choices
        rows.append(f"| `{one.name}` | {_default(one)} | {unit} | {reach} | {meta.get('label', '')} |")
    empty = [i for i in (3, 4) if all(not row.split(" | ")[i].strip(" |") for row in rows[2:])]
    return "\n".join(_without(row, empty) for row in rows) + "\n"


def _without(row: str, columns: Sequence[int]) -> str:
    cells = row.strip("|").split("|")
    return f"|{'|'.join(cell for i, cell in enumerate(cells) if i not in columns)}|"


def _default(one: Any) -> str:
    if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
        return ""
    value = one.default_factory() if one.default is dataclasses.MISSING else one.default
    if dataclasses.is_dataclass(value):
        return f"`{type(value).__name__}()`"
    return _plain(value) if type(value) in (int, float) else f"`{value!r}`"


def _plain(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def _text(read: _Read) -> Iterator[str]:
    """The docstring as Markdown, its examples in blocks, and the file that it stands in."""
    if read.docstring is not None:
        yield _blocks(read.docstring.value) + "\n"
    file = Path(read.relative_filepath).as_posix()
    yield f"*Source:* [{file}](../../{file}).\n"


def _blocks(docstring: str) -> str:
    """Paragraphs that begin with `>>>` become code, lines that begin with an argument's name a list."""
    return "\n\n".join(f"```python\n{text}\n```" if text.startswith(">>>") else _arguments(text)
                       for text in docstring.strip().split("\n\n"))


def _arguments(paragraph: str) -> str:
    starts = [_ARGUMENT.match(line) for line in paragraph.splitlines() if not line.startswith(" ")]
    return _ARGUMENT.sub(r"- `\1`: ", paragraph) if len(starts) > 1 and all(starts) else paragraph


def _indented(docstring: str) -> str:
    return _blocks(docstring).replace("\n", "\n  ")


def _code(text: str) -> str:
    """A signature in a block, broken at its arguments when it is long."""
    if len(text) > 100:
        head, _, rest = text.partition("(")
        arguments, _, tail = rest.rpartition(")")
        text = f"{head}(\n" + "\n".join(f"    {one}," for one in _split(arguments)) + f"\n){tail}"
    return f"```python\n{text}\n```\n"


def _split(arguments: str) -> list[str]:
    """At the commas that are in no bracket."""
    return [part.strip() for part in re.split(r",\s*(?![^\[\](){}]*(?:\[[^\[\]]*\])?[^\[\](){}]*[\])}])", arguments)]
