"""Ask a running QEMU what `predict` wants to know, with commands that only look. qemu.qmp is imported when it is used.
"""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

from livemig.lab.logs import read_text
from livemig.lab.recording import RecordingError
from livemig.lab.samples import Log

__all__ = ["QUERIES", "ask"]

QUERIES = ("query-version", "query-memory-size-summary", "query-migrate-parameters", "query-dirty-rate",
           "query-migrate")
TIMEOUT_S = 10.0
_LONGEST_PATH = 107  # sockaddr_un has 108 bytes, the last is 0


def ask(socket: str | Path) -> Log:
    """The answers of the QEMU whose QMP socket this is. Raises `RecordingError`: no such socket, no answer, no QMP.

    Nothing is changed: the commands are `QUERIES`. A command that this QEMU does not have is left out.
    """
    path = str(socket)
    if len(path.encode()) > _LONGEST_PATH:
        raise RecordingError(f"{path}: a socket's path has at most {_LONGEST_PATH} bytes, this one has "
                             f"{len(path.encode())}")
    if not Path(path).is_socket():
        what = "not a socket" if Path(path).exists() else "no such socket"
        raise RecordingError(f"{path}: {what} (QEMU's option -qmp unix:PATH,server=on,wait=off makes one)")
    try:
        replies = asyncio.run(asyncio.wait_for(_ask(path), TIMEOUT_S))
    except TimeoutError:
        raise RecordingError(f"{path}: no answer within {TIMEOUT_S:g} s (a monitor serves one client at a time; QEMU "
                             "answers nothing while it sends the last pages)") from None
    return read_text("\n".join(json.dumps({"return": reply}) for reply in replies))


async def _ask(path: str) -> list[Any]:
    from qemu.qmp import ExecuteError, QMPClient, QMPError

    logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)  # what goes wrong is raised, and said once
    client = QMPClient("livemig")
    replies = []
    try:
        await client.connect(path)
        for query in QUERIES:
            try:
                replies.append(await client.execute(query))
            except ExecuteError:
                continue  # CommandNotFound, or a guest without it
    except (QMPError, OSError, EOFError) as error:
        reason = str(error) or type(error).__name__
        raise RecordingError(f"{path}: QMP does not answer there: {' '.join(reason.split())}") from None
    finally:
        await client.disconnect()
    return replies
