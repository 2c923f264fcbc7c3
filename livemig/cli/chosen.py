"""Policies as the command line names them: `nova`, `nova:steps=5,delay_s=30`, `mine.py:my_policy`."""

from __future__ import annotations

import runpy
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from livemig.units import UnitError

__all__ = ["read_policies"]


def read_policies(texts: Sequence[str]) -> dict[str, Any]:
    """The policies by the text that named them; none named: all that livemig knows. Raises `UnitError`."""
    from livemig.engine.policies import POLICIES

    return {text: _read(text) for text in texts} if texts else dict(POLICIES)


def _read(text: str) -> Any:
    from livemig.engine.policies import POLICIES

    name, _, rest = text.partition(":")
    if name.endswith(".py"):
        return _from_file(Path(name), rest, text)
    if name not in POLICIES:
        raise UnitError(f"--policy {text}: no policy {name!r}; known are {', '.join(POLICIES)}, or FILE.py:NAME")
    changes = dict(_change(POLICIES[name], part, text) for part in rest.split(",") if part.strip())
    return replace(POLICIES[name], **changes)


def _change(policy: Any, part: str, text: str) -> tuple[str, Any]:
    known = {item.name: getattr(policy, item.name) for item in fields(policy)
             if item.name != "name" and not isinstance(getattr(policy, item.name), tuple)}
    key, equals, value = (piece.strip() for piece in part.partition("="))
    if not equals or key not in known:
        raise UnitError(f"--policy {text}: {part.strip()!r} is not NAME=VALUE with one of {', '.join(known)}")
    if isinstance(known[key], bool):
        if value not in ("true", "false"):
            raise UnitError(f"--policy {text}: {key} = {value!r}: expected true or false")
        return key, value == "true"
    try:
        number = float(value)
    except ValueError:
        raise UnitError(f"--policy {text}: {key} = {value!r} is not a number") from None
    if not 0 < number < 1e12 or (isinstance(known[key], int) and number != int(number)):
        kind = "a whole number" if isinstance(known[key], int) else "a number"
        raise UnitError(f"--policy {text}: {key} = {value}: expected {kind} above 0")
    return key, int(number) if isinstance(known[key], int) else number


def _from_file(path: Path, name: str, text: str) -> Any:
    """A policy of the user's own: the file is run, as Python runs it."""
    if not path.is_file():
        raise UnitError(f"--policy {text}: there is no file {path}")
    try:
        found = runpy.run_path(str(path))
    except Exception as error:  # whatever somebody's file raises
        raise UnitError(f"--policy {text}: running {path} failed: {type(error).__name__}: {error}") from error
    if name not in found:
        names = ", ".join(sorted(key for key, value in found.items() if callable(value) and not key.startswith("_")))
        raise UnitError(f"--policy {text}: {path} has no {name!r} (say FILE.py:NAME; it has {names or 'no function'})")
    return found[name]
