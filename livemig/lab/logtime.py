"""Times as logs have them: seconds since something, epoch in s, ms, us or ns, ISO 8601, QMP's timestamps, `date`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from livemig.lab.samples import LogProblem

__all__ = ["TIME_KEYS", "parse_time", "time_of"]

TIME_KEYS = ("t", "time", "timestamp", "ts", "@timestamp", "date")
_STEPS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))  # the epoch has 1.8e9 s: what is larger counts in smaller units
_CLOCK = re.compile(r"(\d{1,2}):(\d{2}):(\d{2}(?:[.,]\d+)?)")
_ZONE = re.compile(r"\b(?:[A-Z]{2,5}|[+-]\d{2})\b(?=\s*\d{4}$|$)")
_DATES = ("%a %b %d %H:%M:%S %Y", "%a %d %b %Y %H:%M:%S", "%a %d %b %Y %I:%M:%S %p", "%a %b %d %I:%M:%S %p %Y",
          "%a, %d %b %Y %H:%M:%S")


def time_of(values: Mapping[str, Any]) -> float | None:
    """Seconds of an object's time key, None without one; raises `LogProblem` for a time that cannot be read."""
    key = next((name for name in TIME_KEYS if name in values), None)
    if key is None:
        return None
    value = values[key]
    if isinstance(value, Mapping):  # QMP: {"seconds": ..., "microseconds": ...}
        return _number(key, value.get("seconds")) + _number(key, value.get("microseconds", 0)) / 1e6
    if isinstance(value, str):
        found = parse_time(value)
        if found is None:
            raise LogProblem(f"{key} is {value[:40]!r}, expected seconds or a date such as 2026-11-26T10:15:30.250Z")
        return found
    return _scaled(_number(key, value))


def parse_time(text: str) -> float | None:
    """Seconds that a text means, None if it is no time. A date without a zone is taken as UTC (differences count)."""
    words = text.strip().strip("[]()").rstrip(":").strip()
    try:
        return _scaled(float(words)) if words and math.isfinite(float(words)) else None
    except ValueError:
        pass
    if match := _CLOCK.fullmatch(words):
        return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3].replace(",", "."))
    try:
        return _epoch(datetime.fromisoformat(words.replace(",", ".").removesuffix(" UTC")))
    except ValueError:
        return _date(words)


def _date(words: str) -> float | None:
    """What `date` prints, in its two usual orders; the zone's name says nothing that a difference needs."""
    plain = " ".join(_ZONE.sub("", words.replace(" AM", " am").replace(" PM", " pm")).split())
    for form in _DATES:
        try:
            return _epoch(datetime.strptime(plain, form))
        except ValueError:
            continue
    return None


def _epoch(when: datetime) -> float:
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _scaled(value: float) -> float:
    return next((value / unit for least, unit in _STEPS if abs(value) >= least), value)


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise LogProblem(f"{key} is {repr(value)[:40]}, expected a time in seconds")
    return float(value)
