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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from livemig.trace import TraceError

__all__ = ["FORMAT", "RecordingError", "load_recording", "check_recording", "recording_files", "recording_name"]

FORMAT = 1
SUFFIXES = (".json", ".json.gz")
MAX_BYTES = 64 << 20  # the largest recording so far has 0.3 MB
MAX_NUMBER = 1e18
VERSIONS = ("10.0.", "7.2.")
STATUSES = ("completed", "cancelled", "failed", "active", "setup", "device", "pre-switchover", "cancelling")

Record = dict[str, Any]
_NUMBER = (int, float)
_NONE = type(None)

# key: accepted types. Nested keys are listed by their path.
_REQUIRED: Mapping[str, tuple[type, ...]] = {
    "id": (str,), "special": (str,), "params": (dict,), "guest": (dict,), "qemu": (dict,), "page_size": (int,),
    "caps": (list,), "final": (dict, _NONE), "notes": (list,), "events": (list,), "poll_cols": (list,),
    "polls": (list,), "trace_src": (list,), "trace_dst": (list,),
    "qemu.version": (str,), "params.ram": _NUMBER, "params.wset": _NUMBER, "params.bw": _NUMBER,
    "params.dl": _NUMBER, "params.rate": _NUMBER, "params.order": (str,),
    "guest.fill_start": (int,), "guest.fill_end": (int,), "guest.ws_base": (int,), "guest.ws_pages": (int,),
}
_OPTIONAL: Mapping[str, tuple[type, ...]] = {
    "command_line": (str,), "dirty_rate_before": (dict,), "dirty_rate_before.writes_mib_s": _NUMBER,
    "write_rate_during_mib_s": _NUMBER, "link_seen_mib_s": _NUMBER, "params.link": _NUMBER,
    "params.cancel_s": _NUMBER, "params.poll_ms": _NUMBER, "params.at_s": _NUMBER, "params.max_s": _NUMBER,
    "params.avail_bw": _NUMBER, "params.multifd": _NUMBER,
    "guest.rate": _NUMBER, "guest.dot_pages": (int,), "guest.pages_per_tick": _NUMBER,
    "guest.tick_us": _NUMBER, "guest.maxlag": (int,), "status_src": (dict, _NONE), "status_dst": (dict, _NONE),
    "final.status": (str,), "final.total-time": _NUMBER, "final.downtime": _NUMBER, "final.setup-time": _NUMBER,
    "final.error-desc": (str,), "final.ram": (dict,), "final.ram.total": (int,), "final.ram.transferred": (int,),
    "final.ram.normal": (int,), "final.ram.duplicate": (int,), "final.ram.dirty-sync-count": (int,),
    "final.ram.downtime-bytes": (int,),
    "kvm": (dict,), "kvm.rows": (list,), "its": (dict,), "its.dumps": (dict,), "its.commands": (list,),
}
_POSITIVE = ("params.ram", "page_size")
_NOT_NEGATIVE = (
    "params.wset", "params.bw", "params.dl", "params.rate", "params.link", "params.cancel_s", "params.poll_ms",
    "guest.fill_start", "guest.fill_end", "guest.ws_base", "guest.ws_pages", "guest.rate", "guest.dot_pages",
    "guest.pages_per_tick", "guest.tick_us", "write_rate_during_mib_s", "link_seen_mib_s",
    "dirty_rate_before.writes_mib_s", "final.total-time", "final.downtime", "final.setup-time", "final.ram.total",
    "final.ram.transferred", "final.ram.normal", "final.ram.duplicate", "final.ram.dirty-sync-count",
    "final.ram.downtime-bytes",
)
# Columns of the row lists; None in a tuple means that the value may be missing.
_ROWS: Mapping[str, tuple[tuple[type, ...], ...]] = {
    "trace_src": ((int, float, _NONE), (str,), (dict,)),
    "trace_dst": ((int, float, _NONE), (str,), (dict,)),
    "events": (_NUMBER, _NUMBER, (str,), (str,), (dict,)),
    "notes": (_NUMBER, (str,)),
    "kvm.rows": (_NUMBER, (str,), (str,), (dict,)),
}
_POLL_COLUMNS: Mapping[str, tuple[type, ...]] = {
    "t": _NUMBER, "status": (str, _NONE), "transferred": (int, _NONE), "remaining": (int, _NONE),
    "normal": (int, _NONE), "duplicate": (int, _NONE), "dirty_sync_count": (int, _NONE), "src_dots": (int, _NONE),
}
# Fields of trace points that are read as numbers or names.
_FIELDS: Mapping[str, Mapping[str, type]] = {
    "migrate_transferred": {"transferred": int, "time_spent": int, "bandwidth": int, "threshold": int},
    "migrate_pending_estimate": {"size": int}, "migrate_pending_exact": {"size": int}, "migrate_pending": {"size": int},
    "migration_thread_low_pending": {"pending": int}, "migrate_set_state": {"state": str},
    "migration_bitmap_sync_end": {"dirty_pages_period": int}, "vm_state_notify": {"running": int},
}


