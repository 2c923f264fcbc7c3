"""Notebook 07 as a user meets it: real QEMU is started from JupyterLab, and both runs stand on one stage."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from playwright.sync_api import expect

from tests.browser.notebook_page import NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.qemu]


@pytest.mark.timeout(300)
def test_it_records_draws_and_leaves_nothing(notebook_page: NotebookPage, qemu_path: Path):
    page = notebook_page.page
    page.set_viewport_size({"width": 1400, "height": 1900})
    notebook_page.open("07_real_qemu.ipynb")
    report = notebook_page.run_all()
    assert report.errors == ()
    assert report.stderr == ()
    assert report.console_errors == ()
    assert report.foreign_requests == ()
    headline = page.locator(".lm h2")
    headline.scroll_into_view_if_needed()
    expect(headline).to_contain_text("Completed in")
    expect(page.locator(".lm [data-el=compare]")).to_contain_text("minus")
    notebook_page.screenshot("notebook-07")
    running = [p for p in psutil.process_iter(["name"]) if (p.info["name"] or "").startswith("qemu-system")]
    assert [p for p in running if p.parent() is None or "ipykernel" in " ".join(p.parent().cmdline())] == []
