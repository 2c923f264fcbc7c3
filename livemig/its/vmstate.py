"""Device state of a stream, decoded with the description (vmdesc, JSON) that QEMU puts at the stream's end.

Source: QEMU 10.0 migration/vmstate.c (vmstate_save_state_v, vmsd_desc_field_start), docs/devel/migration/main.rst.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from livemig.its.errors import DataError

__all__ = ["parse_description", "decode_device", "Values", "MAX_VALUES"]

Values: TypeAlias = dict[str, Any]
_SUBSECTION = 5
_MAX_DEPTH = 16
MAX_VALUES = 1 << 20


def parse_description(raw: bytes, offset: int) -> dict[str, Any]:
    """The vmdesc JSON; DataError with the offset if it is none."""
    try:
        description = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise DataError(f"the description at the end is not JSON: {error}", offset) from error
    if not isinstance(description, dict) or not isinstance(description.get("devices", []), list):
        raise DataError("the description at the end has no list of devices", offset)
    return description


def decode_device(description: Mapping[str, Any], data: bytes, offset: int) -> Values:
    """One device section's bytes -> field values by name; fields of the same name become a list.

    Numbers are big-endian integers, everything else is hexadecimal text. `offset` is the stream offset of `data`.
    DataError if description and bytes do not fit.
    """
    reader = _Reader(data, offset)
    try:
        values = reader.fields(description, 0)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"malformed description of device {description.get('name')!r}: {error!r}", offset) from error
    if reader.at != len(data):
        raise DataError(f"device {description.get('name')!r}: described are {reader.at} bytes, the section has "
                        f"{len(data)}", offset)
    return values


class _Reader:
    def __init__(self, data: bytes, offset: int) -> None:
        self.data = data
        self.offset = offset
        self.at = 0
        self.values = 0

    def take(self, count: int, name: str) -> bytes:
        if count < 0 or self.at + count > len(self.data):
            raise DataError(f"field {name!r} of {count} bytes goes beyond its section", self.offset + self.at)
        self.at += count
        return self.data[self.at - count:self.at]

    def fields(self, description: Mapping[str, Any], depth: int) -> Values:
        if depth > _MAX_DEPTH:
            raise DataError(f"structures nested deeper than {_MAX_DEPTH}", self.offset + self.at)
        values: Values = {}
        for field in description.get("fields", ()):
            value = self.field(field, depth)
            name = str(field["name"])
            if name not in values:
                values[name] = [value] if "index" in field else value
            elif isinstance(values[name], list):
                values[name].append(value)
            else:
                values[name] = [values[name], value]
        for subsection in description.get("subsections", ()):
            self.subsection(subsection, values, depth)
        return values

    def subsection(self, description: Mapping[str, Any], values: Values, depth: int) -> None:
        name = str(description["vmsd_name"]).encode()
        head = self.take(2 + len(name) + 4, description["vmsd_name"])
        if head[0] != _SUBSECTION or head[2:2 + len(name)] != name:
            raise DataError(f"subsection {description['vmsd_name']!r} is described but not there",
                            self.offset + self.at - len(head))
        values[str(description["vmsd_name"])] = self.fields(description, depth + 1)

    def field(self, field: Mapping[str, Any], depth: int) -> Any:
        count = int(field.get("array_len", 1))
        many = "array_len" in field
        size = int(field["size"])
        if count < 0 or size < 0 or (size and count * size > len(self.data) - self.at):
            raise DataError(f"field {field['name']!r}: {count} x {size} bytes go beyond the section",
                            self.offset + self.at)
        self.values += count if size else 1
        if self.values > MAX_VALUES:
            raise DataError(f"more than {MAX_VALUES} values", self.offset + self.at)
        if not size:
            return [] if many else ""
        items: list[Any] = [self.struct(field, size, depth) for _ in range(count)] if "struct" in field else (
            self.scalars(field, size, count))
        return items if many else items[0]

    def struct(self, field: Mapping[str, Any], size: int, depth: int) -> Values:
        start = self.at
        values = self.fields(field["struct"], depth + 1)
        if self.at - start != size:
            raise DataError(f"structure {field['name']!r} has {self.at - start} bytes, described are {size}",
                            self.offset + start)
        return values

    def scalars(self, field: Mapping[str, Any], size: int, count: int) -> list[Any]:
        raw = self.take(size * count, field["name"])
        kind = str(field["type"])
        if kind.startswith(("int", "uint", "bool")) and size in (1, 2, 4, 8):
            numbers: list[int] = np.frombuffer(raw, f">{'i' if kind.startswith('int') else 'u'}{size}").tolist()
            return numbers
        return [raw[at:at + size].hex() for at in range(0, len(raw), size)]
