"""What the README claims is what the commands print: its Python session, its table, the files it points to."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import livemig


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


def test_the_python_session_gives_what_it_shows(readme):
    session = re.search(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert session is not None
    test = doctest.DocTestParser().get_doctest(session[1], {}, "README.md", "README.md", 0)
    assert doctest.DocTestRunner().run(test) == doctest.TestResults(failed=0, attempted=len(test.examples))


@pytest.fixture(scope="module")
def summary(root: Path) -> dict:
    return livemig.validate(root / "data" / "recordings")["summary"]


def test_the_table_is_what_validate_prints(readme, summary):
    table = re.search(r"<!-- validate: begin -->(.*?)<!-- validate: end -->", readme, flags=re.DOTALL)
    assert table is not None
    cells = re.findall(r"^\| [a-z].*?\| ([\d.]+) % \| ([\d.]+) % \|$", table[1], flags=re.MULTILINE)
    for (median, p90), name in zip(cells, ("total_time", "passes", "transferred", "downtime"), strict=True):
        digits = len(median.split(".")[1])
        assert [f"{100 * summary[name][key]:.{digits}f}" for key in ("median", "p90")] == [median, p90], name
    told = " ".join(table[1].split())
    for key, words in (("status", "Status, and who runs the guest"), ("order", "the order of the switchover")):
        assert f"{words}: right in {summary[key + '_right'][0]} of {summary[key + '_right'][1]}" in told
    assert f"Of {summary['of']} recordings {summary['modelled']} are modelled" in told
    assert f"times are compared in {summary['times_compared']}" in told
    book, ours = (summary["textbook"][side] for side in ("textbook", "simulated"))
    assert (f"In the {summary['textbook']['runs']} plain runs the textbook's total time is "
            f"{100 * book['total_time']['median']:.1f} % off (median; 90th percentile "
            f"{100 * book['total_time']['p90']:.0f} %), livemig's {100 * ours['total_time']['median']:.1f} % "
            f"({100 * ours['total_time']['p90']:.1f} %)") in told


def test_the_projects_limits_hold(summary):
    """Every end right; the throttle's steps within one; errors within the limits that the project set itself."""
    assert summary["of"] - summary["modelled"] <= 3  # postcopy, XBZRLE, no migration
    for key in ("converges", "status", "order", "throttle"):
        right, of = summary[f"{key}_right"]
        assert right == of > 0, key
    limits = {"total_time": (0.003, 0.02), "passes": (0.0, 0.05), "transferred": (0.001, 0.015)}
    for name, (median, p90) in limits.items():
        assert summary[name]["median"] <= median, name
        assert summary[name]["p90"] <= p90, name
    assert summary["downtime"]["median"] <= 0.20
    assert summary["downtime"]["n"] >= 10
