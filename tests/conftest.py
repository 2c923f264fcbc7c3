"""Fixtures for the whole suite: the external tools, and what happens when one is missing."""

import functools
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]

# On a shared machine one slow example says nothing; pytest's own timeout catches a hang.
hypothesis.settings.register_profile("livemig", deadline=None, print_blob=True)
hypothesis.settings.load_profile("livemig")

# What each tool is looked up as, and the Debian package that brings it.
TOOLS = {
    "chromium": (("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"), "chromium"),
    "qemu": (("qemu-system-aarch64",), "qemu-system-arm"),
    "node": (("node",), "nodejs"),
    "aarch64 assembler": (("aarch64-linux-gnu-as",), "binutils-aarch64-linux-gnu"),
}


def in_ci() -> bool:
    """Whether a missing tool is a failure: the environment variable CI is `true`."""
    return os.environ.get("CI", "").lower() == "true"


def find_tool(tool: str, path: str | None = None) -> Path:
    """Return the program, or skip the calling test with the name of the missing package; in CI, fail it.

    `path` replaces the search path PATH.
    """
    names, package = TOOLS[tool]
    for name in names:
        if found := shutil.which(name, path=path):
            return Path(found)
    message = f"{tool} is missing: none of {', '.join(names)} is on PATH (Debian: apt install {package})"
    if in_ci():
        pytest.fail(f"{message}; CI=true forbids to skip", pytrace=False)
    pytest.skip(message)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: Playwright keeps an event loop running in the main thread, which others start anew."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.fixture(scope="session")
def root() -> Path:
    """The top folder of the source checkout."""
    return ROOT


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """Chromium or Chrome; skips when missing, fails in CI."""
    return find_tool("chromium")


@pytest.fixture(scope="session")
def qemu_path() -> Path:
    """qemu-system-aarch64; skips when missing, fails in CI."""
    return find_tool("qemu")


@pytest.fixture(scope="session")
def node_path() -> Path:
    """Node; skips when missing, fails in CI."""
    return find_tool("node")


@pytest.fixture(scope="session")
def run_of(root: Path) -> Callable[[str], Any]:
    """Gives a notebook by its name, executed as for the site; each is executed once, for all tests that look at it."""
    from livemig.publish.notebooks import execute

    @functools.cache
    def run(name: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of jupyter_client and zmq
            return execute(root / "notebooks" / f"{name}.ipynb")

    return run


@pytest.fixture(scope="session")
def runs(root: Path, run_of: Callable[[str], Any]) -> dict[str, Any]:
    """All notebooks, executed."""
    return {file.stem: run_of(file.stem) for file in sorted((root / "notebooks").glob("*.ipynb"))}


@pytest.fixture(scope="session")
def site(root: Path, runs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the project's notebooks."""
    from livemig.publish.site import build_site

    folder = tmp_path_factory.mktemp("published") / "site"
    build_site(root / "notebooks", folder, runs=runs)
    return folder
