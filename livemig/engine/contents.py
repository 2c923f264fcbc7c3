"""The bytes of RAM on one side of the migration.

With contents on they are an array of pages. Without, only pages that a device has written have bytes (the ITS's
tables), so that they are real in a guest of any size; every other byte reads as zero. As the `its` room's Memory
protocol asks, `read` and `write` take guest physical addresses and raise `MemoryFault` outside RAM.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from livemig.its.errors import MemoryFault

__all__ = ["RAM_BASE", "RamBytes", "copy_pages", "different_pages"]

RAM_BASE = 0x4000_0000  # the virt machine's RAM in guest physical addresses
_COPY_BYTES = 1 << 20  # gather through a buffer that stays in the cache


class RamBytes:
    """One side's RAM of `pages` pages: `array` (pages x words of 8 bytes) with contents on, else None."""

    def __init__(self, pages: int, page_bytes: int, contents: bool) -> None:
        self.page_bytes = page_bytes
        self._size_bytes = pages * page_bytes
        self.array: NDArray[np.uint64] | None = None
        self.device_pages: dict[int, bytearray] = {}
        if contents:
            self.array = np.zeros((pages, page_bytes // 8), dtype=np.uint64)

    def read(self, address: int, size_bytes: int) -> bytes:
        """`size_bytes` bytes at a guest physical address."""
        begin = self._begin("read", address, size_bytes)
        page, offset = divmod(begin, self.page_bytes)
        if self.array is None and offset + size_bytes <= self.page_bytes:  # nearly every read: an entry of a table
            found = self.device_pages.get(page)
            return bytes(size_bytes) if found is None else bytes(found[offset : offset + size_bytes])
        if self.array is not None:
            return self._flat(self.array)[begin : begin + size_bytes].tobytes()
        return b"".join(self.read(address + low, high - low) for _, _, low, high in self._pieces(begin, size_bytes))

    def write(self, address: int, data: bytes) -> None:
        """Store `data` at a guest physical address."""
        begin = self._begin("write", address, len(data))
        for page, offset, low, high in self._pieces(begin, len(data)):
            if self.array is not None:
                row = self.array[page].view(np.uint8)
                row[offset : offset + high - low] = np.frombuffer(data[low:high], dtype=np.uint8)
            else:
                if page not in self.device_pages:  # not setdefault: a page may be a GiB, and this is each entry's write
                    self.device_pages[page] = bytearray(self.page_bytes)
                self.device_pages[page][offset : offset + high - low] = data[low:high]

    def pages_of(self, address: int, size_bytes: int) -> list[int]:
        """Numbers of the pages that hold these bytes."""
        begin = self._begin("write", address, size_bytes)
        return [page for page, _, _, _ in self._pieces(begin, size_bytes)]

    @staticmethod
    def _flat(array: NDArray[np.uint64]) -> NDArray[np.uint8]:
        return array.reshape(-1).view(np.uint8)

    def _begin(self, what: str, address: int, size_bytes: int) -> int:
        begin = address - RAM_BASE
        if begin < 0 or begin + size_bytes > self._size_bytes:
            raise MemoryFault(what, address, size_bytes)
        return begin

    def _pieces(self, begin: int, size_bytes: int) -> Iterator[tuple[int, int, int, int]]:
        """(page, offset in page, from, to) for each page that the bytes touch."""
        done = 0
        while done < size_bytes:
            page, offset = divmod(begin + done, self.page_bytes)
            step = min(size_bytes - done, self.page_bytes - offset)
            yield page, offset, done, done + step
            done += step


def copy_pages(source: RamBytes, target: RamBytes, key: slice | NDArray[np.intp]) -> None:
    """Copy pages of the array: whole stretches at once, single pages through a buffer of 1 MiB."""
    assert source.array is not None
    assert target.array is not None
    if isinstance(key, slice):
        np.copyto(target.array[key], source.array[key])
        return
    chunk = max(1, _COPY_BYTES // source.page_bytes)
    buffer = np.empty((chunk, source.page_bytes // 8), dtype=np.uint64)
    for i in range(0, len(key), chunk):
        part = key[i : i + chunk]
        source.array.take(part, axis=0, out=buffer[: len(part)], mode="clip")  # the default mode is 2.8 times slower
        target.array[part] = buffer[: len(part)]


def different_pages(one: RamBytes, other: RamBytes) -> NDArray[np.intp]:
    """Numbers of pages whose bytes differ."""
    if one.array is not None and other.array is not None:
        return np.flatnonzero((one.array != other.array).any(axis=1))
    zero = bytes(one.page_bytes)
    pages = sorted(set(one.device_pages) | set(other.device_pages))
    differ = [p for p in pages if one.device_pages.get(p, zero) != other.device_pages.get(p, zero)]
    return np.array(differ, dtype=np.intp)
