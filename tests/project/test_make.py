"""What `make` does before the first test: Debian packages, the Python check. Stubs stand for the system's programs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="make and sh")

SH = "/bin/sh"
TOOLS = ("chromium", "qemu-system-aarch64", "node", "aarch64-linux-gnu-as")


def stub(folder: Path, name: str, script: str = "") -> None:
    """Write an executable shell script."""
    path = folder / name
    path.write_text(f"#!{SH}\n{script}\n")
    path.chmod(0o755)


def machine(folder: Path, uid: int, tools: tuple[str, ...] = (), apt_status: int = 0, knows: bool = True) -> Path:
    """Make `folder` a PATH on which only the given tools, `id` and apt exist; apt-get writes its words to a log."""
    log = folder / "apt.log"
    stub(folder, "id", f"echo {uid}")
    stub(folder, "apt-get", f'echo "$@" >> {log}; exit {apt_status}')
    stub(folder, "apt-cache", f"exit {0 if knows else 100}")
    for tool in tools:
        stub(folder, tool)
    return log


def debian_packages(root: Path, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SH, root / ".ci/debian-packages"], env={"PATH": str(path)}, stdin=subprocess.DEVNULL, text=True,
        capture_output=True, check=False,
    )  # fmt: skip


def installed(log: Path) -> list[str]:
    words = [line.split() for line in log.read_text().splitlines()]
    return [line[-1] for line in words if line[0] == "install"]


def test_root_gets_what_is_missing(root: Path, tmp_path: Path) -> None:
    log = machine(tmp_path, uid=0, tools=("node",))
    done = debian_packages(root, tmp_path)
    assert done.returncode == 0, done.stderr
    assert log.read_text().startswith("update")
    assert {"chromium", "qemu-system-arm"} <= set(installed(log))
    assert "nodejs" not in installed(log)


def test_where_apt_has_no_chromium_its_other_name_is_taken(root: Path, tmp_path: Path) -> None:
    log = machine(tmp_path, uid=0, knows=False)
    debian_packages(root, tmp_path)
    assert "chromium-browser" in installed(log)
    assert "chromium" not in installed(log)


def test_a_user_is_told_what_is_missing(root: Path, tmp_path: Path) -> None:
    log = machine(tmp_path, uid=1000, tools=("chromium",))
    done = debian_packages(root, tmp_path)
    assert done.returncode == 0
    assert not log.exists()
    assert "qemu-system-arm nodejs" in done.stderr
    assert "chromium" not in done.stderr


def test_apt_that_fails_does_not_stop_the_tests(root: Path, tmp_path: Path) -> None:
    log = machine(tmp_path, uid=0, apt_status=100)
    done = debian_packages(root, tmp_path)
    assert done.returncode == 0
    assert {"chromium", "qemu-system-arm", "nodejs"} <= set(installed(log))
    assert "could not install qemu-system-arm" in done.stderr


@pytest.mark.skipif(not Path("/usr/share/fonts/truetype/dejavu").is_dir(), reason="needs the DejaVu fonts")
def test_nothing_missing_is_silent_and_leaves_apt_alone(root: Path, tmp_path: Path) -> None:
    log = machine(tmp_path, uid=0, tools=TOOLS)
    done = debian_packages(root, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not log.exists()


@pytest.mark.parametrize(
    ("python", "says"),
    [
        ('case "$*" in *version_info*) exit 1 ;; --version) echo Python 3.10.12 ;; esac', "is Python 3.10.12"),
        ('case "$*" in *ensurepip*) exit 1 ;; esac', "apt install python3-venv"),
    ],
)
def test_a_python_that_will_not_do_gets_one_clear_message(root: Path, tmp_path: Path, python: str, says: str) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is missing")
    stub(tmp_path, "some-python", python)
    target = tmp_path / "venv/bin/python"
    done = subprocess.run(
        [make, f"PYTHON={tmp_path / 'some-python'}", f"VENV={tmp_path / 'venv'}", str(target)],
        cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert says in done.stderr
    assert not target.parent.exists()
