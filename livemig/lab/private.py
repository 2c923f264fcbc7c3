"""A private folder for sockets and logs (0700), gone when it is left; and what an owner that was killed left behind.

Theory of operation. The owner of a folder holds a lock on it (`flock`), which the kernel drops when the process ends,
however it ends. A folder of this name that nobody holds is left over from a killed process; the next one that wants a
folder in the same place removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PREFIX", "PrivateDirError", "private_dir"]

PREFIX = "livemig-"
SUN_PATH_BYTES = 108 if sys.platform == "linux" else 104  # of sockaddr_un, with the zero byte at the end
NEEDED_BYTES = 16 << 20  # the logs of an hour of migration
_SETTLED_S = 10.0  # younger ones may belong to somebody who has not locked yet


class PrivateDirError(RuntimeError):
    """No folder for the sockets; the message says where and why, and what to do."""


@contextlib.contextmanager
def private_dir(base: str | Path | None, longest_name: str) -> Iterator[Path]:
    """A new folder in `base` (default: the system's folder for temporary files), removed with all that is in it.

    `longest_name` is the longest name of a socket that will be in it. Raises `PrivateDirError`: no such folder, not
    writable, full, or so deep that the path of a socket would be too long.
    """
    place = Path(base) if base is not None else Path(tempfile.gettempdir())
    try:
        place = place.resolve(strict=True)
        free = shutil.disk_usage(place).free
        if free < NEEDED_BYTES:
            raise PrivateDirError(f"{place}: {free} bytes are free, sockets and logs need {NEEDED_BYTES}; name another "
                                  "folder with TMPDIR")
        _check_length(place / f"{PREFIX}{'x' * 8}" / longest_name)
        _remove_leftovers(place)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    except OSError as error:
        raise PrivateDirError(f"{place}: no folder for the sockets can be made there: {error.strerror or error}; name "
                              "another one with TMPDIR") from None
    lock = None
    try:
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _check_length(longest: Path) -> None:
    length = len(os.fsencode(longest)) + 1
    if length > SUN_PATH_BYTES:
        raise PrivateDirError(f"{longest}: too long for a unix socket, {length} bytes of {SUN_PATH_BYTES} (sun_path); "
                              "name a shorter folder with TMPDIR")


def _remove_leftovers(place: Path) -> None:
    for found in place.glob(f"{PREFIX}????????"):
        with contextlib.suppress(OSError):  # not ours, or somebody else was faster
            _remove_if_left(found)


def _remove_if_left(found: Path) -> None:
    about = found.lstat()
    mine = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and stat.S_IMODE(about.st_mode) == 0o700
    if not mine or time.time() - about.st_mtime < _SETTLED_S:
        return
    lock = os.open(found, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(found, ignore_errors=True)
    finally:
        os.close(lock)
