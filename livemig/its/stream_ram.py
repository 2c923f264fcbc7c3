"""The RAM section of a migration stream, and the pages it carried.

Source: QEMU 10.0 migration/ram.c (RAM_SAVE_FLAG_*, ram_save_setup, save_page_header), migration/xbzrle.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from os import SEEK_END
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from livemig.its.errors import DataError
from livemig.its.stream_source import CHUNK_BYTES, ByteSource

__all__ = ["PageStore", "RamBlock", "RamReader", "PAGE_BYTES", "MAX_BLOCKS", "Addresses"]

PAGE_BYTES = 4096
FLAG_ZERO, FLAG_MEM_SIZE, FLAG_PAGE, FLAG_EOS, FLAG_CONTINUE = 0x02, 0x04, 0x08, 0x10, 0x20
FLAG_XBZRLE, FLAG_MULTIFD_FLUSH = 0x40, 0x200
MAX_BLOCKS = 4096
_CHUNK_PAGES = 512
_PAGE_BITS = 12
_ZERO_RECORD_BYTES = 9
_PAGE_RECORD_BYTES = 8 + PAGE_BYTES
_FEW_RECORDS = 32
_NOT_ZERO = "a page of equal bytes that are not zero; QEMU sends only zeroes"
_HEADROOM_BYTES = 8 + 256 + PAGE_BYTES

Addresses = npt.NDArray[np.int64]


def _by_chunk(addresses: Addresses) -> Iterator[tuple[int, Addresses, slice | Addresses]]:
    """(chunk number, indices in it, which of the addresses they are)."""
    numbers = addresses >> _PAGE_BITS
    chunks = numbers // _CHUNK_PAGES
    first = int(chunks[0])
    if first == int(chunks[-1]) and (len(chunks) == 1 or (chunks == first).all()):
        yield first, numbers % _CHUNK_PAGES, slice(None)
        return
    for chunk in np.unique(chunks).tolist():
        mine = np.flatnonzero(chunks == chunk)
        yield chunk, numbers[mine] % _CHUNK_PAGES, mine


class PageStore:
    """Where the newest copy of each page is: in the stream's own file (seekable), else in a temporary file.

    Memory use is 8 bytes for each page that was not zero, whatever the stream says about its size.
    """

    def __init__(self, source: ByteSource) -> None:
        self.in_place = source.plain and source.file.seekable()
        self._file: BinaryIO = source.file if self.in_place else source.spill
        self._chunks: dict[int, Addresses] = {}

    def put(self, addresses: Addresses, offsets: Addresses, pages: bytes | None) -> None:
        """Remember pages at byte `addresses` of a block. offsets: in the stream; pages: contents, if not in place."""
        if not self.in_place:
            assert pages is not None
            end = self._file.seek(0, SEEK_END)
            self._file.write(pages)
            offsets = end + PAGE_BYTES * np.arange(len(addresses), dtype=np.int64)
        for chunk, indices, mine in _by_chunk(addresses):
            stored = self._chunks.get(chunk)
            if stored is None:
                stored = self._chunks[chunk] = np.full(_CHUNK_PAGES, -1, np.int64)
            stored[indices] = offsets[mine]

    def clear(self, addresses: Addresses) -> None:
        """These pages are zero now."""
        if not self._chunks:
            return
        for chunk, indices, _ in _by_chunk(addresses):
            stored = self._chunks.get(chunk)
            if stored is not None:
                stored[indices] = -1

    def page(self, address: int) -> bytes:
        """Newest contents of the page at byte `address` of the block; zeroes if none was sent."""
        chunk, index = divmod(address // PAGE_BYTES, _CHUNK_PAGES)
        stored = self._chunks.get(chunk)
        if stored is None or stored[index] < 0:
            return bytes(PAGE_BYTES)
        self._file.seek(int(stored[index]))
        return self._file.read(PAGE_BYTES)


@dataclass
class RamBlock:
    """A RAM block and what the stream sent of it. `store` is None if contents are not kept."""

    name: str
    size_bytes: int
    pages: int = 0
    zero_pages: int = 0
    xbzrle_pages: int = 0
    store: PageStore | None = None


@dataclass
class RamReader:
    """State of the RAM section over its parts. keep: remember where page contents are."""

    keep: bool = False
    blocks: dict[str, RamBlock] = field(default_factory=dict)
    current: RamBlock | None = None

    def read(self, source: ByteSource) -> None:
        """Read records up to the end-of-section record; DataError with the offset for what is not understood."""
        while True:
            if not source.more(_HEADROOM_BYTES):
                source.need(8, "a RAM record")
            header = int.from_bytes(source.window[source.at:source.at + 8], "big")
            flags = header & (PAGE_BYTES - 1)
            if flags == FLAG_CONTINUE | FLAG_PAGE or flags == FLAG_CONTINUE | FLAG_ZERO:
                self._run(source, flags)
                continue
            at = source.offset
            source.at += 8
            if flags & FLAG_EOS:
                return
            if flags & FLAG_MEM_SIZE:
                self._block_list(source, header - flags, at)
            elif flags & (FLAG_PAGE | FLAG_ZERO | FLAG_XBZRLE):
                self._page(source, header - flags, flags, at)
            elif flags != FLAG_MULTIFD_FLUSH:
                raise DataError(f"RAM record with flags {flags:#x}, which is not understood", at)

    def _block_list(self, source: ByteSource, total_bytes: int, at: int) -> None:
        listed = 0
        while listed < total_bytes:
            name = source.text("a RAM block name")
            size_bytes = source.number(8, f"the size of RAM block {name}")
            if not size_bytes or size_bytes % PAGE_BYTES or listed + size_bytes > total_bytes:
                raise DataError(f"RAM block {name} of {size_bytes:#x} bytes is not in the total {total_bytes:#x}", at)
            if len(self.blocks) >= MAX_BLOCKS:
                raise DataError(f"more than {MAX_BLOCKS} RAM blocks", at)
            self.blocks[name] = RamBlock(name, size_bytes, store=PageStore(source) if self.keep else None)
            listed += size_bytes

    def _page(self, source: ByteSource, address: int, flags: int, at: int) -> None:
        """One page record of any kind, with or without a block name."""
        if not flags & FLAG_CONTINUE:
            name = source.text("a RAM block name")
            self.current = self.blocks.get(name)
            if self.current is None:
                raise DataError(f"a page of RAM block {name}, which was not announced", at)
        block = self._block_of(address, at)
        where = np.array([address], np.int64)
        if flags & FLAG_ZERO:
            fill = source.number(1, "a page of equal bytes")
            if fill:
                raise DataError(_NOT_ZERO, at)
            block.zero_pages += 1
            if block.store is not None:
                block.store.clear(where)
        elif flags & FLAG_PAGE:
            start = source.offset
            page = source.take(PAGE_BYTES, "a page")
            block.pages += 1
            if block.store is not None:
                block.store.put(where, np.array([start], np.int64), page)
        else:
            self._xbzrle(source, block, at)

    def _xbzrle(self, source: ByteSource, block: RamBlock, at: int) -> None:
        if block.store is not None:
            raise DataError("an XBZRLE page: contents of such streams are not taken out, only sections are shown", at)
        source.take(1, "an XBZRLE header")
        source.skip(source.number(2, "an XBZRLE length"), "an XBZRLE page")
        block.xbzrle_pages += 1

    def _block_of(self, address: int, at: int) -> RamBlock:
        if self.current is None:
            raise DataError("a page continues a RAM block, but none was named", at)
        if address >= self.current.size_bytes:
            raise DataError(f"page {address:#x} is outside RAM block {self.current.name} of "
                            f"{self.current.size_bytes:#x} bytes", at)
        return self.current

    def _run(self, source: ByteSource, flags: int) -> None:
        """Records of the same kind that follow each other: a few one by one, more of them at once."""
        size = _ZERO_RECORD_BYTES if flags & FLAG_ZERO else _PAGE_RECORD_BYTES
        source.need(size, "a page record")
        block = self._block_of(0, source.offset)
        if self._few(source, block, flags, size) == _FEW_RECORDS:
            self._many(source, block, flags, size)

    def _few(self, source: ByteSource, block: RamBlock, flags: int, size: int) -> int:
        """At most _FEW_RECORDS records, without numpy; returns how many there were."""
        window, start, limit = source.window, source.at, block.size_bytes
        at, last, addresses = start, min(len(window), start + _FEW_RECORDS * size) - size, []
        while at <= last:
            header = int.from_bytes(window[at:at + 8], "big")
            if header & 0xFFF != flags:
                break
            if header >= limit:
                self._block_of(header - flags, source.offset + at - start)
            addresses.append(header - flags)
            at += size
        if flags & FLAG_ZERO:
            fills = window[start + 8:at:size]
            if any(fills):
                raise DataError(_NOT_ZERO, source.offset + size * next(n for n, fill in enumerate(fills) if fill))
        self._count(source, block, flags, np.array(addresses, np.int64) if block.store else None, len(addresses), size)
        return len(addresses)

    def _many(self, source: ByteSource, block: RamBlock, flags: int, size: int) -> None:
        count = self._run_length(source, flags, size)
        if (count + 1) * size > source.left and source.left < CHUNK_BYTES // 2:
            source.more(CHUNK_BYTES // 2)
            count = self._run_length(source, flags, size)
        if not count:
            return
        headers = np.ndarray((count,), ">u8", source.window, source.at, (size,))
        highest = int(headers.max())
        if highest >= block.size_bytes:
            self._block_of(highest - flags, source.offset + int(headers.argmax()) * size)
        if flags & FLAG_ZERO:
            fills = np.ndarray((count,), np.uint8, source.window, source.at + 8, (size,))
            if fills.any():
                raise DataError(_NOT_ZERO, source.offset + int(fills.argmax()) * size)
        self._count(source, block, flags, headers.astype(np.int64) - flags if block.store else None, count, size)

    def _count(self, source: ByteSource, block: RamBlock, flags: int, addresses: Addresses | None, count: int,
               size: int) -> None:
        """Count, and remember if contents are kept, `count` records at hand; then go on behind them."""
        if flags & FLAG_ZERO:
            block.zero_pages += count
            if block.store is not None and addresses is not None:
                block.store.clear(addresses)
        else:
            block.pages += count
            if block.store is not None and addresses is not None:
                offsets = np.arange(count, dtype=np.int64) * size + (source.offset + 8)
                pages = None if block.store.in_place else np.ndarray(
                    (count, PAGE_BYTES), np.uint8, source.window, source.at + 8, (size, 1)).tobytes()
                block.store.put(addresses, offsets, pages)
        source.at += count * size

    @staticmethod
    def _run_length(source: ByteSource, flags: int, size: int) -> int:
        """Number of whole records with these flags at hand; looks ahead in growing steps."""
        most, count, step = source.left // size, 0, 8 * _FEW_RECORDS
        while count < most:
            step = min(step, most - count)
            start = source.at + count * size
            same = np.ndarray((step,), ">u2", source.window, start + 6, (size,)) & np.uint16(0xFFF) == flags
            first_other = int(same.argmin())
            if not same[first_other]:
                return count + first_other
            count, step = count + step, step * 8
        return count