class RecordingError(TraceError):
    """A recording that cannot be used; the message names the file, the key and the reason."""


def load_recording(path: str | Path) -> Record:
    """Read and check one recording, plain (`.json`) or compressed (`.json.gz`).

    Raises `RecordingError` naming the file, the key and the reason when it is missing, cut off, not JSON, of an unknown
    format or QEMU version, lacks a key or has a value of the wrong type.
    """
    source = Path(path)
    try:
        data = json.loads(_read_text(source), parse_constant=lambda name: _refuse_constant(source, name))
    except RecursionError:
        raise RecordingError(f"{source}: not a recording: nested too deeply") from None
    except ValueError as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(f"{source}: not a complete JSON file (cut off, or not JSON): {error}") from error
    return check_recording(data, str(source))


def check_recording(data: Any, where: str = "recording") -> Record:
    """The same dictionary, if it is a recording of format 1; else `RecordingError`."""
    if not isinstance(data, dict):
        raise RecordingError(f"{where}: a recording is a JSON object, this is {_kind(data)}")
    _check_format(data, where)
    _check_numbers(data, where)
    for key, types in _REQUIRED.items():
        _check_key(data, key, types, where, required=True)
    for key, types in _OPTIONAL.items():
        _check_key(data, key, types, where, required=False)
    for key, columns in _ROWS.items():
        _check_rows(data, key, columns, where)
    _check_polls(data, where)
    _check_fields(data, where)
    _check_meaning(data, where)
    return data


def recording_files(folder: str | Path) -> list[Path]:
    """The recordings of a folder by name; `RecordingError` when it is not a folder or holds none."""
    base = Path(folder)
    if not base.is_dir():
        raise RecordingError(f"{base}: no such folder" if not base.exists() else f"{base}: not a folder of recordings")
    found = sorted(p for p in base.iterdir() if p.name.endswith(SUFFIXES) and p.is_file())
    if not found:
        raise RecordingError(f"{base}: holds no recording (*.json or *.json.gz)")
    return found


def recording_name(path: str | Path) -> str:
    """The file's stem, without `.json` or `.json.gz`."""
    return Path(path).name.removesuffix(".gz").removesuffix(".json")


def _read_text(source: Path) -> bytes:
    try:
        if not source.is_file():
            raise RecordingError(f"{source}: no such file" if not source.exists() else f"{source}: not a file")
        if source.stat().st_size > MAX_BYTES:
            raise RecordingError(f"{source}: larger than {MAX_BYTES >> 20} MiB, no recording is")
        raw = source.read_bytes()
        return _decompress(source, raw) if source.suffix == ".gz" else raw
    except OSError as error:
        raise RecordingError(f"{source}: cannot be read: {error.strerror or error}") from error


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


def _check_format(data: Record, where: str) -> None:
    if "format" not in data:
        raise RecordingError(f"{where}: key 'format' is missing: not a recording of livemig's lab")
    if data["format"] != FORMAT or isinstance(data["format"], bool):
        raise RecordingError(f"{where}: format is {data['format']!r}, this livemig reads format {FORMAT}")


def _check_numbers(data: Record, where: str) -> None:
    """Every number is finite and of a size that a counter can have; iterative, so that depth cannot hurt."""
    waiting: list[tuple[str, Any]] = list(data.items())
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend((key, v) for v in value.values())
        elif isinstance(value, list):
            waiting.extend((key, v) for v in value)
        elif isinstance(value, _NUMBER) and not -MAX_NUMBER <= value <= MAX_NUMBER:
            shown = "not finite" if isinstance(value, float) and not math.isfinite(value) else "too large"
            raise RecordingError(f"{where}: {key} holds a number that is {shown} (limit {MAX_NUMBER:g})")


