"""`virsh domjobinfo` in a loop: blocks of `Label:  value unit`, perhaps with times or errors between them.

Labels and units are those of libvirt's tools/virsh-domain.c (cmdDomjobinfo), in English (LC_ALL=C); labels that are
not known here are left out, as a newer virsh has more of them. Sizes are printed with three decimals of their unit, so
bytes are as exact as that; times are whole milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from livemig.lab.logtime import parse_time
from livemig.lab.samples import Answer, Log, LogProblem, from_libvirt
from livemig.units import UnitError, parse_quantity

__all__ = ["read_virsh"]

_LINE = re.compile(r"^\s*([A-Z][A-Za-z/ ]*?):\s*(.*?)\s*$")
_TYPES = {"None": 0, "Bounded": 1, "Unbounded": 2, "Completed": 3, "Failed": 4, "Cancelled": 5}


def _milliseconds(text: str) -> int:
    return round(parse_quantity(text, "s") * 1000) if text.split()[1:] else int(text)


def _bytes(text: str) -> int:
    return round(parse_quantity(text.replace("bytes", "B"), "bytes"))


def _rate(text: str) -> float:
    return parse_quantity(text, "bytes/s")


def _number(text: str) -> int:
    return int(text.split()[0])


_LABELS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "Time elapsed": ("time_elapsed", _milliseconds), "Setup time": ("setup_time", _milliseconds),
    "Total downtime": ("downtime", _milliseconds), "Expected downtime": ("downtime", _milliseconds),
    "Memory processed": ("memory_processed", _bytes), "Memory remaining": ("memory_remaining", _bytes),
    "Memory total": ("memory_total", _bytes), "Memory bandwidth": ("memory_bps", _rate),
    "Dirty rate": ("memory_dirty_rate", _number), "Page size": ("memory_page_size", _bytes),
    "Iteration": ("memory_iteration", _number), "Postcopy requests": ("memory_postcopy_requests", _number),
    "Constant pages": ("memory_constant", _number), "Normal pages": ("memory_normal", _number),
    "Normal data": ("memory_normal_bytes", _bytes), "Auto converge throttle": ("auto_converge_throttle", _number),
}


def read_virsh(text: str) -> Log:
    """The blocks of a text; a line that cannot be read is a problem, and the block is kept without it."""
    log = Log("libvirt job statistics")
    block: dict[str, Any] | None = None
    begun, time_s = 0, None
    waiting_s: float | None = None
    for line, raw in enumerate(text.splitlines(), 1):
        match = _LINE.match(raw)
        if match and match[1] == "Job type":
            _finish(log, begun, time_s, block)
            block, begun, time_s, waiting_s = {}, line, waiting_s, None
            block["type"] = _TYPES.get(match[2])
            if block["type"] is None:
                log.problems.append((line, f"Job type is {match[2][:40]!r}, expected one of {', '.join(_TYPES)} "
                                           "(was virsh run with LC_ALL=C?)"))
                block = None
        elif match and match[1] in _LABELS and (block is not None or begun):
            if block is not None:
                _put(log, block, line, match[1], match[2])
        elif raw.strip() and not match:
            found = parse_time(raw)
            if found is not None:
                waiting_s = found
            elif not raw.lstrip().startswith(("error:", "#", "$")):
                log.problems.append((line, f"neither a line of domjobinfo nor a time: {raw.strip()[:40]!r}"))
    _finish(log, begun, time_s, block)
    return log


def _put(log: Log, block: dict[str, Any], line: int, label: str, value: str) -> None:
    name, read = _LABELS[label]
    try:
        block[name] = read(value)
    except (UnitError, ValueError, IndexError, OverflowError):
        log.problems.append((line, f"{label} is {value[:40]!r}, which cannot be read (cut off?)"))


def _finish(log: Log, line: int, time_s: float | None, block: dict[str, Any] | None) -> None:
    if block is None or (block["type"] in (1, 2, 3) and "time_elapsed" not in block):
        if block is not None:
            log.problems.append((line, "the block has no Time elapsed"))
        return
    try:
        log.answers.append(Answer(line, time_s, from_libvirt(block)))
    except LogProblem as problem:
        log.problems.append((line, str(problem)))
