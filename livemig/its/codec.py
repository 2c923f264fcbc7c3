"""One codec for every bit layout of the room: entries, commands, registers, stream fields.

A `Layout` is a table of `Field`s over one little-endian value of `size_bytes` bytes. The same table encodes, decodes,
does both for numpy arrays, explains a value in sentences and words the error when a value does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from livemig.its.errors import ItsError

__all__ = ["Field", "Layout", "Words"]

Words: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class Field:
    """Bits [hi:lo] of a layout.

    name: keyword for encode and key of decode.   letter: one character for drawings.
    shift: the field holds the value's bits from `shift` up (an address field with shift 8 drops 8 zero bits).
    meaning, source: for explanations.
    """

    name: str
    letter: str
    hi: int
    lo: int
    shift: int = 0
    meaning: str = ""
    source: str = ""

    @cached_property
    def width_bits(self) -> int:
        return self.hi - self.lo + 1

    @cached_property
    def max_raw(self) -> int:
        return (1 << self.width_bits) - 1

    @cached_property
    def mask(self) -> int:
        """The field's bits in place."""
        return self.max_raw << self.lo

    @property
    def place(self) -> str:
        return f"[{self.hi}]" if self.hi == self.lo else f"[{self.hi}:{self.lo}]"

    def decode(self, raw: int) -> int:
        return ((raw >> self.lo) & self.max_raw) << self.shift

    def encode(self, value: int) -> int:
        """The bits of `value` in place; ItsError(EINVAL) if they do not fit."""
        if not 0 <= value >> self.shift <= self.max_raw or value & ((1 << self.shift) - 1):
            raise ItsError("EINVAL", self.misfit(value))
        return (value >> self.shift) << self.lo

    def misfit(self, value: int) -> str:
        """Why `value` cannot be stored in this field."""
        if value < 0:
            return f"{self.name} = {value} is negative; its {self.width_bits} bits {self.place} are unsigned"
        if value & ((1 << self.shift) - 1):
            return (f"{self.name} = {value:#x} is not a multiple of {1 << self.shift:#x}; "
                    f"{self.place} holds its bits from {self.shift} up")
        return f"{self.name} = {value:#x} needs more than its {self.width_bits} bits {self.place}"

    def explain(self, raw: int) -> str:
        value = self.decode(raw)
        shown = str(value) if value < 10 else f"{value} ({value:#x})" if not self.shift else f"{value:#x}"
        return f"{self.name} {self.place} = {shown}: {self.meaning}"


