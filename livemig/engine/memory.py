"""Guest memory as migration sees it: a migration bitmap, a dirty log, a circular scan, and a destination.

Theory of operation. All RAM blocks form one row of pages: the guest's RAM, then the other blocks (flash: zeros). One
byte a page says "still to send" (QEMU's migration bitmap). The dirty log is not kept: the workload can say later which
pages it wrote between two moments, so a sync computes them (`lazy`). Where a page's bytes matter between two syncs,
that is with contents on or when the guest writes pages that were zero, the log is a second byte map and the guest's
writes are applied before each send (`eager`). `contents` holds the bytes of both sides.

Source: QEMU 10.0.13 migration/ram.c (ram_find_and_save_block, migration_bitmap_sync).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livemig.engine.contents import RAM_BASE, RamBytes, copy_pages, different_pages
from livemig.engine.workload import PageRange, Pages, Workload
from livemig.scenario import Scenario

__all__ = ["GuestMemory", "Run"]

_SCAN_PAGES = 1 << 16
_NOISE_PAGES = 1 << 12


@dataclass(frozen=True)
class Run:
    """Dirty pages in scan order, all of one class: a slice `[first, first+count)` or `pages` (ascending numbers)."""

    first: int
    count: int
    zero: bool
    pages: NDArray[np.intp] | None = None

    @property
    def last(self) -> int:
        """Number of the last page."""
        return int(self.pages[-1]) if self.pages is not None else self.first + self.count - 1

    @property
    def key(self) -> slice | NDArray[np.intp]:
        """What indexes these pages in a page array."""
        return self.pages if self.pages is not None else slice(self.first, self.first + self.count)

    def head(self, count: int) -> Run:
        """The first `count` pages of the run."""
        if count >= self.count:
            return self
        return Run(self.first, count, self.zero, None if self.pages is None else self.pages[:count])


class GuestMemory:
    """RAM of the source and what has arrived at the destination.

    `dirty` is the migration bitmap (one bool a page), `pending_pages` its population; `here` and `there` are the bytes
    of both sides. `read` and `write` are a device's view of the source: what it writes becomes dirty.
    """

    def __init__(self, scenario: Scenario, workload: Workload) -> None:
        s = scenario
        self.page_bytes = s.page_bytes
        self.ram_pages, self.total_pages = s.ram_pages, s.pages
        self.dirty = np.zeros(self.total_pages, dtype=np.bool_)
        self.pending_pages = 0
        self.position = 0
        self._workload = workload
        self._set_first = s.working_set_offset_bytes // s.page_bytes
        self._set_pages = s.working_set_bytes // s.page_bytes
        self._applied_writes = workload.writes_by(0.0)
        self._data = _filled_interval(s)
        overlap = self._set_first < self._data[0] or self._set_first + self._set_pages > self._data[1]
        self._touched = np.zeros(self.ram_pages, dtype=np.bool_) if overlap or s.contents else None
        self._log = np.zeros(self._set_pages, dtype=np.bool_) if self._touched is not None else None
        if self._touched is not None:
            self._touch_before_t0(workload)
        self._device_pages: set[int] = set()  # written by a device since the last sync
        self._waiting: set[int] = set()  # of those, counted and not sent yet
        self.here = RamBytes(self.ram_pages, s.page_bytes, s.contents)
        self.there = RamBytes(self.ram_pages, s.page_bytes, s.contents)
        self.read = self.here.read
        if self.here.array is not None:
            _fill_with_noise(self.here.array[self._data[0] : self._data[1]], s.seed)

    # -- the guest -------------------------------------------------------------------------------------------------
    def guest_runs_until(self, t_s: float) -> None:
        """Apply the guest's writes up to `t_s` where their bytes matter before the next sync (eager memories only)."""
        if self._log is not None:
            self._apply_writes(t_s, self._log, 0)

    def _touch_before_t0(self, workload: Workload) -> None:
        """What the guest wrote before the migration is not zero any more; its bytes are part of the noise."""
        assert self._touched is not None
        for pages in workload.pages(0, self._applied_writes):
            for index in _indices(pages, self._set_pages):
                _mark(self._touched, index, self._set_first)

    def _apply_writes(self, t_s: float, target: NDArray[np.bool_], offset: int) -> None:
        first, last = self._applied_writes, self._workload.writes_by(t_s)
        if last <= first:
            return
        self._applied_writes = last
        written = self._workload.pages(first, last)
        number = first
        if self.here.array is not None:  # of many writes only the last are drawn: they have the last numbers
            blocks = list(written)
            written, number = iter(blocks), last - sum(map(_count, blocks))
        for pages in written:
            for index in _indices(pages, self._set_pages):
                _mark(target, index, offset)
                if self._touched is not None:
                    _mark(self._touched, index, self._set_first)
                if self.here.array is not None:
                    number = _write_words(self.here.array[self._set_first :], index, number)

    # -- the migration bitmap --------------------------------------------------------------------------------------
    def mark_all_dirty(self) -> None:
        """At setup every page is to be sent (QEMU 10.0.13 migration/ram.c ram_list_init_bitmaps)."""
        self.dirty[:] = True
        self.pending_pages = self.total_pages

    def sync(self, t_s: float) -> int:
        """OR everything written since the last sync into the bitmap; returns the number of newly set pages."""
        window = slice(self._set_first, self._set_first + self._set_pages)
        before = int(np.count_nonzero(self.dirty[window]))
        if self._log is None:
            self._apply_writes(t_s, self.dirty, self._set_first)
        else:
            self._apply_writes(t_s, self._log, 0)
            np.logical_or(self.dirty[window], self._log, out=self.dirty[window])
            self._log[:] = False
        new = int(np.count_nonzero(self.dirty[window])) - before
        for page in self._device_pages:
            new += not self.dirty[page]
            self.dirty[page] = True
        self._waiting |= self._device_pages
        self._device_pages.clear()
        self.pending_pages += new
        return new

    def next_run(self, limit_pages: Callable[[bool], int]) -> Run | None:
        """The next dirty pages from the scan position on, of one class, at most its limit; None if none are left.

        The scan is circular and by address: it goes on where it stopped, also across a sync.
        """
        if not self.pending_pages:
            return None
        first = self._first_dirty()
        end, zero = self._class_until(first)
        most = min(limit_pages(zero), end - first)
        stop = first + most
        window = self.dirty[first:stop]
        if int(np.count_nonzero(window)) == len(window):
            return self._classed(Run(first, len(window), zero))
        found = np.flatnonzero(window) + first
        step = max(_SCAN_PAGES, most)
        while len(found) < most and stop < end:
            more = np.flatnonzero(self.dirty[stop : min(end, stop + step)]) + stop
            found = np.concatenate((found, more[: most - len(found)]))
            stop = min(end, stop + step)
        return self._classed(Run(first, len(found), zero, found))

    def _first_dirty(self) -> int:
        start = self.position % self.total_pages
        for low, high in ((start, self.total_pages), (0, start)):
            for block in range(low, high, _SCAN_PAGES):
                part = self.dirty[block : min(high, block + _SCAN_PAGES)]
                offset = int(part.argmax())
                if part[offset]:
                    return block + offset
        raise AssertionError("pending_pages counts pages that are not in the bitmap")

    def _class_until(self, page: int) -> tuple[int, bool]:
        """Where the class (zero or not) of `page`, as the guest was started, ends."""
        low, high = self._data
        if page < low:
            return low, True
        return (high, False) if page < high else (self.total_pages, True)

    def _classed(self, run: Run) -> Run:
        """Cut the run where written pages interrupt a region of zeros."""
        if not run.zero or self._touched is None or run.first >= self.ram_pages:
            return run
        numbers = run.pages if run.pages is not None else np.arange(run.first, run.first + run.count)
        numbers = numbers[numbers < self.ram_pages]
        touched = self._touched[numbers]
        same = len(touched) if not (touched != touched[0]).any() else int((touched != touched[0]).argmax())
        return Run(run.first, same, not touched[0], numbers[:same])

    def send(self, run: Run) -> list[int]:
        """Clear the run's bits, copy its pages, move the scan position behind it; returns pages that a device wrote."""
        if self.here.array is not None:
            ram = slice(run.first, min(run.first + run.count, self.ram_pages))
            copy_pages(self.here, self.there, ram if run.pages is None else run.pages[run.pages < self.ram_pages])
        self.dirty[run.key] = False
        self.pending_pages -= run.count
        self.position = run.last + 1
        if not self._waiting:
            return []
        gone = sorted(page for page in self._waiting if not self.dirty[page])
        self._waiting.difference_update(gone)
        for page in gone:
            if page in self.here.device_pages:
                self.there.device_pages[page] = bytearray(self.here.device_pages[page])
        return gone

    # -- bytes -----------------------------------------------------------------------------------------------------
    def zero_at_boot(self, address: int, size_bytes: int) -> None:
        """The guest zeroes memory before it hands it to a device, long before the migration: nothing becomes dirty."""
        if self.here.array is not None:
            first = (address - RAM_BASE) // self.page_bytes
            self.here.array[first : first + -(-size_bytes // self.page_bytes)] = 0

    def write(self, address: int, data: bytes) -> None:
        """A device writes the source's RAM: the pages touched are dirty at the next sync."""
        self.here.write(address, data)
        pages = self.here.pages_of(address, len(data))
        self._device_pages.update(pages)
        if self._touched is not None:
            self._touched[pages] = True

    def take_device_pages(self) -> tuple[int, ...]:
        """Pages that devices wrote since the last sync, ascending (they stay in the log)."""
        return tuple(sorted(self._device_pages))

    def different_pages(self) -> NDArray[np.intp]:
        """Numbers of RAM pages whose bytes differ between source and destination."""
        return different_pages(self.here, self.there)


def _fill_with_noise(pages: NDArray[np.uint64], seed: int) -> None:
    noise = np.random.PCG64(seed)
    for first in range(0, len(pages), _NOISE_PAGES):
        part = pages[first : first + _NOISE_PAGES]
        part[:] = noise.random_raw(part.size).reshape(part.shape)


def _write_words(pages: NDArray[np.uint64], index: slice | NDArray[np.int64], number: int) -> int:
    """The guest stores a growing number in the first word of each page it writes; returns the last number."""
    count = index.stop - index.start if isinstance(index, slice) else len(index)
    pages[index, 0] = np.arange(number + 1, number + 1 + count, dtype=np.uint64)
    return number + count


def _filled_interval(s: Scenario) -> tuple[int, int]:
    """Pages [low, high) of RAM that hold something else than zeros when the migration starts."""
    low = min(s.filled_offset_bytes, s.ram_bytes)
    size = s.ram_bytes - low if s.filled_bytes is None else min(s.filled_bytes, s.ram_bytes - low)
    return low // s.page_bytes, (low + size) // s.page_bytes if size else low // s.page_bytes


def _count(pages: Pages) -> int:
    return pages.count if isinstance(pages, PageRange) else len(pages)


def _indices(pages: Pages, size: int) -> list[slice | NDArray[np.int64]]:
    """A page set as things that index an array of the working set's size."""
    if not isinstance(pages, PageRange):
        return [pages]
    end = pages.start + pages.count
    if end <= size:
        return [slice(pages.start, end)]
    return [slice(pages.start, size), slice(0, end - size)]


def _mark(target: NDArray[np.bool_], index: slice | NDArray[np.int64], offset: int) -> None:
    if isinstance(index, slice):
        target[index.start + offset : index.stop + offset] = True
    else:
        target[index + offset if offset else index] = True
