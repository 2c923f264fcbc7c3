"""Page by page: what happened to each page of a small guest, step by step.

Theory of operation. A Trace counts pages, because a guest has millions. Here the run's memory is replaced by one that
notes the page numbers of each write, sync and send, and after each of them compares the bytes of both sides. Nothing
of the run changes by it: `watch_pages(scenario).trace` equals `simulate(scenario)`.

A guest's writes are noted when the engine applies them, which is before each slice that is sent and at each sync; so a
step's `t_s` is the latest moment of its writes, and which of write and send came first is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livemig.engine.memory import GuestMemory, Run
from livemig.engine.simulate import run
from livemig.engine.state import MigrationState
from livemig.engine.workload import Pages, Workload
from livemig.scenario import Scenario, ScenarioError
from livemig.trace import Trace

__all__ = ["MOST_PAGES", "PageStep", "PageStory", "PassPages", "ranges", "watch_pages"]

MOST_PAGES = 4096  # more than anybody looks at one by one; each step compares all of them


@dataclass(frozen=True)
class PageStep:
    """One step: `what` is "write" (by the guest), "sync" (dirty log read) or "send".

    `pages`: in the order of writing or sending; of a sync those newly marked (of the first, all). `sync`: number of the
    last sync, from 1.
    `pending`, `different`: pages still to send, and pages whose bytes at the destination are not the source's, after
    the step. `t_s`: seconds since T0. `stopped`: no vCPU runs.
    """

    t_s: float
    what: str
    pages: tuple[int, ...]
    sync: int
    pending: int
    different: int
    stopped: bool


@dataclass(frozen=True)
class PassPages:
    """One pass, from a sync to the next. `todo`, `left`: what the bitmap held at its start and its end.

    `before`, `after`: pages written in this pass before and after they were sent in it (a page may be in both);
    `no_turn`: pages written and not sent in it. `number` is the dirty-sync-count at its start.
    """

    number: int
    start_s: float
    todo: tuple[int, ...]
    sent: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    no_turn: tuple[int, ...]
    left: tuple[int, ...]
    stopped: bool


@dataclass(frozen=True)
class PageStory:
    """A run and its steps."""

    trace: Trace
    steps: tuple[PageStep, ...]

    def passes(self) -> tuple[PassPages, ...]:
        """Sync to sync, in order; the sync that decides for the stop has a pass in which nothing is sent."""
        return tuple(_passes(self.steps))

    def rows(self) -> list[dict[str, Any]]:
        """A table's rows, one a step, in words (times in seconds since T0)."""
        return [{"t, s": f"{step.t_s:.4f}", "guest": "stands" if step.stopped else "runs", "step": step.what,
                 "pages": ranges(step.pages), "pending": step.pending, "differ": step.different}
                for step in self.steps]


def ranges(pages: Sequence[int]) -> str:
    """Page numbers in words, in their order: 60, 61, 24 become "60-61, 24"; none become "none"."""
    stretches: list[list[int]] = []
    for page in pages:
        if stretches and page == stretches[-1][-1] + 1:
            stretches[-1].append(page)
        else:
            stretches.append([page])
    return ", ".join(f"{one[0]}-{one[-1]}" if len(one) > 1 else str(one[0]) for one in stretches) or "none"


def watch_pages(scenario: Scenario, writes: Callable[[int], int] | None = None) -> PageStory:
    """Run one migration and note what happened to each page.

    `writes`: the page of the working set (from 0) that the guest's write number n (from 0) touches, in the place of the
    scenario's pattern; the rate stays the scenario's. The guest needs real bytes (`contents=True`), no other RAM
    blocks, and at most `MOST_PAGES` pages; no ITS. Raises `ScenarioError` for any other, and for a write to a page that
    there is not.
    """
    if not scenario.contents:
        raise ScenarioError("contents = False: watching pages compares their bytes, so it needs contents = True")
    if scenario.other_ram_bytes or scenario.pages > MOST_PAGES:
        raise ScenarioError(f"pages = {scenario.pages}, other_ram_bytes = {scenario.other_ram_bytes}: pages are "
                            f"watched in guests of at most {MOST_PAGES} pages and no other RAM")
    if scenario.its_devices and scenario.accelerator == "kvm":
        raise ScenarioError(f"its_devices = {scenario.its_devices}: only the guest's own writes are watched; use 0")
    state = MigrationState(scenario)
    if writes is not None:
        state.workload = _Written(scenario, writes)
    state.memory = memory = _WatchedMemory(state)
    return PageStory(run(state), tuple(memory.steps))


