"""The stage in real JupyterLab in Chromium: it draws, answers to sliders, plays, and keeps its keys from JupyterLab."""

import json
import re
from collections.abc import Iterator

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from livemig.draw.stage import Stage
from livemig.engine import simulate
from livemig.scenario import MIB, Scenario
from livemig.trace import Trace
from tests.browser.lab import Lab
from tests.browser.notebook_page import NotebookPage
from tests.browser.stage_page import show

pytestmark = pytest.mark.browser

CELL = """from livemig.draw.stage import Stage
from livemig.engine import simulate
from livemig.scenario import MIB, Scenario
stage = Stage(simulate=lambda values: simulate(Scenario.from_dict(values)), scenario=Scenario(),
              recorded=simulate(Scenario(downtime_limit_s=0.03)))
stage"""
SHOW_TRAITS = "print(stage.dirty_rate_bytes_per_s, 'cursor', round(stage.cursor_s, 6), stage.trace.outcome.status)"
OVERLAPS = """() => {
  const bad = [];
  const root = document.querySelector('.lm').getBoundingClientRect();
  for (const svg of document.querySelectorAll('.lm svg[role=img]')) {
    const named = [...svg.querySelectorAll('text')].filter(t => t.textContent.trim());
    const texts = named.map(t => [t.textContent, t.getBoundingClientRect()]);
    texts.forEach(([a, r], i) => {
      if (r.left < root.left - 1 || r.right > root.right + 1) bad.push('cut: ' + a);
      texts.slice(i + 1).forEach(([b, s]) => {
        const across = Math.min(r.right, s.right) - Math.max(r.left, s.left);
        const down = Math.min(r.bottom, s.bottom) - Math.max(r.top, s.top);
        if (across > 1 && down > 3) bad.push(a + ' / ' + b);
      });
    });
  }
  for (const e of document.querySelectorAll('.lm button, .lm select, .lm input, .lm h2, .lm p')) {
    const shown = e.offsetParent && getComputedStyle(e).overflow === 'visible';
    if (shown && e.scrollWidth > e.clientWidth + 2) bad.push('overflows: ' + e.textContent);
  }
  return bad;
}"""


def compute(values: dict[str, object]) -> Trace:
    return simulate(Scenario.from_dict(values))


@pytest.fixture
def stage_notebook(lab: Lab) -> Iterator[str]:
    """A notebook whose first cell shows a stage; the second tells Python's side of it."""
    name = "stage_test.ipynb"
    path = lab.folder / name
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL), nbformat.v4.new_code_cell(SHOW_TRAITS)])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, path)
    yield name
    path.unlink(missing_ok=True)


def part(page: Page, name: str) -> Locator:
    return page.locator(f".lm [data-el={name}]")


def picture(page: Page) -> tuple[str, str]:
    return part(page, "sequence").inner_html(), part(page, "time").inner_html()


def changed(page: Page, name: str, html: str) -> None:
    """Wait until a part of the picture is another than `html`: parts are drawn one after the other."""
    page.wait_for_function("([name, html]) => document.querySelector(`.lm [data-el=${name}]`).innerHTML !== html",
                           arg=[name, html], timeout=30_000)


def event(page: Page) -> int:
    found = re.search(r"event (\d+) of", part(page, "position").inner_text())
    assert found
    return int(found[1])


def test_the_stage_in_jupyterlab(notebook_page: NotebookPage, stage_notebook: str) -> None:
    page = notebook_page.page
    notebook_page.open(stage_notebook)
    notebook_page.run_all()
    outcome = part(page, "outcome")
    expect(outcome).to_contain_text("Completed in")
    first, first_picture = outcome.inner_text(), picture(page)
    assert "SAVE_TABLES" in part(page, "state").inner_text()  # the still that is shown first
    assert "minus" in part(page, "compare").inner_text()

    _slider_moves(page, first, first_picture)
    _error_keeps_the_picture(page)
    _keys(page)
    _playing(page)
    _python_side(notebook_page)
    assert notebook_page.report().console_errors == ()
    assert notebook_page.report().foreign_requests == ()
    assert notebook_page.report().errors == ()