def lookup(data: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted path; None when a step is missing."""
    value: Any = data
    for step in key.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    return value


def _present(data: Record, key: str) -> bool:
    parent, _, last = key.rpartition(".")
    owner = lookup(data, parent) if parent else data
    return isinstance(owner, dict) and last in owner


def _check_key(data: Record, key: str, types: tuple[type, ...], where: str, required: bool) -> None:
    if not _present(data, key):
        if required:
            raise RecordingError(f"{where}: key {key!r} is missing (cut off, or not a recording?)")
        return
    value = lookup(data, key)
    if not _is(value, types):
        raise RecordingError(f"{where}: {key} is {_kind(value)}, expected {_names(types)}")
    if key in _POSITIVE and not value > 0:
        raise RecordingError(f"{where}: {key} = {value}, must be above 0")
    if key in _NOT_NEGATIVE and not value >= 0:
        raise RecordingError(f"{where}: {key} = {value}, must not be negative")


def _check_rows(data: Record, key: str, columns: tuple[tuple[type, ...], ...], where: str) -> None:
    for i, row in enumerate(lookup(data, key) or []):
        if not isinstance(row, list) or len(row) < len(columns):
            raise RecordingError(f"{where}: {key}[{i}] is {_kind(row)}, expected a row of {len(columns)} values")
        for j, types in enumerate(columns):
            if not _is(row[j], types):
                raise RecordingError(f"{where}: {key}[{i}][{j}] is {_kind(row[j])}, expected {_names(types)}")


def _check_polls(data: Record, where: str) -> None:
    columns = data["poll_cols"]
    if data["polls"] and not {"t", "status"} <= {c for c in columns if isinstance(c, str)}:
        raise RecordingError(f"{where}: poll_cols names no column 't' or 'status'")
    for i, row in enumerate(data["polls"]):
        if not isinstance(row, list) or len(row) != len(columns):
            raise RecordingError(f"{where}: polls[{i}] is {_kind(row)}, expected a row of {len(columns)} values")
        for name, value in zip(columns, row, strict=True):
            types = _POLL_COLUMNS.get(name) if isinstance(name, str) else None
            if types and not _is(value, types):
                raise RecordingError(f"{where}: polls[{i}] {name} is {_kind(value)}, expected {_names(types)}")


def _check_fields(data: Record, where: str) -> None:
    for key in ("trace_src", "trace_dst"):
        for i, row in enumerate(data[key]):
            for name, kind in _FIELDS.get(row[1], {}).items():
                if not _is(row[2].get(name), (kind,)):
                    raise RecordingError(f"{where}: {key}[{i}] {row[1]}: {name} is {_kind(row[2].get(name))}, "
                                         f"expected {_names((kind,))}")


def _check_meaning(data: Record, where: str) -> None:
    version = data["qemu"]["version"]
    if not version.startswith(VERSIONS):
        known = ", ".join(v + "x" for v in VERSIONS)
        raise RecordingError(f"{where}: qemu.version is {version!r}; livemig knows the trace points of {known}")
    page = data["page_size"]
    if page & (page - 1):
        raise RecordingError(f"{where}: page_size = {page}, not a power of two")
    if data["params"]["order"] not in ("seq", "rand"):
        raise RecordingError(f"{where}: params.order is {data['params']['order']!r}, expected 'seq' or 'rand'")
    status = lookup(data, "final.status")
    if data["final"] is not None and status not in STATUSES:
        raise RecordingError(f"{where}: final.status is {status!r}, expected one of {', '.join(STATUSES)}")
    if status == "completed":
        for key in ("final.total-time", "final.downtime", "final.ram.transferred", "final.ram.dirty-sync-count"):
            if not _present(data, key):
                raise RecordingError(f"{where}: key {key!r} is missing although final.status is 'completed'")


def _is(value: Any, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and not (isinstance(value, bool) and bool not in types)


def _kind(value: Any) -> str:
    if value is None:
        return "missing (null)"
    text = repr(value) if isinstance(value, str | int | float) else ""
    name = {dict: "an object", list: "a list", str: "text", int: "a number", float: "a number", bool: "true or false"}
    return f"{name.get(type(value), type(value).__name__)}{' ' + text[:40] if text else ''}"


def _names(types: tuple[type, ...]) -> str:
    name = {dict: "an object", list: "a list", str: "text", int: "a whole number", float: "a number", _NONE: "null"}
    shown = [name[t] for t in types if not (t is int and float in types)]
    return " or ".join(shown)


def rows(data: Mapping[str, Any], key: str) -> Iterator[tuple[float, str, Mapping[str, Any]]]:
    """The rows [t, name, fields] of `trace_src` or `trace_dst` that carry a time, in time order."""
    timed = [(float(t), name, fields) for t, name, fields in (row[:3] for row in data[key]) if t is not None]
    yield from sorted(timed, key=lambda row: row[0])
