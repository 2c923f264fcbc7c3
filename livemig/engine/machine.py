"""The virtual clock and the traced call stack.

Time passes in one method, `Machine.spend`; everything else happens in no time. A function decorated with `@traced`
records its call and its return, so the Python stack *is* the QEMU stack that the Trace shows. Actions of the plan (user
commands, faults) run in `spend`, at their time, as QEMU's main thread runs them beside the migration thread.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from livemig.trace import Event

__all__ = ["FUNCTIONS", "Machine", "traced"]

FUNCTIONS: dict[str, str] = {}  # QEMU function -> its source file (QEMU 10.0.13), filled by @traced

_NOTHING: Mapping[str, Any] = {}
_row = tuple.__new__  # what Event(...) calls in the end; calls are most of a Trace's rows


class Machine:
    """Clock (seconds since T0), rows of the Trace, the current lane and its call depth."""

    def __init__(self) -> None:
        self.t_s = 0.0
        self.rows: list[Event] = []
        self.lane = "main"
        self.depth = {"main": 0, "migration": 0, "dst": 0}
        self.alarms: list[tuple[float, Callable[[], None]]] = []

    def emit(self, kind: str, name: str, data: Mapping[str, Any] = _NOTHING, lane: str | None = None) -> None:
        """Add one row to the Trace at the present time."""
        lane = lane or self.lane
        self.rows.append(_row(Event, (self.t_s, kind, lane, name, self.depth.get(lane, 0), data)))

    def spend(self, dt_s: float, until: Callable[[], bool] | None = None) -> None:
        """Let `dt_s` seconds pass; alarms that fall due run at their own time, and may end it early (`until`)."""
        self.advance_to(self.t_s + dt_s, until)

    def advance_to(self, t_s: float, until: Callable[[], bool] | None = None) -> None:
        """Let time pass until `t_s` (never backwards), or until an alarm has made `until` true."""
        while self.alarms and self.alarms[0][0] <= t_s:
            due_s, run = self.alarms.pop(0)
            self.t_s = max(self.t_s, due_s)
            run()
            if until is not None and until():
                return
        self.t_s = max(self.t_s, t_s)

    def at(self, t_s: float, run: Callable[[], None]) -> None:
        """Have `run` called when the clock reaches `t_s`."""
        self.alarms.append((t_s, run))
        self.alarms.sort(key=lambda alarm: alarm[0])

    @contextmanager
    def on(self, lane: str) -> Iterator[None]:
        """Record what happens inside in another lane (another thread, the destination)."""
        before, self.lane = self.lane, lane
        try:
            yield
        finally:
            self.lane = before


class HasMachine(Protocol):
    """What a traced function's first argument must offer."""

    machine: Machine


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=HasMachine)


def traced(file: str) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """Record call and return of a function that carries the name of a QEMU function of `file`."""

    def decorate(function: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        name = function.__name__
        FUNCTIONS[name] = file

        @functools.wraps(function)
        def wrapper(s: S, *args: P.args, **kwargs: P.kwargs) -> R:
            machine = s.machine
            lane, depths, append = machine.lane, machine.depth, machine.rows.append
            depth = depths[lane]
            append(_row(Event, (machine.t_s, "call", lane, name, depth, _NOTHING)))
            depths[lane] = depth + 1
            try:
                return function(s, *args, **kwargs)
            finally:
                depths[lane] = depth
                append(_row(Event, (machine.t_s, "return", lane, name, depth, _NOTHING)))

        return cast(Callable[Concatenate[S, P], R], wrapper)

    return decorate
