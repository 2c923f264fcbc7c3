"""Notebooks that no other browser test runs, in real JupyterLab: no error, no stderr, nothing on the console."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from tests.browser.notebook_page import NotebookPage

pytestmark = pytest.mark.browser

TESTED_ELSEWHERE = ("00", "04", "05", "07")
NAMES = sorted(path.name for path in (Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb")
               if not path.name.startswith(TESTED_ELSEWHERE))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_it_runs(notebook_page: NotebookPage, name: str) -> None:
    notebook_page.page.set_viewport_size({"width": 1400, "height": 1900})
    notebook_page.open(name)
    noted = json.loads((notebook_page.lab.folder / name).read_text(encoding="utf-8"))["metadata"]["language_info"]
    unsaved = notebook_page.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.dirty")
    assert not unsaved or noted["version"] != platform.python_version()  # Lab notes the kernel's own version
    report = notebook_page.run_all()
    notebook_page.screenshot(name.removesuffix(".ipynb"))
    assert report.errors == ()
    assert report.stderr == ()
    assert report.console_errors == ()
    assert report.foreign_requests == ()
