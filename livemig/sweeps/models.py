"""The three models of a sweep: columns of scenarios in, rows of results out. Importable by every worker.

"closed_form" is `closed_form.textbooks`. "rounds" counts the textbook's rounds with what it leaves out and a round can
have: the curve of the scenario's pattern, auto-converge, and a rest that is sent without max-bandwidth. "qemu" is the
engine, one run a scenario. Each row depends on its own scenario only, and every sum is made element by element, so
that the answer does not depend on how a grid is cut into tasks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livemig.engine.closed_form import textbooks
from livemig.engine.coarse import simulate_coarse
from livemig.engine.rounds import Counted, Curve, HotCold, Linear, Throttling, Uniform, count_rounds, empty_counted
from livemig.engine.sampling import no_collector
from livemig.scenario import Scenario, ScenarioError
from livemig.sweeps.grid import Columns, Grid

__all__ = ["MODELS", "RESULTS", "check_model", "row_type", "run_task"]

RESULTS = np.dtype([
    ("converges", "?"),
    ("dirty_sync_count", "<i4"),  # as QEMU counts: 0 where it is not known
    ("total_time_s", "<f8"),  # this and the next three: nan where it does not converge
    ("downtime_s", "<f8"),
    ("transferred_bytes", "<f8"),
])
_ERROR = 200  # characters of a scenario's error that a row keeps


def row_type(grid: Grid, model: str) -> np.dtype[Any]:
    """A row: the grid's own fields, then the results; the engine's rows also have the error of their scenario."""
    mine = [(name, column.dtype) for name, column in grid.columns.items()]
    more = [("error", f"<U{_ERROR}")] if model == "qemu" else []
    return np.dtype([*mine, *RESULTS.descr, *more])


def check_model(model: str, base: Scenario, grid: Grid) -> None:
    """Raise `ScenarioError` for what the model cannot answer."""
    if model not in MODELS:
        raise ScenarioError(f"model = {model!r}: expected one of {', '.join(MODELS)}")
    patterns = set(grid.columns.get("pattern", np.array([base.pattern])).tolist())
    if model == "rounds" and (wrong := sorted(patterns - set(_CURVES))):
        raise ScenarioError(f"model = 'rounds': no curve for pattern {wrong[0]!r}; it has {', '.join(_CURVES)}")
    if model == "closed_form" and "phases" in patterns:
        raise ScenarioError("model = 'closed_form': pattern 'phases' has no one rate; model = 'qemu' runs it")


def run_task(model: str, base: Scenario, grid: Grid, start: int, stop: int) -> NDArray[Any]:
    """Rows start .. stop-1 of a grid, computed."""
    columns = grid.rows(start, stop)
    out = np.zeros(stop - start, row_type(grid, model))
    for name, column in columns.items():
        out[name] = column
    MODELS[model](base, columns, out)
    return out


def _value(base: Scenario, columns: Columns, name: str, size: int) -> NDArray[Any]:
    """A field as a column, whether the grid varies it or not."""
    if name in columns:
        return columns[name]
    value = getattr(base, name)
    return np.full(size, np.inf if value is None else value)


def _numbers(base: Scenario, columns: Columns, size: int) -> tuple[NDArray[Any], ...]:
    """RAM, rate, working set, speed, downtime limit; and the speed without max-bandwidth. As `textbook_of` has them."""
    ram, rate, most, speed, link, limit_s = (_value(base, columns, name, size) for name in (
        "ram_bytes", "dirty_rate_bytes_per_s", "working_set_bytes", "bandwidth_bytes_per_s", "link_bytes_per_s",
        "downtime_limit_s"))
    rate = np.where(_value(base, columns, "pattern", size) == "idle", 0.0, rate)
    both = np.minimum(speed, link)
    memory = base.costs.memory_bytes_per_s
    both = np.where(np.isinf(both), memory, both)
    fixed = _value(base, columns, "switchover_rule", size) == "fixed"
    limit_s = np.where(fixed, _value(base, columns, "fixed_threshold_bytes", size) / both, limit_s)
    return ram, rate, np.minimum(most, ram), both, limit_s, np.minimum(link, memory)


def _put(counted: Counted, out: NDArray[Any]) -> None:
    good = counted.converges
    out["converges"] = good
    out["dirty_sync_count"] = counted.rounds + 2
    for name in ("total_time_s", "downtime_s", "transferred_bytes"):
        out[name] = np.where(good, getattr(counted, name), np.nan)


def _closed_form(base: Scenario, columns: Columns, out: NDArray[Any]) -> None:
    _put(textbooks(*_numbers(base, columns, len(out))[:5]), out)


_CURVES = ("idle", "sequential", "uniform", "hot_cold", "lab_random")


def _curve(pattern: str, base: Scenario, columns: Columns, rate: NDArray[Any], most: NDArray[Any]) -> Curve:
    if pattern in ("uniform", "lab_random"):
        return Uniform(rate, most)
    if pattern == "hot_cold":
        fraction, share = (_value(base, columns, name, len(rate)) for name in ("hot_fraction", "hot_share"))
        return HotCold(rate, most, fraction, share)
    return Linear(rate, most)


def _rounds(base: Scenario, columns: Columns, out: NDArray[Any]) -> None:
    patterns = _value(base, columns, "pattern", len(out))
    counted = empty_counted(len(out))
    for pattern in np.unique(patterns).tolist():
        at = np.flatnonzero(patterns == pattern)
        mine = {name: column[at] for name, column in columns.items()}
        ram, rate, most, speed, limit_s, stop = _numbers(base, mine, len(at))
        pct = [_value(base, mine, f"throttle_{name}_pct", len(at)).astype(np.float64)
               for name in ("initial", "increment", "max", "trigger")]
        pct[3] = np.where(_value(base, mine, "auto_converge", len(at)), pct[3], np.inf)
        found = count_rounds(ram, _curve(pattern, base, mine, rate, most), speed, limit_s,
                             stop_bandwidth_bytes_per_s=stop,
                             throttling=Throttling(*pct) if np.isfinite(pct[3]).any() else None)
        for name in Counted._fields:
            getattr(counted, name)[at] = getattr(found, name)
    _put(counted, out)


def _qemu(base: Scenario, columns: Columns, out: NDArray[Any]) -> None:
    for place in range(len(out)):
        row = out[place]
        row["total_time_s"] = row["downtime_s"] = row["transferred_bytes"] = np.nan
        try:
            scenario = replace(base, **{name: column[place].item() for name, column in columns.items()})
        except ScenarioError as error:
            row["error"] = str(error)[:_ERROR]
            continue
        with no_collector():
            outcome = simulate_coarse(scenario).outcome
        row["dirty_sync_count"] = outcome.dirty_sync_count or 0
        row["converges"] = outcome.status == "completed"
        if row["converges"]:
            row["total_time_s"], row["downtime_s"] = outcome.total_time_s, outcome.downtime_s
            row["transferred_bytes"] = outcome.transferred_bytes


MODELS = {"closed_form": _closed_form, "rounds": _rounds, "qemu": _qemu}
