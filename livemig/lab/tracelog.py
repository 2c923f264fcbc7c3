"""QEMU's trace log (backend `log`) as the rows of a recording: [t, name, fields].

Theory of operation. QEMU is started with `-trace events=FILE -msg timestamp=on -D LOG` and writes one line for each
trace point that it passes. Up to QEMU 10.1 a line is `PID@SECONDS.MICROSECONDS:NAME ARGUMENTS`; from 10.2 on the log
itself has the time, in ISO 8601 (util/log.c, `qemu_log`). The arguments are text in a form of their own for each trace
point; those that livemig reads are taken apart here (`_FORMS`), of the others the text is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

__all__ = ["TRACE_EVENTS", "between", "parse_trace"]

# Patterns of trace points; those that a version of QEMU does not have are no error.
TRACE_EVENTS = (
    "migrate_set_state", "migrate_pending", "migrate_pending_exact", "migrate_pending_estimate", "migrate_transferred",
    "migrate_fd_error", "migrate_fd_cancel", "migrate_error", "migration_cancel", "migration_cleanup",
    "migration_bitmap_sync_start", "migration_bitmap_sync_end", "migration_throttle", "cpu_throttle_set",
    "migration_completion_*", "migration_rate_limit_pre", "migration_rate_limit_post", "migration_return_path_end_*",
    "migration_thread_*", "migration_precopy_complete", "migration_switchover*", "ram_save_iterate_big_wait",
    "runstate_set", "vm_state_notify", "vm_stop_flush_all", "savevm_section_start", "savevm_section_end",
    "savevm_state_*", "savevm_send_*", "vmstate_downtime_*", "loadvm_*", "qemu_loadvm_state_post_main",
    "process_incoming_migration_co_*", "migrate_global_state_*", "source_return_path_thread_*",
    "postcopy_ram_enable_notify", "postcopy_start", "postcopy_start_set_run", "postcopy_pause*",
    "multifd_send_sync_main", "multifd_send_sync_main_*",
)

Row = list[Any]

_BY_PROCESS = re.compile(r"(?:\S+ )?\d+@(?P<seconds>\d+\.\d+):(?P<name>\w+) ?(?P<rest>.*)")
_BY_LOG = re.compile(r"(?P<date>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) (?P<name>\w+) ?(?P<rest>.*)")
_PRE_POST = r"\(pre = (?P<pre>\d+) post=(?P<post>\d+)\)"
_FORMS = {name: re.compile(form) for name, form in {
    "migrate_transferred": r"transferred (?P<transferred>\d+) time_spent (?P<time_spent>\d+) bandwidth "
                           r"(?P<bandwidth>\d+) (?:switchover_bw (?P<switchover_bw>\d+) |avail_bw (?P<avail_bw>\d+) )?"
                           r"max_size (?P<threshold>-?\d+)",
    "migrate_pending_exact": rf"exact pending size (?P<size>\d+) {_PRE_POST}",
    "migrate_pending_estimate": rf"estimate pending size (?P<size>\d+) {_PRE_POST}",
    "migrate_pending": r"pending size (?P<size>\d+) max (?P<threshold>\d+) "
                       r"\(pre = (?P<pre>\d+) compat=(?P<compat>\d+) post=(?P<post>\d+)\)",
    "migration_bitmap_sync_end": r"dirty_pages (?P<dirty_pages_period>\d+)",
    "migration_thread_low_pending": r"(?P<pending>\d+)",
    "migration_rate_limit_pre": r"(?P<ms>-?\d+) ms",
    "migrate_set_state": r"new state (?P<state>\S+)",
    "cpu_throttle_set": r"set guest CPU throttled by (?P<pct>\d+)%",
    "vm_state_notify": r"running (?P<running>\d+) reason (?P<reason>\d+)(?: \((?P<reason_str>[^)]*)\))?",
}.items()}
_WHOLE = re.compile(r"-?\d+")
_TEXT_LENGTH = 300
_BEFORE_S = 0.1  # a recording begins this long before `migrate`


def parse_trace(lines: Iterable[str], t0_s: float) -> list[Row]:
    """The rows of a log, times in seconds since `t0_s` (host clock); a line of another form has no time."""
    return [_row(line.strip(), t0_s) for line in lines if line.strip()]


def between(rows: Iterable[Row], end_s: float) -> list[Row]:
    """The rows that a recording keeps: from shortly before T0 to `end_s`, and what has no time."""
    return [row for row in rows if row[0] is None or -_BEFORE_S < row[0] < end_s]


def _row(line: str, t0_s: float) -> Row:
    if match := _BY_PROCESS.fullmatch(line):
        at_s = float(match["seconds"])
    elif match := _BY_LOG.fullmatch(line):
        at_s = datetime.fromisoformat(match["date"]).timestamp()
    else:
        return [None, "log", {"text": line[:_TEXT_LENGTH]}]
    return [round(at_s - t0_s, 6), match["name"], _fields(match["name"], match["rest"])]


def _fields(name: str, rest: str) -> dict[str, Any]:
    found = _FORMS[name].match(rest) if name in _FORMS else None
    if found:
        return {key: int(value) if _WHOLE.fullmatch(value) else value
                for key, value in found.groupdict().items() if value is not None}
    return {"text": rest} if rest else {}