def _slider_moves(page: Page, first: str, first_picture: tuple[str, str]) -> None:
    """The dirty-rate slider by keys (JupyterLab must not eat the arrows) and by mouse."""
    slider = page.get_by_label("Dirty rate", exact=True)
    slider.focus()
    before = float(slider.input_value())
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    assert float(slider.input_value()) == before + 12
    expect(part(page, "outcome")).not_to_have_text(first)
    for name, before_html in zip(("sequence", "time"), first_picture, strict=True):
        changed(page, name, before_html)
    box = slider.bounding_box()
    assert box
    second = part(page, "outcome").inner_text()
    page.mouse.click(box["x"] + 0.35 * box["width"], box["y"] + box["height"] / 2)
    expect(part(page, "outcome")).not_to_have_text(second)
    page.wait_for_timeout(1000)  # the timeline is drawn first, the rest a moment later


def _error_keeps_the_picture(page: Page) -> None:
    shown = picture(page)
    number = page.get_by_label("Guest RAM, MiB")
    number.fill("32")
    expect(part(page, "error")).to_contain_text("working_set_bytes")
    expect(page.get_by_label("Working set, MiB")).to_have_attribute("aria-invalid", "true")
    assert picture(page) == shown
    number.fill("256")
    expect(part(page, "error")).to_be_hidden()
    expect(page.locator(".lm [aria-invalid]")).to_have_count(0)


def test_a_theme_chosen_while_the_stage_is_shown(notebook_page: NotebookPage, stage_notebook: str) -> None:
    """The timeline stands where it stood; only colours change."""
    page = notebook_page.page
    notebook_page.open(stage_notebook)
    notebook_page.run_all()
    expect(part(page, "outcome")).to_contain_text("Completed in")
    page.wait_for_timeout(500)
    placed = ("() => [...document.querySelectorAll('.lm svg[data-el=time] text')]"
              ".map(t => t.textContent + t.getAttribute('x'))"
              ".concat(document.querySelector('.lm [data-el=scrub]').style.width)")
    before = page.evaluate(placed)
    grounds = ("() => [...document.querySelectorAll('.lm canvas')].filter(c => c.offsetWidth).map(c =>"
               " [...c.getContext('2d').getImageData(2, 2, 1, 1).data.slice(0, 3)].join(', '))")
    paper = "() => getComputedStyle(document.querySelector('.lm')).backgroundColor.match(/\\d+, \\d+, \\d+/)[0]"
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        page.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", theme)
        page.wait_for_timeout(1500)
        assert page.evaluate(placed) == before, theme
        assert set(page.evaluate(grounds)) == {page.evaluate(paper)}, theme


def _keys(page: Page) -> None:
    """Events, passes, both ends; no key reaches JupyterLab, which would cut or add cells."""
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    part(page, "state").click()
    page.keyboard.press("Home")
    assert event(page) == 1
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert event(page) == 3
    page.keyboard.press("ArrowLeft")
    assert event(page) == 2
    page.keyboard.press("Shift+ArrowRight")
    expect(part(page, "state")).to_contain_text("T1 at")
    page.keyboard.press("Shift+ArrowRight")
    expect(part(page, "state")).to_contain_text("T2 at")
    page.keyboard.press("End")
    expect(part(page, "state")).to_contain_text("Tn+4 at")
    for key in ("x", "a", "b", "d", "d", "1"):
        page.keyboard.press(key)
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells
    page.keyboard.press("l")
    assert page.locator(".lm[data-large]").count() == 1
    page.keyboard.press("l")
    part(page, "scrub").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert event(page) == 2


