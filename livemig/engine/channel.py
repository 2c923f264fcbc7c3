"""The stream to the destination: what is counted against the rate limit, how long bytes take, and when it breaks.

QEMU gathers 64 buffers before it flushes, and only flushed bytes count. That is why a window overshoots its limit by up
to one flush (QEMU 10.0.13 migration/qemu-file.c; 7.2 counts every page).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from livemig.engine.memory import Run
from livemig.engine.multifd import PacketGather, Packets
from livemig.engine.rules import MAX_WAIT_S, SLICE_PAGES, QemuRules, Wire
from livemig.scenario import Scenario

__all__ = ["Channel", "Gather"]

_BUFFER_BYTES = 32768  # headers and zero pages gather in one buffer of this size


class Channel:
    """The outgoing socket: bytes sent, bytes used of this window, and the error that broke it (None while it works)."""

    def __init__(self, scenario: Scenario) -> None:
        self.wire = Wire(scenario.page_bytes)
        costs = scenario.costs
        self.speed_bytes_per_s = min(costs.memory_bytes_per_s, scenario.link_bytes_per_s or math.inf)
        self._zero_page_s = costs.zero_page_s
        self.sent_bytes = 0
        self.used_bytes = 0
        self.error: str | None = None
        self.silent = False  # the peer reads nothing: writes block
        self.block = -1
        channels = scenario.multifd_channels
        self.packets = Packets(channels, scenario.page_bytes, scenario.pages) if channels else None

    def page_s(self, zero: bool) -> float:
        """Seconds that one page takes, sent back to back."""
        if self.packets is not None:
            share_bytes = self.packets.header_bytes / self.packets.pages_in_packet
            if zero:
                return self._zero_page_s + share_bytes / self.speed_bytes_per_s
            return (share_bytes + self.wire.page_bytes) / self.speed_bytes_per_s
        if zero:
            return self._zero_page_s + self.wire.zero_bytes / self.speed_bytes_per_s
        return self.wire.normal_bytes / self.speed_bytes_per_s

    def page_bytes(self, zero: bool) -> int:
        """Bytes that one page costs on the wire."""
        return self.wire.zero_bytes if zero else self.wire.normal_bytes

    def block_change_bytes(self, block: int) -> int:
        """Bytes of the block's name, if the next page belongs to another RAM block than the last one."""
        if block == self.block:
            return 0
        self.block = block
        return self.wire.block_name_bytes

    def put(self, run: Run, block: int) -> int:
        """Send a run of a RAM block's pages; returns the bytes that leave for it."""
        if self.packets is not None:
            return self.packets.put(run.count, run.zero, block)
        return run.count * self.page_bytes(run.zero) + self.block_change_bytes(block)

    def end_round(self) -> int:
        """The scan has passed the last page of all blocks: multifd's channels catch up. Returns the bytes."""
        return 0 if self.packets is None else self.packets.end_round()

    def gather(self, rules: QemuRules, budget_bytes: float) -> Gather | PacketGather:
        """Begin a call of ram_save_iterate."""
        return Gather(rules, budget_bytes) if self.packets is None else PacketGather(self.packets, budget_bytes)

    def count(self, size_bytes: int) -> None:
        """These bytes have left: they count as sent and against this window."""
        self.sent_bytes += size_bytes
        self.used_bytes += size_bytes


@dataclass
class Gather:
    """One call of ram_save_iterate: pages gathered since the last flush, bytes flushed, pages and time used."""

    rules: QemuRules
    budget_bytes: float
    flushed_bytes: int = 0
    unflushed_bytes: int = 0
    gathered_pages: int = 0
    buffered_bytes: int = 0
    pages: int = 0
    elapsed_s: float = 0.0

    @property
    def over(self) -> bool:
        """The window's budget is used up, as far as QEMU has counted."""
        return self.flushed_bytes > self.budget_bytes

    def pages_to_limit(self, channel: Channel, zero: bool) -> int:
        """How many pages of one class can go before the byte limit or the clock ends this call."""
        return min(self._pages_by_bytes(channel, zero), self._pages_by_time(channel.page_s(zero)))

    def add(self, channel: Channel, run: Run) -> None:
        """Account for a run that is sent: bytes, flushes, time."""
        cost = channel.page_bytes(run.zero)
        per_flush, first = self._flush_pages(channel, run.zero)
        self.unflushed_bytes += run.count * cost
        if run.count >= first:
            rest = (run.count - first) % per_flush
            self.flushed_bytes += self.unflushed_bytes - rest * cost
            self.unflushed_bytes = rest * cost
            self.gathered_pages = 0 if run.zero else rest
            self.buffered_bytes = rest * (cost if run.zero else channel.wire.header_bytes)
        else:
            self.gathered_pages += 0 if run.zero else run.count
            self.buffered_bytes += run.count * (cost if run.zero else channel.wire.header_bytes)
        self.pages += run.count
        self.elapsed_s += run.count * channel.page_s(run.zero)

    @property
    def out_of_time(self) -> bool:
        """The clock is looked at every 64 pages; after 50 ms the call ends."""
        return self.pages % SLICE_PAGES == 0 and self.elapsed_s >= MAX_WAIT_S - 1e-9

    def _flush_pages(self, channel: Channel, zero: bool) -> tuple[int, int]:
        """Pages of this class between two flushes, and until the next one."""
        if self.rules.flush_pages == 1:
            return 1, 1
        if zero:
            cost = channel.wire.zero_bytes
            return -(-_BUFFER_BYTES // cost), max(1, -(-(_BUFFER_BYTES - self.buffered_bytes) // cost))
        return self.rules.flush_pages, max(1, self.rules.flush_pages - self.gathered_pages)

    def _pages_by_bytes(self, channel: Channel, zero: bool) -> int:
        if math.isinf(self.budget_bytes):
            return 1 << 62
        cost = channel.page_bytes(zero)
        per_flush, first = self._flush_pages(channel, zero)
        after_first = self.flushed_bytes + self.unflushed_bytes + first * cost
        if after_first > self.budget_bytes:
            return first
        return first + (int((self.budget_bytes - after_first) // (per_flush * cost)) + 1) * per_flush

    def _pages_by_time(self, page_s: float) -> int:
        left_s = max(0.0, MAX_WAIT_S - self.elapsed_s)
        until = self.pages + math.ceil(left_s / page_s - 1e-9)
        return max(1, -(-until // SLICE_PAGES) * SLICE_PAGES - self.pages)
