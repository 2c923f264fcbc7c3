"""Answers to `query-migrate` as other people log them, whatever they logged them with: one flat form for all.

An `Answer` has QMP's field names without the level `ram` (status, total-time in ms, remaining in bytes ...), which is
also what the Trace's `sample` rows hold. libvirt's job statistics are the same numbers under other names: libvirt fills
them from `query-migrate` (libvirt src/qemu/qemu_domainjob.c; names: include/libvirt/libvirt-domain.h; units: there and
in tools/virsh-domain.c). `LIBVIRT` is that dictionary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from livemig.lab.recording import STATUSES

__all__ = ["ONGOING", "TERMINAL", "Answer", "Happened", "Log", "LogProblem", "from_libvirt", "from_qmp", "is_libvirt",
           "is_query_migrate"]

TERMINAL = ("completed", "failed", "cancelled")
ONGOING = tuple(status for status in STATUSES if status not in (*TERMINAL, "none"))
MOST = 1e18

_TOP = ("total-time", "downtime", "expected-downtime", "setup-time", "cpu-throttle-percentage")
_RAM = ("transferred", "remaining", "total", "duplicate", "normal", "normal-bytes", "dirty-pages-rate", "mbps",
        "dirty-sync-count", "page-size", "postcopy-requests", "multifd-bytes", "pages-per-second", "precopy-bytes",
        "downtime-bytes", "postcopy-bytes")
_JOB_TYPES = ("none", "active", "active", "completed", "failed", "cancelled")  # virDomainJobType
LIBVIRT: Mapping[str, str] = {
    "time_elapsed": "total-time", "setup_time": "setup-time", "memory_total": "total",
    "memory_processed": "transferred", "memory_remaining": "remaining", "memory_constant": "duplicate",
    "memory_normal": "normal", "memory_normal_bytes": "normal-bytes", "memory_dirty_rate": "dirty-pages-rate",
    "memory_iteration": "dirty-sync-count", "memory_page_size": "page-size",
    "memory_postcopy_requests": "postcopy-requests", "auto_converge_throttle": "cpu-throttle-percentage",
}
_MBPS = 8e-6  # libvirt reports bytes per second where QEMU reports Mbit/s


class LogProblem(ValueError):
    """What is wrong with one line or one object of a log."""


@dataclass(frozen=True)
class Answer:
    """One answer: `line` of the log, `t_s` on the log's own clock (None: it has no time), QMP fields."""

    line: int
    t_s: float | None
    data: Mapping[str, Any]

    @property
    def status(self) -> str:
        """MigrationStatus."""
        return str(self.data["status"])

    @property
    def elapsed_s(self) -> float | None:
        """Seconds since `migrate`, as QEMU counts them; it stands still when the migration is over."""
        value = self.data.get("total-time")
        return None if value is None else float(value) / 1000

    def number(self, name: str) -> float | None:
        """A numeric field; None where the answer has none."""
        value = self.data.get(name)
        return None if value is None else float(value)


@dataclass(frozen=True)
class Happened:
    """A QMP event or a command that somebody sent: `kind` is event or command."""

    line: int
    t_s: float
    kind: str
    name: str
    data: Mapping[str, Any]


@dataclass
class Log:
    """What a file holds; `problems` has (line, what is wrong) for what could not be read."""

    form: str
    answers: list[Answer] = field(default_factory=list)
    happened: list[Happened] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)
    replies: list[Mapping[str, Any]] = field(default_factory=list)  # answers to other commands, for `predict`


def is_query_migrate(reply: Mapping[str, Any]) -> bool:
    """Whether an object is an answer to query-migrate (not an empty one, before any migration)."""
    return "ram" in reply or reply.get("status") in STATUSES


def is_libvirt(values: Mapping[str, Any]) -> bool:
    """Whether an object holds libvirt's job statistics."""
    return "time_elapsed" in values or "memory_total" in values or "data_total" in values


def from_qmp(reply: Mapping[str, Any]) -> dict[str, Any]:
    """The flat form of a query-migrate answer; raises `LogProblem` that names the field."""
    status = reply.get("status")
    if status not in STATUSES:
        raise LogProblem(f"status is {_shown(status)}, expected one of {', '.join(STATUSES)}")
    ram = reply.get("ram") or {}
    if not isinstance(ram, Mapping):
        raise LogProblem(f"ram is {_shown(ram)}, expected an object")
    flat: dict[str, Any] = {"status": status}
    flat.update({name: _count(name, reply[name]) for name in _TOP if reply.get(name) is not None})
    flat.update({name: _count(f"ram.{name}", ram[name]) for name in _RAM if ram.get(name) is not None})
    if isinstance(reply.get("error-desc"), str):
        flat["error-desc"] = reply["error-desc"]
    return flat


def from_libvirt(values: Mapping[str, Any]) -> dict[str, Any]:
    """The flat form of libvirt's typed parameters (`dom.jobStats()`); raises `LogProblem` that names the field."""
    kind = values.get("type", 2)
    if isinstance(kind, bool) or not isinstance(kind, int) or not 0 <= kind < len(_JOB_TYPES):
        raise LogProblem(f"type is {_shown(kind)}, expected a virDomainJobType, 0 to {len(_JOB_TYPES) - 1}")
    flat: dict[str, Any] = {"status": _JOB_TYPES[kind]}
    flat.update({qmp: _count(name, values[name]) for name, qmp in LIBVIRT.items() if values.get(name) is not None})
    if values.get("downtime") is not None:
        name = "downtime" if flat["status"] == "completed" else "expected-downtime"
        flat[name] = _count("downtime", values["downtime"])
    if values.get("memory_bps") is not None:
        flat["mbps"] = _count("memory_bps", values["memory_bps"]) * _MBPS
    if isinstance(values.get("errmsg"), str):
        flat["error-desc"] = values["errmsg"]
    return flat


def _count(name: str, value: Any) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise LogProblem(f"{name} is {_shown(value)}, expected a number")
    if not 0 <= value <= MOST:
        raise LogProblem(f"{name} = {value!r}, expected 0 to {MOST:g}")
    return value


def _shown(value: Any) -> str:
    return "missing" if value is None else repr(value)[:40]
