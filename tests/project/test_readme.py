"""What the README claims is what the commands print: its Python session, its table, the files it points to."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest
import typer.main
from PIL import Image
from typer.testing import CliRunner

import livemig
from livemig.cli.app import app
from tests.browser import record_stage


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


def test_the_python_session_gives_what_it_shows(readme):
    session = re.search(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert session is not None
    test = doctest.DocTestParser().get_doctest(session[1], {}, "README.md", "README.md", 0)
    assert doctest.DocTestRunner().run(test) == doctest.TestResults(failed=0, attempted=len(test.examples))


@pytest.fixture(scope="module")
def report(root: Path) -> dict:
    return livemig.validate(root / "data" / "recordings")


@pytest.fixture(scope="module")
def summary(report: dict) -> dict:
    return report["summary"]


def test_the_table_is_what_validate_prints(readme, report, summary):
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
    completed = [one for one in report["runs"] if one.get("total_time_error") is not None
                 and one["converged_recorded"] and one["converged_predicted"]]
    assert f"; {len(completed)} of these completed, and the table is of them" in told
    book, ours = (summary["textbook"][side] for side in ("textbook", "simulated"))
    assert (f"In the {summary['textbook']['compared']} plain runs that completed and converge by the textbook, the "
            f"textbook's total time is "
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


@pytest.mark.parametrize(("folder", "kernels"), [
    ("data/its", ("6.12", "6.1", "7.2")), ("data/its-qemu-tcg", ("6.12",))])
def test_the_table_cases_are_what_its_replay_prints(readme, root, folder, kernels):
    right, of = re.search(rf"{folder}`.*?: (\d+) of (\d+)(?: equal|\.)", " ".join(readme.split())).groups()
    for kernel in kernels:
        done = CliRunner().invoke(app, ["its", "replay", str(root / folder), "--kernel", kernel])
        assert done.exit_code == 0
        assert f"{right} of {of} cases equal" in done.output


def test_its_commands_and_their_options_exist(readme):
    """Each line of the README that calls livemig is read as the command line would read it; nothing is run."""
    lines = re.findall(r"^livemig (.+?)(?:\s+#.*)?$", readme, flags=re.MULTILINE)
    assert len(lines) > 10
    for line in lines:
        command, *words = shlex.split(line)
        group = typer.main.get_command(app)
        context = group.make_context("livemig", [command], resilient_parsing=True)
        read_to_the_end(group.get_command(context, command), command, words)


def read_to_the_end(command, name, words):
    with command.make_context(name, words) as context:
        for rest in context._protected_args[:1]:
            read_to_the_end(command.get_command(context, rest), rest, context.args)


def test_how_much_faster_the_stage_has_to_be_is_what_the_bench_asserts(readme, root):
    (times,) = re.findall(r"not at least (\d+) times as fast", readme)
    bench = (root / "tests/browser/test_stage_bench.py").read_text(encoding="utf-8")
    assert f"assert common.median_ms > {times} * stage.median_ms" in bench
    assert f"assert stage.drag_fps > {times} * common.drag_fps" in bench


@pytest.mark.parametrize("light", [True, False])
def test_the_picture_moves_and_shows_what_a_simulation_gives(readme, root, light):
    file = record_stage.FILES[light]
    assert f'"{file.relative_to(root).as_posix()}"' in readme
    assert file.stat().st_size < 1_500_000
    shown = livemig.simulate(record_stage.SCENARIO).outcome
    (words,) = re.findall(r'alt="(.*?)"', readme)
    assert f"{shown.total_time_s:.2f} seconds" in words
    assert f"{shown.downtime_s * 1000:.2f} ms" in words
    with Image.open(file) as picture:
        assert picture.info["comment"].decode() == livemig.stage(record_stage.SCENARIO).describe()
        assert picture.info["loop"] == 0
        assert picture.size == (record_stage.WIDTH, record_stage.HEIGHT)
        seen, stands_ms = set(), []
        for number in range(picture.n_frames):
            picture.seek(number)
            seen.add(picture.convert("RGB").tobytes())
            stands_ms.append(picture.info["duration"])
    assert len(seen) == len(stands_ms) > record_stage.PASS_FRAMES + 10
    assert stands_ms[-1] >= record_stage.END_MS > 4 * max(stands_ms[:-1])
    assert record_stage.TABLES_MS in stands_ms
