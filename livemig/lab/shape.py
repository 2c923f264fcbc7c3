"""Shapes of JSON values as data, and the check of a value against a shape.

A shape is built from `Leaf` (a number or a text, with limits), `Object` (required and optional keys), `Each` (a list of
one shape) and `Row` (a list with a shape for each place; more places may follow). The check names the place and the
reason, and its depth is that of the shape, so no value can exhaust it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Each", "Leaf", "Object", "Row", "Shape", "check", "describe"]


@dataclass(frozen=True)
class Leaf:
    """A value that is not divided further; `kind` is whole, number, text, object or list; `empty` allows None."""

    kind: str
    low: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    empty: bool = False


@dataclass(frozen=True)
class Object:
    """A JSON object; keys in neither mapping are left alone. `values` is the shape of every other key's value."""

    required: Mapping[str, Shape] = field(default_factory=dict)
    optional: Mapping[str, Shape] = field(default_factory=dict)
    values: Shape | None = None
    empty: bool = False


@dataclass(frozen=True)
class Each:
    """A list whose items have all one shape."""

    item: Shape


@dataclass(frozen=True)
class Row:
    """A list with one shape for each place; `then` may check the whole row and return what is wrong with it."""

    places: tuple[Shape, ...]
    then: Callable[[list[Any]], tuple[Shape, Any, str] | None] | None = None


Shape = Leaf | Object | Each | Row
_TYPES: Mapping[str, tuple[type, ...]] = {
    "whole": (int,), "number": (int, float), "text": (str,), "object": (dict,), "list": (list,)}
_NAMES = {"whole": "a whole number", "number": "a number", "text": "text", "object": "an object", "list": "a list"}


def check(value: Any, shape: Shape, where: str, fail: Callable[[str], Exception]) -> None:
    """Raise `fail(message)` when `value` has not this shape; `where` is the place's name, e.g. `params.ram`."""
    if value is None and isinstance(shape, Leaf | Object) and shape.empty:
        return
    if isinstance(shape, Leaf):
        _check_leaf(value, shape, where, fail)
    elif isinstance(shape, Object):
        _check_object(value, shape, where, fail)
    else:
        _check_list(value, shape, where, fail)


def _check_leaf(value: Any, shape: Leaf, where: str, fail: Callable[[str], Exception]) -> None:
    kind_matches = isinstance(value, _TYPES[shape.kind]) and not isinstance(value, bool)
    if not kind_matches:
        raise fail(f"{where} is {describe(value)}, expected {_NAMES[shape.kind]}")
    if shape.low is not None and not value >= shape.low:
        raise fail(f"{where} = {value}, must not be {'negative' if shape.low == 0 else f'below {shape.low:g}'}")
    if shape.above is not None and not value > shape.above:
        raise fail(f"{where} = {value}, must be above {shape.above:g}")
    if shape.choices and value not in shape.choices:
        raise fail(f"{where} is {value[:40]!r}, expected one of {', '.join(shape.choices)}")
    if shape.pattern and not re.fullmatch(shape.pattern, value):
        raise fail(f"{where} is {value[:40]!r}, expected something like {shape.pattern}")


def _check_object(value: Any, shape: Object, where: str, fail: Callable[[str], Exception]) -> None:
    if not isinstance(value, dict):
        raise fail(f"{where} is {describe(value)}, expected an object")
    prefix = f"{where}." if where else ""
    for key, inner in shape.required.items():
        if key not in value:
            raise fail(f"key '{prefix}{key}' is missing (cut off, or not a recording?)")
        check(value[key], inner, prefix + key, fail)
    for key, inner in shape.optional.items():
        if key in value:
            check(value[key], inner, prefix + key, fail)
    if shape.values is not None:
        for key in value.keys() - shape.required.keys() - shape.optional.keys():
            check(value[key], shape.values, prefix + key[:40], fail)


def _check_list(value: Any, shape: Each | Row, where: str, fail: Callable[[str], Exception]) -> None:
    if isinstance(shape, Each):
        if not isinstance(value, list):
            raise fail(f"{where} is {describe(value)}, expected a list")
        for i, item in enumerate(value):
            check(item, shape.item, f"{where}[{i}]", fail)
        return
    if not isinstance(value, list) or len(value) < len(shape.places):
        raise fail(f"{where} is {describe(value)}, expected a row of {len(shape.places)} values")
    for i, inner in enumerate(shape.places):
        check(value[i], inner, f"{where}[{i}]", fail)
    found = shape.then(value) if shape.then else None
    if found:
        check(found[1], found[0], f"{where} {found[2]}", fail)


def describe(value: Any) -> str:
    """What a value is, in words: `a list of 2`, `text 'abc'`, `missing (null)`."""
    if value is None:
        return "missing (null)"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    return f"{'text' if isinstance(value, str) else 'a number'} {repr(value)[:40]}"
