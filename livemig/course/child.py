"""The process in which a learner's function runs: `python -m livemig.course.child JOB RESULT`.

Theory of operation. JOB holds the function and the cases, pickled by value. `faulthandler` has a watchdog that needs
neither signals nor the interpreter's lock, on every system: when the time is up it writes where the function stands and
ends this process. Otherwise RESULT gets, as JSON, what each case gave, or what was raised and in which line.
Where the system can, memory is limited too, so that an endless list ends in a MemoryError and not in a dead machine.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any

from livemig.course.drivers import CARRIED, DRIVERS, plain

__all__ = ["main"]

MOST_PRINTED = 400
MEMORY_BYTES = 4 << 30


class Printed(io.StringIO):
    """Keeps the beginning of what the function prints."""

    def write(self, text: str) -> int:
        super().write(text[: max(0, MOST_PRINTED - self.tell())])
        return len(text)


def main(job_file: str, result_file: str) -> None:
    """Run the job; the result file is written when the cases are done or one raised."""
    job = pickle.loads(Path(job_file).read_bytes())
    driver, values = DRIVERS[job["driver"]], []
    _limit_memory()
    printed = Printed()
    result: dict[str, Any] = {}
    with open(f"{result_file}.where", "w", encoding="utf-8") as where:
        faulthandler.dump_traceback_later(job["limit_s"], file=where, exit=True)
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                function = pickle.loads(job["function"])
                for args in job["cases"]:
                    values.append(plain(driver(function, args)))
        except BaseException as error:  # a learner's sys.exit() is an answer too
            result |= {"raised": f"{type(error).__name__}: {error}"[:300], "line": _line(error, job["file"])}
        faulthandler.cancel_dump_traceback_later()
    result |= {"values": values, "printed": printed.getvalue()}
    part = Path(f"{result_file}.part")
    part.write_text(json.dumps(result), encoding="utf-8")
    part.replace(result_file)


def _line(error: BaseException, file: str) -> tuple[int | None, str] | None:
    """The last place of the learner's own file that the error passed through: line, function."""
    places = [(frame.lineno, frame.name) for frame in traceback.extract_tb(error.__traceback__)
              if frame.filename in (file, CARRIED)]
    return places[-1] if places else None


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
