"""The kernel's ITS calls of recordings made with KVM, and the tables that were dumped, as `its` rows of the Trace.

SAVE_TABLES and SAVE_PENDING_TABLES carry the pages that the kernel marked dirty, registers their values. Pages are page
numbers of the guest's RAM (RAM begins at 1 GiB on the virt machine). Tables are attached to the call that wrote or read
them when the side was stopped from that call until the dump, so that the dump shows what the call left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from livemig.lab.guest import RAM_BASE
from livemig.lab.recording import lookup, rows
from livemig.trace import Event

__all__ = ["dumped_tables", "its_events"]

Record = Mapping[str, Any]
ENTRY_BYTES = 8
PAGE_SHIFT = 12
_KERNEL = {"kernel save_tables": "SAVE_TABLES", "kernel save_pending": "SAVE_PENDING_TABLES",
           "kernel restore_tables": "RESTORE_TABLES"}
_WITH_TABLES = ("SAVE_TABLES", "RESTORE_TABLES")
_LANES = {"src": "its", "dst": "dst"}
_MAPD = re.compile(r"mapd dev=(\d+) v=(\d) bits=(\d+) itt=(0x[0-9a-f]+)")
# name of a dumped region: (layout, bytes of an entry); l2_devids_N begins at DeviceID N
_REGIONS = {"level1_device_table": ("L1 entry", 8), "l2_devids": ("DTE", 8), "collection_table": ("CTE", 8),
            "pending_vcpu": ("LPI pending", 1)}


def its_events(recording: Record) -> Iterator[Event]:
    """`its` rows in the lanes its (source) and dst, from `kvm.rows`; none without KVM."""
    for t_s, side, what, detail in (row[:4] for row in lookup(recording, "kvm.rows") or []):
        name = _name(what, detail)
        if name is None or side not in _LANES:
            continue
        data: dict[str, Any] = {"errno": -int(detail.get("ret") or 0)}
        if "t_ret" in detail:
            data["until_s"] = detail["t_ret"]
        if "value" in detail:
            data["value"] = detail["value"]
        if "marks_dirty" in detail:
            data["pages"] = [int(page, 16) - (RAM_BASE >> PAGE_SHIFT) for page in detail["marks_dirty"]]
        if name in _WITH_TABLES and (tables := _left_by(recording, side, float(t_s))):
            data["tables"] = tables
        yield Event(float(t_s), "its", _LANES[side], name, 0, data)


def _name(what: str, detail: Mapping[str, Any]) -> str | None:
    """SAVE_TABLES and its like where the kernel enters them; registers where QEMU asks for them."""
    if what in _KERNEL:
        return _KERNEL[what]
    attribute = str(detail.get("attr", ""))
    if what in ("ITS GET", "ITS SET") and attribute.startswith("REG GITS_"):
        return f"{what.removeprefix('ITS ')} {attribute.removeprefix('REG GITS_')}"
    return None


def _left_by(recording: Record, side: str, t_s: float) -> list[dict[str, Any]]:
    """Tables of the first dump after `t_s`, if this side was dumped while still stopped."""
    dumps = (lookup(recording, "its.dumps") or {}).values()
    later = [d for d in dumps if d["side"] == side and d["t"] > t_s]
    if not later:
        return []
    dump = min(later, key=lambda d: float(d["t"]))
    ran = any(t_s < t < dump["t"] and name == "runstate_set" and fields.get("new_str") == "running"
              for t, name, fields in rows(recording, f"trace_{side}"))
    return [] if ran or dump.get("status") == "running" else dumped_tables(recording, dump)


def dumped_tables(recording: Record, dump: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A dump's tables: {"name", "layout", "base", "entry_bytes", "entries": [[index, hex], ...]}, no zero entries.

    `base` is a guest physical address; the index of a DTE is its DeviceID, of an ITE its EventID, of a bit of a pending
    table the byte. The hex digits are the bytes as they lie in memory.
    """
    tables = []
    for region in dump["tables"]:
        kind, first = _region(region["name"])
        if kind in _REGIONS:
            layout, size = _REGIONS[kind]
            tables.append(_table(region["name"], layout, int(region["gpa"], 16), size,
                                 [[first + i, e] for i, e in _entries(region, 0, int(region["size"], 16), size)]))
        elif kind == "itts":
            tables.extend(_itts(recording, dump, region))
    return tables


def _region(name: str) -> tuple[str, int]:
    found = re.fullmatch(r"(l2_devids_|pending_vcpu)(\d+)", name)
    if not found:
        return name, 0
    return found[1].rstrip("_"), int(found[2]) if found[1] == "l2_devids_" else 0


def _itts(recording: Record, dump: Mapping[str, Any], region: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One table for each device that is mapped by the commands queued up to the dump."""
    queued = lookup(dump, "guest_books.commands_queued")
    mapped: dict[int, tuple[int, int]] = {}
    for command in (lookup(recording, "its.commands") or [])[:queued]:
        if found := _MAPD.match(command):
            mapped.pop(int(found[1]), None)
            if found[2] == "1":
                mapped[int(found[1])] = (int(found[4], 16), int(found[3]))
    for device, (base, bits) in sorted(mapped.items()):
        start = base - int(region["gpa"], 16)
        entries = [[i, e] for i, e in _entries(region, start, ENTRY_BYTES << bits, ENTRY_BYTES)]
        yield _table(f"ITT of device {device}", "ITE", base, ENTRY_BYTES, entries)


def _table(name: str, layout: str, base: int, entry_bytes: int, entries: list[list[Any]]) -> dict[str, Any]:
    return {"name": name, "layout": layout, "base": base, "entry_bytes": entry_bytes, "entries": entries}


def _entries(region: Mapping[str, Any], start: int, length: int, size: int) -> Iterator[tuple[int, str]]:
    """Entries of [start, start + length) that are not zero, lowest first."""
    for offset, text in sorted((int(k, 16), v) for k, v in region["data"].items()):
        for i in range(0, len(text) // 2, size):
            entry = text[2 * i:2 * (i + size)]
            if start <= offset + i < start + length and entry.strip("0"):
                yield (offset + i - start) // size, entry
