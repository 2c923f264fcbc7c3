"""Grid: many scenarios as the values of some of their fields; each worker makes its own piece of it.

Theory of operation. A grid is either a product (each named field has a list of values, the last field changes fastest)
or rows (a structured array or a pandas DataFrame, one scenario a row). What is not named comes from a base scenario. A
product of a million million rows is never in memory: `rows(start, stop)` computes a piece. Names, units and limits are
those of `Scenario`; a value outside them is refused before anything is computed, and sizes become whole pages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livemig.scenario import Scenario, ScenarioError, check_value

__all__ = ["Grid", "make_grid"]

Columns = dict[str, NDArray[Any]]

_FIELDS = {item.name: item for item in fields(Scenario)}
_LISTS = ("plan", "phases", "costs")  # no column of numbers; they come from the base
_PAGED = ("ram_bytes", "other_ram_bytes", "working_set_bytes", "working_set_offset_bytes", "filled_offset_bytes")


class Grid:
    """Columns of a product or of rows, checked. `shape` is that of the product; rows have one dimension."""

    def __init__(self, columns: Columns, product: bool) -> None:
        self.columns = columns
        self.product = product
        lengths = tuple(len(column) for column in columns.values())
        self.shape = lengths if product else lengths[:1]
        self.size = math.prod(self.shape)

    def piece(self, start: int, stop: int) -> tuple[Grid, int, int]:
        """What a worker needs for rows start .. stop-1: a grid that holds no more, and where they lie in it."""
        if self.product:
            return self, start, stop
        return Grid({name: column[start:stop] for name, column in self.columns.items()}, False), 0, stop - start

    def rows(self, start: int, stop: int) -> Columns:
        """The columns of rows start .. stop-1."""
        if not self.product:
            return {name: column[start:stop] for name, column in self.columns.items()}
        places = np.unravel_index(np.arange(start, stop), self.shape)
        return {name: column[place] for (name, column), place in zip(self.columns.items(), places, strict=True)}


def make_grid(given: Mapping[str, Any] | Any, base: Scenario) -> Grid:
    """A grid of a mapping (a product), a structured array or a DataFrame (rows).

    Raises `ScenarioError`: an unknown field, no value, a value outside the limits of `Scenario`.
    """
    if isinstance(given, Grid):
        return given
    if isinstance(given, Mapping):
        columns, product = dict(given), True
    elif getattr(given, "dtype", None) is not None and getattr(given.dtype, "names", None):
        columns, product = {name: given[name] for name in given.dtype.names}, False
    elif hasattr(given, "columns") and hasattr(given, "to_numpy"):
        columns, product = {str(name): given[name].to_numpy() for name in given.columns}, False
    else:
        raise ScenarioError(f"grid: expected a mapping of Scenario's fields to values, a structured array or a "
                            f"DataFrame, not {type(given).__name__}")
    if not columns:
        raise ScenarioError("grid: no field; name at least one, such as {'dirty_rate_bytes_per_s': [1e6, 1e7]}")
    made = {name: _column(name, values, base.page_bytes) for name, values in columns.items()}
    if not product and not len(next(iter(made.values()))):
        raise ScenarioError("grid: it has no rows")
    return Grid(made, product)


def _column(name: str, values: Any, page_bytes: int) -> NDArray[Any]:
    item = _FIELDS.get(name)
    if item is None or name in _LISTS:
        why = "a list, set it in base" if name in _LISTS else "unknown"
        known = ", ".join(field for field in _FIELDS if field not in _LISTS)
        raise ScenarioError(f"grid: field {name!r} is {why}; a grid can vary {known}")
    try:
        column = np.atleast_1d(np.asarray(values))
    except ValueError as error:
        raise ScenarioError(f"grid: {name}: {error}") from None
    if column.ndim != 1:
        raise ScenarioError(f"grid: {name} has {column.ndim} dimensions; expected a list of values")
    if not len(column):
        raise ScenarioError(f"grid: {name} is empty; expected at least one value")
    if "choices" in item.metadata or "flag" in item.metadata or column.dtype.kind not in "iuf":
        for value in dict.fromkeys(column.tolist()):
            _checked(name, value)
        return column
    wrong = ~((column >= item.metadata["min"]) & (column <= item.metadata["max"]))
    if wrong.any():
        _checked(name, column[np.flatnonzero(wrong)[0]].item())
    if name in _PAGED:
        return (np.rint(column / page_bytes).astype(np.int64)) * page_bytes
    if str(item.type).startswith("int"):
        whole = column.astype(np.int64)
        if (whole != column).any():
            _checked(name, column[np.flatnonzero(whole != column)[0]].item())
        return whole
    return column.astype(np.float64)


def _checked(name: str, value: Any) -> None:
    try:
        check_value(name, value)
    except ScenarioError as error:
        raise ScenarioError(f"grid: {error}") from None
