"""`livemig record`: one live migration of real QEMU on this machine, as a recording."""

from __future__ import annotations

import contextlib
import inspect
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from livemig.cli.errors import say
from livemig.cli.options import parameters, read_scenario
from livemig.lab.request import FIELDS

if TYPE_CHECKING:
    from livemig.lab.record import Progress

__all__ = ["record"]

_EVERY_S = 5.0  # progress into a file: a line for so many seconds of migration


def _option(name: str, annotation: Any, default: Any, *names: str, **more: Any) -> inspect.Parameter:
    made = typer.Option(default, *names, rich_help_panel="Output and QEMU", **more)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=made)


_OWN = (
    _option("output", Path | None, None, "--output", "-o", metavar="FILE", show_default=False,
            help="The recording, .json or .json.gz [recording-1.json, or the next number that is free]"),
    _option("qemu", str | None, None, "--qemu", metavar="PROGRAM", show_default=False,
            help="Which QEMU, 7.2 or newer [qemu-system-aarch64]"),
    _option("accelerator", str, "auto", "--accelerator", metavar="NAME", help="auto (KVM where it can), kvm or tcg"),
    _option("capabilities", list[str], None, "--capability", metavar="NAME", show_default=False,
            help="A further migration capability by QEMU's name, such as xbzrle; may be given again"),
)


def record(**given: Any) -> None:
    """Record one live migration between two real QEMUs on this machine.

    The guest is livemig's own: it fills its memory and then writes pages of its working set at the given rate. Inputs
    have the names that `livemig run` has. In --plan, destination_dies kills that process, silent_peer
    stops it, and link_failure ends the paced link (without --link: the destination).

    Ctrl-C ends both QEMUs and leaves nothing behind. A migration that does not converge is cancelled at its give-up
    time; that, or a plan that makes it fail, is a result, and the exit status is 0.
    """
    import livemig
    from livemig.lab.save import check_output

    output, capabilities = given.pop("output"), given.pop("capabilities") or ()
    qemu, accelerator = given.pop("qemu"), given.pop("accelerator")
    scenario = read_scenario({"its_devices": "0", **given})
    target = check_output(output or _free_name())
    shown = _Display()
    with _ended_by_signals():
        try:
            trace = livemig.record(scenario, target, progress=shown, qemu=qemu, accelerator=accelerator,
                                   capabilities=capabilities)
        finally:
            shown.end()
    from livemig.cli.report import print_run

    print_run(trace)
    say(f"recording of QEMU {trace.meta['qemu_version']} written to {output or target}")


record.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [*_OWN, *(one for one in parameters() if one.name in FIELDS)])
record.__annotations__ = {}  # typer would take the type of **given for each option


def _free_name() -> Path:
    number = 1
    while (path := Path(f"recording-{number}.json")).exists():
        number += 1
    return path


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal end a recording as Ctrl-C does: cleaned up."""
    in_main = threading.current_thread() is threading.main_thread()
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if in_main and hasattr(signal, name)]
    before = [(number, signal.signal(number, _interrupt)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class _Display:
    """How far it is, on stderr: one line that changes, or in a file a line for each stage and now and then."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._stage, self._said_s = "", 0.0

    def __call__(self, progress: Progress) -> None:
        if self._live:
            print(f"\r\x1b[K{progress!s}"[:100], end="", file=sys.stderr, flush=True)
        elif progress.stage != self._stage or progress.elapsed_s > self._said_s + _EVERY_S:
            say(str(progress))
            self._stage, self._said_s = progress.stage, progress.elapsed_s

    def end(self) -> None:
        """Leave a clean line."""
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
