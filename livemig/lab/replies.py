"""What QEMU's own answers say of a migration that is to come: values of `Scenario`'s fields, and what they leave open.

Read are query-migrate, query-migrate-parameters, query-dirty-rate, query-memory-size-summary and query-version, all of
which only look. What they do not say stays away, and `notes` has in words what was taken from where, for the user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from livemig.lab.recording import RecordingError
from livemig.lab.samples import ONGOING, Answer, Log
from livemig.units import format_rate, format_size

__all__ = ["Known", "known"]

MIB = 1 << 20
PAGE_BYTES = 4096
QEMUS_BANDWIDTH = 128.0 * MIB  # QEMU 10.0.13 migration/options.c: 128 MiB/s unless somebody set another limit
_LIMITED_BY_LINK = 0.9  # measured throughput below this share of max-bandwidth: something else is the limit
_STEADY_S = 2.0  # before that the measured throughput is one of the first windows
_KINDS: Mapping[str, tuple[str, ...]] = {
    "dirty-rate": ("calc-time", "dirty-rate"), "parameters": ("max-bandwidth", "downtime-limit"),
    "memory": ("base-memory",), "version": ("qemu", "QMP")}


@dataclass
class Known:
    """`values`: fields of Scenario. `dirtied_in_s`: the dirty rate counted distinct pages in so many seconds."""

    values: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)  # field -> what to do about it
    problems: list[str] = field(default_factory=list)
    dirtied_in_s: float = 1.0


def known(log: Log, where: str = "reply") -> Known:
    """What a log's replies say, the last of each kind. Raises `RecordingError` when there is nothing in them."""
    found = Known(problems=[f"line {line}: {text}" for line, text in log.problems])
    answer = next((one for one in reversed(log.answers) if one.status != "none"), None)
    if answer is None and not any(_kind(reply) for reply in log.replies):
        said = "; ".join(found.problems[:2])
        raise RecordingError(f"{where}: no answer to query-migrate, query-migrate-parameters, query-dirty-rate or "
                             f"query-memory-size-summary in it{f' ({said})' if said else ''}")
    _version(found, _last(log.replies, "version"))
    _memory(found, _last(log.replies, "memory"), answer)
    _parameters(found, _last(log.replies, "parameters"))
    _dirty_rate(found, _last(log.replies, "dirty-rate"), log.answers)
    active = next((one for one in reversed(log.answers) if one.status == "active"), None)
    if active is not None:
        _speed(found, active)
    if "bandwidth_bytes_per_s" not in found.values:
        found.values["bandwidth_bytes_per_s"] = QEMUS_BANDWIDTH
        found.notes.append("max-bandwidth is not in the reply, so QEMU's default is taken, 128 MiB/s (--bandwidth)")
    if answer is not None:
        _zero_pages(found, answer)
        if answer.status in ONGOING:
            passed = "" if answer.elapsed_s is None else f" for {answer.elapsed_s:.1f} s"
            found.notes.append(f"a migration is under way{passed}; the prediction is for one that begins now")
    return found


def _kind(reply: Mapping[str, Any]) -> str:
    return next((kind for kind, names in _KINDS.items() if any(name in reply for name in names)), "")


