"""Work beside the caller: news in the caller's thread, and cleaning up that nothing stops."""

import asyncio
import os
import signal
import threading
import time

import pytest

from livemig.lab.worker import run_beside


def test_result_and_the_latest_news_in_the_callers_thread() -> None:
    heard = []

    async def work(tell) -> str:
        for number in range(5):
            tell(number)
            await asyncio.sleep(0.005)
        return "done"

    def hear(number: int) -> None:
        heard.append((number, threading.current_thread()))
        time.sleep(0.02)  # slower than the news

    assert run_beside(work, hear) == "done"
    numbers = [number for number, _ in heard]
    assert numbers == sorted(set(numbers))
    assert len(numbers) < 5
    assert {thread for _, thread in heard} == {threading.current_thread()}


def test_inside_a_running_event_loop() -> None:
    """As in a Jupyter kernel."""
    async def work(_) -> int:
        await asyncio.sleep(0)
        return 7

    async def cell() -> int:
        return run_beside(work, None)

    assert asyncio.run(cell()) == 7


def test_an_error_of_the_work_is_the_callers() -> None:
    async def work(_) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        run_beside(work, None)


class Cleaning:
    """Work that takes its time to clean up."""

    def __init__(self) -> None:
        self.cleaned = False

    async def __call__(self, tell) -> None:
        try:
            tell("begun")
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.1)
            time.sleep(0.1)
            self.cleaned = True


def test_an_error_of_the_callback_waits_for_the_cleaning_up() -> None:
    work = Cleaning()

    def fail(_: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_beside(work, fail)
    assert work.cleaned


@pytest.mark.parametrize("times", [1, 5])
def test_an_interrupt_and_impatient_further_ones(times: int) -> None:
    """Ctrl-C again while the first one is still cleaning up."""
    work = Cleaning()

    def press() -> None:
        for _ in range(times):
            time.sleep(0.03)
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    with pytest.raises(KeyboardInterrupt):
        run_beside(work, lambda _: thread.start())
    thread.join()
    assert work.cleaned
    assert not [one for one in threading.enumerate() if one.name == "livemig-lab"]
