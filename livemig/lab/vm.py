"""Source and destination: two QEMU processes, their monitors and the guest's serial lines; all gone at the end.

Theory of operation. `pair` makes a private folder, starts `qemu-system-aarch64` twice (through `spawn.py`, each in a
session of its own, so that a Ctrl-C in the terminal reaches only Python) and connects to both. What was started is in
`Processes`; leaving the `with` block ends every one of them by its process id and waits for it, whatever happened
inside: an exception, a cancelled task, a QEMU that is stopped or already gone. Nothing is looked for by name.

A monitor's events and a serial line's characters are stamped with the host's clock as they arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from qemu.qmp import EventListener, ExecuteError, QMPClient, QMPError

from livemig.lab.guest import Words, image
from livemig.lab.private import private_dir
from livemig.lab.qemu import Qemu, QemuError, command_line
from livemig.lab.serial import Serial
from livemig.lab.tracelog import TRACE_EVENTS

__all__ = ["LAST_S", "Gone", "NoAnswer", "Pair", "Processes", "Vm", "pair"]

START_S = 20.0  # until a new QEMU answers
COMMAND_S = 20.0  # until a command is answered, where nothing holds QEMU up
LAST_S = 2.0  # until a question after the end is answered
NICE = -10  # QEMU goes before this machine's other work, where that is allowed
LONGEST_SOCKET = "mig.sock"
_SPAWN, _LINK_PROXY = (Path(__file__).with_name(name) for name in ("spawn.py", "linkproxy.py"))
_RETRY_S = 0.01
_LINES, _WORDS = 3, 400  # how much of a dead QEMU's last words a message quotes


class Gone(QemuError):
    """A QEMU process that has ended although it was still needed."""


class NoAnswer(QemuError):
    """A QEMU that lives and does not answer in time."""


class Processes:
    """What was started, by name; leaving the `with` block ends it all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.started.values():
            if process.poll() is None:
                process.kill()
        for process in self.started.values():
            process.wait()

    def start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a command whose output goes into `NAME.out` of the folder."""
        wrapped = [sys.executable, "-I", "-S", str(_SPAWN), str(os.getpid()), str(NICE), *command]
        with (self.folder / f"{name}.out").open("wb") as output:
            process = subprocess.Popen(wrapped, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                       start_new_session=True)
        self.started[name] = process
        return process

    def output(self, name: str) -> str:
        """What a process has printed so far, without QEMU's remarks about trace points that it does not have."""
        with contextlib.suppress(OSError):
            lines = (self.folder / f"{name}.out").read_text(errors="replace").splitlines(keepends=True)
            return "".join(line for line in lines if ": warning: trace event" not in line)
        return ""

    def check(self, name: str, what: str) -> None:
        """Raise `Gone` if a process has ended."""
        process = self.started[name]
        if process.poll() is not None:
            raise Gone(f"{what} (process {process.pid}) {ended(process)}; {last_words(self.output(name))}")


