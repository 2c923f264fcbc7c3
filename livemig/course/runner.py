"""Runs a learner's function where it can do no harm: in a process of its own, with a limit of time.

Theory of operation. A function in a notebook cannot be stopped from inside its kernel on every system: signals do not
exist on Windows, a thread cannot be ended, and a trace function is switched off by the first `except:`. A process can
always be ended. `cloudpickle` carries the function over with the globals it uses, as a notebook's cell has them;
`child` runs the cases and has a watchdog that says in which line the function was. This file starts it, waits, and,
should the watchdog itself fail, kills it. An interrupt of the cell ends the process too.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle

from livemig.course.drivers import CARRIED

__all__ = ["LIMIT_S", "Ran", "run_cases"]

LIMIT_S = 4.0
START_S = 60.0  # for a slow machine to start Python; only what is wrong with the watchdog itself ever takes so long


@dataclass(frozen=True)
class Ran:
    """What came of it. `values`: one for each case that ended; `trouble`: a sentence, empty if all of them did."""

    values: tuple[Any, ...]
    trouble: str = ""
    printed: str = ""


def run_cases(function: Callable[..., Any], cases: Sequence[tuple[Any, ...]], driver: str = "plain",
              limit_s: float = LIMIT_S) -> Ran:
    """Call `function` once for each tuple of arguments, in another process, for `limit_s` seconds in all."""
    try:
        carried = cloudpickle.dumps(function)
    except Exception as error:
        return Ran((), "your function uses something that cannot be carried into the process where it is tried "
                       f"({type(error).__name__}: {error}); give it only numbers, texts and functions")
    code = getattr(function, "__code__", None)
    file = "" if code is None else code.co_filename
    job = {"function": carried, "cases": list(cases), "driver": driver, "limit_s": limit_s, "file": file}
    with tempfile.TemporaryDirectory(prefix="livemig-course-", ignore_cleanup_errors=True) as folder:
        job_file, result_file = Path(folder, "job"), Path(folder, "result")
        job_file.write_bytes(pickle.dumps(job))
        command = [sys.executable, "-m", "livemig.course.child", str(job_file), str(result_file)]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  env=_environment(), timeout=limit_s + START_S, check=False)
        except subprocess.TimeoutExpired:
            return Ran((), f"your function did not end within {limit_s + START_S:g} s and was stopped")
        except OSError as error:
            return Ran((), f"no process could be started to try your function in: {error}")
        if result_file.is_file():
            return _ended(json.loads(result_file.read_text(encoding="utf-8")))
        where = Path(f"{result_file}.where")
        stood = where.read_text(encoding="utf-8", errors="replace") if where.is_file() else ""
        if "Timeout" in stood:
            return Ran((), _endless(stood, file, limit_s))
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        return Ran((), f"the process of your function ended without a result (exit code {done.returncode}): {last[0]}")


def _environment() -> dict[str, str]:
    """The notebook's own search path, so that the child imports what the notebook imports."""
    paths = [str(Path(entry).resolve()) if entry else str(Path.cwd()) for entry in sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}


def _ended(result: dict[str, Any]) -> Ran:
    values, trouble = tuple(result["values"]), ""
    if "raised" in result:
        place = f" in {_place(*result['line'])}" if result["line"] else ""
        trouble = f"your function raised {result['raised']}{place}, in case {len(values) + 1}"
    return Ran(values, trouble, result["printed"])


def _endless(stood: str, file: str, limit_s: float) -> str:
    frames = re.findall(r'File "(.*)", line (\d+) in (\S+)', stood)
    lines = [_place(int(line), function) for name, line, function in frames if name in (file, CARRIED)]
    place = f" It was in {lines[0]}." if lines else ""
    return (f"your function did not end within {limit_s:g} s and was stopped.{place} Does a loop have a condition that "
            "never becomes false?")


def _place(line: int, function: str) -> str:
    return f"line {line} of its cell or file ({function})"
