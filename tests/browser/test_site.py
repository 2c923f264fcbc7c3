"""The site as a reader opens it: from its files, without network and kernel. Each stage plays and answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import Browser, Locator, expect

from livemig.publish.notebooks import Notebook
from livemig.publish.site import notebook_page
from tests.browser.offline import answers, opened, plays, violations
from tests.publish.made import four_stages

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
WIDTHS = (700, 1280, 1900)
STAGES = "[data-widget=stage][data-ready] > * > .lm"
READY = "() => document.querySelectorAll('[data-widget]').length === document.querySelectorAll('[data-ready]').length"


def test_every_page_is_whole_accessible_and_asks_for_nothing(site: Path, chromium: Browser) -> None:
    """axe in the system's light and dark; nothing is wider than the window; every stage plays, and answers a slider."""
    found, played, answered = {}, {}, 0
    for file in sorted(site.rglob("*.html")):
        with opened(chromium, file) as page:
            page.wait_for_function(READY)
            for theme in ("light", "dark"):
                page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
                found[file.name, theme] = violations(page)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                found[file.name, width] = page.evaluate(
                    "document.documentElement.scrollWidth > innerWidth ? [document.documentElement.scrollWidth] : []")
            page.set_viewport_size({"width": 1280, "height": 900})
            stages = page.locator(STAGES).all()
            for stage in stages:
                plays(stage)
                answered += answers(stage)
            played[file.stem] = len(stages)
    assert {where: what for where, what in found.items() if what} == {}
    assert played["00_start_here"] >= 1
    assert played["07_real_qemu"] >= 1
    assert answered >= 1


def test_four_stages_on_one_page_are_four(tmp_path: Path, chromium: Browser) -> None:
    file = tmp_path / "made.html"
    file.write_text(notebook_page(Notebook(file, "Made", "", 5), four_stages()), encoding="utf-8")
    with opened(chromium, file) as page:
        page.wait_for_function(READY)
        stages = page.locator(STAGES).all()
        headlines = [stage.locator("h2").inner_text() for stage in stages]
        assert len(set(headlines)) == 4
        for i, stage in enumerate(stages):
            plays(stage)
            assert answers(stage)
            now = [one.locator("h2").inner_text() for one in stages]
            assert [a != b for a, b in zip(now, headlines, strict=True)] == [j <= i for j in range(4)]
        assert violations(page) == []


EDGES = """() => Object.fromEntries(["h2", "main > p", ".highlight", ".picture", ".out"].map((name) => {
  const box = document.querySelector(name).getBoundingClientRect();
  return [name, [Math.round(box.left), Math.round(box.right)]];
}))"""


@pytest.mark.parametrize("columns", [2, 30])
def test_a_page_is_one_column_and_a_wide_table_stands_around_its_middle(tmp_path: Path, chromium: Browser,
                                                                        columns: int) -> None:
    table = f"<table><tr>{'<td>123456789</td>' * columns}</tr></table>"
    outputs = [new_output("display_data", data) for data in ({"image/png": "AAAA"}, {"text/html": table})]
    cells = [new_markdown_cell("# A title\n\ntext\n\n## Part"), new_code_cell("timeline(trace)", outputs=outputs)]
    file = tmp_path / "made.html"
    file.write_text(notebook_page(Notebook(file, "Made", "", 5), new_notebook(cells=cells)), encoding="utf-8")
    with opened(chromium, file) as page:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            edges = page.evaluate(EDGES)
            left, right = edges.pop(".out")
            column = edges[".highlight"]
            assert {one for one, _ in edges.values()} == {column[0]}
            assert {edges[".picture"][1], max(end for _, end in edges.values())} == {column[1]}
            assert abs((left + right) - sum(column)) <= 2
            assert (left < column[0]) == (columns > 2 and width > 1000), width


def test_the_byte_grid_can_be_walked_and_says_what_it_cannot_do(site: Path, chromium: Browser) -> None:
    with opened(chromium, site / "04_its_tables_byte_by_byte.html") as page:
        grid = page.locator("[data-widget=bytegrid][data-ready] .lm-bg").first
        expect(grid).to_contain_text("to change them, open the notebook")
        expect(grid.get_by_role("button", name="Add a command")).to_be_disabled()
        name = entry_name(grid)
        grid.locator("td.bg-b").first.click()
        page.keyboard.press("ArrowDown")
        assert entry_name(grid) != name


def entry_name(grid: Locator) -> str:
    return grid.locator("[data-el=entryName]").inner_text()


def test_without_scripts_the_picture_and_its_words_are_there(site: Path, chromium: Browser) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "00_start_here.html").as_uri())
    expect(page.locator("[data-widget=stage] figcaption")).to_contain_text("completed after 5.2")
    assert page.locator("[data-widget=stage] img").bounding_box()["height"] > 200  # type: ignore[index]
    context.close()
