"""The wheel holds everything that an installed livemig needs: the package, data/ and the stage's browser files."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

pytestmark = pytest.mark.slow


def source_files(root: Path, folder: str) -> set[str]:
    """Return the committed or new files below `folder`, as posix paths from `root`; what git ignores is left out."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", folder],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name for name in done.stdout.split("\0") if name and (root / name).is_file()}


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(root)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("livemig-*.whl")
    return path


@pytest.fixture(scope="module")
def inside(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize(("folder", "place"), [("data", "livemig/_data"), ("livemig", "livemig")])
def test_every_file_is_in_the_wheel(root: Path, inside: set[str], folder: str, place: str) -> None:
    source = source_files(root, folder)
    assert source, f"{folder}/ is empty"
    wanted = {str(PurePosixPath(place) / PurePosixPath(name).relative_to(folder)) for name in source}
    assert wanted - inside == set()


def test_the_stages_browser_files_are_in_the_wheel(root: Path, inside: set[str]) -> None:
    static = {path.name for path in (root / "livemig/draw/static").iterdir() if path.suffix in {".js", ".css"}}
    assert {".js", ".css"} <= {Path(name).suffix for name in static}
    assert {f"livemig/draw/static/{name}" for name in static} <= inside


def test_nothing_else_is_in_the_wheel(inside: set[str]) -> None:
    assert [name for name in inside if not name.startswith(("livemig/", "livemig-"))] == []
    assert [name for name in inside if "__pycache__" in name or ".ipynb_checkpoints" in name] == []


def test_the_installed_wheel_finds_its_data(root: Path, wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    code = "import livemig, livemig.datadir as d; print(livemig.__file__); print(d.data_dir())"
    # -P and a foreign working directory: nothing of the checkout may be imported by accident.
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    module, data = map(Path, done.stdout.splitlines())
    assert module == target / "livemig/__init__.py"
    assert data == target / "livemig/_data"
    installed = {path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()}
    assert installed == {PurePosixPath(name).relative_to("data").as_posix() for name in source_files(root, "data")}
