"""Run a coroutine beside the caller: progress in the caller's thread, an interrupt that always cleans up.

Theory of operation. The coroutine runs in a thread with an event loop of its own, so it does not matter whether the
caller has one (Jupyter does). The caller waits for news; its callback runs in its own thread, and whatever is raised
there, a KeyboardInterrupt included, cancels the coroutine and is raised on once the coroutine's own cleaning up is
over. Signals reach only the main thread, so the thread with the processes is never interrupted in between.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

__all__ = ["run_beside"]

T = TypeVar("T")
P = TypeVar("P")
_WAIT_S = 0.2
_LOOK_S = 0.02  # how soon an interrupt is seen


def run_beside(work: Callable[[Callable[[P], None]], Coroutine[Any, Any, T]], on_news: Callable[[P], None] | None) -> T:
    """Run `work(tell)` to its end and return its result; `on_news` gets what it tells, the latest if it is slow."""
    worker = _Worker(work)
    try:
        try:
            worker.start()
            while (news := worker.next_news()) is not None:
                if on_news is not None:
                    on_news(news)
        finally:
            worker.end()
    finally:
        worker.end()  # again, should an interrupt have come just when the first one began
    return worker.outcome()


class _Worker(Generic[P, T]):
    def __init__(self, work: Callable[[Callable[[P], None]], Coroutine[Any, Any, T]]) -> None:
        self._work = work
        self._news: queue.SimpleQueue[P | None] = queue.SimpleQueue()  # None: it is over
        self._thread = threading.Thread(target=self._run, name="livemig-lab")
        self._begun = self._over = self._cancelled = False
        self._result: list[T] = []
        self._error: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def next_news(self) -> P | None:
        """The latest news; None when the work is over."""
        while True:
            try:
                news = self._news.get(timeout=_WAIT_S)  # with a time, so that Windows can interrupt it too
            except queue.Empty:
                continue
            while news is not None and not self._news.empty():
                news = self._news.get()
            return news

    def end(self) -> None:
        """Cancel what still runs and wait until it has cleaned up; further interrupts do not stop that."""
        self._cancelled = True  # a thread that has not begun yet sees this first
        while self._begun and not self._over:  # not join(): up to Python 3.12 an interrupted one takes it for ended
            try:
                time.sleep(_LOOK_S)
            except KeyboardInterrupt:
                continue
        if self._begun:
            self._thread.join(_WAIT_S)

    def outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _run(self) -> None:
        self._begun = True
        try:
            self._result.append(asyncio.run(self._main()))
        except BaseException as error:
            self._error = error
        finally:
            self._over = True
            self._news.put(None)

    async def _main(self) -> T:
        """The work, cancelled once if the caller no longer wants it.

        The flag is looked at instead of being told across threads: setting it is one step that nothing can interrupt.
        """
        task = asyncio.create_task(self._work(self._news.put))
        while not task.done():
            if self._cancelled:
                task.cancel()
                break
            await asyncio.wait([task], timeout=_LOOK_S)
        return await task
