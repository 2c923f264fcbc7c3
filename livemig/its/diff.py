"""Compare two decoded tables, whatever they come from: a raw dump, a migration stream, the JSON of either."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livemig.its.dump import Decoded, decode_file
from livemig.its.errors import DataError
from livemig.its.stream import MAGIC
from livemig.its.stream_its import its
from livemig.its.stream_source import XZ_MAGIC

__all__ = ["DumpPlace", "load_tables", "diff_files", "diff", "MAX_JSON_BYTES"]

MAX_JSON_BYTES = 1 << 28


@dataclass(frozen=True)
class DumpPlace:
    """What a raw dump does not say itself: where it begins, and the two table registers."""

    base_address: int
    baser0: int
    baser1: int
    layout: str = "kvm"


def load_tables(path: str | Path, place: DumpPlace | None = None) -> Mapping[str, Any]:
    """Decoded tables of a file: a migration stream (also .xz), JSON of `decode` or `its`, else a raw dump at `place`.

    DataError for a raw dump without `place`; other errors as `stream.its` and `decode_file`.
    """
    with open(path, "rb") as file:
        head = file.read(64)
    if head.startswith((MAGIC, XZ_MAGIC)):
        return its(path)
    if head.lstrip()[:1] == b"{" and Path(path).stat().st_size <= MAX_JSON_BYTES:
        try:
            loaded: Mapping[str, Any] = json.loads(Path(path).read_bytes())
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: not JSON: {error}") from error
        return loaded
    if place is None:
        raise DataError(f"{path}: a raw dump needs its base address, GITS_BASER0 and GITS_BASER1")
    return decode_file(path, place.base_address, place.baser0, place.baser1, place.layout).to_json()


def diff_files(before: str | Path, after: str | Path, place: DumpPlace | None = None) -> dict[str, Any]:
    """`diff` of two files, each loaded by `load_tables`."""
    return diff(load_tables(before, place), load_tables(after, place))


def diff(before: Decoded | Mapping[str, Any], after: Decoded | Mapping[str, Any]) -> dict[str, Any]:
    """Compare two decoded tables (or their `to_json`) by DeviceID and EventID.

    Returns {"only_in_a": rows, "only_in_b": rows, "changed": [{"device_id", "event_id", "fields": {name: [a, b]}}],
    "equal": number of equal mappings}.
    """
    a, b = _rows_by_event(before), _rows_by_event(after)
    changed = []
    for key in sorted(a.keys() & b.keys()):
        fields = {name: [a[key][name], b[key][name]] for name in ("pintid", "icid", "rdbase", "itt_address")
                  if a[key].get(name) != b[key].get(name)}
        if fields:
            changed.append({"device_id": key[0], "event_id": key[1], "fields": fields})
    return {"only_in_a": [a[key] for key in sorted(a.keys() - b.keys())],
            "only_in_b": [b[key] for key in sorted(b.keys() - a.keys())],
            "changed": changed, "equal": len(a.keys() & b.keys()) - len(changed)}


def _rows_by_event(tables: Decoded | Mapping[str, Any]) -> dict[tuple[int, int], dict[str, int]]:
    try:
        rows = tables.rows if isinstance(tables, Decoded) else tables["mappings"]
        return {(row["device_id"], row["event_id"]): dict(row) for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"not a decoded table: no list 'mappings' of rows with device_id and event_id ({error!r})"
                        ) from error
