"""Right or wrong, and why: an answer against the key of a task.

Theory of operation. An answer is read first (a text with a unit, hexadecimal digits, names or letters, a function);
what cannot be read is no try and gets a sentence on how to write it. Then it is compared with the key, then with the
usual wrong answers, whose reason is told. Anything else gets what can be said without giving the key away.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from livemig.course.drivers import DRIVERS, plain
from livemig.course.model import Bytes, Case, Function, Key, Number, Order, Task, Wrong
from livemig.course.runner import run_cases
from livemig.units import UnitError, format_quantity, parse_quantity

__all__ = ["Verdict", "example_of", "judge", "key_text", "shown_key"]

LONGEST_ARGUMENT = 70  # characters of it that are told; a list of polls has thousands
LETTERS = "ABCDEFGHIJKLMNOP"
# How answers are written; no exercise has such a key.
_EXAMPLES = {"bytes": "12.3 MiB", "bytes/s": "45.6 MiB/s", "s": "78.9 ms", "": "42"}
# How far off an answer is whose units were mixed up, and what was probably done.
_FACTORS = ((1000, "a thousand times", "ms and s, or one prefix for the next"),
            (1024, "1024 times", "KiB, MiB and GiB"),
            (8, "eight times", "bits and bytes"))


@dataclass(frozen=True)
class Verdict:
    """`right` is None where the answer could not be read, which counts as no try."""

    right: bool | None
    reason: str


class Unreadable(ValueError):
    """An answer that is no answer; the message says how to write one."""


def judge(task: Task, answer: Any) -> Verdict:
    """Compare an answer with the task's key; never raises for what a learner answers."""
    if answer is Ellipsis:
        return Verdict(None, "No answer yet: put yours in the place of the dots.")
    if answer is None or (isinstance(answer, str) and not answer.strip()):
        return Verdict(None, "No answer given.")
    try:
        return _judge(task.key, answer)
    except Unreadable as error:
        return Verdict(None, f"This cannot be read as an answer: {error}")


@singledispatch
def _judge(key: Any, answer: Any) -> Verdict:
    raise TypeError(f"no kind of exercise: {type(key).__name__}")


def _usual(wrongs: Sequence[Wrong], same: Callable[[Any], bool], otherwise: str) -> Verdict:
    return Verdict(False, next((wrong.reason for wrong in wrongs if same(wrong.answer)), otherwise))


@_judge.register
def _number(key: Number, answer: Any) -> Verdict:
    value = _read_number(key, answer)
    told = _as_written(key, answer, value)
    if key.near(value, key.value):
        return Verdict(True, f"{told} is right.")
    otherwise = f"{told} is {_how_far(key, value)}."
    return _usual(key.wrongs, lambda wrong: key.near(value, wrong), otherwise)


def _as_written(key: Number, answer: Any, value: float) -> str:
    """The answer in the learner's own unit; in a usual one too, where that is another."""
    usual = format_quantity(value, key.unit)
    written = " ".join(str(answer).split()) if key.unit and isinstance(answer, str) else usual
    same = _with_points(written).replace(" ", "") == usual.replace(" ", "")
    return usual if same else f"{written} ({usual})"


def _how_far(key: Number, value: float) -> str:
    way = "large" if value > key.value else "small"
    for factor, words, units in _FACTORS if key.unit else ():
        if key.near(value, key.value * factor) or key.near(value, key.value / factor):
            return f"{words} too {way}; look at the units ({units})"
    return f"too {way}"


def example_of(key: Number) -> str:
    """How an answer to this key could be written; never the key's own value."""
    return key.example or _EXAMPLES[key.unit]


def _read_number(key: Number, answer: Any) -> float:
    example = example_of(key)
    if hasattr(answer, "item") and getattr(answer, "shape", None) == ():
        answer = answer.item()
    if isinstance(answer, bool) or not isinstance(answer, int | float | str):
        raise Unreadable(f"expected a number such as {example!r}, found {type(answer).__name__}.")
    text = _with_points(answer) if isinstance(answer, str) else repr(answer)
    if key.noun:
        text = re.sub(rf"\s*\b{key.noun.removesuffix('s')}s?\s*$", "", text, flags=re.IGNORECASE)
    if key.unit and re.fullmatch(r"\s*[-+]?[\d.]+(?:[eE][-+]?\d+)?\s*", text):
        raise Unreadable(f"{text.strip()} of what? Write the unit too, such as {example!r}.")
    try:
        value = parse_quantity(text, key.unit, bare=False)
    except UnitError as error:
        raise Unreadable(f"{error}.") from None
    return value if math.isfinite(value) else 0.0


def _with_points(text: str) -> str:
    """A decimal comma as a point ("7,2 MiB"). One before three digits could be either, so it is asked for."""
    if text.count(",") != 1 or "." in text:
        return text
    if re.search(r"\d,\d{3}(?!\d)", text):
        raise Unreadable(f"the comma in {text.strip()!r} could stand before thousands or before decimals; write a "
                         "decimal point, or no comma.")
    return re.sub(r"(?<=\d),(?=\d)", ".", text)


@_judge.register
def _bytes(key: Bytes, answer: Any) -> Verdict:
    value = _read_bytes(key, answer)
    if value == key.value:
        return Verdict(True, f"{value.hex(' ')} is right.")
    found, wanted = key.layout.decode(value), key.layout.decode(key.value)
    differ = [name for name in wanted if found[name] != wanted[name]]
    told = {0: "bits that belong to no field differ", 1: f"the field {', '.join(differ)} differs"}
    otherwise = told.get(len(differ), f"the fields {', '.join(differ)} differ")
    return _usual(key.wrongs, lambda wrong: value == wrong, f"Read back as a {key.layout.name}, {otherwise}.")


