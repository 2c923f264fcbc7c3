"""A folder that is there whole or not at all: made beside its place, moved there when it is complete."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from livemig.publish.notebooks import PublishError

__all__ = ["replaced"]

_MARK = ".made-by-livemig"


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write into; it takes `folder`'s place when the block ends without an exception.

    Raises `PublishError` at once when `folder` holds something that livemig did not put there.
    """
    folder = folder.resolve()
    _check(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        made, former = Path(scratch, "new"), Path(scratch, "former")
        made.mkdir()
        (made / _MARK).touch()
        yield made
        try:
            if folder.exists():
                folder.rename(former)
            made.rename(folder)
        except BaseException:
            if former.exists() and not folder.exists():
                former.rename(folder)
            raise


def _check(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise PublishError(f"{folder}: a file is in the way")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _MARK).is_file():
        raise PublishError(f"{folder}: the folder holds files that livemig did not make, so it is not replaced; "
                           "give another --out or empty it")
