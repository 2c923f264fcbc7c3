"""Read a recording and check everything that the other modules of this room rely on.

A recording is `format` 1 of the lab's recorder: `params`, `guest` (the words patched into it), `polls` (answers to
`query-migrate`, columns in `poll_cols`), `events` (QMP), `trace_src` and `trace_dst` (QEMU's trace points as
[t, name, fields]), `notes` (what the recorder did), `final` (the last `query-migrate`). Recordings made inside an
emulated KVM host have `kvm` and `its` too. All times are seconds since `migrate` was sent.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from livemig.lab.shape import Each, Leaf, Object, Row, Shape, check, describe
from livemig.trace import TraceError

__all__ = ["FORMAT", "STATUSES", "RecordingError", "check_recording", "load_recording", "lookup", "read_bytes",
           "recording_files", "recording_name", "rows"]

FORMAT = 1
SUFFIXES = (".json", ".json.gz")
MAX_BYTES = 64 << 20  # the largest recording so far has 0.3 MB
MAX_NUMBER = 1e18
STATUSES = ("none", "setup", "cancelling", "cancelled", "active", "postcopy-active", "postcopy-paused",
            "postcopy-recover-setup", "postcopy-recover", "completed", "failed", "colo", "pre-switchover", "device",
            "wait-unplug")  # MigrationStatus of QEMU 10.0 qapi/migration.json

Record = dict[str, Any]

_NUMBER, _WHOLE, _TEXT, _ANY_OBJECT = Leaf("number"), Leaf("whole"), Leaf("text"), Leaf("object")
_COUNT, _SIZE = Leaf("whole", low=0), Leaf("number", low=0)
_MAYBE_COUNT, _HEX = Leaf("whole", low=0, empty=True), Leaf("text", pattern="0x[0-9a-f]{1,16}")
_BYTES = Leaf("text", pattern="(?:[0-9a-f]{2})*")

# Fields of trace points that are read as numbers or names.
_POINTS: Mapping[str, Object] = {
    "migrate_transferred": Object({"transferred": _COUNT, "time_spent": _COUNT, "bandwidth": _COUNT,
                                   "threshold": _COUNT}),
    "migrate_pending_estimate": Object({"size": _COUNT}),
    "migrate_pending_exact": Object({"size": _COUNT}),
    "migrate_pending": Object({"size": _COUNT}),
    "migration_thread_low_pending": Object({"pending": _COUNT}),
    "migrate_set_state": Object({"state": _TEXT}),
    "migration_bitmap_sync_end": Object({"dirty_pages_period": _COUNT}),
    "vm_state_notify": Object({"running": _WHOLE}),
    "runstate_set": Object(optional={"text": _TEXT, "old_str": _TEXT, "new_str": _TEXT}),
}


def _point(row: list[Any]) -> tuple[Shape, Any, str] | None:
    return (_POINTS[row[1]], row[2], row[1]) if row[1] in _POINTS else None


def _table_row(row: list[Any]) -> tuple[Shape, Any, str] | None:
    wanted = Object({"offsets": Each(_HEX)})
    return (wanted, row[4], row[3]) if row[3] == "table pages in the final pass" else None


_TRACE = Each(Row((Leaf("number", empty=True), _TEXT, _ANY_OBJECT), _point))
_DUMP = Object(
    {"t": _NUMBER, "side": _TEXT, "status": _TEXT,
     "tables": Each(Object({"name": _TEXT, "gpa": _HEX, "size": _HEX, "data": Object(values=_BYTES)}))},
    {"guest_books": Object(optional={"commands_queued": _COUNT})})
_KERNEL = Object(optional={"ret": _WHOLE, "t_ret": _NUMBER, "attr": _TEXT, "value": _HEX, "marks_dirty": Each(_HEX)})
_FINAL = Object(  # empty where nothing was ever migrated
    {},
    {"status": Leaf("text", choices=STATUSES), "total-time": _SIZE, "downtime": _SIZE, "setup-time": _SIZE,
     "error-desc": _TEXT,
     "ram": Object(optional=dict.fromkeys(("total", "transferred", "normal", "duplicate", "dirty-sync-count",
                                           "downtime-bytes"), _COUNT))}, empty=True)
_COMPLETED = Object({"total-time": _SIZE, "downtime": _SIZE, "ram": Object({"transferred": _COUNT,
                                                                            "dirty-sync-count": _COUNT})})
_RECORDING = Object(
    {"id": _TEXT, "special": _TEXT, "page_size": Leaf("whole", above=0),
     "params": Object({"ram": Leaf("number", above=0), "wset": _SIZE, "bw": _SIZE, "dl": _SIZE, "rate": _SIZE,
                       "order": Leaf("text", choices=("seq", "rand"))},
                      {**dict.fromkeys(("link", "cancel_s", "poll_ms", "max_s", "avail_bw"), _SIZE),
                       **dict.fromkeys(("multifd", "throttle_init", "throttle_inc"), _COUNT), "accel": _TEXT}),
     "guest": Object(dict.fromkeys(("fill_start", "fill_end", "ws_base", "ws_pages"), _COUNT),
                     dict.fromkeys(("rate", "dot_pages", "pages_per_tick", "tick_us", "maxlag"), _SIZE)),
     "qemu": Object({"version": Leaf("text", pattern=r"(?:7\.2|[89]\.\d|[1-9]\d\.\d)\.\d+.*")}),
     "caps": Each(_TEXT), "final": _FINAL, "notes": Each(Row((_NUMBER, _TEXT))),
     "events": Each(Row((_NUMBER, _NUMBER, _TEXT, _TEXT, _ANY_OBJECT))),
     "poll_cols": Each(_TEXT), "polls": Each(Leaf("list")), "trace_src": _TRACE, "trace_dst": _TRACE},
    {"command_line_dst": _TEXT, "dirty_rate_before": Object(optional={"writes_mib_s": _SIZE}),
     "write_rate_during_mib_s": _SIZE, "link_seen_mib_s": _SIZE,
     "status_src": Leaf("object", empty=True), "status_dst": Leaf("object", empty=True),
     "guest_seen": Object(optional={"src_dots": _MAYBE_COUNT}),
     "kvm": Object(optional={"rows": Each(Row((_NUMBER, _TEXT, _TEXT, _KERNEL)))}),
     "its": Object(optional={"dumps": Object(values=_DUMP), "commands": Each(_TEXT)}),
     "timeline": Each(Row((Leaf("number", empty=True), _TEXT, _TEXT, _TEXT, _ANY_OBJECT), _table_row))})
_POLL = Object({"t": _NUMBER, "status": Leaf("text", empty=True)},
               dict.fromkeys(("transferred", "remaining", "normal", "duplicate", "dirty_sync_count", "src_dots"),
                             _MAYBE_COUNT))


class RecordingError(TraceError):
    """A recording that cannot be used; the message names the file, the key and the reason."""


def load_recording(path: str | Path) -> Record:
    """Read and check one recording, plain (`.json`) or compressed (`.json.gz`).

    Raises `RecordingError` naming the file, the key and the reason when it is missing, cut off, not JSON, of an unknown
    format or QEMU version, lacks a key or has a value of the wrong type.
    """
    source = Path(path)
    try:
        data = json.loads(read_bytes(source), parse_constant=lambda name: _refuse_constant(source, name))
    except RecursionError:
        raise RecordingError(f"{source}: not a recording: nested too deeply") from None
    except ValueError as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(f"{source}: not a complete JSON file (cut off, or not JSON): {error}") from error
    return check_recording(data, str(source))


def check_recording(data: Any, where: str = "recording") -> Record:
    """The same dictionary, if it is a recording of format 1; else `RecordingError`."""
    def fail(reason: str) -> RecordingError:
        return RecordingError(f"{where}: {reason}")

    if not isinstance(data, dict):
        raise fail(f"a recording is a JSON object, this is {describe(data)}")
    if "format" not in data:
        raise fail("key 'format' is missing: not a recording of livemig's lab")
    if data["format"] != FORMAT or isinstance(data["format"], bool):
        raise fail(f"format is {repr(data['format'])[:40]}, this livemig reads format {FORMAT}")
    _check_numbers(data, fail)
    check(data, _RECORDING, "", fail)
    if data["page_size"] & (data["page_size"] - 1):
        raise fail(f"page_size = {data['page_size']}, not a power of two")
    for i, row in enumerate(data["polls"]):
        if len(row) != len(data["poll_cols"]):
            raise fail(f"polls[{i}] has {len(row)} values, expected {len(data['poll_cols'])} (poll_cols)")
        check(dict(zip(data["poll_cols"], row, strict=True)), _POLL, f"polls[{i}]", fail)
    if (data["final"] or {}).get("status") == "completed":
        check(data["final"], _COMPLETED, "final", fail)
    return data


def recording_files(folder: str | Path) -> list[Path]:
    """The recordings of a folder by name, or the one file that is named; `RecordingError` when there is none."""
    base = Path(folder)
    if base.is_file() and base.name.endswith(SUFFIXES):
        return [base]
    if not base.is_dir():
        raise RecordingError(f"{base}: no such folder" if not base.exists() else f"{base}: not a folder of recordings")
    found = sorted(p for p in base.iterdir() if p.name.endswith(SUFFIXES) and p.is_file())
    if not found:
        raise RecordingError(f"{base}: holds no recording (*.json or *.json.gz)")
    return found


def recording_name(path: str | Path) -> str:
    """The file's stem, without `.json` or `.json.gz`."""
    return Path(path).name.removesuffix(".gz").removesuffix(".json")