def _playing(page: Page) -> None:
    """A second of playing moves the cursor by a second; the switchover is slowed down by itself."""
    part(page, "scrub").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    expect(part(page, "state")).to_contain_text(" at 1.", timeout=8000)
    page.keyboard.press(".")
    stopped = event(page)
    assert part(page, "play").inner_text().strip() == "Play"
    page.wait_for_timeout(300)
    assert event(page) == stopped
    page.keyboard.press("End")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    expect(part(page, "state")).to_contain_text("Tn+")
    page.keyboard.press("Space")
    page.wait_for_timeout(1500)
    page.keyboard.press("Space")
    expect(part(page, "state")).not_to_contain_text("Tn+4")  # milliseconds of switchover take 9 s


def _python_side(notebook_page: NotebookPage) -> None:
    """Sliders and cursor are Python's traits too."""
    page = notebook_page.page
    page.wait_for_timeout(500)
    before = part(page, "scrub").get_attribute("aria-valuetext")
    assert before
    seconds = float(before.split(" s")[0].replace("\u202f", ""))
    page.locator(".jp-Notebook .jp-Cell").nth(1).click()
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-cell')")
    output = notebook_page.output(1)
    expect(output).to_contain_text(f"cursor {seconds:.6f}".rstrip("0"))
    expect(output).to_contain_text("completed")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_in_jupyterlab(notebook_page: NotebookPage, stage_notebook: str, theme: str) -> None:
    page = notebook_page.page
    page.set_viewport_size({"width": 1900, "height": 2400})
    notebook_page.open(stage_notebook)
    name = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}[theme]
    page.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name)
    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    notebook_page.run_all()
    for width in (700, 1200, 1900):
        page.set_viewport_size({"width": width, "height": 2700 if width == 700 else 1700})
        page.wait_for_timeout(400)
        assert page.evaluate(OVERLAPS) == []
        notebook_page.screenshot(f"stage-{width}-{theme}")
    found = Axe().run(page, context=".lm").response["violations"]  # our cell only: JupyterLab's own page has some
    assert [(v["id"], [n["html"][:150] for n in v["nodes"]][:3]) for v in found] == []


SHOWN = {
    "converges": {},
    "never": {"dirty_rate_bytes_per_s": 200.0 * MIB, "give_up_s": 20.0},
    "7.2-fixed": {"qemu_version": "7.2", "switchover_rule": "fixed"},
    "too-early": {"save_tables_when": "t0"},
}


SIZES = [(700, False), (700, True), (1200, False), (1900, True)]


@pytest.mark.parametrize(("width", "large"), SIZES)
@pytest.mark.parametrize("name", SHOWN)
def test_no_label_overlaps_or_is_cut(stage_window: Page, name: str, width: int, large: bool) -> None:
    """In a bare page, over the whole run: at every mark, in the middle of passes and in the switchover."""
    beside = simulate(Scenario(downtime_limit_s=0.05))
    stage = Stage(simulate=compute, scenario=Scenario(**SHOWN[name]), recorded=beside)
    stage_window.set_viewport_size({"width": width, "height": 1000})
    show(stage_window, stage)
    if large:
        part(stage_window, "large").click()
    trace = stage.trace
    moments = [m.t_s for m in trace.marks() if m.label.startswith("Tn")] + [0.0, 0.3 * trace.end_s, trace.end_s]
    for kind in ("time", "step"):
        part(stage_window, "axis").select_option(kind)
        for t_s in moments:
            stage_window.evaluate(f"model.set('cursor_s', {json.dumps(t_s)})")
            assert stage_window.evaluate(OVERLAPS) == []


@pytest.fixture
def stage_window(chromium: object) -> Iterator[Page]:
    """A bare page that fails the test when the stage logs an error."""
    page = chromium.new_page()  # type: ignore[attr-defined]
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    page.close()
    assert errors == []


def test_reduced_motion_plays_from_mark_to_mark(stage_window: Page) -> None:
    stage_window.emulate_media(reduced_motion="reduce")
    show(stage_window, Stage(simulate(Scenario())))
    stage_window.evaluate("model.set('cursor_s', 0)")
    part(stage_window, "play").click()
    expect(part(stage_window, "state")).to_contain_text("T1 at")
    stage_window.wait_for_timeout(1700)
    assert "T2 at" in part(stage_window, "state").inner_text()