class Vm:
    """One side: its process, its monitor (QMP) and its serial line."""

    def __init__(self, side: str, processes: Processes, qemu: Qemu) -> None:
        self.side = side
        self.name = f"the {'source' if side == 'src' else 'destination'} {qemu}"
        self.serial = Serial()
        self.silent = False  # it has left a command unanswered
        self.events: list[tuple[float, dict[str, Any]]] = []
        self.on_event: Callable[[dict[str, Any]], None] | None = None
        self._processes = processes
        self._client = QMPClient(side)
        # Its library logs each end of a connection as an error; the lab says what matters itself.
        logging.getLogger("qemu.qmp").addHandler(_QUIET)
        self._client.register_listener(EventListener(event_filter=self._stamp))

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The QEMU process; `pid` and `kill()` are for those who break a run on purpose."""
        return self._processes.started[self.side]

    @property
    def log(self) -> Path:
        """Where QEMU writes its trace points."""
        return self._processes.folder / f"{self.side}.log"

    def output(self) -> str:
        """What this QEMU printed."""
        return self._processes.output(self.side)

    def check(self) -> None:
        """Raise `Gone` if the process has ended."""
        self._processes.check(self.side, self.name)

    async def execute(self, command: str, /, timeout_s: float | None = COMMAND_S, **arguments: Any) -> Any:
        """Run a QMP command; underscores in argument names stand for hyphens.

        Raises `Gone` if QEMU has ended or ends meanwhile, `QemuError` if it refuses, or does not answer in time.
        """
        named = {key.replace("_", "-"): value for key, value in arguments.items()}
        try:
            return await asyncio.wait_for(self._client.execute(command, named or None), timeout_s)
        except ExecuteError as error:
            raise QemuError(f"{self.name} refuses {command}: {error}") from None
        except TimeoutError:
            self.silent = True
            raise NoAnswer(f"{self.name} has not answered {command} for {timeout_s:g} s") from None
        except (QMPError, EOFError, OSError) as error:
            await asyncio.sleep(_RETRY_S)  # the connection ends a little before the process
            self.check()
            raise Gone(f"{self.name} closed its monitor during {command}: {error}") from None

    async def connect(self) -> asyncio.Task[None]:
        """Connect monitor and serial line, as soon as they are there. Returns the task that reads the line."""
        reader, writer = await self._retry(lambda: asyncio.open_unix_connection(self._path("ser")))
        task = asyncio.create_task(self._read(reader, writer))
        try:
            await self._retry(lambda: self._client.connect(self._path("qmp")))
        except BaseException:
            await stop(task)
            raise
        return task

    async def disconnect(self) -> None:
        """Close the monitor; what is wrong with it no longer matters."""
        with contextlib.suppress(QMPError, EOFError, OSError):
            await self._client.disconnect()

    def _path(self, suffix: str) -> str:
        return str(self._processes.folder / f"{self.side}.{suffix}")

    async def _retry(self, connect: Callable[[], Any]) -> Any:
        until_s = time.monotonic() + START_S
        while True:
            try:
                return await connect()
            except (QMPError, EOFError, OSError) as error:
                self.check()
                if time.monotonic() > until_s:
                    raise QemuError(f"{self.name} does not answer within {START_S:g} s: {error}; "
                                    f"{last_words(self.output())}") from None
                await asyncio.sleep(_RETRY_S)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(4096):
                self.serial.receive(data)
        except OSError:
            pass
        finally:
            self.serial.closed_s = time.time()
            writer.close()

    def _stamp(self, message: Any) -> bool:
        """Note an event the moment it arrives; False: the library need not keep it."""
        event = dict(message)
        self.events.append((time.time(), event))
        if self.on_event is not None:
            self.on_event(event)
        return False


class Pair:
    """Source and destination, connected; the source's guest has not started yet."""

    def __init__(self, source: Vm, destination: Vm, processes: Processes) -> None:
        self.source, self.destination = source, destination
        self.folder = processes.folder
        self._processes = processes

    @property
    def vms(self) -> tuple[Vm, Vm]:
        """Both, source first."""
        return self.source, self.destination

    async def listen(self, link_bytes_per_s: float | None) -> str:
        """Have the destination wait for the migration; returns the URI for `migrate`.

        With a link speed the stream passes a process that paces it.
        """
        uri = f"unix:{self.folder / LONGEST_SOCKET}"
        if not link_bytes_per_s:
            await self.destination.execute("migrate-incoming", uri=uri)
            return uri
        far = self.folder / "dst.sock"
        await self.destination.execute("migrate-incoming", uri=f"unix:{far}")
        self._processes.start("link", [sys.executable, "-I", "-S", str(_LINK_PROXY), str(self.folder / LONGEST_SOCKET),
                                       str(far), repr(link_bytes_per_s)])
        until_s = time.monotonic() + START_S
        while "ready" not in self._processes.output("link"):
            self._processes.check("link", "the paced link")
            if time.monotonic() > until_s:
                raise QemuError(f"the paced link is not ready within {START_S:g} s")
            await asyncio.sleep(_RETRY_S)
        return uri

    def cut_link(self) -> None:
        """End the paced link; both QEMUs live on."""
        self._processes.started["link"].kill()

    async def quit(self) -> None:
        """Ask both to end, which also completes their logs; who does not is ended when the pair is left."""
        for vm in self.vms:
            with contextlib.suppress(QemuError):
                if not vm.silent:
                    await vm.execute("quit", timeout_s=LAST_S)
        until_s = time.monotonic() + 2 * LAST_S
        while any(vm.process.poll() is None and not vm.silent for vm in self.vms) and time.monotonic() < until_s:
            await asyncio.sleep(_RETRY_S)


@contextlib.asynccontextmanager
async def pair(qemu: Qemu, ram_bytes: int, words: Words, kvm: bool = False, scratch: str | Path | None = None,
               paused: bool = False) -> AsyncIterator[Pair]:
    """Start both sides and connect to them; at the end of the block no process, socket or folder is left.

    `paused`: the destination's guest waits for `cont` after the migration. `scratch`: where the private folder is made.
    Raises `QemuError` or `PrivateDirError`.
    """
    with private_dir(scratch, LONGEST_SOCKET) as folder, Processes(folder) as processes:
        (folder / "guest.bin").write_bytes(image(words))
        (folder / "trace-events.txt").write_text("".join(f"{name}\n" for name in TRACE_EVENTS))
        vms = [Vm(side, processes, qemu) for side in ("src", "dst")]
        readers: list[asyncio.Task[None]] = []
        try:
            for vm in reversed(vms):
                processes.start(vm.side, command_line(qemu, folder, vm.side, ram_bytes, kvm, paused))
            for vm in vms:
                readers.append(await vm.connect())
            yield Pair(vms[0], vms[1], processes)
        finally:
            processes.__exit__()  # first of all: with them gone, nothing below can hang
            for task in readers:
                await stop(task)
            for vm in vms:
                await vm.disconnect()


async def stop(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it is over, whatever it ends with."""
    task.cancel()
    await asyncio.wait([task])


def ended(process: subprocess.Popen[bytes]) -> str:
    """How a process ended, in words."""
    code = process.poll()
    if code is None:
        return "is running"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"


def last_words(output: str) -> str:
    """The last lines that a process printed, on one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"it said: {'; '.join(lines[-_LINES:])[-_WORDS:]}" if lines else "it said nothing"


_QUIET = logging.NullHandler()
