"""What a learner has tried and solved, in one local JSON file. Nothing is sent anywhere.

Theory of operation. The file is read, changed and put back in one step (`os.replace`) while a lock file beside it is
held, so that two notebooks can be open at once and whoever looks finds the old file or the new one. A file that cannot
be read is left as it is: the learner gets a message, and the check itself still gets its answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["FORM", "ProgressError", "default_path", "locked", "merge", "note", "read", "write"]

FORM = "livemig course progress 1"
LOCK_WAIT_S = 3.0
LOCK_STALE_S = 10.0  # a lock is held for milliseconds; one this old was left by a process that is gone
_FIELDS = {"tries": int, "right": bool, "hints": int, "answer_shown": bool, "last_answer": str, "last_time": str}


class ProgressError(RuntimeError):
    """A progress file that cannot be read or written; the message names the file, the reason and what can be done."""


def default_path() -> Path:
    """`LIVEMIG_PROGRESS`, or `.livemig/progress.json` in the home folder."""
    chosen = os.environ.get("LIVEMIG_PROGRESS")
    return Path(chosen) if chosen else Path.home() / ".livemig" / "progress.json"


def read(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """{exercise: {seed: entry}}, empty where there is no file. Raises `ProgressError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ProgressError(f"{path}: cannot be read: {error}; {_HELP}") from None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProgressError(f"{path}: is no JSON ({error}); {_HELP}") from None
    if not isinstance(found, dict) or found.get("form") != FORM:
        raise ProgressError(f"{path}: is no progress file (no \"form\": {FORM!r}); {_HELP}")
    exercises: dict[str, dict[str, dict[str, Any]]] = found.get("exercises", {})
    _check(path, exercises)
    return exercises


_HELP = "it was left as it is; move it away, or choose another file with course.keep_progress_in(path)"


def _check(path: Path, exercises: Any) -> None:
    if not isinstance(exercises, dict):
        raise ProgressError(f"{path}: \"exercises\" is no table; {_HELP}")
    for name, seeds in exercises.items():
        for seed, entry in seeds.items() if isinstance(seeds, dict) else ((None, None),):
            if not isinstance(entry, dict) or any(type(entry.get(key, kind())) is not kind
                                                  for key, kind in _FIELDS.items()):
                raise ProgressError(f"{path}: the entry of exercise {name!r}, seed {seed!r}, has another form; {_HELP}")


def write(path: Path, exercises: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Put the file in place in one step. Raises `ProgressError`."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps({"form": FORM, "exercises": exercises}, indent=1, sort_keys=True) + "\n",
                        encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise ProgressError(f"{path}: cannot be written: {error}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process at a time changes the file. Raises `ProgressError` when another one does not let go."""
    lock = path.with_name(f"{path.name}.lock")
    end_s = time.monotonic() + LOCK_WAIT_S
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProgressError(f"{path}: cannot be written: {error}") from None
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except OSError as error:
            # Windows refuses (PermissionError) while the other side's lock is being removed.
            held = isinstance(error, FileExistsError) or (os.name == "nt" and isinstance(error, PermissionError))
            if not held or time.monotonic() > end_s:
                word = "changed now" if held else "written"
                raise ProgressError(f"{path}: cannot be {word}: {error}") from None
            with contextlib.suppress(OSError):
                if time.time() - lock.stat().st_mtime > LOCK_STALE_S:
                    lock.unlink()
            time.sleep(0.02)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink()


@dataclass(frozen=True)
class _New:
    """What one step adds to an entry."""

    tries: int = 0
    right: bool = False
    hints: int = 0
    answer_shown: bool = False
    last_answer: str = ""


def note(path: Path, exercise: str, seed: int, **what: Any) -> None:
    """Add one step: `tries` are counted, `right` and `answer_shown` stay, `hints` is the most that were seen."""
    new = _New(**what)
    with locked(path):
        exercises = read(path)
        old = exercises.setdefault(exercise, {}).get(str(seed), {})
        exercises[exercise][str(seed)] = {
            **old,
            "tries": old.get("tries", 0) + new.tries, "right": old.get("right", False) or new.right,
            "hints": max(old.get("hints", 0), new.hints),
            "answer_shown": old.get("answer_shown", False) or new.answer_shown,
            "last_answer": new.last_answer or old.get("last_answer", ""),
            "last_time": datetime.now(UTC).isoformat(timespec="seconds")}
        write(path, exercises)


def merge(path: Path, other: Path) -> int:
    """Take what another progress file (an export) has into this one; the number of exercises that it had.

    Where both have an exercise with a seed, what was reached in either stays reached and the larger count stays, so
    that a second import changes nothing. Raises `ProgressError`, also where there is no file `other`.
    """
    if not other.exists():
        raise ProgressError(f"{other}: there is no such file; a notebook looks for it in its own folder")
    theirs = read(other)
    with locked(path):
        ours = read(path)
        for exercise, seeds in theirs.items():
            for seed, entry in seeds.items():
                mine = ours.setdefault(exercise, {}).get(seed, {})
                ours[exercise][seed] = _joined(mine, entry)
        write(path, ours)
    return len(theirs)


def _joined(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    """The larger of each count and of each yes or no; the rest, the last answer with it, from the later entry."""
    earlier, later = sorted((one, two), key=lambda entry: str(entry.get("last_time", "")))
    most = {key: max(one.get(key, kind()), two.get(key, kind())) for key, kind in _FIELDS.items() if kind is not str}
    return {**earlier, **later, **most}
