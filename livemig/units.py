"""Sizes, rates and times as people write them: "32 MiB/s", "64KiB", "300ms", and back.

Inside livemig everything is bytes, seconds and bytes per second; this file is the edge. It imports nothing of livemig.

A quantity is named by its unit, as `Scenario`'s metadata has it: "bytes", "bytes/s", "s" or "" (a plain number). Binary
prefixes are Ki, Mi, Gi, Ti (IEC 80000-13) and, as in `-m 256M` of QEMU, a bare K, M, G, T; kB, MB, GB, TB and the bits
of a link (kbit/s, Mbit/s, Gbit/s, Mbps) are decimal. A number without a unit is in the quantity's own unit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

__all__ = ["UnitError", "format_number", "format_quantity", "format_rate", "format_size", "format_time",
           "parse_quantity", "parse_rate", "parse_size", "parse_time"]

_BINARY = {prefix: 1 << 10 * power for power, prefix in enumerate(("K", "M", "G", "T", "P"), start=1)}
_DECIMAL = {prefix: 1000**power for power, prefix in enumerate(("k", "M", "G", "T", "P"), start=1)}
_BIT = Decimal("0.125")

_BYTES: dict[str, Decimal] = {
    **{name: Decimal(1) for name in ("B", "byte", "bytes")},
    **{f"{prefix}iB": Decimal(factor) for prefix, factor in _BINARY.items()},
    **{prefix: Decimal(factor) for prefix, factor in _BINARY.items()},
    **{f"{prefix}B": Decimal(factor) for prefix, factor in _DECIMAL.items()},
}
_BITS: dict[str, Decimal] = {
    "bit": _BIT,
    **{f"{prefix}bit": factor * _BIT for prefix, factor in _DECIMAL.items()},
    **{f"{prefix}ibit": factor * _BIT for prefix, factor in _BINARY.items()},
}
_SECONDS: dict[str, Decimal] = {
    **{name: Decimal(1) for name in ("s", "sec", "second", "seconds")},
    "ms": Decimal("1e-3"), "us": Decimal("1e-6"), "µs": Decimal("1e-6"), "μs": Decimal("1e-6"), "ns": Decimal("1e-9"),
    "min": Decimal(60), "h": Decimal(3600),
}
_RATES: dict[str, Decimal] = {
    **{f"{name}/s": factor for name, factor in (_BYTES | _BITS).items()},
    **{f"{prefix}bps": factor * _BIT for prefix, factor in _DECIMAL.items()},
}
_UNITS: Mapping[str, Mapping[str, Decimal]] = MappingProxyType({
    "bytes": _BYTES | _BITS, "bytes/s": _RATES, "s": _SECONDS, "pages": {"pages": Decimal(1), "page": Decimal(1)},
    "": {"%": Decimal("0.01")},
})
# What is expected, and how a number without a unit is read, which not everyone takes (`bare`).
_EXPECTED: Mapping[str, tuple[str, str]] = MappingProxyType({
    "bytes": ("a size, such as 64KiB, 256MiB, 1.5 GiB, 64 kB", " or 4096 (bytes)"),
    "bytes/s": ("a rate, such as 32MiB/s, 20 MB/s, 1Gbit/s", " or 1048576 (bytes per second)"),
    "s": ("a time, such as 300ms, 2.5s, 250us, 1 min", " or 0.3 (seconds)"),
    "pages": ("a number of pages, such as 1000", ""),
    "": ("a number, such as 4 or 0.5", ""),
})
# Exponents have at most three digits: what a float holds, and nothing that makes arithmetic long.
_QUANTITY = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*(\S*)\s*", re.ASCII)
_MAX_LENGTH = 64
_AMBIGUOUS = re.compile(r"([kmgtp])b(/s)?", re.IGNORECASE)
_BINARY_STEPS = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
_TIME_STEPS = ((1.0, "s", 1.0), (1e-3, "ms", 1e3), (1e-6, "us", 1e6), (0.0, "ns", 1e9))


class UnitError(ValueError):
    """A text that is no such quantity; the message names the text, what was expected, and examples."""


def parse_quantity(text: str, unit: str, *, bare: bool = True) -> float:
    """The number that `text` means, in `unit`: "bytes", "bytes/s", "s", "pages" or "" (a plain number or a percentage).

    `bare`: whether a number without a unit is taken, as one of `unit`. Unit names are taken in any case where that is
    not ambiguous: "64 Kb" could be bits, so it is refused. Negative numbers are read (a `Scenario` says which are
    allowed); nan and infinity are not numbers here. Raises `UnitError`.
    """
    match = _QUANTITY.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if match is None:
        raise UnitError(f"{_shown(text)} is not {_expected(unit, bare)}")
    number, name = match.groups()
    if not (name or bare) and _EXPECTED[unit][1]:
        raise UnitError(f"{_shown(text)} has no unit; expected {_expected(unit, bare)}")
    factor = _factor(name, unit, text, bare)
    if not math.isfinite(float(number)):
        raise UnitError(f"{_shown(text)} is too large for a number; expected {_expected(unit, bare)}")
    value = float(Decimal(number) * factor)
    if not math.isfinite(value):
        raise UnitError(f"{_shown(text)} is too large for a number of {unit}; expected {_expected(unit, bare)}")
    return value


def parse_size(text: str) -> int:
    """Bytes: "64KiB" is 65536, "64 kB" is 64000. Raises `UnitError`, also when it is not a whole number of bytes."""
    value = parse_quantity(text, "bytes")
    if value != int(value):
        raise UnitError(f"{_shown(text)} is {value!r} bytes: a size is a whole number of bytes")
    return int(value)


def parse_rate(text: str) -> float:
    """Bytes per second: "32 MiB/s" is 33554432.0, "1Gbit/s" is 125000000.0. Raises `UnitError`."""
    return parse_quantity(text, "bytes/s")


def parse_time(text: str) -> float:
    """Seconds: "300ms" is 0.3. Raises `UnitError`."""
    return parse_quantity(text, "s")


def format_size(value_bytes: float, digits: int | None = 3) -> str:
    """Bytes in the largest fitting binary unit: 16022034 is "15.3 MiB".

    `digits` significant digits; None: so many that `parse_size` gives the same number back.
    """
    if not math.isfinite(value_bytes):
        return format_number(value_bytes)
    for name, factor in _BINARY_STEPS:
        if digits is None and abs(value_bytes) >= factor and value_bytes % factor == 0:
            return f"{format_number(value_bytes / factor, None)} {name}"
        if digits is not None and round(abs(value_bytes) / factor * 1024) >= 1024:
            return f"{_below_1024(value_bytes / factor, digits)} {name}"
    return f"{format_number(value_bytes, None) if digits is None else _below_1024(value_bytes, digits)} B"


def format_rate(value_bytes_per_s: float, digits: int | None = 3) -> str:
    """Bytes per second as `format_size` with "/s": "32 MiB/s"."""
    text = format_size(value_bytes_per_s, digits)
    return f"{text}/s" if math.isfinite(value_bytes_per_s) else text


def format_time(value_s: float, digits: int | None = 3) -> str:
    """Seconds in s, ms, us or ns: 0.007655 is "7.66 ms". `digits` None: exact, in seconds."""
    if not math.isfinite(value_s):
        return format_number(value_s)
    if digits is None or value_s == 0:
        return f"{format_number(value_s, digits)} s"
    rounded = abs(float(f"{value_s:.{digits - 1}e}"))  # 0.9996 s is "1 s", not "1000 ms"
    for least, name, factor in _TIME_STEPS:
        if rounded >= least:
            return f"{format_number(value_s * factor, digits)} {name}"
    raise AssertionError("the last step takes every number")


def format_number(value: float, digits: int | None = 3) -> str:
    """A number with `digits` significant digits, no exponent below 1e15, no trailing zeros; infinity is "no limit"."""
    if not math.isfinite(value):
        return "no limit" if value > 0 else str(value)
    if digits is None:
        return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
    rounded = float(f"{value:.{digits - 1}e}")
    if rounded == int(rounded) and abs(rounded) < 1e15:
        return str(int(rounded))
    return f"{rounded:.{digits}g}"


def format_quantity(value: float | None, unit: str, digits: int | None = 3) -> str:
    """A number of `unit` ("bytes", "bytes/s", "s", "pages", "") for people; None is "none"."""
    if value is None:
        return "none"
    writers = {"bytes": format_size, "bytes/s": format_rate, "s": format_time}
    if unit in writers:
        return writers[unit](value, digits)
    return f"{format_number(value, digits)} {unit}".rstrip()


def _below_1024(value: float, digits: int) -> str:
    """1023 keeps its fourth digit: 1020 KiB would be a strange number."""
    return str(round(value)) if 999.5 <= abs(value) < 1024.5 else format_number(value, digits)


def _expected(unit: str, bare: bool) -> str:
    named, plain = _EXPECTED[unit]
    return named + plain if bare else named


def _factor(name: str, unit: str, text: str, bare: bool) -> Decimal:
    units = _UNITS[unit]
    if not name:
        return Decimal(1)
    if name in units:
        return units[name]
    if match := _AMBIGUOUS.fullmatch(name):
        right = f"{match[1].upper()}B{match[2] or ''}".replace("KB", "kB")
        if name[1] == "b":
            bits = right.replace("B", "bit")
            raise UnitError(f"{_shown(text)}: {name} could be bits or bytes; write {right} for bytes, {bits} for bits")
        return units[right] if right in units else _unknown(name, unit, text, bare)
    near = [known for known in units if known.lower() == name.lower()]
    values = {units[known] for known in near}
    return values.pop() if len(values) == 1 else _unknown(name, unit, text, bare)


def _unknown(name: str, unit: str, text: str, bare: bool) -> Decimal:
    hint = f" (did you mean {name}/s?)" if f"{name}/s" in _UNITS[unit] else ""
    raise UnitError(f"{_shown(text)} is not {_expected(unit, bare)}{hint}")


def _shown(text: str) -> str:
    """The text as it was given, at a length that a message can hold, with nothing that a terminal would obey."""
    return repr(text if len(text) <= _MAX_LENGTH else text[:_MAX_LENGTH] + "...")
