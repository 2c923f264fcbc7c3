"""sweep(grid): one answer for each of many scenarios, in process or on any `concurrent.futures.Executor`.

Theory of operation. A grid is cut into tasks (`models.run_task`, which every worker can import); a task carries
the axes and two numbers, so nothing large travels. A bounded number of tasks is under way, results are taken in order
and go into one array, or into a CSV file, so that a grid may be larger than memory. Which executor runs a task, and how
large tasks are, changes no bit of the answer. What is done when a sweep is interrupted, or a worker dies, is not lost:
the exception carries it, or the file has it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from livemig.scenario import Scenario, ScenarioError
from livemig.sweeps.grid import Grid, make_grid
from livemig.sweeps.models import check_model, row_type, run_task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Executor", "Sweep", "SweepFailed", "SweepInterrupted", "sweep"]

_IN_FLIGHT = 32  # tasks: enough for many workers, and a bound on what waits in memory
_TASKS = 32  # so many tasks at least, so that every worker has some and progress moves
_LARGEST = {"closed_form": 1_000_000, "rounds": 250_000, "qemu": 16}
_SMALLEST = {"closed_form": 50_000, "rounds": 10_000, "qemu": 1}
_EVERY_S = 0.1

Progress = Callable[[int, int], None]


class Executor(Protocol):
    """What a sweep needs of an executor; those of the standard library, Dask and ipyparallel have it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        """A future."""


