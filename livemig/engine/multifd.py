"""multifd: RAM pages go in packets over several channels of their own (QEMU 10.0.13 migration/multifd*.c).

Theory of operation. Pages, zero or not, are gathered in a packet of 512 KiB worth of pages; a full packet is handed to
a channel when the next page comes, one that belongs to another RAM block or ends a round of the scan goes as it is. A
packet costs its header, with room for the address of every page, and its pages that are not zero: a zero page costs
nothing more. A channel counts a packet when it has written it, so when the migration thread finds that the window's
budget is used up each channel still has one packet under way. That is why a window overshoots by a packet and one more
for each channel: 15 packets of 525,632 bytes at 64 MiB/s with two channels (recording s04), 17.5 % over the limit.
At the end of a round each channel sends a header that asks the other side to catch up.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

from livemig.engine.memory import Run
from livemig.engine.rules import MAX_WAIT_S, SLICE_PAGES

__all__ = ["PacketGather", "Packets"]

PACKET_BYTES = 512 << 10  # migration/multifd.h MULTIFD_PACKET_SIZE
HEADER_BYTES = 320  # MultiFDPacket_t without its list of offsets
OFFSET_BYTES = 8
HELLO_BYTES = 64  # MultiFDInit_t, once a channel
FLUSH_BYTES = 8  # RAM_SAVE_FLAG_MULTIFD_FLUSH in the main stream


class Packets:
    """The packet that is being filled, what was handed to the channels, and what they have not yet counted."""

    def __init__(self, channels: int, page_bytes: int, pages: int, taken: int = 1) -> None:
        """`pages`: of all RAM blocks. `taken`: so many of QEMU's pages are one page here (`coarse.py`)."""
        self.channels = channels
        self.pages = pages
        self.page_bytes = page_bytes
        self.pages_in_packet = max(1, PACKET_BYTES // page_bytes)
        self.header_bytes = (HEADER_BYTES + OFFSET_BYTES * max(1, PACKET_BYTES * taken // page_bytes)) * max(
            1, page_bytes // PACKET_BYTES if taken > 1 else 1
        )
        self.handed_bytes = 0
        self.in_flight: deque[int] = deque(maxlen=channels)
        self.queued = 0
        self.queued_normal = 0
        self._block = -1
        self._owed_bytes = channels * HELLO_BYTES + self.end_round()

    @property
    def counted_bytes(self) -> int:
        """What the channels have written and counted."""
        return self.handed_bytes - sum(self.in_flight)

    def put(self, count: int, zero: bool, block: int) -> int:
        """Gather pages of one class; returns the bytes of the packets that were handed over for it."""
        before = self.handed_bytes - self._owed_bytes
        self._owed_bytes = 0
        if block != self._block and self.queued:
            self._hand_over()
        self._block = block
        while count:
            if self.queued == self.pages_in_packet:
                self._hand_over()
            take = min(self.pages_in_packet - self.queued, count)
            self.queued += take
            self.queued_normal += 0 if zero else take
            count -= take
        return self.handed_bytes - before

    def end_round(self) -> int:
        """The scan has passed the last page: what is gathered goes, then one header a channel. Returns the bytes."""
        before = self.handed_bytes
        if self.queued:
            self._hand_over()
        self.handed_bytes += self.channels * self.header_bytes + FLUSH_BYTES
        self.in_flight.clear()
        return self.handed_bytes - before

    def all_counted(self) -> None:
        """Time has passed, the channels are idle."""
        self.in_flight.clear()

    def _hand_over(self) -> None:
        size_bytes = self.header_bytes + self.queued_normal * self.page_bytes
        self.handed_bytes += size_bytes
        self.in_flight.append(size_bytes)
        self.queued = self.queued_normal = 0

    def pages_until(self, budget_bytes: float, zero: bool, most: int) -> int:
        """After how many pages of one class more than `budget_bytes` are counted in all; `most` at most."""
        if math.isinf(budget_bytes):
            return most
        queued, normal, flight, counted = self.queued, self.queued_normal, deque(self.in_flight), self.counted_bytes
        done = 0
        while done < most:
            if queued == self.pages_in_packet:
                flight.append(self.header_bytes + normal * self.page_bytes)
                if len(flight) > self.channels:
                    counted += flight.popleft()
                queued, normal, done = 1, 0 if zero else 1, done + 1
                if counted > budget_bytes:
                    return done
            take = min(self.pages_in_packet - queued, most - done)
            queued, normal, done = queued + take, normal + (0 if zero else take), done + take
        return most


class _Paced(Protocol):
    packets: Packets | None

    def page_s(self, zero: bool) -> float: ...


class PacketGather:
    """One call of ram_save_iterate with multifd; as `channel.Gather`, but bytes count when a channel has sent them."""

    def __init__(self, packets: Packets, budget_bytes: float) -> None:
        packets.all_counted()
        self._packets = packets
        self._until_bytes = packets.handed_bytes + budget_bytes
        self.pages = 0
        self.elapsed_s = 0.0

    @property
    def over(self) -> bool:
        """The window's budget is used up, as far as the channels have counted."""
        return self._packets.counted_bytes > self._until_bytes

    @property
    def out_of_time(self) -> bool:
        """The clock is looked at every 64 pages; after 50 ms the call ends."""
        return self.pages % SLICE_PAGES == 0 and self.elapsed_s >= MAX_WAIT_S - 1e-9

    def pages_to_limit(self, channel: _Paced, zero: bool) -> int:
        """How many pages of one class can go before the byte limit or the clock ends this call."""
        left_s = max(0.0, MAX_WAIT_S - self.elapsed_s)
        until = self.pages + math.ceil(left_s / channel.page_s(zero) - 1e-9)
        by_time = max(1, -(-until // SLICE_PAGES) * SLICE_PAGES - self.pages)
        return self._packets.pages_until(self._until_bytes, zero, min(by_time, self._packets.pages))

    def add(self, channel: _Paced, run: Run) -> None:
        """Account for a run's pages and time; its bytes count when its packets are handed over."""
        self.pages += run.count
        self.elapsed_s += run.count * channel.page_s(run.zero)
