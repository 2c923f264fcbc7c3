"""A site takes its place when it is whole: not after an error, not after Ctrl-C, and never in place of other files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from livemig.cli.app import app
from livemig.publish.folder import replaced
from livemig.publish.notebooks import PublishError
from livemig.publish.site import build_site
from tests.publish.made import write

MARK = "LIVEMIG_TEST_SITE"


def test_a_new_folder_replaces_a_former_one(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "site"
    for name in ("old", "new"):
        with replaced(out) as made:
            (made / name).write_text(name)
    assert [file.name for file in out.iterdir() if not file.name.startswith(".")] == ["new"]
    assert list(out.parent.iterdir()) == [out]


def test_an_error_leaves_the_former_one(tmp_path: Path) -> None:
    out = tmp_path / "site"
    with replaced(out) as made:
        (made / "old").touch()
    with pytest.raises(ZeroDivisionError), replaced(out) as made:
        (made / "new").write_text(str(1 / 0))
    assert (out / "old").is_file()
    assert list(tmp_path.iterdir()) == [out]


def test_a_former_one_comes_back_when_the_new_one_cannot_be_moved(tmp_path: Path) -> None:
    out = tmp_path / "site"
    with replaced(out) as made:
        (made / "old").touch()
    with pytest.raises(FileNotFoundError), replaced(out) as made:
        shutil.rmtree(made)
    assert (out / "old").is_file()
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(("line", "says"), [
    (["app", "--notebook", "no.ipynb"], "no notebook no.ipynb in "),
    (["site", "--out", "x", "--notebooks", "nowhere"], "no 00_start_here.ipynb in "),
    (["handout", "--out", "nowhere/x.pdf"], "nowhere/x.pdf: No such file or directory"),
])  # fmt: skip
def test_what_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, root: Path, line: list[str], says: str) -> None:
    monkeypatch.chdir(root)
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 2
    assert says in done.stderr
    assert "Traceback" not in done.output


def test_other_files_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    done = CliRunner().invoke(app, ["site", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "holds files that livemig did not make" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_cell_that_fails_is_named(tmp_path: Path) -> None:
    notebooks = write(tmp_path / "notebooks", "print(1)\n1 / 0")
    with pytest.raises(PublishError, match=r"00_made\.ipynb cannot be run to its end: ZeroDivisionError: division by"):
        build_site(notebooks, tmp_path / "site")
    assert list(tmp_path.iterdir()) == [notebooks]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("command", ["site", "slides"])
def test_ctrl_c_leaves_the_former_site_and_no_kernel(tmp_path: Path, command: str, root: Path) -> None:
    started = tmp_path / "started"
    notebooks = write(tmp_path / "notebooks", f"import time\nopen({str(started)!r}, 'w').close()\ntime.sleep(100)")
    out = tmp_path / "out"
    with replaced(out) as made:
        (made / "index.html").write_text("former")
    token = f"{command}-{os.getpid()}-{time.monotonic_ns()}"
    line = [sys.executable, "-c", "from livemig.cli import main; main()", command, "--out", str(out),
            "--notebooks", str(notebooks)]
    (notebooks / "00_start_here.ipynb").write_bytes((notebooks / "00_made.ipynb").read_bytes())
    env = {**os.environ, MARK: token, "PYTHONPATH": str(root)}
    running = subprocess.Popen(line, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        give_up_at = time.monotonic() + 60
        while not started.exists() and time.monotonic() < give_up_at and running.poll() is None:
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 130, said
    assert "1 of 2: 00_made ..." in said
    assert said.endswith("livemig: interrupted\n")
    assert (out / "index.html").read_text() == "former"
    assert {file.name for file in tmp_path.iterdir()} == {"notebooks", "out", "started"}
    assert marked(token) == []


def marked(token: str) -> list[psutil.Process]:
    """Living processes that were started with the mark: the command's kernels."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == token:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found
