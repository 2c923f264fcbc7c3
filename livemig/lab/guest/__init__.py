"""The bare-metal guest that writes memory at a set rate: its image and the words that are patched into it.

Theory of operation. `guest.s` is the source, `guest.bin` the image that it makes (a test rebuilds it and compares).
The image begins with ten words, the guest's parameters; `Words` names them in their order and `image` puts them in.
A recording keeps them under `guest`, so whoever reads it knows what the guest did.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass, fields
from pathlib import Path

__all__ = ["DOT_PAGES", "IMAGE", "PAGE_BYTES", "RAM_BASE", "RANDOM_ORDER", "RESERVED_BYTES", "SPIN", "Words", "image"]

IMAGE = Path(__file__).with_name("guest.bin")
PAGE_BYTES = 4096
RAM_BASE = 0x4000_0000  # QEMU's virt machine: RAM begins at 1 GiB
RESERVED_BYTES = 2 << 20  # the boot stub and the guest's code lie below; nothing is filled or written there
DOT_PAGES = 256
RANDOM_ORDER = 1  # bit of `flags`: pages in the order of a generator, not of their addresses
SPIN = 2  # bit of `flags`: never sleep, so that only the CPU time limits the guest

_MAGIC, _MAGIC_AT, _WORDS_AT = b"LVMGST01", 0x08, 0x10


@dataclass(frozen=True)
class Words:
    """The guest's parameters, in the order of the image: addresses, pages, pages a second, microseconds."""

    fill_start: int
    fill_end: int  # 0: nothing is filled, RAM stays zero
    ws_base: int
    ws_pages: int
    rate: int  # page writes a second
    flags: int = 0
    maxlag: int = 0  # pages; 0: whatever is late is caught up
    tick_us: int = 1000
    beat_us: int = 5000
    dot_pages: int = DOT_PAGES

    def to_dict(self) -> dict[str, int]:
        """As a recording has them under `guest`."""
        return asdict(self)


def image(words: Words) -> bytes:
    """The guest's image with its parameters. Raises `ValueError` for a binary that is not this guest's."""
    made = bytearray(IMAGE.read_bytes())
    if made[_MAGIC_AT:_MAGIC_AT + len(_MAGIC)] != _MAGIC:
        raise ValueError(f"{IMAGE}: not the lab's guest ({_MAGIC.decode()} is missing); install livemig again")
    values = [getattr(words, item.name) for item in fields(words)]
    struct.pack_into(f"<{len(values)}Q", made, _WORDS_AT, *values)
    return bytes(made)