def _last(replies: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    return next((reply for reply in reversed(replies) if _kind(reply) == kind), {})


def _count(reply: Mapping[str, Any], name: str) -> float | None:
    value = reply.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e18:
        raise RecordingError(f"{name} is {repr(value)[:40]}, expected a number that is not negative")
    return float(value)


def _version(found: Known, reply: Mapping[str, Any]) -> None:
    inner = reply.get("QMP", reply)
    numbers = inner.get("version", inner).get("qemu") if isinstance(inner, Mapping) else None
    if not isinstance(numbers, Mapping) or not isinstance(numbers.get("major"), int):
        return
    version = f"{numbers['major']}.{numbers.get('minor', 0)}"
    found.values["qemu_version"] = "10.0" if numbers["major"] >= 9 else "7.2"
    if version not in ("10.0", "7.2"):
        near = found.values["qemu_version"]
        found.notes.append(f"QEMU {version} is taken as {near}, which is the nearest that the model knows")


def _memory(found: Known, reply: Mapping[str, Any], answer: Answer | None) -> None:
    """Guest RAM from the memory summary, all RAM blocks from query-migrate."""
    total = None if answer is None else answer.number("total")
    base = _count(reply, "base-memory")
    if base is not None:
        ram = _pages(base + (_count(reply, "plugged-memory") or 0.0))
        found.values["ram_bytes"] = ram
        if total is not None and total >= ram:
            found.values["other_ram_bytes"] = _pages(total - ram)
    elif total:
        found.values.update(ram_bytes=_pages(total), other_ram_bytes=0)
        found.notes.append(f"guest RAM is ram.total, {format_size(total)}, with all other RAM blocks")
    else:
        found.missing["ram_bytes"] = "how much RAM the guest has (--ram)"


def _parameters(found: Known, reply: Mapping[str, Any]) -> None:
    bandwidth, limit_ms = _count(reply, "max-bandwidth"), _count(reply, "downtime-limit")
    if bandwidth is not None:
        found.values["bandwidth_bytes_per_s"] = bandwidth or None  # 0 is no limit
    if limit_ms is not None:
        found.values["downtime_limit_s"] = limit_ms / 1000
    if _count(reply, "avail-switchover-bandwidth"):
        found.notes.append("avail-switchover-bandwidth is set; the prediction goes by the measured bandwidth")
    if limit_ms is None:
        found.notes.append("downtime-limit is not in the reply, so QEMU's default is taken, 300 ms (--downtime-limit)")


def _dirty_rate(found: Known, reply: Mapping[str, Any], answers: Sequence[Answer]) -> None:
    """calc-dirty-rate counts distinct pages in its time; dirty-pages-rate bits that were newly set since a sync."""
    rate = _count(reply, "dirty-rate") if reply.get("status") == "measured" else None
    if rate is not None:
        seconds = _count(reply, "calc-time") or 1.0
        found.dirtied_in_s = seconds / 1000 if reply.get("calc-time-unit") == "millisecond" else seconds
        found.values["dirty_rate_bytes_per_s"] = rate * MIB
        found.notes.append(f"the dirty rate is calc-dirty-rate's, {format_rate(rate * MIB)}: it counts a page once in "
                           f"{found.dirtied_in_s:g} s, so a guest that writes the same pages again writes more")
        return
    counted = next((one for one in reversed(answers) if one.number("dirty-pages-rate")), None)
    answer = counted or (answers[-1] if answers else None)
    pages = None if answer is None else answer.number("dirty-pages-rate")
    if answer is not None and pages:
        rate = pages * (answer.number("page-size") or PAGE_BYTES)
        found.values["dirty_rate_bytes_per_s"] = rate
        found.notes.append(f"the dirty rate is query-migrate's dirty-pages-rate, {format_rate(rate)}: it counts a page "
                           "once between two syncs, so a guest that writes the same pages again writes more")
        return
    state = reply.get("status")
    why = f"query-dirty-rate is {state}" if state else "no dirty rate in the reply"
    if answer is not None and pages == 0:
        why = "dirty-pages-rate is 0, which QEMU also says before a second has passed between two syncs"
    found.missing["dirty_rate_bytes_per_s"] = f"how fast the guest writes (--rate): {why}; calc-dirty-rate measures it"


def _speed(found: Known, answer: Answer) -> None:
    """What the link carries, where that is less than max-bandwidth allows."""
    mbps = answer.number("mbps")
    if not mbps or (answer.elapsed_s or 0.0) < _STEADY_S:
        return
    measured = mbps * 1e6 / 8
    limit = found.values.get("bandwidth_bytes_per_s")
    if limit is None and "bandwidth_bytes_per_s" not in found.values:
        found.values["bandwidth_bytes_per_s"] = measured
        found.notes.append(f"max-bandwidth is taken from the measured throughput, {format_rate(measured)}")
    elif limit is None or measured < _LIMITED_BY_LINK * limit:
        found.values["link_bytes_per_s"] = measured
        found.notes.append(f"the link is taken from the measured throughput, {format_rate(measured)}")


def _zero_pages(found: Known, answer: Answer) -> None:
    """After the first pass QEMU has counted the pages that are zero."""
    zero, total = answer.number("duplicate"), answer.number("total")
    if zero is None or total is None or (answer.number("dirty-sync-count") or 0) < 2:
        found.notes.append("no page of the guest's RAM is taken as zero (zero pages would make it faster)")
        return
    page = answer.number("page-size") or PAGE_BYTES
    ram = float(found.values.get("ram_bytes", total))
    others = float(found.values.get("other_ram_bytes", 0))
    zero_bytes = max(zero * page - others, 0.0)
    found.values.update(filled_offset_bytes=0, filled_bytes=_pages(max(ram - zero_bytes, 0.0)))
    found.notes.append(f"{format_size(zero_bytes)} of the guest's RAM are zero pages, as this migration counted them")


def _pages(size_bytes: float) -> int:
    return int(size_bytes) // PAGE_BYTES * PAGE_BYTES
