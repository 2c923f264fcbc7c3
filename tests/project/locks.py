"""Reading requirements.lock, requirements-test.lock and environment.yml."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = ("requirements.lock", "requirements-test.lock")
# Where Binder runs: environment.yml's Python on Linux.
BINDER = {"python_version": "3.11", "python_full_version": "3.11.13", "sys_platform": "linux", "os_name": "posix"}
# conda-forge's name where it differs from PyPI's. Its matplotlib is matplotlib-base with Qt; qemu.qmp has the name of
# its repository there.
CONDA_NAMES = {"matplotlib-base": "matplotlib", "python-qemu-qmp": "qemu.qmp"}
# In environment.yml and not in the lock, with the reason.
ONLY_CONDA = {
    "python": "the lock is for every Python that pyproject.toml allows",
    "pip": "installs the project itself",
    "notebook": "not used by livemig; repo2docker's base image has one that refuses the pinned JupyterLab",
}


def entries(lock: Path) -> list[tuple[Requirement, list[str]]]:
    """Return (requirement, hashes) of each entry of a lock file."""
    joined = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [(Requirement(line.split("--hash")[0]), re.findall(r"--hash=(\S+)", line)) for line in lines]


def versions(lock: Path, environment: dict[str, str]) -> dict[str, str]:
    """Return {canonical name: version} that a lock gives in a marker environment."""
    found: dict[str, str] = {}
    for requirement, _ in entries(lock):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} has two versions in {environment}"
            (pin,) = requirement.specifier
            found[name] = pin.version
    return found


def conda_lines(environment_yml: Path) -> list[str]:
    """The lines that conda reads (without the list for pip)."""
    environment = yaml.safe_load(environment_yml.read_text(encoding="utf-8"))
    return [line for line in environment["dependencies"] if isinstance(line, str)]


def pypi_pins(environment_yml: Path) -> dict[str, str]:
    """{canonical PyPI name: "2.4"} of the lines that PyPI can answer for: all but Python and pip."""
    pins = dict(line.split("=") for line in conda_lines(environment_yml) if "=" in line)
    return {canonicalize_name(CONDA_NAMES.get(name, name)): pin for name, pin in pins.items() if name != "python"}
