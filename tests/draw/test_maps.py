"""Maps: they draw what was swept; the boundary lies where the formula has it; recorded runs lie on their side."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import livemig
from livemig.draw.maps import convergence_map, ratios_of
from livemig.draw.palette import LIGHT
from livemig.draw.validation import FigureError
from livemig.lab.validate import recorded_runs
from livemig.scenario import MIB, Scenario

BASE = Scenario(bandwidth_bytes_per_s=32.0 * MIB, its_devices=0, accelerator="tcg")
FIELDS = ("working_set_bytes", "dirty_rate_bytes_per_s")
GRID = {FIELDS[0]: np.geomspace(1 * MIB, 250 * MIB, 41), FIELDS[1]: np.geomspace(0.1, 10, 41) * 32 * MIB}
# The leftover of a pass and what is newly dirty overlap as the writer happened to stand; the textbook has no leftover.
TEXTBOOK_IS_WRONG = {"n11"}


@pytest.fixture(scope="module")
def swept():
    return livemig.sweep(GRID, base=BASE, progress=False)


@pytest.fixture(scope="module")
def runs():
    return recorded_runs(livemig.data_dir() / "recordings")


def boundary(view) -> np.ndarray:
    line = next(line for line in view.get_lines() if to_hex(line.get_color()) == LIGHT.dirty and len(line.get_xdata()))
    return np.array([(x, y) for x, y in line.get_xydata() if x == x])


def test_the_boundary_is_the_textbooks_corner(swept) -> None:
    """It converges iff rate < bandwidth or the set fits under the threshold; to within a cell of the grid."""
    points = boundary(convergence_map(swept, "outcome", ratios=True))
    cell = GRID[FIELDS[1]][1] / GRID[FIELDS[1]][0]
    upright, level = points[points[:, 1] > 1.4], points[points[:, 0] > 1.4]
    assert len(upright) > 10
    assert len(level) > 10
    assert (np.abs(np.log(upright[:, 0])) < np.log(cell)).all()
    assert (np.abs(np.log(level[:, 1])) < np.log(GRID[FIELDS[0]][1] / GRID[FIELDS[0]][0])).all()


def test_every_recorded_run_is_on_the_right_side_or_listed(runs) -> None:
    """A map for each run: its own inputs, so the boundary is exactly where it is for that run."""
    assert len(runs) == 55
    assert {run["converged"] for run in runs} == {True, False}
    wrong = {"closed_form": set(), "qemu": set()}
    for run in runs:
        values = {name: value for name, value in run.items() if name not in ("id", "converged")}
        base = Scenario.from_dict(values)
        for model, found in wrong.items():
            answer = livemig.sweep({"downtime_limit_s": [base.downtime_limit_s]}, base=base, model=model,
                                   progress=False)
            if bool(answer["converges"][0]) != run["converged"]:
                found.add(run["id"])
        rate, size = ratios_of(values)
        if run["id"] not in TEXTBOOK_IS_WRONG:  # the corner that the map draws
            assert (rate < 1 or size <= 1) == run["converged"], run["id"]
    assert wrong == {"closed_form": TEXTBOOK_IS_WRONG, "qemu": set()}


def test_dots_and_the_other_boundary(swept, runs) -> None:
    coarse = livemig.sweep({name: values[::8] for name, values in GRID.items()}, base=BASE, model="qemu",
                           progress=False)
    view = convergence_map(swept, "total_time_s", beside=coarse, runs=runs, ratios=True)
    labels = [text.get_text() for text in view.get_legend().get_texts()]
    assert [label for label in labels if "only" not in label] == [
        "boundary, textbook", "boundary, QEMU's rules", "recorded, converged (48)", "recorded, did not converge (7)"]
    dots = {line.get_marker(): line for line in view.get_lines() if line.get_marker() in "oX" and line.get_marker()}
    assert [len(dots[marker].get_xdata()) for marker in "oX"] == [48, 7]
    converged = next(run for run in runs if run["converged"])
    assert ratios_of(converged) in [tuple(point) for point in dots["o"].get_xydata()]


def test_where_only_one_of_two_sweeps_converges_a_hatch_says_which(swept) -> None:
    """Another limit moves the boundary up; a coarser grid is looked up cell by cell."""
    longer = livemig.sweep(GRID, base=dataclasses.replace(BASE, downtime_limit_s=1.0), progress=False)
    for one, other, hatched in ((swept, longer, 0), (longer, swept, 1)):
        view = convergence_map(one, "outcome", beside=other, ratios=False)
        differ = (one.rows["converges"] != other.rows["converges"]).sum()
        assert differ > 50
        (cells,) = [found for found in view.collections if isinstance(found, PolyCollection)]
        assert len(cells.get_paths()) == differ
        assert to_hex(cells.get_edgecolor()[0]) == (LIGHT.ink, LIGHT.dirty)[hatched]
        assert "converges by textbook only" in [text.get_text() for text in view.get_legend().get_texts()]
    same = convergence_map(swept, beside=swept)
    assert not [found for found in same.collections if isinstance(found, PolyCollection)]


def test_only_runs_with_such_inputs_are_on_a_map_of_inputs(runs) -> None:
    grid = {"dirty_rate_bytes_per_s": np.geomspace(1, 200, 9) * MIB,
            "bandwidth_bytes_per_s": np.linspace(8, 99, 9) * MIB}
    view = convergence_map(livemig.sweep(grid, base=BASE, progress=False), "downtime_s", runs=runs)
    shown = [text.get_text() for text in view.get_legend().get_texts() if "recorded" in text.get_text()]
    like = [run for run in runs if abs(run["ram_bytes"] / BASE.ram_bytes - 1) <= 0.05
            and abs(run["working_set_bytes"] / BASE.working_set_bytes - 1) <= 0.05 and run["downtime_limit_s"] == 0.3]
    assert 0 < len(like) < len(runs)
    assert sum(int(text.split("(")[1][:-1]) for text in shown) == len(like)
    assert view.get_xscale() == "log"
    assert view.get_xlabel() == "bandwidth"


@pytest.mark.parametrize("value", ["outcome", "total_time_s", "downtime_s", "transferred_bytes"])
def test_every_value_is_drawn_into_axes_that_are_given(swept, value, tmp_path) -> None:
    figure = Figure()
    view = convergence_map(swept, value, ax=figure.subplots())
    assert view.get_figure() is figure
    figure.savefig(tmp_path / "map.svg")
    assert (len(figure.axes) == 1) == (value == "outcome")
    shades = view.collections[1].get_array()
    assert int((~np.ma.getmaskarray(np.ma.masked_invalid(shades))).sum()) == int(swept["converges"].sum())


@pytest.mark.parametrize(("grid", "how", "says"), [
    ({"seed": [1, 2]}, {}, r"over two fields with two values at least; this one is over seed \(2\)"),
    ({"seed": [1, 2], "ram_bytes": [1 << 20]}, {}, "two values at least"),
    ({"seed": [2, 1], "ram_bytes": [1 << 20, 1 << 21]}, {}, "seed: the values of a map's axis must rise"),
    ({"pattern": ["idle", "uniform"], "seed": [1, 2]}, {}, "a map has numbers on both axes"),
    ({"seed": [1, 2], "downtime_limit_s": [0.1, 0.2]}, {"ratios": True}, "ratios: the sweep must be over"),
    (GRID, {"value": "time"}, "value = 'time': expected one of outcome"),
])
def test_what_cannot_be_drawn(grid, how, says) -> None:
    with pytest.raises(FigureError, match=says):
        convergence_map(livemig.sweep(grid, progress=False), **how)


def test_maps_of_other_fields_do_not_lie_beside_each_other(swept) -> None:
    other = livemig.sweep({"seed": [1, 2], "downtime_limit_s": [0.1, 0.2]}, progress=False)
    with pytest.raises(FigureError, match="beside: it is over seed and downtime_limit_s"):
        convergence_map(swept, beside=other)