@dataclass(frozen=True)
class Layout:
    """A named table of fields over `size_bytes` little-endian bytes.

    Fields must not overlap and must not straddle a word: 8, 4 or 1 bytes, the largest that divides size_bytes.
    """

    name: str
    size_bytes: int
    fields: tuple[Field, ...]
    source: str = ""

    def __post_init__(self) -> None:
        seen = 0
        for field in self.fields:
            if seen & field.mask or field.lo > field.hi or field.hi >= 8 * self.size_bytes:
                raise ValueError(f"{self.name}: field {field.name} {field.place} overlaps or lies outside")
            if field.hi // self.word_bits != field.lo // self.word_bits:
                raise ValueError(f"{self.name}: field {field.name} {field.place} straddles a word")
            seen |= field.mask

    @property
    def word_bits(self) -> int:
        return next(8 * size for size in (8, 4, 1) if self.size_bytes % size == 0)

    @property
    def word_dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        return np.dtype(f"<u{self.word_bits // 8}")

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        return {field.name: field for field in self.fields}

    @cached_property
    def reserved_mask(self) -> int:
        """Bits that belong to no field."""
        used = 0
        for field in self.fields:
            used |= field.mask
        return ~used & ((1 << 8 * self.size_bytes) - 1)

    def field(self, name: str) -> Field:
        found = self.by_name.get(name)
        if found is None:
            raise ItsError("EINVAL", f"{self.name} has no field {name!r}; it has {', '.join(self.by_name)}")
        return found

    def encode(self, **values: int) -> int:
        """Field values -> one integer; fields not given are 0. ItsError(EINVAL) names the field and its limit."""
        raw = 0
        for name, value in values.items():
            raw |= self.field(name).encode(value)
        return raw

    def pack(self, **values: int) -> bytes:
        """Like `encode`, as `size_bytes` little-endian bytes."""
        return self.encode(**values).to_bytes(self.size_bytes, "little")

    def raw(self, value: int | bytes | bytearray | memoryview) -> int:
        """One entry as an integer; ItsError(EINVAL) if it has the wrong length."""
        if isinstance(value, int):
            if not 0 <= value < 1 << 8 * self.size_bytes:
                raise ItsError("EINVAL", f"{value:#x} is not one {self.name} of {self.size_bytes} bytes")
            return value
        if len(value) != self.size_bytes:
            raise ItsError("EINVAL", f"{len(value)} bytes are not one {self.name} of {self.size_bytes} bytes")
        return int.from_bytes(value, "little")

    def decode(self, value: int | bytes | bytearray | memoryview) -> dict[str, int]:
        """One entry -> field values (addresses already shifted); ItsError(EINVAL) for a wrong length."""
        raw = self.raw(value)
        return {field.name: field.decode(raw) for field in self.fields}

    def explain(self, value: int | bytes) -> tuple[str, ...]:
        """One sentence for each field, then one for reserved bits that are not zero."""
        raw = self.raw(value)
        lines = [field.explain(raw) for field in self.fields]
        if raw & self.reserved_mask:
            lines.append(f"reserved bits hold {raw & self.reserved_mask:#x}: no field of {self.name} is there")
        return tuple(lines)

    def encode_array(self, **columns: npt.ArrayLike) -> Words:
        """Columns of n values each (or scalars) -> n entries.

        Returns shape (n,) uint64 for 8-byte layouts, else (n, words) of `word_dtype`. ItsError(EINVAL) as in encode.
        """
        arrays = {name: self._column(self.field(name), column) for name, column in columns.items()}
        shape = np.broadcast_shapes(*(array.shape for array in arrays.values())) if arrays else ()
        words = np.zeros((8 * self.size_bytes // self.word_bits, *shape), self.word_dtype)
        for name, array in arrays.items():
            field = self.by_name[name]
            word, lo = divmod(field.lo, self.word_bits)
            shift = self.word_dtype.type(abs(lo - field.shift))
            words[word] |= array << shift if lo >= field.shift else array >> shift
        return words[0] if len(words) == 1 else np.ascontiguousarray(np.moveaxis(words, 0, -1))

    def _column(self, field: Field, column: npt.ArrayLike) -> Words:
        values = np.asarray(column)
        if values.dtype.kind not in "iub" or (values.dtype.kind == "i" and values.size and values.min() < 0):
            raise ItsError("EINVAL", f"{field.name}: a column must hold integers that are not negative")
        if values.size:
            largest = int(values.max())
            if largest >> field.shift > field.max_raw:
                raise ItsError("EINVAL", field.misfit(largest))
            if field.shift:
                wide = values.astype(np.uint64, copy=False)
                crooked = wide[(wide & np.uint64((1 << field.shift) - 1)) != 0]
                if crooked.size:
                    raise ItsError("EINVAL", field.misfit(int(crooked.flat[0])))
        return values.astype(self.word_dtype, copy=False)

    def decode_array(self, entries: Words | bytes) -> dict[str, Words]:
        """n entries (as `encode_array` returns them, or bytes) -> one array of n values for each field."""
        if isinstance(entries, (bytes, bytearray, memoryview)):
            if len(entries) % self.size_bytes:
                raise ItsError("EINVAL", f"{len(entries)} bytes are not whole {self.name}s of {self.size_bytes} bytes")
            entries = np.frombuffer(entries, self.word_dtype)
            if self.size_bytes * 8 > self.word_bits:
                entries = entries.reshape(-1, 8 * self.size_bytes // self.word_bits)
        columns: dict[str, Words] = {}
        for field in self.fields:
            word, lo = divmod(field.lo, self.word_bits)
            values = entries if self.size_bytes * 8 == self.word_bits else entries[..., word]
            if lo:
                values = values >> self.word_dtype.type(lo)
            if lo + field.width_bits < self.word_bits:
                values = values & self.word_dtype.type(field.max_raw)
            columns[field.name] = values << self.word_dtype.type(field.shift) if field.shift else values
        return columns
