"""Write the seeds of the corpus: recorded tables, queues, and a real stream cut down to a few pages."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

from targets import COLLECTION_TABLE, DEVICE_TABLE, ITT, L2_PAGE

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[2] / "data"
_BASES = {DEVICE_TABLE: 0, COLLECTION_TABLE: 1, L2_PAGE: 2, ITT: 3}


def record(address: int, word: bytes) -> bytes:
    """One record of `targets.scatter`, empty where the address has no place in it."""
    for base, number in _BASES.items():
        if 0 <= address - base < 0x10000:
            return ((address - base) // 8 * 8 + number).to_bytes(2, "little") + word
    return b""


def restore_seeds() -> dict[str, bytes]:
    seeds = {}
    for path in sorted((DATA / "its").glob("restore-*.json")):
        steps = json.loads(path.read_bytes())["steps"]
        words = b"".join(record(int(step["gpa"], 16), bytes.fromhex(step["hex"])) for step in steps
                         if step["op"] == "write_mem" and len(step["hex"]) == 16)
        seeds[path.stem] = bytes(["indirect" in path.stem]) + words
    return seeds


def command_seeds() -> dict[str, bytes]:
    seeds = {}
    for path in sorted((DATA / "its").glob("*.json")):
        raw = "".join(one["raw"] for step in json.loads(path.read_bytes())["steps"] if step["op"] == "commands"
                      for one in step.get("commands", ()))
        if 0 < len(raw) <= 64 * 60:
            seeds[path.stem] = b"\0" + bytes.fromhex(raw)
    return seeds


def stream_seeds() -> dict[str, bytes]:
    """The stream's head, its last RAM section and all device sections: small, and complete in form."""
    data = lzma.decompress((DATA / "stream" / "6.12-A.mig.xz").read_bytes())
    head = data.index(b"\x7e\0\0\0\1") + 5
    tail = data.rindex(b"\x7e\0\0\0\1") + 5
    return {"devices": data[:head] + data[tail:], "head": data[:head] + b"\0"}


def main() -> None:
    seeds = {"restore": restore_seeds(), "tables": restore_seeds(), "commands": command_seeds(),
             "stream": stream_seeds()}
    for target, files in seeds.items():
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / f"seed-{name}").write_bytes(data)


if __name__ == "__main__":
    main()
