"""The site of the real notebooks, and the parts it is made of; tests/browser/test_site.py opens it."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import nbformat
import pytest

from livemig.draw.modules import script
from livemig.publish.cells import FIGURES
from livemig.publish.cells import Page as Target
from livemig.publish.markdown import Anchors, to_html
from livemig.publish.notebooks import Notebook, PublishError, read_notebooks
from livemig.publish.page import page
from livemig.publish.site import notebook_page
from tests.publish.links import Page, broken
from tests.publish.made import four_stages, with_widgets, write

A_FUNCTION = "function mount("


def test_links_and_anchors_resolve_and_ids_are_unique(site: Path) -> None:
    assert broken(site) == []
    for file in site.rglob("*.html"):
        ids = Page(file.read_text(encoding="utf-8")).ids
        assert len(ids) == len(set(ids)), file.name


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html">1</a><a href="#no">2</a><a href="a.html#yes">3</a><p id="yes">')
    assert broken(tmp_path) == ["a.html: b.html", "a.html: #no"]


def test_pages_load_nothing(site: Path) -> None:
    for file in site.rglob("*.html"):
        loads = Page(file.read_text(encoding="utf-8")).loads
        assert [address[:80] for address in loads if not address.startswith("data:")] == [], file.name


def test_the_index_names_every_notebook_with_its_minutes(site: Path, root: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    names = [file.stem for file in sorted((root / "notebooks").glob("*.ipynb"))]
    row = r'<li><a href="([^"]+)\.html">[^<]+</a> <span class="mute">(\d+) minutes</span><br>(.+?)</li>'
    rows = re.findall(row, index)
    assert [name for name, _, _ in rows] == names
    assert all(20 <= int(minutes) <= 90 and len(line) > 20 for _, minutes, line in rows)
    assert not re.search("&lt;|[*`]", "".join(line for _, _, line in rows))


def test_pages_are_turned_forth_and_back(site: Path, root: Path) -> None:
    names = [file.stem for file in sorted((root / "notebooks").glob("*.ipynb"))]
    for i, name in enumerate(names):
        text = (site / f"{name}.html").read_text(encoding="utf-8")
        turned = dict(re.findall(r'<a rel="(prev|next)" href="([^"]+)\.html">', text))
        assert turned == {rel: names[i + by] for rel, by in (("prev", -1), ("next", 1)) if 0 <= i + by < len(names)}


def test_every_output_of_a_notebook_is_on_its_page(site: Path, runs: dict) -> None:
    """Pictures by their bytes, widgets by their number."""
    for name, run in runs.items():
        text = (site / f"{name}.html").read_text(encoding="utf-8")
        outputs = [one.data for cell in run.cells for one in cell.get("outputs", []) if "data" in one]
        for data in outputs:
            if "image/png" in data:
                assert "".join(data["image/png"].split()) in text
        assert text.count("data-widget=") - text.count("[data-widget=") == sum(
            "application/vnd.jupyter.widget-view+json" in data for data in outputs)


def test_four_stages_share_one_module() -> None:
    text = notebook_page(Notebook(Path("00_made.ipynb"), "Made", "", 5), four_stages())
    module = script().replace("export default {", "")[:2000].replace("</script", "<\\/script")
    assert text.count(module) == 1
    assert text.count('data-widget="stage"') - text.count('[data-widget="stage"') == 4
    assert text.count(A_FUNCTION) == 2  # once for stages, once for byte grids
    assert len(text) < 1_000_000


def test_another_widget_shows_its_words() -> None:
    import ipywidgets

    run = with_widgets([ipywidgets.IntSlider(3)])
    text = notebook_page(Notebook(Path("00_made.ipynb"), "Made", "", 5), run)
    assert "the words of widget 0" in text
    assert "it works in the notebook" in text
    assert "data-widget" not in text


def test_formulas_are_mathml_and_links_lead_to_pages() -> None:
    anchors = Anchors()
    text = to_html("## A & B\n\n$\\frac{M}{B} < 1$ [next](02_x.ipynb#a) [far](https://a.test/x.ipynb)\n\n"
                   "[words](../docs/words.md#w)\n\n"
                   "## A & B\n", anchors)
    assert re.search(r"<math[^>]*><mrow><mfrac><mrow><mi>M</mi></mrow><mrow><mi>B</mi></mrow></mfrac>", text)
    assert "$" not in text
    assert 'href="02_x.html#a"' in text
    assert 'href="https://a.test/x.ipynb"' in text
    assert "<p>words</p>" in text  # this site has no page for it
    assert 'href="docs/words.html#w"' in to_html("[words](../docs/words.md#w)", anchors, {
        "docs/words.md": "docs/words.html"}.get)
    assert anchors.headings == [(2, "A & B", "a-b"), (2, "A & B", "a-b-2")]


def test_a_figure_says_what_it_is_and_where() -> None:
    target = Target(nbformat.v4.new_notebook())
    target.text("## 1. Two *phases*\n\n### Run")
    for source, words in (("livemig.figures.timeline(trace);", "Timeline of passes, VM and migration thread"),
                          ("page_map(story(passes), 64)\nplt.show()", "Map of pages, one panel for each pass"),
                          ("plt.plot(x)", "Figure")):
        picture = nbformat.v4.new_output("display_data", {"image/png": "AAAA"})
        text = target.code(nbformat.v4.new_code_cell(source, outputs=[picture]))
        assert f'alt="{words}, in: 1. Two phases"' in text


def test_every_figure_with_words_of_its_own_exists() -> None:
    """A renamed function would lose its words without a sign."""
    rooms = [importlib.import_module(f"livemig.draw.{name}") for name in ("figures", "pages", "states")]
    assert [name for name in FIGURES if not any(name in room.__all__ for room in rooms)] == []


def test_a_line_that_was_written_over_shows_its_last_state() -> None:
    printed = "1 %\r50 %\r100 %\n<done>\x1b[31m!\x1b[0m\n"
    cell = nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("stream", name="stdout", text=printed)])
    text = Target(nbformat.v4.new_notebook()).code(cell)
    assert ">100 %\n&lt;done&gt;<span" in text


def test_the_frame_escapes_titles_and_counts_folders() -> None:
    text = page("a <b>", "<h1>x</h1>", root="../", nav=[("Words & more", "docs/words.html")])
    assert "<title>a &lt;b&gt; - livemig</title>" in text
    assert 'href="../index.html"' in text
    assert '<a href="../docs/words.html">Words &amp; more</a>' in text


@pytest.mark.parametrize(("name", "text", "says"), [
    (None, "", "no notebook in this folder"),
    ("00_a.ipynb", "{", "00_a.ipynb: not a notebook"),
    ("00_a.ipynb", nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Only a title")])),
     "its first cell must have a heading, the list"),
])  # fmt: skip
def test_what_is_no_notebook_is_named(tmp_path: Path, name: str | None, text: str, says: str) -> None:
    if name:
        (tmp_path / name).write_text(text)
    with pytest.raises(PublishError, match=says):
        read_notebooks(tmp_path)


def test_what_a_notebook_says_of_itself(tmp_path: Path) -> None:
    (one,) = read_notebooks(write(tmp_path / "n", "1"))
    assert (one.name, one.title, one.line, one.minutes) == ("00_made", "A title", "one thing of many", 40)
