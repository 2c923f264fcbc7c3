"""Bytes of a migration stream, read once from front to back: file, pipe or .xz, in a window of bounded size."""

from __future__ import annotations

import lzma
import tempfile
from types import TracebackType
from typing import BinaryIO

from livemig.its.errors import DataError

__all__ = ["ByteSource", "CHUNK_BYTES", "MAX_WINDOW_BYTES", "XZ_MAGIC"]

CHUNK_BYTES = 1 << 22
MAX_WINDOW_BYTES = 1 << 26
"""No single item of a stream may need more than this in memory."""

XZ_MAGIC = b"\xfd7zXZ\x00"
_XZ_MEMORY_BYTES = 1 << 28


class ByteSource:
    """A forward reader with a window: `window[at:]` are the bytes at hand, `offset` is the stream offset of `at`.

    file: binary file object, seekable or not; .xz is recognised by its magic. Usable as a context manager.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.window = b""
        self.at = 0
        self._base = 0
        self._ended = False
        self._spill: BinaryIO | None = None
        self._xz: lzma.LZMADecompressor | None = None
        self._refill(len(XZ_MAGIC))
        if self.window.startswith(XZ_MAGIC):
            self._xz = lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)
            packed, self.window = self.window, b""
            self.window = self._unpack(packed)
        self.plain = self._xz is None

    def __enter__(self) -> ByteSource:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.file.close()
        if self._spill is not None:
            self._spill.close()

    @property
    def spill(self) -> BinaryIO:
        """A temporary file for what has to be kept of a source that cannot be read again; closed with the source."""
        if self._spill is None:
            self._spill = tempfile.TemporaryFile()  # noqa: SIM115
        return self._spill

    @property
    def offset(self) -> int:
        return self._base + self.at

    @property
    def left(self) -> int:
        """Bytes at hand without reading."""
        return len(self.window) - self.at

    def _unpack(self, packed: bytes) -> bytes:
        assert self._xz is not None
        try:
            data = self._xz.decompress(packed, CHUNK_BYTES)
        except lzma.LZMAError as error:
            raise DataError(f"damaged .xz data: {error}", self._base + len(self.window)) from error
        self._ended = self._ended or self._xz.eof
        return data

    def _read(self) -> bytes:
        if self._xz is None:
            data = self.file.read(CHUNK_BYTES)
            self._ended = not data
            return data
        if not self._xz.needs_input:
            return self._unpack(b"")
        packed = self.file.read(CHUNK_BYTES // 16)
        if not packed:
            raise DataError("the .xz file is cut short", self._base + len(self.window))
        return self._unpack(packed)

    def _refill(self, count: int) -> bool:
        """Have at least `count` bytes at hand, if there are so many."""
        if count > MAX_WINDOW_BYTES:
            raise DataError(f"an item of {count} bytes; the limit is {MAX_WINDOW_BYTES}", self.offset)
        have = self.left
        if have >= count or self._ended:
            return have >= count
        parts = [self.window[self.at:]]
        while have < count and not self._ended:
            parts.append(self._read())
            have += len(parts[-1])
        self._base, self.at = self.offset, 0
        self.window = b"".join(parts)
        return have >= count

    def more(self, count: int) -> bool:
        """Try to have `count` bytes at hand; False if the stream ends before."""
        return self._refill(count)

    def need(self, count: int, what: str) -> None:
        """Have `count` bytes at hand; DataError with the offset if the stream is cut."""
        if not self._refill(count):
            raise DataError(f"the stream is cut: {what} needs {count} bytes, {self.left} are left", self.offset)

    def take(self, count: int, what: str) -> bytes:
        self.need(count, what)
        self.at += count
        return self.window[self.at - count:self.at]

    def number(self, count: int, what: str) -> int:
        """A big-endian unsigned number of `count` bytes."""
        return int.from_bytes(self.take(count, what), "big")

    def text(self, what: str) -> str:
        """A one-byte length and so many ASCII characters."""
        raw = self.take(self.number(1, what), what)
        if not raw or not all(32 <= byte < 127 for byte in raw):
            raise DataError(f"{what} {raw[:40]!r} is no printable text", self.offset - len(raw))
        return raw.decode("ascii")

    def skip(self, count: int, what: str) -> None:
        """Go `count` bytes on, however many; DataError if the stream is cut."""
        while count:
            step = min(count, CHUNK_BYTES)
            self.need(step, what)
            self.at += step
            count -= step
