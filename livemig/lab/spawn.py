"""Start a command so that it ends with the one who started it: spawn.py PARENT NICE COMMAND [ARGUMENT...].

A script of its own, run with `python -I -S`: it must do its work in the new process and then become the command (the
process keeps its id). `preexec_fn` could do the same, but Python's own code is not safe between fork and exec in a
process with threads, and a Jupyter kernel has many.

The kernel sends SIGKILL to the process when the thread that started it ends (Linux, prctl PR_SET_PDEATHSIG), so not
even a killed Python leaves a QEMU behind. Elsewhere the lab relies on its own cleaning up.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

__all__ = ["main"]

PR_SET_PDEATHSIG = 1  # Linux include/uapi/linux/prctl.h


def main(arguments: list[str]) -> None:
    """Become the command; does not return. Exit status 127 if there is no such program, as a shell has it."""
    parent, nice, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel knew
        sys.exit(1)
    with contextlib.suppress(OSError):  # to go before other work is a favour that not everybody may ask
        os.nice(nice)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
