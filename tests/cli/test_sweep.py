"""`livemig sweep`: ranges, the table, CSV, the map, bad input."""

import pandas as pd
import pytest

from livemig.cli.sweep import read_values
from livemig.units import UnitError
from tests.cli.test_commands import bad, invoke

RANGES = ("--rate", "5MiB/s..200MiB/s:8", "--bandwidth", "16MiB/s..256MiB/s:9")


def test_one_screen() -> None:
    done = invoke("sweep", *RANGES, "--ram", "64MiB", "--wset", "32MiB")
    assert done.exit_code == 0
    for text in ("72 scenarios, model closed_form", "--dirty-rate", "5 MiB/s to 200 MiB/s", "converge:", "downtime"):
        assert text in done.stdout


def test_rows_and_map(tmp_path) -> None:
    rows, picture = tmp_path / "rows.csv", tmp_path / "map.png"
    done = invoke("sweep", *RANGES, "-o", rows, "--figure", picture, "--model", "rounds", "--beside", "closed_form",
                  "--pattern", "uniform", "--recorded", "--value", "downtime_s")
    assert done.exit_code == 0, done.stderr
    assert len(pd.read_csv(rows)) == 72
    assert picture.read_bytes().startswith(b"\x89PNG")
    streamed = invoke("sweep", "--pattern", "idle,sequential", "-o", tmp_path / "two.csv")
    assert "2 scenarios" in streamed.stdout
    assert pd.read_csv(tmp_path / "two.csv")["pattern"].tolist() == ["idle", "sequential"]


def test_the_engine_on_two_processes() -> None:
    done = invoke("sweep", "--wset", "16MiB,640MiB", "--model", "qemu", "--processes", "2", "--ram", "64MiB")
    assert "1 converge" in done.stdout, done.output
    assert "1 are impossible; the first: working_set_bytes = 671088640: larger than" in done.stdout


def test_ranges() -> None:
    assert read_values("1..16:5", "").tolist() == pytest.approx([1, 2, 4, 8, 16])
    assert read_values("1..16:4lin", "").tolist() == [1, 6, 11, 16]
    assert read_values("0..1 s:3", "s").tolist() == [0, 0.5, 1]
    assert read_values("1KiB, 4KiB", "bytes").tolist() == [1024, 4096]
    assert read_values("1KiB", "bytes") is None
    for text in ("1..2", "5..1:3", "1..2:1", "1..x:3", "1,x"):
        with pytest.raises(UnitError):
            read_values(text, "")


@pytest.mark.parametrize(("arguments", "says"), [
    ((), "nothing varies; give an input a range or a list"),
    (("--rate", "1..2"), "--dirty-rate: '1..2' is no range; expected LOW..HIGH:COUNT"),
    (("--rate", "1,2", "--model", "x"), "--model x: expected one of closed_form, rounds, qemu"),
    (("--rate", "1,2", "--figure", "m.xyz"), "must end in one of"),
    (("--rate", "1,2", "--figure", "m.png"), "a map needs a sweep over two fields"),
    (("--rate", "1,2", "-o", "m.parquet"), "must end in .csv"),
    (("--bandwidth", "1,2"), "bandwidth_bytes_per_s = 1 bytes/s: below the smallest allowed value"),
    (("--pattern", "idle,wild"), "pattern = 'wild': expected one of"),
])
def test_bad_input(arguments, says, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    bad(invoke("sweep", *arguments), says)
