"""Compare two decoded tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from livemig.its.dump import Decoded
from livemig.its.errors import DataError


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