def test_removing_the_view_stops_it(stage_window: Page) -> None:
    show(stage_window, Stage(simulate(Scenario())))
    part(stage_window, "play").click()
    stage_window.evaluate("remove()")
    before = part(stage_window, "position").inner_text()
    stage_window.wait_for_timeout(300)
    assert part(stage_window, "position").inner_text() == before


def test_a_slider_sends_the_newest_value_only(stage_window: Page) -> None:
    stage = Stage(simulate=compute, scenario=Scenario())
    show(stage_window, stage)
    slider = stage_window.get_by_label("Dirty rate", exact=True)
    slider.focus()
    for _ in range(5):
        stage_window.keyboard.press("ArrowRight")
    sent = stage_window.evaluate("window.sent")
    assert len(sent) == 1  # nobody has answered yet
    stage_window.evaluate(f"model.set('_status', {{reply: {json.dumps(sent[0]['id'])}, error: ''}})")
    sent = stage_window.evaluate("window.sent")
    assert len(sent) == 2
    shown = float(stage_window.get_by_label("Dirty rate, MiB/s").input_value())
    assert sent[1]["inputs"] == {"dirty_rate_bytes_per_s": pytest.approx(shown * MIB)}




def test_a_slider_that_is_held_is_not_written(stage_window: Page) -> None:
    show(stage_window, Stage(simulate=compute, scenario=Scenario()))
    slider = stage_window.get_by_label("Dirty rate", exact=True)
    box = slider.bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    stage_window.mouse.move(box["x"] + 0.5 * box["width"], y)
    stage_window.mouse.down()
    stage_window.mouse.move(box["x"] + 0.8 * box["width"], y)
    held = slider.input_value()
    for sent in stage_window.evaluate("window.sent"):  # the kernel answers with another value while the mouse is down
        stage_window.evaluate(f"model.set('_status', {{reply: {json.dumps(sent['id'])}, error: ''}})")
    stage_window.evaluate("model.set('dirty_rate_bytes_per_s', 1048576)")
    assert slider.input_value() == held
    assert stage_window.get_by_label("Dirty rate, MiB/s").input_value() == "1"
    stage_window.mouse.up()
    assert slider.input_value() != held  # released, it shows the trait again


@pytest.mark.parametrize("width", [700, 1200, 1900])
def test_panels_can_be_hidden(stage_window: Page, width: int) -> None:
    """What is left keeps inside the stage and takes the room."""
    stage_window.set_viewport_size({"width": width, "height": 1000})
    show(stage_window, Stage(simulate=compute, scenario=Scenario()))
    part(stage_window, "panels").locator("..").locator("summary").click()
    for hidden in (["seq"], ["seq", "its"], ["its"], ["its", "ctl"], ["ctl"], ["ctl", "seq"], []):
        for name in ("ctl", "seq", "its"):
            part(stage_window, "panels").locator(f"[value={name}]").set_checked(name not in hidden)
        edges = stage_window.evaluate("""() => [...document.querySelectorAll('.lm-p')].filter(e => e.offsetParent)
            .map(e => e.getBoundingClientRect()).map(r => [r.left, r.right, r.width])""")
        assert len(edges) == 4 - len(hidden)
        assert min(left for left, _, _ in edges) == pytest.approx(16, abs=1)
        assert max(right for _, right, _ in edges) == pytest.approx(width - 16, abs=1)
        assert all(size > 200 for _, _, size in edges)
        assert stage_window.evaluate(OVERLAPS) == []


def test_help_opens_and_closes_by_key(stage_window: Page) -> None:
    show(stage_window, Stage(simulate(Scenario())))
    part(stage_window, "play").focus()
    stage_window.keyboard.press("?")
    assert part(stage_window, "help").is_visible()
    stage_window.keyboard.press("Escape")
    assert part(stage_window, "help").is_hidden()
