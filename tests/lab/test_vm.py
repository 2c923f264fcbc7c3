"""Starting and ending QEMUs: every trouble is one clear line, and nothing is left of any of it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from livemig.lab.guest import Words
from livemig.lab.private import PREFIX, SUN_PATH_BYTES, PrivateDirError, private_dir
from livemig.lab.qemu import QemuError, find_qemu, has_kvm
from livemig.lab.record import record
from livemig.lab.vm import Gone, pair
from livemig.scenario import Scenario
from tests.lab.left import left_behind

MIB = 1 << 20
FIELDS = Scenario(ram_bytes=16 * MIB, working_set_bytes=MIB, its_devices=0).to_dict()
WORDS = Words(fill_start=0x4020_0000, fill_end=0, ws_base=0x4020_0000, ws_pages=256, rate=1000)


def program(folder: Path, version: str, then: str = "exit 1", name: str = "qemu-system-aarch64") -> str:
    """A script that says which version it is and does something else when it is really started."""
    path = folder / name
    path.write_text(f'#!/bin/sh\n[ "$1" != --version ] || {{ echo "{version}"; exit 0; }}\n{then}\n')
    path.chmod(0o755)
    return str(path)


def one_line(caught) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- which QEMU -------------------------------------------------------------------------------------------------------
def test_missing_names_the_package(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(QemuError, match=r"qemu-system-aarch64 is missing.*apt install qemu-system-arm"):
        find_qemu()


@pytest.mark.parametrize(("said", "version"), [
    ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", (7, 2, 22)),
    ("QEMU emulator version 8.2.2 (Debian 1:8.2.2+ds-0ubuntu1.10)", (8, 2, 2)),
    ("QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)", (10, 0, 13)),
    ("QEMU emulator version 10.2.0-rc1", (10, 2, 0)),
])
def test_versions(tmp_path, said, version) -> None:
    found = find_qemu(program(tmp_path, said))
    assert found.version == version
    assert str(found) == f"QEMU {'.'.join(map(str, version))}"


def test_too_old_and_not_qemu(tmp_path) -> None:
    with pytest.raises(QemuError) as caught:
        find_qemu(program(tmp_path, "QEMU emulator version 6.2.0 (Debian 1:6.2+dfsg-2ubuntu6)"))
    assert one_line(caught).endswith("QEMU 6.2.0 is too old, the lab needs 7.2 or newer")
    with pytest.raises(QemuError, match="not a QEMU, --version says 'hello'"):
        find_qemu(program(tmp_path, "hello"))


def test_kvm_is_asked_of_the_kernel(tmp_path) -> None:
    (tmp_path / "kvm").touch()
    assert not has_kvm(str(tmp_path / "kvm"))  # not that device
    assert not has_kvm(str(tmp_path / "none"))
    if os.uname().machine not in ("aarch64", "arm64"):
        assert not has_kvm()
        with pytest.raises(QemuError, match="cannot run an AArch64 guest"):
            record(FIELDS, accelerator="kvm", qemu=program(tmp_path, "QEMU emulator version 7.2.22"))


# -- the private folder -----------------------------------------------------------------------------------------------
def test_the_folder_is_private_and_goes(tmp_path) -> None:
    with private_dir(tmp_path, "mig.sock") as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "inside").touch()
    assert list(tmp_path.iterdir()) == []


def test_a_path_too_long_for_a_socket(tmp_path) -> None:
    room = SUN_PATH_BYTES - len(os.fsencode(tmp_path)) - len(f"/{PREFIX}xxxxxxxx/mig.sock") - 1
    fits, long = tmp_path / ("f" * (room - 1)), tmp_path / ("l" * room)
    for base in (fits, long):
        base.mkdir()
    with private_dir(fits, "mig.sock") as folder:
        assert len(os.fsencode(folder / "mig.sock")) == SUN_PATH_BYTES - 1
    with pytest.raises(PrivateDirError) as caught, private_dir(long, "mig.sock"):
        pass
    assert f"too long for a unix socket, {SUN_PATH_BYTES + 1} bytes of {SUN_PATH_BYTES}" in one_line(caught)
    assert str(long) in one_line(caught)
    assert list(long.iterdir()) == []


def test_no_folder_and_a_full_disk(tmp_path, monkeypatch) -> None:
    with pytest.raises(PrivateDirError, match="No such file or directory"), private_dir(tmp_path / "none", "x"):
        pass
    monkeypatch.setattr("livemig.lab.private.NEEDED_BYTES", 1 << 70)
    with pytest.raises(PrivateDirError, match="bytes are free, sockets and logs need"), private_dir(tmp_path, "x"):
        pass


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path) -> None:
    left, young, foreign = (tmp_path / f"{PREFIX}{name}" for name in ("leftover", "youngone", "otherper"))
    for folder in (left, young, foreign):
        folder.mkdir(mode=0o700)
    foreign.chmod(0o755)
    for folder in (left, foreign):
        os.utime(folder, (0, 0))
    with private_dir(tmp_path, "x") as held:
        os.utime(held, (0, 0))  # old, but its owner lives
        with private_dir(tmp_path, "x"):
            assert held.exists()
    assert sorted(tmp_path.iterdir()) == sorted([young, foreign])


# -- processes --------------------------------------------------------------------------------------------------------
def test_one_that_dies_early_is_quoted(tmp_path) -> None:
    dying = program(tmp_path, "QEMU emulator version 7.2.22", "echo 'no memory for you' >&2; exit 3")
    scratch = tmp_path / "s"
    scratch.mkdir()
    with pytest.raises(Gone) as caught:
        record(FIELDS, qemu=dying, scratch=scratch)
    assert "QEMU 7.2.22 (process " in one_line(caught)
    assert one_line(caught).endswith("ended with exit status 3; it said: no memory for you")
    assert left_behind(scratch) == []


def test_one_that_never_answers(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("livemig.lab.vm.START_S", 0.3)
    silent = program(tmp_path, "QEMU emulator version 7.2.22", "exec sleep 60")
    with pytest.raises(QemuError, match=r"does not answer within 0.3 s: .*; it said nothing"):
        record(FIELDS, qemu=silent, scratch=tmp_path)
    assert left_behind(tmp_path) == [f"file {silent}"]


@pytest.mark.qemu
def test_both_sides_answer_and_refuse(qemu_path, tmp_path) -> None:
    async def run() -> list[str]:
        async with pair(find_qemu(qemu_path), 16 * MIB, WORDS, scratch=tmp_path) as vms:
            assert len(psutil.Process().children()) == 2
            assert len([line for line in left_behind(tmp_path) if line.startswith("socket")]) >= 4
            with pytest.raises(QemuError, match=r"the source QEMU .* refuses no-such-command: "):
                await vms.source.execute("no-such-command")
            vms.destination.process.kill()
            with pytest.raises(Gone, match=r"the destination QEMU .* was killed by SIGKILL; it said nothing"):
                await vms.destination.execute("query-status")
            os.kill(vms.source.process.pid, signal.SIGSTOP)  # also one that does not listen is ended
            with pytest.raises(QemuError, match=r"has not answered query-status for 0\.1 s"):
                await vms.source.execute("query-status", timeout_s=0.1)
            return left_behind(tmp_path)

    assert asyncio.run(run())  # so the count can count
    assert left_behind(tmp_path) == []


@pytest.mark.qemu
def test_a_killed_python_leaves_no_qemu(qemu_path, tmp_path) -> None:
    """SIGKILL: nothing in Python can clean up; the kernel ends the QEMUs, the next recording removes the folder."""
    code = ("import sys, livemig.lab.record as lab\n"
            "lab.record(eval(sys.argv[1]), scratch=sys.argv[2], progress=lambda p: print(p.stage, flush=True))\n")
    with subprocess.Popen([sys.executable, "-c", code, repr(FIELDS | {"costs": None}), str(tmp_path)],
                          stdout=subprocess.PIPE, text=True) as python:
        assert python.stdout is not None
        while python.stdout.readline().strip() != "measuring":
            assert python.poll() is None
        started = [process.pid for process in psutil.Process(python.pid).children(recursive=True)]
        python.kill()
    assert len(started) == 2
    until_s = time.monotonic() + 5
    while any(psutil.pid_exists(pid) for pid in started) and time.monotonic() < until_s:
        time.sleep(0.01)
    assert not [pid for pid in started if psutil.pid_exists(pid)]
    (folder,) = tmp_path.iterdir()
    os.utime(folder, (0, 0))
    with private_dir(tmp_path, "x"):
        assert not folder.exists()
