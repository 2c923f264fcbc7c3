"""`livemig record`: its options, and what it says before anything is started."""

from __future__ import annotations

import os

import pytest
from typer.testing import CliRunner

from livemig.cli.app import app
from livemig.lab.request import FIELDS
from livemig.scenario import Scenario


def invoke(*arguments: object, **more):
    return CliRunner().invoke(app, ["record", *(str(one) for one in arguments)], **more)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, and a PATH without QEMU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    return tmp_path


def test_every_input_of_the_lab_has_its_option() -> None:
    shown = invoke("--help").stdout
    for name in ("--ram", "--wset", "--rate", "--bandwidth", "--downtime-limit", "--link", "--pattern", "--plan",
                 "--pause-before-switchover", "--give-up", "--output", "--qemu", "--capability"):
        assert name in shown, name
    for name in ("--its-devices", "--cost", "--seed", "--switchover-rule"):
        assert name not in shown, name
    assert len(set(FIELDS) & set(Scenario().to_dict())) >= 15


@pytest.mark.parametrize(("arguments", "says"), [
    (["--ram", "256 Mb"], "--ram: '256 Mb'"),
    (["--ram", "17 TiB"], "ram_bytes"),
    (["--wset", "300MiB"], "working_set_bytes = 314572800: larger than"),
    (["--pattern", "zipf"], "pattern = 'zipf': the lab's guest writes"),
    (["--downtime-limit", "-1s"], "downtime_limit_s = -1"),
    (["--downtime-limit", "1.5ms"], "QEMU's downtime-limit is a whole number of milliseconds"),
    (["-o", "x.txt"], "x.txt: a recording's name ends in .json or .json.gz"),
    (["-o", "none/x.json"], "No such file or directory"),
    (["--plan", "1s continue"], "migrate-continue in pre-switchover only"),
    (["--accelerator", "xen"], "accelerator = 'xen': expected one of auto, kvm, tcg"),
    ([], "qemu-system-aarch64 is missing: no such program on PATH (Debian and Ubuntu: apt install qemu-system-arm)"),
    (["--qemu", "my-qemu"], "my-qemu is missing"),
])
def test_bad_input_is_one_message_and_nothing_is_left(here, arguments, says) -> None:
    done = invoke(*arguments)
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith("livemig: ")
    assert says in line
    assert done.stdout == ""
    assert os.listdir(here) == []


def test_the_next_free_name(here, monkeypatch) -> None:
    (here / "recording-1.json").touch()
    monkeypatch.setattr("livemig.record", lambda scenario, target, **_: (_ for _ in ()).throw(OSError(28, str(target))))
    done = invoke()
    assert done.exit_code == 2
    assert "recording-2.json" in done.stderr


@pytest.mark.qemu
def test_record_then_validate(qemu_path, tmp_path) -> None:
    done = invoke("--ram", "128MiB", "--wset", "8MiB", "--rate", "10MiB/s", "--bandwidth", "256MiB/s", "--qemu",
                  qemu_path, "-o", tmp_path / "x.json", env={"TMPDIR": str(tmp_path)})
    assert done.exit_code == 0, done.output
    assert "Status completed: total time" in done.stdout
    assert "The guest runs on the destination." in done.stdout
    lines = done.stderr.splitlines()
    assert lines[:3] == ["livemig: starting two QEMUs", "livemig: the guest fills its memory",
                         "livemig: measuring the dirty rate"]
    assert lines[-1].startswith("livemig: recording of QEMU ")
    assert lines[-1].endswith(f"written to {tmp_path / 'x.json'}")
    for target in (tmp_path / "x.json", tmp_path):
        checked = CliRunner().invoke(app, ["validate", str(target)])
        assert checked.exit_code == 0, checked.output
        assert "1 of 1 recordings are modelled" in checked.stdout