def lookup(data: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted path; None when a step is missing."""
    value: Any = data
    for step in key.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    return value


def rows(data: Mapping[str, Any], key: str) -> Iterator[tuple[float, str, Mapping[str, Any]]]:
    """The rows [t, name, fields] of `trace_src` or `trace_dst` that carry a time, in time order."""
    timed = [(float(t), name, fields) for t, name, fields in (row[:3] for row in data[key]) if t is not None]
    yield from sorted(timed, key=lambda row: row[0])


def read_bytes(source: Path) -> bytes:
    """The bytes of a file, unpacked if its name ends in .gz; `RecordingError` if it is unreadable or too large."""
    try:
        if not source.is_file():
            raise RecordingError(f"{source}: no such file" if not source.exists() else f"{source}: not a file")
        if source.stat().st_size > MAX_BYTES:
            raise RecordingError(f"{source}: larger than {MAX_BYTES >> 20} MiB, no recording is")
        raw = source.read_bytes()
    except OSError as error:
        raise RecordingError(f"{source}: cannot be read: {error.strerror or error}") from error
    return _decompress(source, raw) if source.suffix == ".gz" else raw


def _decompress(source: Path, raw: bytes) -> bytes:
    reader = zlib.decompressobj(wbits=31)
    try:
        text = reader.decompress(raw, MAX_BYTES)
    except zlib.error as error:
        raise RecordingError(f"{source}: not a gzip file: {error}") from error
    if reader.unconsumed_tail:
        raise RecordingError(f"{source}: larger than {MAX_BYTES >> 20} MiB when unpacked, no recording is")
    if not reader.eof:
        raise RecordingError(f"{source}: the gzip file is cut off")
    return text


def _refuse_constant(source: Path, name: str) -> NoReturn:
    raise RecordingError(f"{source}: holds {name}, which is not a JSON number")


def _check_numbers(data: Record, fail: Callable[[str], RecordingError]) -> None:
    """Every number is finite and of a size that a counter can have; iterative, so that depth cannot hurt."""
    waiting: list[tuple[str, Any]] = list(data.items())
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend((key, v) for v in value.values())
        elif isinstance(value, list):
            waiting.extend((key, v) for v in value)
        elif isinstance(value, int | float) and not -MAX_NUMBER <= value <= MAX_NUMBER:
            shown = "not finite" if isinstance(value, float) and not math.isfinite(value) else "too large"
            raise fail(f"{key} holds a number that is {shown} (limit {MAX_NUMBER:g})")
