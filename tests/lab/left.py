"""What a recording may leave behind, counted: processes, sockets, folders, open files, threads."""

import os
import threading
from pathlib import Path

import psutil


def left_behind(scratch: Path) -> list[str]:
    """One line for each process that this one started or that knows `scratch`, each socket and folder there, each
    thread of the lab; empty when nothing is left."""
    mine = {process.pid for process in psutil.Process().children(recursive=True)}
    found = [f"process {pid}" for pid in mine]
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if process.pid != os.getpid() and process.pid not in mine and any(str(scratch) in word for word in words):
            found.append(f"process {process.pid}: {' '.join(words)[:80]}")
    found += [f"file {path}" for path in scratch.rglob("*")]
    listed = Path("/proc/net/unix")
    if listed.exists():
        found += [f"socket {line.split()[-1]}" for line in listed.read_text().splitlines() if str(scratch) in line]
    return found + [f"thread {thread.name}" for thread in threading.enumerate() if thread.name == "livemig-lab"]


def open_files() -> int:
    """How many files this process has open."""
    return psutil.Process().num_fds()
