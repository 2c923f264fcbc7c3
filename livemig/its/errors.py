"""The one error type of the `its` room, with the kernel's errno in it."""

from __future__ import annotations

import errno

__all__ = ["ItsError", "MemoryFault", "KernelCrash", "DataError"]


class ItsError(Exception):
    """An operation on the ITS, its tables, a command or a stream failed.

    Attributes:
        name: errno name as the kernel would return it ("EINVAL"), or "BADDATA" / "HOSTCRASH" for what has no errno.
        errno: the positive errno number, 0 where there is none.
        message: what, where, which limit.
        offset: byte offset in the file or stream, where that is known.
    """

    def __init__(self, name: str, message: str, offset: int | None = None) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.errno = int(getattr(errno, name, 0))
        self.message = message
        self.offset = offset


class MemoryFault(ItsError):
    """An address outside guest RAM was read or written (the kernel's -EFAULT)."""

    def __init__(self, what: str, address: int, size_bytes: int) -> None:
        super().__init__("EFAULT", f"{what} of {size_bytes} bytes at {address:#x}: not in a RAM slot")
        self.address = address


class KernelCrash(ItsError):
    """The real host kernel crashed here (recorded); the model stops instead."""

    def __init__(self, message: str) -> None:
        super().__init__("HOSTCRASH", message)


class DataError(ItsError):
    """A file, dump or stream is not what it claims to be."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        where = "" if offset is None else f" (at byte offset {offset}, {offset:#x})"
        super().__init__("BADDATA", message + where, offset)