@dataclass(frozen=True)
class Sweep:
    """The finished rows in the grid's order: its fields, `converges`, `dirty_sync_count`, times and bytes.

    Times and bytes are nan where a migration does not converge. `done` rows of `size` are finished. `out`: the CSV file
    that has the rows; `rows` is empty then.
    """

    rows: NDArray[Any]
    shape: tuple[int, ...]
    size: int
    done: int
    model: str
    base: Scenario
    out: Path | None = None

    @property
    def complete(self) -> bool:
        """Whether every scenario was computed."""
        return self.done == self.size

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column; in the grid's shape where the sweep is complete and its rows are here."""
        column: NDArray[Any] = self.rows[name]
        return column.reshape(self.shape) if len(column) == self.size else column

    def frame(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame."""
        import pandas as pd  # heavy, and only needed by those who ask

        return pd.DataFrame({name: self.rows[name] for name in self.rows.dtype.names or ()})


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C during a sweep. `sweep` has what was finished."""

    def __init__(self, done: Sweep) -> None:
        self.sweep = done
        super().__init__(f"interrupted: {done.done} of {done.size} scenarios are done")


class SweepFailed(RuntimeError):
    """A task could not be run (a worker died, a disk is full). `sweep` has what was finished."""

    def __init__(self, done: Sweep, error: BaseException) -> None:
        self.sweep = done
        words = " ".join(str(error).split()) or "no message"
        super().__init__(f"the sweep ended after {done.done} of {done.size} scenarios: {type(error).__name__}: {words}")


def sweep(grid: Any, *, base: Scenario | None = None, model: str = "closed_form",
          executor: Executor | int | None = None, progress: bool | Progress = True, task: int | None = None,
          out: str | Path | None = None) -> Sweep:
    """Answer for every scenario of a grid whether it converges, in what time, with what stop and bytes.

    >>> import livemig
    >>> rates = {"dirty_rate_bytes_per_s": [20e6, 40e6, 90e6], "bandwidth_bytes_per_s": [50e6, 80e6]}
    >>> livemig.sweep(rates, progress=False)["converges"].tolist()
    [[True, True], [True, True], [False, False]]

    `grid`: a mapping of `Scenario`'s fields to values (every combination; the last field changes fastest), or a
    structured array or DataFrame with such columns (a scenario a row). `base` gives all other fields. `model`:
    "closed_form" (the textbook, about 10^7 scenarios a second), "rounds" (with the pattern's curve, auto-converge and
    the unthrottled rest) or "qemu" (the engine; 10^1 to 10^2 a second on a core). `executor`: where tasks run; a number
    starts so many processes of this machine; default: in this process. `task`: scenarios a task. `progress`: True
    prints one line that changes, a function gets (done, of). `out`: a .csv file for the rows, for grids larger than
    memory (Parquet is not written).

    A set of pages larger than RAM counts as all of RAM in the first two models; in "qemu" a scenario that is impossible
    has its reason in the row's `error`. Raises `ScenarioError` (which field, value, limit), `SweepInterrupted` and
    `SweepFailed`, which carry what was finished.
    """
    start = base or Scenario()
    made = make_grid(grid, start)
    check_model(model, start, made)
    if task is not None and task < 1:
        raise ScenarioError(f"task = {task}: expected at least 1 scenario a task")
    if isinstance(executor, int) and executor < 1:
        raise ScenarioError(f"executor = {executor}: expected at least 1 process")
    kind = row_type(made, model)
    sink: _Array | _Csv = _Array(made.size, kind) if out is None else _Csv(Path(out), kind)
    shown = _Line() if progress is True else progress or None
    step = task or _task_size(model, made.size)

    def finished() -> Sweep:
        return Sweep(sink.rows(), made.shape, made.size, sink.done, model, start, None if out is None else Path(out))

    with _running(executor) as pool, sink, closing(_Tasks(pool, model, start, made, step)) as tasks:
        try:
            for first, rows in tasks:
                sink.put(first, rows)
                if shown is not None:
                    shown(sink.done, made.size)
        except KeyboardInterrupt:  # it may have come between any two lines above: `sink.done` says what counts
            for first, rows in tasks.ready(sink.done):
                sink.put(first, rows)
            raise SweepInterrupted(finished()) from None
        except Exception as error:
            raise SweepFailed(finished(), error) from error
        finally:
            if isinstance(shown, _Line):
                shown.end()
    return finished()


def _task_size(model: str, size: int) -> int:
    return min(max(-(-size // _TASKS), _SMALLEST[model]), _LARGEST[model])


def _running(executor: Executor | int | None) -> AbstractContextManager[Executor | None]:
    if isinstance(executor, int):
        from concurrent.futures import ProcessPoolExecutor

        return ProcessPoolExecutor(executor, initializer=_ignore_interrupts)
    return nullcontext(executor)


def _ignore_interrupts() -> None:
    """Ctrl-C goes to every process of a terminal; the one that waits for the workers ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Tasks:
    """The results of all tasks, in the grid's order; at most so many are under way."""

    def __init__(self, pool: Executor | None, model: str, base: Scenario, grid: Grid, step: int) -> None:
        self._pool = pool
        self._pieces = ((start, (model, base, *grid.piece(start, min(start + step, grid.size))))
                        for start in range(0, grid.size, step))
        self._waiting: deque[Any] = deque()

    def __iter__(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """(number of the first row, rows); a task is forgotten only when its rows have been taken."""
        for start, piece in self._pieces:
            if self._pool is None:
                yield start, run_task(*piece)
                continue
            self._waiting.append((start, self._pool.submit(run_task, *piece)))
            if len(self._waiting) >= _IN_FLIGHT:
                yield from self._head()
        while self._waiting:
            yield from self._head()

    def _head(self) -> Iterator[tuple[int, NDArray[Any]]]:
        start, future = self._waiting[0]
        yield start, future.result()
        self._waiting.popleft()

    def ready(self, done: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """What follows at once behind `done` rows: tasks that were finished when the sweep was interrupted."""
        for start, future in self._waiting:
            if start >= done and not future.done():
                return
            if start >= done:
                yield start, future.result()

    def close(self) -> None:
        """Cancel what nobody will fetch."""
        for _, future in self._waiting:
            future.cancel()


class _Array:
    """Results in memory. `done` rows count; what is put again is put in the same place."""

    def __init__(self, size: int, kind: np.dtype[Any]) -> None:
        needed, most = size * kind.itemsize, _memory_bytes() // 2
        if needed > most:
            raise ScenarioError(f"grid: {size} scenarios need {needed / 2**30:.1f} GiB, more than half of this "
                                f"machine's memory ({most / 2**30:.1f} GiB); out='FILE.csv' writes them in blocks")
        self._all = np.empty(size, kind)
        self.done = 0

    def __enter__(self) -> _Array:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def put(self, start: int, rows: NDArray[Any]) -> None:
        self._all[start:start + len(rows)] = rows
        self.done = start + len(rows)

    def rows(self) -> NDArray[Any]:
        return self._all[:self.done]


class _Csv:
    """Results in a file, a block at a time; after an interruption it holds the rows that count, and no others."""

    def __init__(self, path: Path, kind: np.dtype[Any]) -> None:
        if path.suffix.lower() != ".csv":
            raise ScenarioError(f"out = {path}: its name must end in .csv (the only format that is written)")
        if not path.parent.is_dir():
            raise ScenarioError(f"out = {path}: there is no folder {path.parent}")
        self._path, self._kind = path, kind
        self._end = (0, 0)  # rows that count, and where they end in the file: one assignment, so that both agree

    @property
    def done(self) -> int:
        return self._end[0]

    def __enter__(self) -> _Csv:
        self._handle = self._path.open("wb")
        self._handle.write((",".join(self._kind.names or ()) + "\n").encode())
        self._handle.flush()
        self._end = (0, self._handle.tell())
        return self

    def __exit__(self, *_: object) -> None:
        with self._handle:
            self._handle.truncate(self._end[1])

    def put(self, start: int, rows: NDArray[Any]) -> None:
        import pandas as pd

        frame = pd.DataFrame({name: rows[name] for name in self._kind.names or ()})
        self._handle.seek(self._end[1])
        self._handle.write(frame.to_csv(index=False, header=False, lineterminator="\n").encode())
        self._handle.flush()
        self._end = (start + len(rows), self._handle.tell())

    def rows(self) -> NDArray[Any]:
        return np.empty(0, self._kind)


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not POSIX
        return 8 << 30


class _Line:
    """How many are done, on stderr: one line that changes, or in a file a line at each tenth."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._start_s = time.monotonic()
        self._shown_s = self._start_s
        self._tenth = 0
        self._written = False

    def __call__(self, done: int, of: int) -> None:
        now_s = time.monotonic()
        spent_s = now_s - self._start_s
        if self._live and now_s - self._shown_s >= _EVERY_S:
            self._shown_s, self._written = now_s, True
            left_s = spent_s / done * (of - done)
            print(f"\r\x1b[K{done} of {of} scenarios, about {left_s:.0f} s left", end="", file=sys.stderr, flush=True)
        elif not self._live and spent_s > 2 and 10 * done // of > self._tenth:
            self._tenth = 10 * done // of
            print(f"livemig: {done} of {of} scenarios", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave a clean line."""
        if self._written:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
