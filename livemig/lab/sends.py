"""What the source sent: one `send` row for each burst of RAM and for each device section.

A burst is one `ram_save_iterate` (the section `ram` from its start to its end). Its pages are the difference of the
pending counts around it. Bytes are counted by QEMU once a window (`migrate_transferred`); a window with several bursts
is divided by their pages. A normal page costs 8 + 4096 bytes and a zero page 8 + 1, so bytes and pages of a window give
both numbers (to 32 pages, which QEMU 10's stream may still hold in its buffer); zero pages belong to the first pass,
because a page that the guest has written is not zero. Bytes that no window counted (those of a run that was cut short)
are those of normal pages, and `estimated` says so; a burst that ended with an error has neither bytes nor pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from livemig.lab.recording import lookup, rows
from livemig.trace import Event

__all__ = ["send_events"]

HEADER_BYTES = 8
ZERO_BYTES = HEADER_BYTES + 1

Record = Mapping[str, Any]
Fields = Mapping[str, Any]


@dataclass
class _Burst:
    start_s: float
    end_s: float
    pass_number: int
    final: bool
    pages: int | None = None  # of both kinds
    zero_pages: int = 0
    sent_bytes: int = 0
    estimated: bool = True


@dataclass
class _Reader:
    """Walks the trace points of the source; `left` is the number of pages still in the migration bitmap."""

    page_bytes: int
    bursts: list[_Burst] = field(default_factory=list)
    windows: list[tuple[list[_Burst], int]] = field(default_factory=list)
    devices: list[Event] = field(default_factory=list)
    left: int = 0
    found: int = 0  # pages that syncs have found since the last burst
    syncs: int = 0
    period: int = 0
    final: bool = False
    section: tuple[float, str] = (0.0, "")
    open_burst: _Burst | None = None
    window: list[_Burst] = field(default_factory=list)

    def read(self, points: Iterator[tuple[float, str, Fields]]) -> _Reader:
        for t_s, name, fields in points:
            if name.startswith("migrate_pending"):
                self.pending(int(fields["size"]) // self.page_bytes)
            elif name == "migration_bitmap_sync_end":
                self.synced(int(fields["dirty_pages_period"]))
            elif name == "runstate_set":
                states = str(fields.get("new_str", fields.get("text", "")))
                self.final |= "finish-migrate" in states.split("new_state")[-1]
            elif name == "savevm_section_start":
                self.section = (t_s, str(fields.get("text", "")).split(",", 1)[0])
            elif name == "savevm_section_end":
                self.section_ends(t_s, failed=str(fields.get("text", "")).split("->")[-1].strip().startswith("-"))
            elif name == "migrate_transferred":
                self.windows.append((self.window, int(fields["transferred"])))
                self.window = []
        return self

    def pending(self, pages: int) -> None:
        if self.open_burst is not None:
            self.open_burst.pages = max(self.left - max(pages - self.found, 0), 0)
            self.open_burst = None
        self.left, self.found = pages, 0

    def synced(self, counted: int) -> None:
        self.syncs += 1
        self.found += counted - self.period if counted >= self.period else counted
        self.period = counted

    def section_ends(self, t_s: float, failed: bool) -> None:
        start_s, name = self.section
        if name != "ram":
            self.devices.append(Event(t_s, "send", "migration", name, 0, {"start_s": start_s}))
            return
        burst = _Burst(start_s, t_s, self.syncs, self.final)
        self.bursts.append(burst)
        if failed:  # how much of it left before the error was not counted
            return
        if self.final:
            burst.pages = self.left + self.found
            return
        self.open_burst, self.found = burst, 0
        self.window.append(burst)


def send_events(recording: Record) -> Iterator[Event]:
    """`send` rows of the source: `ram` with bytes, pages and zero_pages, then the device sections by name."""
    page = int(recording["page_size"])
    reader = _Reader(page).read(rows(recording, "trace_src"))
    for window, counted in reader.windows:
        _divide(window, counted, page)
    _divide_uncounted(reader, recording)
    for burst in reader.bursts:
        yield Event(burst.end_s, "send", "migration", "ram", 0, _burst_data(burst, recording, page))
    yield from reader.devices


def _divide(window: list[_Burst], counted: int, page: int) -> None:
    """Give each burst of a window its pages, zero pages and bytes."""
    pages = sum(b.pages or 0 for b in window)
    zero = pages - _normal(counted, pages, page)
    early = [b for b in window if b.pass_number == 1]
    for burst in early:
        burst.zero_pages = min(_share(zero, burst.pages or 0, sum(b.pages or 0 for b in early)), burst.pages or 0)
    cost = [((b.pages or 0) - b.zero_pages) * (page + HEADER_BYTES) + b.zero_pages * ZERO_BYTES for b in window]
    given = 0
    for i, burst in enumerate(window):
        rest = counted - given
        burst.sent_bytes = rest if i == len(window) - 1 else min(_share(counted, cost[i], sum(cost)), rest)
        burst.estimated = len(window) > 1
        given += burst.sent_bytes


def _divide_uncounted(reader: _Reader, recording: Record) -> None:
    """Bursts that no window counted: their zero pages are those that `duplicate` has and no window explains."""
    columns, final = recording["poll_cols"], lookup(recording, "final.ram.duplicate")
    polled = [row[columns.index("duplicate")] for row in recording["polls"]] if "duplicate" in columns else []
    zero = int(final if final is not None else max((p for p in polled if p is not None), default=0))
    zero -= sum(b.zero_pages for b in reader.bursts)
    for burst in reader.window:
        if burst.pass_number == 1:
            burst.zero_pages = max(min(zero, burst.pages or 0), 0)
            zero -= burst.zero_pages


def _normal(counted: int, pages: int, page: int) -> int:
    """How many of `pages` were normal ones, if all of them cost `counted` bytes."""
    return min(max(round((counted - pages * ZERO_BYTES) / (page + HEADER_BYTES - ZERO_BYTES)), 0), pages)


def _share(total: int, part: int, whole: int) -> int:
    return total * part // whole if whole else 0


def _burst_data(burst: _Burst, recording: Record, page: int) -> dict[str, Any]:
    data: dict[str, Any] = {"start_s": burst.start_s}
    if burst.final:
        stop_copy = lookup(recording, "final.ram.downtime-bytes")
        burst.estimated = stop_copy is None
        if stop_copy is not None and burst.pages is not None:
            burst.sent_bytes = int(stop_copy)
            burst.zero_pages = burst.pages - _normal(burst.sent_bytes, burst.pages, page)
        data.update(_table_pages(recording))
    if burst.pages is None:  # nothing was counted after it
        return data | {"estimated": True}
    if burst.estimated and not burst.sent_bytes:
        burst.sent_bytes = (burst.pages - burst.zero_pages) * (page + HEADER_BYTES) + burst.zero_pages * ZERO_BYTES
    data.update(bytes=burst.sent_bytes, pages=burst.pages - burst.zero_pages, zero_pages=burst.zero_pages)
    return data | {"estimated": True} if burst.estimated else data


def _table_pages(recording: Record) -> dict[str, Any]:
    """ITS table pages seen in the final pass, as page numbers of the guest's RAM (recordings with KVM only)."""
    for row in recording.get("timeline", []):
        if row[3] == "table pages in the final pass":
            return {"table_pages": [int(o, 16) // int(recording["page_size"]) for o in row[4]["offsets"]]}
    return {}
