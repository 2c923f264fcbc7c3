"""The figure of a validation draws each run that was compared, and nothing else."""

from __future__ import annotations

import pytest

from livemig.draw.validation import FigureError, check_figure_file, save_figure, validation


def run(name: str, recorded_s: float, error: float | None, book: float | None = None) -> dict:
    told = None if book is None else {"total_time_error": book, "total_time_predicted_s": recorded_s * (1 + book)}
    predicted_s = None if error is None else recorded_s * (1 + error)
    return {"id": name, "group": name[0], "total_time_recorded_s": recorded_s, "total_time_error": error,
            "total_time_predicted_s": predicted_s, "textbook": told}


REPORT = {"runs": [run("a1", 2.0, 0.001, 0.05), run("a2", 4.0, -0.02, 0.2), run("b1", 9.0, 0.0), run("s1", 1.0, None)]}


def points(view, marker: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for line in view.get_lines() if line.get_marker() == marker
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def test_a_point_a_run_at_its_times():
    times, errors = validation(REPORT)
    assert points(times, "o") == [(2.0, pytest.approx(2.002)), (4.0, pytest.approx(3.92)), (9.0, 9.0)]
    assert points(times, "x") == [(2.0, pytest.approx(2.1)), (4.0, pytest.approx(4.8))]
    assert [label.get_text() for label in errors.get_xticklabels()] == ["a", "b"]
    assert sorted(y for _, y in points(errors, "o")) == [1e-5, pytest.approx(0.001), pytest.approx(0.02)]
    assert sorted(y for _, y in points(errors, "x")) == [pytest.approx(0.05), pytest.approx(0.2)]


def test_files(tmp_path):
    for ending in (".png", ".svg", ".pdf"):
        save_figure(REPORT, tmp_path / f"figure{ending}")
        assert (tmp_path / f"figure{ending}").stat().st_size > 5000
    with pytest.raises(FigureError, match="must end in one of"):
        check_figure_file(tmp_path / "figure.txt")
    with pytest.raises(FigureError, match="no folder"):
        save_figure(REPORT, tmp_path / "none" / "figure.png")


def test_nothing_to_draw():
    with pytest.raises(FigureError, match="nothing to draw"):
        validation({"runs": [run("s1", 1.0, None)]})
