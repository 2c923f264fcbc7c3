"""The guest's serial line: what it prints, counted, with the host's time of its first and last signs of life."""

from __future__ import annotations

import asyncio
import time

__all__ = ["Serial"]


class Serial:
    """Counts "." (so many page writes) and "h" (heart beats); the first character says that RAM is filled."""

    def __init__(self) -> None:
        self.dots = self.beats = 0
        self.ready = asyncio.Event()
        self.first_beat_s: float | None = None
        self.last_beat_s: float | None = None
        self.closed_s: float | None = None  # when its QEMU let go of it
        self.longest_gap: tuple[float, float | None] = (0.0, None)  # how long, since when

    def receive(self, data: bytes) -> None:
        """Count what came."""
        now_s = time.time()
        self.ready.set()
        self.dots += data.count(b".")
        beats = data.count(b"h")
        if not beats:
            return
        self.beats += beats
        if self.last_beat_s is not None and now_s - self.last_beat_s > self.longest_gap[0]:
            self.longest_gap = (now_s - self.last_beat_s, self.last_beat_s)
        self.first_beat_s = now_s if self.first_beat_s is None else self.first_beat_s
        self.last_beat_s = now_s
