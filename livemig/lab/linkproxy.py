"""A link of fixed speed between two unix sockets: linkproxy.py LISTEN CONNECT BYTES_PER_S (a script of its own).

What comes in at LISTEN goes on to CONNECT at no more than that speed; what comes back is passed on at once. It prints
"ready" when it listens. It runs as a process beside QEMU, because its pace must not depend on what Python does for the
recording.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable

__all__ = ["main"]

_LEAST_CHUNK_BYTES = 4096
_CHUNK_S = 0.001  # a chunk is what the link carries in this time
_CATCH_UP_S = 0.003  # a sleep that took too long is made up for, up to here
_SHORTEST_SLEEP_S = 0.0005


def main(arguments: list[str]) -> None:
    """Serve connections until the process is ended."""
    listen, connect, speed_bytes_per_s = arguments[0], arguments[1], float(arguments[2])
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(listen)
        server.listen(4)
        print("ready", flush=True)
        while True:
            near, _ = server.accept()
            far = socket.socket(socket.AF_UNIX)
            far.connect(connect)
            _in_thread(_forward, near, far, speed_bytes_per_s)
            _in_thread(_back, far, near, 0.0)


def _in_thread(work: Callable[[socket.socket, socket.socket, float], None], source: socket.socket,
               target: socket.socket, speed_bytes_per_s: float) -> None:
    def run() -> None:
        try:
            work(source, target, speed_bytes_per_s)
        except OSError:  # one end is gone: let both know
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=run, daemon=True).start()


def _forward(source: socket.socket, target: socket.socket, speed_bytes_per_s: float) -> None:
    chunk = max(_LEAST_CHUNK_BYTES, int(speed_bytes_per_s * _CHUNK_S))
    free_s = time.monotonic()  # when the link has carried everything so far
    while data := source.recv(chunk):
        target.sendall(data)
        now_s = time.monotonic()
        free_s = max(free_s, now_s - _CATCH_UP_S) + len(data) / speed_bytes_per_s
        if free_s - now_s > _SHORTEST_SLEEP_S:
            time.sleep(free_s - now_s)
    target.shutdown(socket.SHUT_WR)


def _back(source: socket.socket, target: socket.socket, _: float) -> None:
    while data := source.recv(1 << 16):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main(sys.argv[1:])
