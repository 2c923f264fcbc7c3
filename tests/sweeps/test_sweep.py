"""sweep: the same bits whoever computes, nothing lost, and errors that name field, value and limit."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import psutil
import pytest

import livemig
from livemig.engine import simulate
from livemig.engine.closed_form import textbook_of
from livemig.scenario import MIB, Scenario, ScenarioError
from livemig.sweeps.sweep import SweepFailed, SweepInterrupted

RATES = np.geomspace(1.0 * MIB, 400.0 * MIB, 12)
GRID = {"dirty_rate_bytes_per_s": RATES, "bandwidth_bytes_per_s": np.geomspace(8.0 * MIB, 800.0 * MIB, 9)}
SMALL = Scenario(ram_bytes=64 * MIB, working_set_bytes=32 * MIB, other_ram_bytes=0, its_devices=0, give_up_s=5.0)
QEMU_GRID = {name: values[::3] for name, values in GRID.items()}


def test_a_row_is_what_textbook_of_says() -> None:
    told = livemig.sweep({**GRID, "pattern": ["sequential", "idle"]}, progress=False)
    assert told.shape == (12, 9, 2)
    for row in told.rows:
        one = textbook_of(Scenario(dirty_rate_bytes_per_s=float(row["dirty_rate_bytes_per_s"]), pattern=row["pattern"],
                                   bandwidth_bytes_per_s=float(row["bandwidth_bytes_per_s"])))
        assert (row["converges"], row["dirty_sync_count"]) == (one.converges, one.dirty_sync_count)
        for name in ("total_time_s", "downtime_s", "transferred_bytes"):
            assert row[name] == pytest.approx(getattr(one, name) if one.converges else math.nan, rel=1e-12, nan_ok=True)


def test_a_fixed_threshold_by_the_working_set() -> None:
    """A guest that is faster than the link converges where its set fits under the threshold, and nowhere else."""
    sizes = np.arange(1, 17) * 4 * MIB
    told = livemig.sweep({"working_set_bytes": sizes, "fixed_threshold_bytes": sizes}, progress=False,
                         base=Scenario(switchover_rule="fixed", dirty_rate_bytes_per_s=100.0 * MIB))
    assert (told["converges"] == (sizes[:, None] <= sizes)).all()
    one = textbook_of(Scenario(switchover_rule="fixed", dirty_rate_bytes_per_s=100.0 * MIB,
                               fixed_threshold_bytes=64 * MIB))
    assert (one.converges, one.dirty_bytes) == (True, 64 * MIB)


def test_a_row_of_qemu_is_what_simulate_says() -> None:
    told = livemig.sweep(QEMU_GRID, model="qemu", base=SMALL, progress=False)
    assert 0 < told["converges"].sum() < told.size
    for row in told.rows:
        outcome = simulate(replace(SMALL, **{name: float(row[name]) for name in QEMU_GRID})).outcome
        assert row["converges"] == (outcome.status == "completed")
        if row["converges"]:
            assert (row["total_time_s"], row["downtime_s"]) == (outcome.total_time_s, outcome.downtime_s)
            assert (row["transferred_bytes"], row["dirty_sync_count"]) == (
                outcome.transferred_bytes, outcome.dirty_sync_count)


@pytest.fixture(scope="module")
def executors():
    """Five of them, Dask's LocalCluster and ipyparallel's engines really started."""
    import warnings

    with warnings.catch_warnings(), ProcessPoolExecutor(2) as processes, ThreadPoolExecutor(2) as threads:
        warnings.simplefilter("ignore")  # their own deprecations
        list(processes.map(abs, range(2)))  # its processes before other people's threads
        import ipyparallel
        from distributed import Client, LocalCluster

        with (LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local, Client(local) as dask,
              ipyparallel.Cluster(n=2, log_level=40) as engines):
            assert len(dask.scheduler_info()["workers"]) == 2
            assert len(engines.ids) == 2
            yield {"none": None, "threads": threads, "processes": processes, "dask": dask.get_executor(),
                   "ipyparallel": engines.executor()}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_the_same_bits_over_five_executors_and_any_task_size(executors) -> None:
    rng = np.random.default_rng(7)
    size = 40_001
    rows = np.zeros(size, [("dirty_rate_bytes_per_s", "f8"), ("bandwidth_bytes_per_s", "f8"),
                           ("working_set_bytes", "i8"), ("downtime_limit_s", "f8"), ("pattern", "U10")])
    rows["bandwidth_bytes_per_s"] = rng.uniform(1e6, 1e9, size)
    rows["dirty_rate_bytes_per_s"] = rows["bandwidth_bytes_per_s"] * rng.uniform(0, 1.2, size)
    rows["working_set_bytes"] = rng.integers(1, 1 << 16, size) * 4096
    rows["downtime_limit_s"] = rng.uniform(0.001, 1, size)
    rows["pattern"] = rng.choice(["sequential", "uniform", "hot_cold", "idle"], size)
    for model, grid, base, steps in (("closed_form", rows, None, (None, 7_919)), ("rounds", rows, None, (None, 9_001)),
                                     ("qemu", QEMU_GRID, SMALL, (None, 5))):
        seen = {(name, step): livemig.sweep(grid, model=model, base=base, executor=executor, task=step, progress=False)
                for name, executor in executors.items() for step in steps}
        assert all(one.complete for one in seen.values())
        assert len({one.rows.tobytes() for one in seen.values()}) == 1, model
        assert 0 < seen["none", None]["converges"].sum() < seen["none", None].size


def test_a_product_has_its_last_field_change_fastest() -> None:
    told = livemig.sweep({"ram_bytes": [64 * MIB, 128 * MIB], "downtime_limit_s": [0.1, 0.2, 0.3]}, progress=False)
    assert told.rows["downtime_limit_s"].tolist() == [0.1, 0.2, 0.3] * 2
    assert told["ram_bytes"].tolist() == [[64 * MIB] * 3, [128 * MIB] * 3]
    frame = told.frame()
    assert list(frame.columns[:3]) == ["ram_bytes", "downtime_limit_s", "converges"]
    again = livemig.sweep(frame[["ram_bytes", "downtime_limit_s"]], progress=False)
    assert again.frame().equals(frame)


def test_sizes_become_whole_pages() -> None:
    told = livemig.sweep({"working_set_bytes": np.linspace(1e6, 5e6, 7)}, progress=False)
    assert (told.rows["working_set_bytes"] % 4096 == 0).all()


@pytest.mark.parametrize(("grid", "says"), [
    ({"dirty_rate": [1]}, r"field 'dirty_rate' is unknown; a grid can vary ram_bytes"),
    ({"plan": [()]}, r"field 'plan' is a list, set it in base"),
    ({}, "no field; name at least one"),
    ([1, 2], "expected a mapping of Scenario's fields to values, a structured array or a DataFrame, not list"),
    ({"dirty_rate_bytes_per_s": []}, "dirty_rate_bytes_per_s is empty"),
    ({"dirty_rate_bytes_per_s": [[1.0]]}, "has 2 dimensions"),
    ({"dirty_rate_bytes_per_s": [1.0, -2.0]}, r"dirty_rate_bytes_per_s = -2 bytes/s: below the smallest allowed value"),
    ({"bandwidth_bytes_per_s": [np.nan]}, "bandwidth_bytes_per_s = nan: expected a number of bytes/s"),
    ({"bandwidth_bytes_per_s": [1.0]}, "bandwidth_bytes_per_s = 1 bytes/s: below the smallest allowed value, 4096"),
    ({"bandwidth_bytes_per_s": ["fast"]}, "bandwidth_bytes_per_s = 'fast': expected a number"),
    ({"multifd_channels": [1.5]}, "multifd_channels = 1.5: expected a whole number"),
    ({"pattern": ["uniform", "wild"]}, "pattern = 'wild': expected one of idle"),
    ({"auto_converge": [1]}, "auto_converge = 1: expected True or False"),
    (pd.DataFrame({"ram_bytes": []}), "it has no rows|is empty"),
    ({"seed": np.arange(2**20), "dirty_rate_bytes_per_s": np.arange(2.0**20)}, r"more than half of this machine's"),
])
def test_bad_grids(grid, says) -> None:
    with pytest.raises(ScenarioError, match=says) as error:
        livemig.sweep(grid, progress=False)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("how", "says"), [
    ({"model": "magic"}, "model = 'magic': expected one of closed_form, rounds, qemu"),
    ({"task": 0}, "task = 0: expected at least 1"), ({"executor": 0}, "executor = 0: expected at least 1"),
    ({"out": "rows.parquet"}, r"rows.parquet: its name must end in .csv"),
    ({"out": "/nowhere/rows.csv"}, "there is no folder /nowhere"),
    ({"base": Scenario(pattern="zipf"), "model": "rounds"}, "no curve for pattern 'zipf'"),
])
def test_bad_arguments(how, says) -> None:
    with pytest.raises(ScenarioError, match=says):
        livemig.sweep(GRID, progress=False, **how)


def test_an_impossible_scenario_has_its_reason_in_its_row() -> None:
    told = livemig.sweep({"working_set_bytes": [32 * MIB, 640 * MIB]}, model="qemu", base=SMALL, progress=False)
    assert told["converges"].tolist() == [True, False]
    assert "working_set_bytes = 671088640: larger than" in told.rows["error"][1]
    assert not told.rows["error"][0]
    assert np.isnan(told["total_time_s"][1])


def test_an_interruption_keeps_what_is_done(tmp_path) -> None:
    whole = livemig.sweep(GRID, progress=False)

    def stop(done: int, of: int) -> None:
        assert of == 108
        if done >= 30:
            raise KeyboardInterrupt

    for executor in (None, 2):
        with pytest.raises(SweepInterrupted, match=r"interrupted: \d+ of 108 scenarios are done") as caught:
            livemig.sweep(GRID, progress=stop, task=10, executor=executor)
        done = caught.value.sweep
        assert done.done == 30 if executor is None else 30 <= done.done <= 108  # other tasks may be ready, too
        assert len(done) == done.done
        assert done.rows.tobytes() == whole.rows[:done.done].tobytes()
    with pytest.raises(SweepInterrupted):
        livemig.sweep(GRID, progress=stop, task=10, out=tmp_path / "rows.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "rows.csv"), whole.frame()[:30], check_exact=True,
                                  check_dtype=False)


def test_a_worker_that_dies_loses_no_finished_row() -> None:
    class Dies(ThreadPoolExecutor):
        def submit(self, fn, /, *args):
            future: Future = Future()
            if args[3] >= 40:
                future.set_exception(RuntimeError("the worker\nis gone"))
            else:
                future.set_result(fn(*args))
            return future

    with pytest.raises(SweepFailed, match="after 40 of 108 scenarios: RuntimeError: the worker is gone") as caught:
        livemig.sweep(GRID, progress=False, task=10, executor=Dies(1))
    assert caught.value.sweep.done == 40


def test_csv_has_every_bit(tmp_path) -> None:
    told = livemig.sweep(GRID, out=tmp_path / "rows.csv", task=17, progress=False)
    assert (len(told), told.done, told.complete) == (0, 108, True)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "rows.csv"), livemig.sweep(GRID, progress=False).frame(),
                                  check_exact=True, check_dtype=False)


def test_a_grid_larger_than_memory_goes_through_in_blocks(tmp_path) -> None:
    """10^12 rows are no array anywhere; the sweep writes from the first task on, until it is stopped."""
    grid = {"dirty_rate_bytes_per_s": np.linspace(1e6, 1e8, 10**6), "seed": np.arange(10**6)}

    def stop(done: int, of: int) -> None:
        assert of == 10**12
        raise KeyboardInterrupt

    with pytest.raises(SweepInterrupted):
        livemig.sweep(grid, out=tmp_path / "rows.csv", task=1000, progress=stop)
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 1001


def test_progress_is_told() -> None:
    seen: list[tuple[int, int]] = []
    livemig.sweep(GRID, progress=lambda done, of: seen.append((done, of)), task=50)
    assert seen == [(50, 108), (100, 108), (108, 108)]


def test_the_line_on_a_terminal_changes_and_goes(capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("livemig.sweeps.sweep._EVERY_S", 0.0)
    livemig.sweep(GRID, task=50)
    shown = capsys.readouterr().err
    assert "50 of 108 scenarios, about " in shown
    assert shown.endswith("\r\x1b[K")


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process there")
def test_ctrl_c_ends_the_workers_and_keeps_whole_rows(tmp_path) -> None:
    rows = tmp_path / "rows.csv"
    code = ("import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "from livemig.cli import main\nmain()")
    with subprocess.Popen([sys.executable, "-c", code, "sweep", "--model", "qemu", "--processes", "2", "-o", str(rows),
                           "--rate", "1MiB/s..100MiB/s:90", "--bandwidth", "16MiB/s..400MiB/s:90"],
                          stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and (not rows.exists() or rows.stat().st_size < 1000):
            time.sleep(0.02)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert not psutil.wait_procs(children, timeout=10)[1]
    found = pd.read_csv(rows)
    assert f"interrupted: {len(found)} of 8100 scenarios are done; they are in {rows}" in said
    assert 0 < len(found) < 8100


def test_importing_sweep_loads_no_pandas() -> None:
    code = "import sys, livemig; livemig.sweep({'seed': [1]}); sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
