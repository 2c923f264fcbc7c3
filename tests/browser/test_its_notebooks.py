"""Notebooks 04 and 05 in real JupyterLab: every cell runs, and their byte grids are used by mouse and by keyboard."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.notebook_page import NotebookPage

pytestmark = pytest.mark.browser

GO_TO = "n => window.jupyterapp.shell.currentWidget.content.scrollToItem(n, 'start')"
THEME = "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: `JupyterLab ${name}`})"
FOCUSED = "() => document.activeElement.dataset.el ?? document.activeElement.className"


def run(notebook_page: NotebookPage, name: str) -> None:
    notebook_page.open(name)
    report = notebook_page.run_all()
    assert report.errors == ()
    assert report.stderr == ()
    assert report.console_errors == ()
    assert report.foreign_requests == ()
    assert report.executed == sum(cell["cell_type"] == "code" for cell in notebook_page.cells())


def grid_of(notebook_page: NotebookPage, source: str) -> Locator:
    """The grid below the first cell whose source holds `source`, in view."""
    number = next(n for n, cell in enumerate(notebook_page.cells()) if source in "".join(cell["source"]))
    notebook_page.page.evaluate(GO_TO, number)
    grid = notebook_page.page.locator(".jp-Notebook .jp-Cell").nth(number).locator(".lm-bg")
    grid.scroll_into_view_if_needed()
    expect(grid.locator("[data-el=outcome]")).not_to_be_empty()
    return grid


def part(grid: Locator, name: str) -> Locator:
    return grid.locator(f"[data-el={name}]")


def cell_of(grid: Locator, pane: int, row: int, byte: int) -> Locator:
    return grid.locator(f"[data-pane='{pane}'] td.bg-b[data-row='{row}'][data-b='{byte}']")


def test_notebook_04_commands_in_bytes_out(notebook_page: NotebookPage) -> None:
    run(notebook_page, "04_its_tables_byte_by_byte.ipynb")
    page = notebook_page.page
    grid = grid_of(notebook_page, 'its_bench("roundtrip-small"')
    expect(part(grid, "outcome")).to_have_text("roundtrip-small: all 64 bytes equal what Linux 6.12 wrote")
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    _by_mouse(grid)
    _by_keyboard(page, grid)
    _edits(page, grid)
    notebook_page.screenshot("bytegrid-04")
    try:
        page.evaluate(THEME, "Dark")
        page.wait_for_selector("[data-jp-theme-light=false]", state="attached", timeout=60_000)
        assert grid.evaluate("e => getComputedStyle(e).colorScheme") == "dark"
        part(grid, "panes").scroll_into_view_if_needed()
        notebook_page.screenshot("bytegrid-04-dark")
    finally:
        page.evaluate(THEME, "Light")
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells, "no key reached JupyterLab"
    assert notebook_page.report().console_errors == ()


def _by_mouse(grid: Locator) -> None:
    cell_of(grid, 0, 1, 7).click()
    expect(part(grid, "entryName")).to_have_text("Device 4000 of Device table")
    expect(grid.locator("[data-pane='1'] .bg-name b")).to_have_text("Events of device 4000")
    expect(part(grid, "fields").locator("[aria-selected=true]")).to_contain_text("valid [63]")
    part(grid, "fields").locator("[data-field=size]").click()
    expect(part(grid, "fields").locator("[aria-selected=true]")).to_contain_text("size [4:0]")
    assert grid.locator("td.bg-b.chosen").count() == 1
    cell_of(grid, 0, 1, 3).hover()
    expect(part(grid, "fields").locator(".hot")).to_contain_text("itt_address")
    part(grid, "table").select_option(label="Collection table")
    expect(part(grid, "entryName")).to_have_text("Place 0 of Collection table")
    part(grid, "table").select_option(label="Device table")


def _by_keyboard(page: Page, grid: Locator) -> None:
    cell_of(grid, 0, 0, 0).focus()
    for key, name, said in (("ArrowDown", "Device 4000", r"Device 4000\. 0x40107d00: 24"),
                            ("ArrowRight", "Device 4000", r"0x40107d01: 00"), ("End", "Device 4000", r"0x40107d07: 80"),
                            ("ArrowUp", "Device 1 ", r"0x4010000f: 9f, bits 63:56; valid \[63\] = 1; next"),
                            ("ArrowUp", "Device 1 ", r"0x4010000f")):
        page.keyboard.press(key)
        expect(part(grid, "entryName")).to_contain_text(name)
        expect(part(grid, "say")).to_have_text(re.compile(said))
    page.keyboard.press("Enter")  # into the table that device 1 points to
    expect(part(grid, "entryName")).to_have_text("Event 3 of Events of device 1")
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "fields"
    for key, field in (("Home", "next"), ("ArrowDown", "pintid"), ("ArrowDown", "icid"), ("ArrowUp", "pintid")):
        page.keyboard.press(key)
        expect(part(grid, "fields").locator("[aria-selected=true]")).to_have_attribute("data-field", field)
    expect(part(grid, "say")).to_contain_text("8192")


def _edits(page: Page, grid: Locator) -> None:
    commands = part(grid, "commands").locator("li")
    size = commands.nth(2).get_by_label("size")
    size.fill("4")
    expect(part(grid, "outcome")).to_contain_text("1 of 64 bytes differ")
    expect(cell_of(grid, 0, 0, 0)).to_have_text("04≠03")
    size.fill("four")
    expect(commands.nth(2).locator(".bg-out")).to_contain_text("Size must be a number")
    size.fill("200")
    expect(commands.nth(2).locator(".bg-out")).to_contain_text("needs more than its 5 bits")
    expect(commands.nth(4).locator(".bg-out")).to_contain_text("Dropped: device 0x1 is not mapped")
    size.fill("3")
    expect(part(grid, "outcome")).to_contain_text("all 64 bytes equal")
    commands.nth(0).get_by_role("button", name="down").focus()
    page.keyboard.press("Space")  # the collections swap places: their table is a list in mapping order
    expect(part(grid, "outcome")).to_contain_text("differ")
    expect(part(grid, "table").locator("option").nth(1)).to_have_text(re.compile(r"Collection table \(≠ \d\)"))
    part(grid, "add").click()
    expect(commands).to_have_count(8)
    expect(commands.nth(7).locator(".bg-out")).to_contain_text("is mapped already")
    commands.nth(7).get_by_role("button", name="Remove").click()
    expect(commands).to_have_count(7)
    part(grid, "save").uncheck()
    expect(part(grid, "saves")).to_have_text("")
    expect(cell_of(grid, 0, 0, 7)).to_have_text("00≠9f")
    part(grid, "save").check()
    commands.nth(1).get_by_label("ICID").fill("2")
    expect(part(grid, "outcome")).to_contain_text("differ")


def test_notebook_05_what_is_lost(notebook_page: NotebookPage) -> None:
    run(notebook_page, "05_when_to_save.ipynb")
    page = notebook_page.page
    grid = grid_of(notebook_page, 'title="Saved at T0"')
    said = re.compile(r"Saved at T0: \d+ of \d+ bytes differ from the destination's")
    expect(part(grid, "outcome")).to_have_text(said)
    expect(part(grid, "table").locator("option:checked")).to_have_text(re.compile(r"Events of device 56 \(≠ \d+\)"))
    first = grid.locator("td.bg-b.differs").first
    first.click()
    expect(part(grid, "say")).to_contain_text("≠")
    page.keyboard.press("ArrowDown")
    expect(part(grid, "entryName")).to_have_text(re.compile(r"Event [1-9]\d* of Events of device 56"))
    assert part(grid, "fields").locator(".differs").count() > 0
    notebook_page.screenshot("bytegrid-05")
    lost = grid_of(notebook_page, "title=\"k10's memory at the stop\"")
    expect(part(lost, "outcome")).to_contain_text("2 of 288 bytes differ")
    expect(part(lost, "entryName")).to_have_text("Event 2 of Events of device 65")
    expect(cell_of(lost, 0, 0, 2)).to_have_text("e2≠00")  # LPI 12002 = 0x2ee2, left over
    expect(part(lost, "fields").locator("[data-field=pintid]")).to_contain_text("12002 ≠ 0")
    notebook_page.screenshot("bytegrid-05-k10")