class _Written(Workload):
    """Writes that a function numbers; it is asked once for each."""

    def __init__(self, scenario: Scenario, writes: Callable[[int], int]) -> None:
        super().__init__(scenario)
        self._writes = writes
        self._known: list[int] = []

    def pages(self, first: int, last: int) -> Iterator[Pages]:
        for number in range(len(self._known), last):
            page = self._writes(number)
            if isinstance(page, bool) or not isinstance(page, int | np.integer) or not 0 <= page < self.pages_in_set:
                raise ScenarioError(f"writes({number}) = {page!r}: the working set has the pages 0 to "
                                    f"{self.pages_in_set - 1}, as whole numbers")
            self._known.append(int(page))
        if last > first:
            yield np.array(self._known[first:last], dtype=np.int64)


class _WatchedMemory(GuestMemory):
    """A memory that notes page numbers."""

    def __init__(self, state: MigrationState) -> None:
        self.steps: list[PageStep] = []
        self._state = state
        self._syncs = 0
        super().__init__(state.scenario, state.workload)

    def _note(self, what: str, pages: tuple[int, ...]) -> None:
        s = self._state
        self.steps.append(PageStep(s.machine.t_s, what, pages, self._syncs, self.pending_pages,
                                   len(self.different_pages()), s.paused_at_s is not None))

    def _apply_writes(self, t_s: float, target: NDArray[np.bool_], offset: int) -> None:
        first = self._applied_writes
        super()._apply_writes(t_s, target, offset)
        if self._applied_writes > first:
            written = tuple(self._numbers(first, self._applied_writes))
            self._note("write", written)

    def _numbers(self, first: int, last: int) -> Iterator[int]:
        for pages in self._workload.pages(first, last):
            if isinstance(pages, np.ndarray):
                yield from (self._set_first + int(page) for page in pages)
            else:
                yield from (self._set_first + (pages.start + i) % self._set_pages for i in range(pages.count))

    def sync(self, t_s: float) -> int:
        before = self.dirty.copy()
        new = super().sync(t_s)  # notes the writes that it finds
        self._syncs += 1
        self._note("sync", _pages_of(self.dirty & ~before if self._syncs > 1 else self.dirty))
        return new

    def send(self, run: Run) -> list[int]:
        numbers = range(run.first, run.first + run.count) if run.pages is None else run.pages
        gone = super().send(run)
        self._note("send", tuple(int(page) for page in numbers))
        return gone


def _pages_of(bitmap: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(page) for page in np.flatnonzero(bitmap))


def _passes(steps: tuple[PageStep, ...]) -> Iterator[PassPages]:
    starts = [i for i, step in enumerate(steps) if step.what == "sync"]
    todo: set[int] = set()
    for begin, end in zip(starts, [*starts[1:], len(steps)], strict=True):
        sync, inside = steps[begin], steps[begin + 1:end]
        todo |= set(sync.pages)
        sent: list[int] = []
        before: set[int] = set()
        after: set[int] = set()
        for step in inside:
            if step.what == "send":
                sent.extend(step.pages)
            elif step.what == "write":
                after |= set(step.pages) & set(sent)
                before |= set(step.pages) - set(sent)
        left = todo - set(sent)
        yield PassPages(sync.sync, sync.t_s, tuple(sorted(todo)), tuple(sent), tuple(sorted(before & set(sent))),
                        tuple(sorted(after)), tuple(sorted(before - set(sent))), tuple(sorted(left)), sync.stopped)
        todo = left
