"""RAM in the stream: the dirty log, the pending counts, and the passes (QEMU 10.0.13 migration/ram.c)."""

from __future__ import annotations

from dataclasses import dataclass, field

from livemig.engine.channel import Channel, Gather
from livemig.engine.machine import traced
from livemig.engine.memory import Run
from livemig.engine.multifd import PacketGather
from livemig.engine.rules import RATES_PERIOD_S
from livemig.engine.state import MigrationError, MigrationState
from livemig.engine.throttle import mig_throttle_guest_down

__all__ = [
    "ram_save_complete",
    "ram_save_iterate",
    "ram_save_setup",
    "ram_state_pending_estimate",
    "ram_state_pending_exact",
]

_ALL = 1 << 62


@traced("migration/ram.c")
def ram_save_setup(s: MigrationState) -> None:
    """Start dirty logging, mark every page, sync for the first time (T1)."""
    ram_init_all(s)


@traced("migration/ram.c")
def ram_init_all(s: MigrationState) -> None:
    """Allocate the bitmaps."""
    ram_init_bitmaps(s)


@traced("migration/ram.c")
def ram_init_bitmaps(s: MigrationState) -> None:
    """All bits set: in the first pass everything is sent. Then the first sync."""
    s.memory.mark_all_dirty()
    memory_global_dirty_log_start(s)
    migration_bitmap_sync_precopy(s)


@traced("system/memory.c")
def memory_global_dirty_log_start(s: MigrationState) -> None:
    """From here on the guest's writes are logged."""


@traced("migration/ram.c")
def migration_bitmap_sync_precopy(s: MigrationState) -> None:
    """One sync with the notifiers around it."""
    if s.its is not None and s.scenario.save_tables_when == "each_sync" and s.paused_at_s is None:
        s.its.save_tables(s)  # the experiment "in each pass", not QEMU
    migration_bitmap_sync(s)


@traced("migration/ram.c")
def migration_bitmap_sync(s: MigrationState) -> None:
    """Dirty log to migration bitmap: what is newly dirty is OR-ed with the leftover of the pass."""
    start_s = s.machine.t_s
    s.counters.dirty_sync_count += 1
    memory_global_dirty_log_sync(s)
    s.guest_runs()
    new = s.memory.sync(s.guest_s)
    memory_global_after_dirty_log_sync(s)
    s.rates.dirty_pages += new
    s.bytes_at_last_sync = s.pending_bytes
    number = s.counters.dirty_sync_count
    s.machine.emit(
        "sync",
        "migration_bitmap_sync",
        {"pass": number, "start_s": start_s, "new_dirty_pages": new, "remaining_bytes": s.pending_bytes},
    )
    if s.rates.start_s > 0 and _ms(s.machine.t_s) > _ms(s.rates.start_s) + RATES_PERIOD_S * 1000:
        migration_trigger_throttle(s)
        migration_update_rates(s)
        s.rates.restart(s.machine.t_s, s.channel.sent_bytes)
    elif not s.rates.start_s:
        s.rates.start_s = s.machine.t_s
    s.event("MIGRATION_PASS", {"pass": number})


def _ms(t_s: float) -> int:
    """QEMU's clock here counts whole milliseconds."""
    return int(t_s * 1000)


@traced("system/memory.c")
def memory_global_dirty_log_sync(s: MigrationState) -> None:
    """Fetch the dirty log (KVM: KVM_GET_DIRTY_LOG for each slot)."""
    s.machine.spend(s.scenario.costs.sync_s)


@traced("system/memory.c")
def memory_global_after_dirty_log_sync(s: MigrationState) -> None:
    """Under TCG the vCPU must pass a safe point here, so that no write is missed; a throttled one sleeps on first."""
    if s.scenario.accelerator == "tcg" and s.paused_at_s is None:
        s.machine.advance_to(s.throttle.wakes_s(s.machine.t_s))


