"""Trace log lines of both forms become the rows that the recordings have."""

import pytest

from livemig.lab.tracelog import between, parse_trace

T0_S = 1795655547.0
# What QEMU 7.2.22 and 10.0.13 wrote (trace backend log, -msg timestamp=on), and the rows of such lines.
LINES = [
    ("migrate_set_state new state active", "migrate_set_state", {"state": "active"}),
    ("migrate_transferred transferred 6714357 time_spent 100 bandwidth 67143 max_size 6714357", "migrate_transferred",
     {"transferred": 6714357, "time_spent": 100, "bandwidth": 67143, "threshold": 6714357}),
    ("migrate_transferred transferred 6833921 time_spent 100 bandwidth 68339 switchover_bw 0 max_size 2050176",
     "migrate_transferred", {"transferred": 6833921, "time_spent": 100, "bandwidth": 68339, "switchover_bw": 0,
                             "threshold": 2050176}),
    ("migrate_pending pending size 2469888 max 6714508 (pre = 2469888 compat=0 post=0)", "migrate_pending",
     {"size": 2469888, "threshold": 6714508, "pre": 2469888, "compat": 0, "post": 0}),
    ("migrate_pending_estimate estimate pending size 402792448 (pre = 402792448 post=0)", "migrate_pending_estimate",
     {"size": 402792448, "pre": 402792448, "post": 0}),
    ("migration_bitmap_sync_end dirty_pages 820", "migration_bitmap_sync_end", {"dirty_pages_period": 820}),
    ("migration_thread_low_pending 2469888", "migration_thread_low_pending", {"pending": 2469888}),
    ("migration_rate_limit_pre 71 ms", "migration_rate_limit_pre", {"ms": 71}),
    ("vm_state_notify running 1 reason 9 (running)", "vm_state_notify",
     {"running": 1, "reason": 9, "reason_str": "running"}),
    ("runstate_set current_run_state 6 (prelaunch) new_state 9 (running)", "runstate_set",
     {"text": "current_run_state 6 (prelaunch) new_state 9 (running)"}),
    ("savevm_state_header ", "savevm_state_header", {}),
]


@pytest.mark.parametrize(("line", "event", "values"), LINES)
def test_a_line_in_both_forms(line, event, values) -> None:
    rows = parse_trace([f"13579@1795655547.401976:{line}\n", f"2026-11-26T01:12:27.401976Z {line}\n"], T0_S)
    assert rows == [[0.401976, event, values]] * 2


def test_other_lines_keep_their_text_and_have_no_time() -> None:
    assert parse_trace(["qemu: a warning\n", "\n"], T0_S) == [[None, "log", {"text": "qemu: a warning"}]]


def test_a_whole_second_has_no_fraction() -> None:
    """GLib leaves out a fraction of zero."""
    assert parse_trace(["2026-11-26T01:12:28Z savevm_state_header \n"], T0_S) == [[1.0, "savevm_state_header", {}]]


def test_what_a_recording_keeps() -> None:
    rows = [[-0.2, "a", {}], [-0.05, "b", {}], [None, "log", {}], [3.0, "c", {}], [3.5, "d", {}]]
    assert between(rows, 3.2) == [[-0.05, "b", {}], [None, "log", {}], [3.0, "c", {}]]