def _read_bytes(key: Bytes, answer: Any) -> bytes:
    size = key.layout.size_bytes
    if isinstance(answer, int):
        raise Unreadable("a number has no order of bytes; write the bytes as they lie in memory, such as "
                         f"{bytes(range(size)).hex(' ')!r}.")
    if isinstance(answer, str):
        digits = re.sub(r"0[xX]|[\s,:_]", "", answer)
        try:
            answer = bytes.fromhex(digits)
        except ValueError:
            raise Unreadable(f"expected two hexadecimal digits a byte, such as {bytes(range(size)).hex(' ')!r}, "
                             f"found {answer[:60]!r}.") from None
    if not isinstance(answer, bytes | bytearray):
        raise Unreadable(f"expected bytes or hexadecimal digits, found {type(answer).__name__}.")
    if len(answer) != size:
        raise Unreadable(f"a {key.layout.name} has {size} bytes, found {len(answer)}.")
    return bytes(answer)


@_judge.register
def _order(key: Order, answer: Any) -> Verdict:
    value = _read_order(key, answer)
    if value == key.value:
        return Verdict(True, "This is the order.")
    place = next(i for i, name in enumerate(value) if name != key.value[i])
    otherwise = (f"The first {place} are right, the next is not." if place else "Something else comes first.")
    return _usual(key.wrongs, lambda wrong: value == tuple(wrong), otherwise)


def _read_order(key: Order, answer: Any) -> tuple[str, ...]:
    letters = dict(zip(LETTERS, key.shown, strict=False))
    usage = f"expected the letters {' '.join(letters)} in their order"
    if isinstance(answer, str):
        text = re.sub(r"[\s,;>-]+", " ", answer).strip()
        answer = list(text.replace(" ", "")) if all(len(part) == 1 for part in text.split()) else text.split()
        if len(answer) == 1 and len(key.shown) > 1:
            answer = list(answer[0])
    try:
        names = [str(one) for one in answer]
    except TypeError:
        raise Unreadable(f"{usage}, found {type(answer).__name__}.") from None
    value = tuple(letters.get(name.upper(), name) for name in names)
    if sorted(value) != sorted(key.shown):
        raise Unreadable(f"{usage}, each once; found {', '.join(names)[:80]}.")
    return value


@_judge.register
def _function(key: Function, answer: Any) -> Verdict:
    if not callable(answer):
        raise Unreadable(f"expected a function such as {key.name}(...), without calling it; found "
                         f"{type(answer).__name__} {str(answer)[:40]!r}.")
    ran = run_cases(answer, [case.args for case in key.cases], key.driver)
    said = f" It printed: {ran.printed.strip()}" if ran.printed.strip() else ""
    if ran.trouble:
        return Verdict(False, f"{ran.trouble[:1].upper()}{ran.trouble[1:]}.".replace("?.", "?") + said)
    values = list(ran.values)
    failed = [i for i, case in enumerate(key.cases) if not _same(values[i], plain(case.expected), key.tolerance)]
    if not failed:
        return Verdict(True, f"Your function gives the right answer in {len(values)} of {len(values)} cases.{said}")
    first = key.cases[failed[0]]
    told = (f"{_called(key, first)} gave {_value(values[failed[0]])}, expected "
            f"{_value(plain(first.expected))}; right in {len(values) - len(failed)} of {len(values)} cases.")
    if key.told is not None:
        told += f" That case in words: {key.told(*first.args)}."
    reason = next((wrong.reason for wrong in key.wrongs if _alike(key, wrong.answer, values)), "")
    return Verdict(False, f"{reason} {told}".strip() + said)


def _alike(key: Function, usual: Callable[..., Any], values: list[Any]) -> bool:
    """Whether the learner's values are those of a usual mistake in every case."""
    return all(_same(value, outcome(key, usual, case), key.tolerance)
               for value, case in zip(values, key.cases, strict=True))


def outcome(key: Function, function: Callable[..., Any], case: Case) -> Any:
    """What one of our own functions gives for a case, in this process."""
    return plain(DRIVERS[key.driver](function, case.args))


def _same(value: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, list):
        return isinstance(value, list) and len(value) == len(expected) and all(
            _same(one, other, tolerance) for one, other in zip(value, expected, strict=True))
    if isinstance(expected, bool):
        return isinstance(value, int) and bool(value == expected)  # 1 for True is a habit of other languages
    if not isinstance(expected, int | float):
        return bool(value == expected) and type(value) is type(expected)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value - expected) <= tolerance * abs(expected)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return bytes.fromhex(value["bytes"]).hex(" ") if "bytes" in value else f"{value['type']} {value['repr']}"
    return repr(value)


def _called(key: Function, case: Case) -> str:
    """The call as the learner would write it; what a driver other than `plain` does is in the question."""
    if key.driver == "plain":
        return f"{key.name}({', '.join(_short(repr(arg)) for arg in case.args)})"
    return f"{key.name} in case {key.cases.index(case) + 1}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_ARGUMENT else f"{text[:LONGEST_ARGUMENT]}...{text[-1]}"


def key_text(key: Key) -> str:
    """The key as an answer that `judge` takes (of a function: its name)."""
    match key:
        case Number():
            return format_quantity(key.value, key.unit, None if key.tolerance == 0 else 4)
        case Bytes():
            return key.value.hex(" ")
        case Order():
            return " ".join(LETTERS[key.shown.index(name)] for name in key.value)
        case Function():
            return f"{key.name}: any function that passes {len(key.cases)} cases"


def shown_key(key: Key) -> str:
    """`key_text`, with the names of an order."""
    return f"{key_text(key)} ({', '.join(key.value)})" if isinstance(key, Order) else key_text(key)