@traced("migration/ram.c")
def migration_trigger_throttle(s: MigrationState) -> None:
    """Dirtied more than half of what was sent since the last look, for the second time: slow the guest down."""
    sent_bytes = s.channel.sent_bytes - s.rates.sent_before_bytes
    limit_bytes = sent_bytes * s.scenario.throttle_trigger_pct // 100
    if s.rates.dirty_pages * s.scenario.page_bytes <= limit_bytes:
        return
    s.rates.high += 1
    if s.rates.high >= 2:
        s.rates.high = 0
        if s.scenario.auto_converge:
            mig_throttle_guest_down(s)


@traced("migration/ram.c")
def migration_update_rates(s: MigrationState) -> None:
    """dirty-pages-rate for query-migrate: bits newly set in the period, a second."""
    period_ms = _ms(s.machine.t_s) - _ms(s.rates.start_s)
    s.rates.dirty_pages_per_s = s.rates.dirty_pages * 1000 // period_ms


@traced("migration/ram.c")
def ram_state_pending_estimate(s: MigrationState) -> int:
    """Bits left in the migration bitmap x page size, without a sync. Bytes."""
    return s.pending_bytes


@traced("migration/ram.c")
def ram_state_pending_exact(s: MigrationState) -> int:
    """Sync first, then count. Bytes."""
    migration_bitmap_sync_precopy(s)
    return s.pending_bytes


@traced("migration/ram.c")
def ram_save_iterate(s: MigrationState) -> None:
    """Send dirty pages until the window's budget, 50 ms, or the dirty pages end."""
    _send_pages(s, s.channel.gather(s.rules, s.window_limit_bytes - s.channel.used_bytes))


@traced("migration/ram.c")
def ram_save_complete(s: MigrationState) -> None:
    """With the VM stopped: one more sync, then everything that is left, without a rate limit."""
    migration_bitmap_sync_precopy(s)
    before = s.channel.sent_bytes
    _send_pages(s, None)
    s.counters.downtime_bytes += s.channel.sent_bytes - before


def _send_pages(s: MigrationState, gather: Gather | PacketGather | None) -> None:
    """Send runs of dirty pages; `gather` is None in the final pass, which nothing limits but the link."""
    channel, memory = s.channel, s.memory
    _write_or_fail(s)
    s.guest_runs()
    sent = _Sent(s.machine.t_s)
    s.sending = True
    while not (gather and (gather.over or gather.out_of_time)):
        s.wait_while_silent()
        if channel.error is not None:
            break
        if not memory.pending_pages:
            sent.bytes += channel.end_round()  # the search for one more page goes once round
            break
        run = memory.next_run(lambda zero: _ALL if gather is None else gather.pages_to_limit(channel, zero))
        if run is None:
            break
        if gather is not None:
            run = run.head(gather.pages_to_limit(channel, run.zero))  # pages that were zero may be full by now
            gather.add(channel, run)
        if run.first < memory.position:
            sent.bytes += channel.end_round()
        sent.add(run, channel, int(run.first >= memory.ram_pages))
        sent.table_pages += memory.send(run)
        s.machine.spend(run.count * channel.page_s(run.zero), until=lambda: channel.error is not None)
    sent.bytes += channel.wire.framing_bytes
    channel.count(sent.bytes)
    s.counters.normal_pages += sent.pages
    s.counters.duplicate_pages += sent.zero_pages
    s.machine.emit("send", "ram", vars(sent))
    s.sent()
    _write_or_fail(s)


@dataclass
class _Sent:
    """What one call of ram_save_iterate or ram_save_complete has sent; the data of its `send` event."""

    start_s: float
    bytes: int = 0
    pages: int = 0
    zero_pages: int = 0
    first_page: int = -1
    last_page: int = -1
    table_pages: list[int] = field(default_factory=list)

    def add(self, run: Run, channel: Channel, block: int) -> None:
        self.bytes += channel.put(run, block)
        self.pages += 0 if run.zero else run.count
        self.zero_pages += run.count if run.zero else 0
        self.first_page = run.first if self.first_page < 0 else self.first_page
        self.last_page = run.last


def _write_or_fail(s: MigrationState) -> None:
    """A write to a broken stream fails; the caller sees it as QEMU's function sees ret < 0."""
    if s.channel.error is not None:
        raise MigrationError(s.channel.error)
