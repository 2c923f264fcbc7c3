"""`import livemig` is light: it loads numpy and nothing heavier, and costs hardly more than numpy alone."""

import statistics
import subprocess
import sys
import time

import pytest

HEAVY = ("pandas", "matplotlib", "ipywidgets", "anywidget", "scipy", "typer", "rich", "IPython", "qemu.qmp", "asyncio")
RUNS = 15
RATIO_LIMIT = 1.35


def test_importing_livemig_loads_nothing_heavy(root) -> None:
    code = f"import sys, livemig; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def import_seconds(module: str, cwd) -> float:
    """Return the wall time of one fresh interpreter that imports `module`, in seconds."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], cwd=cwd, check=True)
    return time.perf_counter() - started


@pytest.mark.bench
def test_import_time_stays_near_numpys(root) -> None:
    import_seconds("livemig", root)  # writes the byte code
    runs = [(import_seconds("livemig", root), import_seconds("numpy", root)) for _ in range(RUNS)]
    livemig_s, numpy_s = (min(column) for column in zip(*runs, strict=True))
    median = statistics.median(ours / theirs for ours, theirs in runs)
    print(
        f"\nimport livemig {livemig_s * 1e3:.0f} ms, import numpy {numpy_s * 1e3:.0f} ms (minima of {RUNS}): "
        f"ratio {livemig_s / numpy_s:.2f}, median of ratios {median:.2f}, limit {RATIO_LIMIT}"
    )
    assert livemig_s <= RATIO_LIMIT * numpy_s
