"""The lab's guest: its binary is what its source makes, and its words are those of the recorded runs."""

import struct
import subprocess
from pathlib import Path

import pytest

from livemig.lab import guest
from livemig.lab.guest import Words, image
from tests.conftest import find_tool

FOLDER = guest.IMAGE.parent
WORDS = Words(fill_start=0x4020_0000, fill_end=0x5000_0000, ws_base=0x4020_0000, ws_pages=16384, rate=5120, flags=1,
              maxlag=64, tick_us=1000, beat_us=5000, dot_pages=256)


def test_the_binary_is_what_the_source_makes(tmp_path: Path) -> None:
    """Byte by byte, with the commands that guest.s names."""
    find_tool("aarch64 assembler")
    for command in (["as", "-o", "guest.o", FOLDER / "guest.s"],
                    ["ld", "-T", FOLDER / "guest.ld", "-o", "guest.elf", "guest.o"],
                    ["objcopy", "-O", "binary", "guest.elf", "guest.bin"]):
        subprocess.run([f"aarch64-linux-gnu-{command[0]}", *command[1:]], cwd=tmp_path, check=True)
    assert (tmp_path / "guest.bin").read_bytes() == guest.IMAGE.read_bytes()


def test_words_lie_where_the_source_has_them() -> None:
    """The offsets are the numbers in guest.s's comments."""
    made = image(WORDS)
    offsets = {"fill_start": 0x10, "fill_end": 0x18, "ws_base": 0x20, "ws_pages": 0x28, "rate": 0x30, "flags": 0x38,
               "maxlag": 0x40, "tick_us": 0x48, "beat_us": 0x50, "dot_pages": 0x58}
    assert {name: struct.unpack_from("<Q", made, at)[0] for name, at in offsets.items()} == WORDS.to_dict()
    plain = guest.IMAGE.read_bytes()
    assert made[:0x10] + made[0x60:] == plain[:0x10] + plain[0x60:]
    assert plain[8:16] == b"LVMGST01"


def test_another_binary_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(guest, "IMAGE", tmp_path / "guest.bin")
    (tmp_path / "guest.bin").write_bytes(bytes(700))
    with pytest.raises(ValueError, match="not the lab's guest"):
        image(WORDS)
