"""The command line as a process: signals, pipes, encodings, what it loads and how long it takes to start."""

import ast
import os
import signal
import statistics
import subprocess
import sys
import time

import pytest

MAIN = "from livemig.cli import main; main()"
# A simulation that takes for ever; it says on stderr when it has begun.
STUCK = """
import sys, time
import livemig.engine
def simulate(scenario):
    print("begun", file=sys.stderr, flush=True)
    time.sleep(60)
livemig.engine.simulate = simulate
"""
HEAVY = ("pandas", "matplotlib", "scipy", "ipywidgets", "anywidget", "IPython", "jupyterlab", "traitlets", "asyncio")
STARTS = 5


def command(*arguments: str, before: str = "", **more) -> subprocess.CompletedProcess:
    code = before + MAIN
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, **more)


def _hear_interrupts() -> None:
    """A test run in the background of a shell ignores SIGINT, and its children would too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_is_quiet_and_keeps_what_was_there(tmp_path) -> None:
    kept = tmp_path / "trace.json"
    kept.write_text("yesterday's")
    process = subprocess.Popen([sys.executable, "-c", STUCK + MAIN, "run", "-o", str(kept)], stderr=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, preexec_fn=_hear_interrupts)
    assert process.stderr.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "livemig: interrupted\n")
    assert kept.read_text() == "yesterday's"


@pytest.mark.skipif(os.name != "posix", reason="pipes of a POSIX shell")
@pytest.mark.parametrize("arguments", [["run", "--json"], ["run"]])
def test_a_reader_that_goes_away_gets_no_complaint(arguments) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run([sys.executable, "-c", MAIN, *arguments], stdout=write_end, stderr=subprocess.PIPE,
                              text=True, timeout=120)
    finally:
        os.close(write_end)
    assert done.stderr == ""
    assert done.returncode == 141


def test_bad_input_has_no_traceback() -> None:
    done = command("run", "--ram", "much")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("livemig: --ram: 'much' is not a size, such as 64KiB, 256MiB, 1.5 GiB, 64 kB or 4096 "
                           "(bytes)\n")


def test_a_terminal_without_unicode_gets_a_table_too() -> None:
    done = command("run", env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "Status completed" in done.stdout


def test_a_full_disk_is_one_message() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("/dev/full is missing: no device that is always full")
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", MAIN, "run", "--json"], stdout=full, stderr=subprocess.PIPE,
                              text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == "livemig: No space left on device\n"


def test_a_wide_terminal_is_used_and_a_narrow_one_obeyed() -> None:
    for columns in (60, 80, 120):
        done = command("run", env={**os.environ, "COLUMNS": str(columns)})
        assert max(map(len, done.stdout.splitlines())) <= max(columns, 72)


@pytest.mark.parametrize("arguments", [["run", "--csv"], ["its", "--help"]])
def test_a_command_loads_nothing_that_it_does_not_need(arguments) -> None:
    after = "import atexit, sys\natexit.register(lambda: print(sorted({m.partition('.')[0] for m in sys.modules}), " \
            "file=sys.stderr))\n"
    done = command(*arguments, before=after)
    loaded = set(ast.literal_eval(done.stderr))
    assert loaded & set(HEAVY) == set()
    assert ("numpy" in loaded) == (arguments[0] == "run")


@pytest.mark.bench
def test_start_up_time() -> None:
    """`livemig run` takes at most 2.5 times what its libraries (numpy, typer with pydantic, rich) take alone."""
    def seconds(code: str, *arguments: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=True)
        return time.perf_counter() - started

    base = ("import numpy, typer, rich.table, pydantic\napp = typer.Typer()\n"
            "@app.command()\ndef f(a: int = 1): pass\napp()")
    pairs = [(seconds(MAIN, "run"), seconds(base)) for _ in range(STARTS + 1)][1:]
    ours, theirs = (min(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"\nlivemig run {ours * 1e3:.0f} ms, numpy and typer alone {theirs * 1e3:.0f} ms (minima of {STARTS}), "
          f"median of ratios {ratio:.2f}, limit 2.5")
    assert ratio <= 2.5
