"""Notebooks: which there are, what they say of themselves, and running them."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from livemig.publish.markdown import plain_text

__all__ = ["Notebook", "PublishError", "execute", "executed", "read", "read_notebooks"]

TIMEOUT_S = 240
_MINUTES = re.compile(r"^\*\*Time\*\*: (\d+) minutes, and (\d+) for the exercises\.", re.MULTILINE)
_FIRST_PROMISE = re.compile(r"^\*\*What you will see\*\*\s*\n+- (.+)$", re.MULTILINE)


class PublishError(RuntimeError):
    """Something cannot be published; the message says what and why."""


@dataclass(frozen=True)
class Notebook:
    """A notebook file and what its first cell says: title, the first thing one will see, minutes in all."""

    file: Path
    title: str
    line: str
    minutes: int

    @property
    def name(self) -> str:
        """The file's name without its ending: "02_precopy_convergence"."""
        return self.file.stem

    @property
    def page(self) -> str:
        """The name of its page."""
        return f"{self.name}.html"


def read_notebooks(folder: Path) -> list[Notebook]:
    """The notebooks of a folder by name; `PublishError` where there is none, or one does not say what it is."""
    found = [_described(file) for file in sorted(folder.glob("[0-9]*.ipynb"))]
    if not found:
        raise PublishError(f"{folder}: no notebook in this folder (names begin with a number and end in .ipynb)")
    return found


def _described(file: Path) -> Notebook:
    text = str(read(file).cells[0].source)
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    promise = _FIRST_PROMISE.search(text)
    minutes = _MINUTES.search(text)
    if title is None or promise is None or minutes is None:
        raise PublishError(f"{file}: its first cell must have a heading, the list \"What you will see\" and "
                           '"**Time**: 50 minutes, and 15 for the exercises."')
    in_all = int(minutes[1]) + int(minutes[2])
    return Notebook(file, plain_text(title[1]), plain_text(promise[1]).rstrip(".;, "), in_all)


def read(file: Path) -> Any:
    """A notebook's content; `PublishError` where the file holds none."""
    try:
        return nbformat.read(file, as_version=4)  # type: ignore[no-untyped-call]
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise PublishError(f"{file}: not a notebook ({str(error).splitlines()[0]})") from None


def execute(file: Path, env: Mapping[str, str] | None = None) -> Any:
    """Run a notebook in a new kernel, in its own folder, and return it with outputs and the widgets' state.

    `env`: the kernel's environment instead of this process's. The kernel is gone when this returns or raises.
    Raises `PublishError` with the cell's error when a cell fails.
    """
    notebook = read(file)
    # "python3" of jupyter_client is this Python; its kernel warns on stderr that it talks over TCP, which is local.
    client = NotebookClient(notebook, timeout=TIMEOUT_S, kernel_name="python3", coalesce_streams=True,
                            extra_arguments=["--log-level=ERROR"], resources={"metadata": {"path": file.parent}})
    how: dict[str, Any] = {} if env is None else {"env": dict(env)}
    try:
        _to_its_end(client.async_execute(**how))
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        reason = f"{error.ename}: {error.evalue}" if isinstance(error, CellExecutionError) else str(error)
        raise PublishError(f"{file.name} cannot be run to its end: {reason.splitlines()[0]}") from error
    return notebook


def _to_its_end(work: Coroutine[Any, Any, Any]) -> None:
    """Run `work` in a thread with a loop of its own. Ctrl-C here cancels it there, and is raised when it has ended.

    In this thread nbclient would take the signal itself, and end the kernel under a cell that it is still reading.
    """
    started = threading.Event()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        running.append((asyncio.get_running_loop(), task))
        started.set()
        await work

    with ThreadPoolExecutor(1, "notebook") as pool:
        done = pool.submit(lambda: asyncio.run(run()))
        try:
            done.result()
        except KeyboardInterrupt:
            started.wait()
            loop, task = running[0]
            loop.call_soon_threadsafe(task.cancel)
            wait([done])
            raise


def executed(notebooks: list[Notebook], progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """All of them run, by name. `progress` is told "3 of 9: 02_precopy_convergence" before each."""
    made = {}
    for number, one in enumerate(notebooks, start=1):
        if progress is not None:
            progress(f"{number} of {len(notebooks)}: {one.name} ...")
        made[one.name] = execute(one.file)
    return made
