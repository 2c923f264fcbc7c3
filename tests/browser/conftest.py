"""Fixtures: one JupyterLab and one Chromium for all browser tests, one page for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.lab import Lab, running_lab
from tests.browser.notebook_page import CHROMIUM_ARGS, NotebookPage

expect.set_options(timeout=30_000)  # a shared machine is slow at times; what is wrong stays wrong


@pytest.fixture(scope="session")
def lab(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A real JupyterLab on copies of the project's notebooks; tests may put more notebooks into `lab.folder`."""
    work = tmp_path_factory.mktemp("lab")
    folder = work / "notebooks"
    if (root / "notebooks").is_dir():
        shutil.copytree(root / "notebooks", folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    else:
        folder.mkdir()
    with running_lab(folder, work / "private", root) as running:
        yield running


@pytest.fixture(scope="session")
def chromium(chromium_path: Path) -> Iterator[Browser]:
    """Headless Chromium with a fresh profile, through Playwright."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, headless=True, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def notebook_page(chromium: Browser, lab: Lab) -> Iterator[NotebookPage]:
    """An empty page of 1280 x 1000; the kernels that the test starts are shut down after it."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    try:
        yield NotebookPage(context.new_page(), lab)
    finally:
        context.close()
        lab.stop_kernels()
