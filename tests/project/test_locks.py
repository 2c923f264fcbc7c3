"""The lock files, environment.yml and pyproject.toml say the same, and the locks hold hashes and no address."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.project.locks import BINDER, LOCKS, ONLY_CONDA, conda_lines, entries, pypi_pins, versions

PLATFORMS = {"linux": "posix", "darwin": "posix", "win32": "nt"}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def environments() -> list[dict[str, str]]:
    return [
        {"sys_platform": platform, "os_name": os_name, "python_version": python, "python_full_version": f"{python}.9"}
        for platform, os_name in PLATFORMS.items()
        for python in PYTHONS
    ]


@pytest.fixture(scope="module")
def pyproject(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", LOCKS)
def test_every_entry_is_one_exact_version_with_hashes(root, name: str) -> None:
    locked = entries(root / name)
    assert len(locked) > 50
    for requirement, hashes in locked:
        assert [pin.operator for pin in requirement.specifier] == ["=="], requirement
        assert hashes, f"{requirement} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement


@pytest.mark.parametrize("name", LOCKS)
def test_no_address_and_no_path_in_a_lock(root, name: str) -> None:
    text = (root / name).read_text(encoding="utf-8")
    lines = text.splitlines()
    assert not [line for line in lines if re.search(r"://|\bindex-url\b|\bfind-links\b|(^|\s)/\w", line)]


@pytest.mark.parametrize("environment", environments(), ids=lambda e: f"{e['sys_platform']}-{e['python_version']}")
def test_the_lock_satisfies_pyproject_everywhere(root, pyproject, environment: dict[str, str]) -> None:
    build = pyproject["dependency-groups"]["build"]
    wanted = [*pyproject["project"]["dependencies"], *build]
    runtime = versions(root / LOCKS[0], environment)
    tested = versions(root / LOCKS[1], environment)
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(runtime[canonicalize_name(requirement.name)]), requirement
    for requirement in map(Requirement, pyproject["project"]["optional-dependencies"]["test"]):
        assert requirement.specifier.contains(tested[canonicalize_name(requirement.name)]), requirement
    assert runtime.items() <= tested.items(), "requirements-test.lock differs from requirements.lock; run make lock"


def test_the_build_backend_is_the_locked_one(pyproject) -> None:
    assert pyproject["build-system"]["requires"] == pyproject["dependency-groups"]["build"]


def test_environment_yml_agrees_with_the_lock(root, pyproject) -> None:
    environment = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge"]
    assert environment["dependencies"][-1] == {"pip": ["-e ."]}
    lines = conda_lines(root / "environment.yml")
    assert "pip" in lines
    assert f"python={BINDER['python_version']}" in lines
    pins = pypi_pins(root / "environment.yml")
    locked = versions(root / LOCKS[0], BINDER)
    for name, pin in pins.items():
        if name not in ONLY_CONDA:
            assert f"{locked[name]}.".startswith(f"{pin}."), f"{name}={pin} in environment.yml, {locked[name]} locked"
    wanted = {canonicalize_name(Requirement(line).name) for line in pyproject["project"]["dependencies"]}
    assert wanted <= pins.keys(), "a runtime dependency is missing in environment.yml"


def test_markers_of_the_lock_know_the_platforms(root) -> None:
    """A universal lock has entries that only one platform takes; a lock made for one machine has none."""
    markers = [requirement.marker for requirement, _ in entries(root / LOCKS[0]) if requirement.marker]
    assert any(isinstance(marker, Marker) and "win32" in str(marker) for marker in markers)
    assert any("darwin" in str(marker) for marker in markers)


def test_apt_txt_brings_qemu(root) -> None:
    assert (root / "apt.txt").read_text(encoding="utf-8").split() == ["qemu-system-arm"]
