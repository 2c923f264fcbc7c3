"""The plan of a recording, carried out: cancel, continue, new limits, the end or the silence of the destination.

A policy's commands are given here too: `Watcher` asks it at its interval, with what QEMU has just answered.

Each step waits for its moment (T0, the wait in pre-switchover, the stop-copy), then for its time, acts, and leaves a
note [t, text]. `inputs` reads the notes, so a recording says what really happened when; a command that QEMU refuses
leaves a note too and changes nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

from livemig.lab.qemu import QemuError
from livemig.lab.request import MIB, POLICY_FAILED, Step, plain
from livemig.lab.vm import NoAnswer, Pair, Vm, stop

__all__ = ["KILLED", "Steps", "Watcher"]

KILLED = "destination process killed"
_CUT = "link process killed"
_FROZEN = "destination process frozen (SIGSTOP)"
_CANCEL_S = 10.0
_ASKED_IN = ("active", "pre-switchover")
_TOP = ("status", "total-time", "setup-time", "expected-downtime", "cpu-throttle-percentage")


class Steps:
    """Runs beside the polling; `notes` grow in the order in which things happened."""

    def __init__(self, pair: Pair, plan: Sequence[Step], t0_s: float, pausing: bool) -> None:
        self.notes: list[list[Any]] = []
        self._pair = pair
        self._t0_s = t0_s
        self._pausing = pausing  # then the guest's stop is not yet the beginning of the stop-copy
        self._killed = False
        self._moments = {"time": asyncio.Event(), "pre-switchover": asyncio.Event(), "stop-copy": asyncio.Event()}
        self._moments["time"].set()
        pair.source.on_event = self._watch
        self._tasks = [asyncio.create_task(self._take(step)) for step in plan]

    async def end(self) -> None:
        """What has not come to its moment will not."""
        self._pair.source.on_event = None
        for task in self._tasks:
            await stop(task)
        self.notes.sort(key=lambda note: note[0])

    def note(self, text: str, at_s: float | None = None) -> None:
        """Keep what happened, now or at a time since T0."""
        self.notes.append([round(time.time() - self._t0_s if at_s is None else at_s, 4), text])

    def look_at_destination(self) -> None:
        """Note an end of the destination that this recorder has not brought about."""
        code = self._pair.destination.process.poll()
        if code is not None and code < 0 and not self._killed:
            self._killed = True
            closed_s = self._pair.destination.serial.closed_s  # a process lets go of its sockets as it ends
            self.note(KILLED, None if closed_s is None else round(closed_s - self._t0_s, 4))

    async def cancel(self, paused: bool) -> None:
        """Cancel the migration."""
        text = "migrate_cancel in pre-switchover" if paused else "migrate_cancel"
        await self._command(text, "migrate_cancel", timeout_s=_CANCEL_S)

    def _watch(self, event: dict[str, Any]) -> None:
        status = event.get("data", {}).get("status") if event["event"] == "MIGRATION" else None
        if status == "pre-switchover":
            self.note("seen pre-switchover")
            self._moments["pre-switchover"].set()
        elif status == "device" or (event["event"] == "STOP" and not self._pausing):
            self._moments["stop-copy"].set()

    async def _take(self, step: Step) -> None:
        await self._moments[step.at].wait()
        since_s = self._t0_s if step.at == "time" else time.time()
        await asyncio.sleep(max(since_s + step.at_s - time.time(), 0.0))
        await self.do(step)

    async def do(self, step: Step) -> None:
        """One step, now."""
        value = step.value or 0.0
        if step.do == "kill":
            self._pair.destination.process.kill()
            self._killed = True
            self.note(KILLED)
        elif step.do == "cut":
            self._pair.cut_link()
            self.note(_CUT)
        elif step.do == "freeze":
            os.kill(self._pair.destination.process.pid, signal.SIGSTOP)
            self.note(_FROZEN)
        elif step.do == "cancel":
            await self.cancel(step.at == "pre-switchover")
        elif step.do == "continue":
            await self._command("migrate-continue", "migrate-continue", state="pre-switchover")
        elif step.do == "set_downtime_limit":
            await self._command(f"downtime-limit {plain(round(value * 1000))}", "migrate-set-parameters",
                                downtime_limit=round(value * 1000))
        elif step.do == "set_max_throttle":
            await self._command(f"max-cpu-throttle {plain(value)}", "migrate-set-parameters",
                                max_cpu_throttle=int(value))
        else:
            await self._command(f"max-bandwidth {plain(int(value) / MIB)} MiB/s", "migrate-set-parameters",
                                max_bandwidth=int(value))

    async def _command(self, text: str, name: str, timeout_s: float | None = None, **arguments: Any) -> None:
        at_s = time.time() - self._t0_s
        try:
            await self._pair.source.execute(name, timeout_s=timeout_s, **arguments)
        except QemuError as error:
            self.note(f"refused: {text}: {error}", at_s)
        else:
            self.note(text, at_s)


class Watcher:
    """A policy beside the polling. `monitor` has `interval_s` and `look(sample)`, as the engine's Monitor has."""

    def __init__(self, monitor: Any, steps: Steps, ram_bytes: int) -> None:
        self._monitor, self._steps, self._ram_bytes = monitor, steps, ram_bytes
        self._next_s = 0.0
        self._over = False

    async def see(self, source: Vm, answer: Mapping[str, Any], t_s: float, timeout_s: float) -> None:
        """Ask the policy if it is time, and do what it says; one that fails ends the migration, with a note why.

        Raises `NoAnswer` when QEMU has not done it after `timeout_s`: its lock is held for the whole stop-copy.
        """
        status = answer.get("status")
        if self._over or status not in _ASKED_IN or t_s < self._next_s:
            return
        self._next_s = max(self._next_s + self._monitor.interval_s, t_s)
        try:
            async with asyncio.timeout(timeout_s):
                await self._ask(source, answer, str(status))
        except TimeoutError:
            raise NoAnswer(f"{source.name} has not obeyed the policy for {timeout_s:g} s") from None

    async def _ask(self, source: Vm, answer: Mapping[str, Any], status: str) -> None:
        parameters = await source.execute("query-migrate-parameters", timeout_s=None)
        sample = {**answer.get("ram", {}), **{name: answer[name] for name in _TOP if name in answer},
                  "base-memory": self._ram_bytes,
                  **{name: parameters[name] for name in ("downtime-limit", "max-bandwidth") if name in parameters}}
        try:
            actions = self._monitor.look(sample)
        except Exception as error:  # whatever somebody's policy raises
            self._over = True
            self._steps.note(POLICY_FAILED + " ".join(str(error).split()))
            await self._steps.cancel(status == "pre-switchover")
            return
        for action in actions:
            await self._steps.do(Step(action.do, 0.0, status if status == "pre-switchover" else "time", action.value))
