"""A recording into a file: one line for a row of its long lists, and never half a file.

Theory of operation. The text goes into a new file beside the wanted one, which then takes its place in one step
(`os.replace`), so the wanted name holds the old file or the whole new one, whatever happens. `check_output` finds out
before a migration is run whether its recording could be written.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from livemig.lab.recording import SUFFIXES

__all__ = ["OutputError", "check_output", "recording_text", "save_recording"]

_LONG = ("events", "polls", "trace_src", "trace_dst")


class OutputError(RuntimeError):
    """A recording that cannot be written; the message names the file and the reason."""


def check_output(path: str | Path) -> Path:
    """Where the recording will be written, symbolic links followed.

    Raises `OutputError` when it cannot be written there or has no name that `load_recording` reads.
    """
    target = Path(path)
    if not target.name.endswith(SUFFIXES):
        raise OutputError(f"{target}: a recording's name ends in {' or '.join(SUFFIXES)}")
    try:
        target = target.resolve()
        if target.exists() and not target.is_file():
            raise OutputError(f"{target}: is there and not an ordinary file")
        if target.exists() and not os.access(target, os.W_OK):
            raise OutputError(f"{target}: is there and may not be written")
        part = _part(target)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        part.unlink()
    except OSError as error:
        raise _output_error(target, error) from None
    return target


def save_recording(recording: Mapping[str, Any], path: str | Path) -> Path:
    """Write a recording (`.json`, or `.json.gz` compressed) and return where; an old file of that name is replaced.

    Raises `OutputError`; then nothing new is left, and an old file is as it was.
    """
    target = check_output(path)
    text = recording_text(recording).encode()
    data = gzip.compress(text, mtime=0) if target.suffix == ".gz" else text
    part = _part(target)
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # a full disk may show only here
        os.replace(part, target)
    except OSError as error:
        raise _output_error(target, error) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return target


def recording_text(recording: Mapping[str, Any]) -> str:
    """The JSON text of a recording, laid out so that it can be read and compared line by line."""
    parts = []
    for key, value in recording.items():
        name = json.dumps(key)
        if key in _LONG and value:
            rows = ",\n  ".join(json.dumps(row, separators=(",", ":"), allow_nan=False) for row in value)
            parts.append(f" {name}: [\n  {rows}\n ]")
        else:
            parts.append(f" {name}: {json.dumps(value, allow_nan=False)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.part")


def _output_error(target: Path, error: OSError) -> OutputError:
    return OutputError(f"{target}: cannot be written, nothing was left behind: {error.strerror or error}")
