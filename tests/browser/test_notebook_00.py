"""Notebook 00 as a user meets it: real JupyterLab, all cells, the dirty-rate slider under the finger."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.notebook_page import NotebookPage

pytestmark = pytest.mark.browser


@pytest.mark.timeout(600)
def test_run_all_cells_and_move_the_dirty_rate(notebook_page: NotebookPage):
    page = notebook_page.page
    page.set_viewport_size({"width": 1400, "height": 1900})
    notebook_page.open("00_start_here.ipynb")
    report = notebook_page.run_all()
    assert report.errors == ()
    assert report.stderr == ()
    assert report.console_errors == ()
    assert report.foreign_requests == ()
    words = page.locator(".jp-MarkdownOutput abbr")  # JupyterLab's sanitizer leaves the glossary's marks as they are
    assert all(words.nth(i).get_attribute("title") for i in range(words.count()))
    assert words.count() > 20

    page.locator(".lm").scroll_into_view_if_needed()
    sequence, timeline = (page.locator(f".lm [data-el={name}]") for name in ("sequence", "time"))
    headline = page.locator(".lm h2")
    expect(headline).to_contain_text("5.21 s")
    notebook_page.screenshot("notebook-00")
    before = sequence.inner_html(), timeline.inner_html(), headline.inner_text()

    slider = page.get_by_role("slider", name=re.compile("Dirty rate"))
    slider.focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    expect(headline).not_to_have_text(before[2], timeout=20_000)
    for name, html in zip(("sequence", "time"), before[:2], strict=True):  # drawn one after the other
        page.wait_for_function("([name, html]) => document.querySelector(`.lm [data-el=${name}]`).innerHTML !== html",
                               arg=[name, html], timeout=30_000)
    notebook_page.screenshot("notebook-00-moved")
    assert notebook_page.report().console_errors == ()
