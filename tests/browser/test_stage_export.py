"""The exported page without network and without a kernel: sliders, presets, recordings, keys, axe in both themes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import livemig

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("export") / "stage.html"
    stage = livemig.stage()
    stage.embed("b05", "n11")
    stage.to_html(file)
    return file


@pytest.fixture
def offline(chromium: Browser, exported: Path) -> Iterator[Page]:
    """The page opened from its file; whatever else it asks for is refused, and fails the test."""
    page = chromium.new_page(viewport={"width": 1200, "height": 1500})
    asked: list[str] = []
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)

    def only_the_file(route: object) -> None:
        url = route.request.url  # type: ignore[attr-defined]
        if url == exported.as_uri():
            route.continue_()  # type: ignore[attr-defined]
        else:
            asked.append(url)
            route.abort()  # type: ignore[attr-defined]

    page.route("**/*", only_the_file)
    page.goto(exported.as_uri())
    page.wait_for_function("document.body.dataset.ready === 'true'")
    yield page
    page.close()
    assert asked == []
    assert errors == []



def outcome(page: Page) -> str:
    return page.locator(".lm h2").inner_text()


def test_sliders_presets_and_recordings_without_a_kernel(offline: Page) -> None:
    first = outcome(offline)
    assert "5.01 s" in first
    slider = offline.get_by_label("Dirty rate", exact=True)
    slider.focus()
    for _ in range(8):
        offline.keyboard.press("ArrowRight")
    expect(offline.locator(".lm h2")).not_to_have_text(first)
    offline.get_by_role("button", name=re.compile("Never converges")).click()
    expect(offline.locator(".lm h2")).to_contain_text("Cancelled after 20")
    offline.locator(".lm [data-el=state]").click()
    offline.keyboard.press("7")
    expect(offline.locator(".lm h2")).to_contain_text("ITS mappings at the destination: 20 lost")
    offline.locator(".lm [data-el=recording]").select_option("n11")
    expect(offline.locator(".lm h2")).to_contain_text("Completed in 4.51 s")
    expect(offline.locator(".lm [data-el=source]")).to_have_text("recorded n11")
    expect(offline.locator(".lm [data-el=compare]")).to_contain_text("This run minus the model")
    expect(offline.locator(".lm [data-el=mapNote]")).to_contain_text("Places are derived")
    slider.focus()
    offline.keyboard.press("ArrowLeft")
    expect(offline.locator(".lm [data-el=source]")).to_have_text("simulated model")
    expect(offline.locator(".lm [data-el=compare]")).to_contain_text("recorded n11")


def test_words_are_on_the_canvas_while_a_slider_is_dragged_and_text_when_it_rests(offline: Page) -> None:
    slider = offline.locator(".lm input[type=range][data-name=dirty_rate_bytes_per_s]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    x, y = box["x"] + 0.3 * box["width"], box["y"] + box["height"] / 2
    offline.evaluate("() => { window.written = 0; const write = CanvasRenderingContext2D.prototype.fillText;"
                     "CanvasRenderingContext2D.prototype.fillText = function (...a) {"
                     " window.written += this.canvas.dataset.el === 'shapes'; return write.apply(this, a); }; }")
    words = offline.locator(".lm svg[data-el=time] text").first
    offline.mouse.move(x, y)
    offline.mouse.down()
    for k in range(6):
        offline.mouse.move(x + 3 * k, y)
    offline.mouse.up()
    expect(offline.locator(".lm svg[data-el=time]")).not_to_have_attribute("data-moving", "")
    expect(words).to_be_visible()
    written = offline.evaluate("window.written")
    assert written > 20
    offline.locator(".lm [data-el=scrub]").focus()
    offline.keyboard.press("ArrowLeft")
    assert offline.evaluate("window.written") == written


def test_what_the_first_play_shows_begins_at_t0(offline: Page) -> None:
    state = offline.locator(".lm [data-el=state]")
    expect(state).to_contain_text("Tn+2")
    offline.get_by_role("button", name="Play").click()
    expect(state).to_contain_text("T1")
    offline.get_by_role("button", name="Pause").click()


def test_after_the_lens_the_cursor_stays_at_its_right_edge(offline: Page) -> None:
    offline.locator(".lm .lm-presets button").nth(6).click()
    scrub = offline.locator(".lm [data-el=scrub]")
    scrub.focus()
    offline.keyboard.press("End")
    expect(offline.locator(".lm [data-el=position]")).to_have_text(re.compile(r"event (\d+) of \1"))
    assert float(scrub.input_value()) > 0.9


def test_a_width_that_changes_after_the_theme_is_measured_again(offline: Page) -> None:
    """JupyterLab exchanges a theme's style sheets one by one: the panel may get its size after it was drawn."""
    scrub = offline.locator(".lm [data-el=scrub]")
    before = scrub.bounding_box()
    offline.evaluate("document.querySelector('.lm').style.paddingRight = '216px'")
    offline.wait_for_function("w => document.querySelector('.lm [data-el=scrub]').offsetWidth < w - 100",
                              arg=before["width"] if before else 0)


def test_colours_that_come_after_the_theme_are_painted(offline: Page) -> None:
    """The canvases hide what is below them, so their ground must be the stage's in the end."""
    offline.evaluate("() => { document.body.dataset.jpThemeLight = 'false'; setTimeout(() => document.head.append("
                     "Object.assign(document.createElement('style'), { textContent:"
                     " 'body { --jp-layout-color1: rgb(1, 2, 30) !important }' })), 200); }")
    ground = ("canvas => [...canvas.getContext('2d').getImageData(2, 2, 1, 1).data.slice(0, 3)].join(', ')")
    offline.wait_for_timeout(1000)
    canvases = offline.locator(".lm canvas:visible").all()
    assert [canvas.evaluate(ground) for canvas in canvases] == ["1, 2, 30"] * 2


def test_an_impossible_input_is_explained_and_the_picture_stays(offline: Page) -> None:
    first = outcome(offline)
    offline.get_by_label("Guest RAM, MiB").fill("32")
    expect(offline.locator(".lm [data-el=error]")).to_contain_text("working_set_bytes = 67108864: larger than")
    assert outcome(offline) == first
    offline.get_by_label("Guest RAM, MiB").fill("512")
    expect(offline.locator(".lm [data-el=error]")).to_be_hidden()


def test_a_decimal_comma_is_a_point(offline: Page) -> None:
    number = offline.get_by_label("Dirty rate, MiB/s")
    number.focus()
    offline.keyboard.press("Control+A")
    offline.keyboard.type("20,5")
    assert number.input_value() == "20.5"


def test_a_large_guest_says_that_its_pages_are_coarse(offline: Page) -> None:
    offline.get_by_label("Guest RAM, MiB").fill("8192")
    words = "more than 1,048,576 pages: computed with pages of 8 KiB"
    expect(offline.locator(".lm [data-el=coarse]")).to_contain_text(words)
    expect(offline.locator(".lm [data-el=mapScale]")).to_contain_text("16 MiB a cell")


def test_by_keyboard_only_from_t0_to_the_end(offline: Page) -> None:
    """Tab to the stage, Home, then passes: each mark is said in the live region."""
    for _ in range(40):
        offline.keyboard.press("Tab")
        if offline.evaluate("document.activeElement.dataset.el") == "play":
            break
    assert offline.evaluate("document.activeElement.dataset.el") == "play"
    offline.keyboard.press("Home")
    state = offline.locator(".lm [data-el=state]")
    expect(state).to_contain_text("T0 at")
    live = offline.locator(".lm [data-el=live]")
    assert live.get_attribute("aria-live") == "polite"
    seen = []
    for _ in range(40):
        assert live.text_content() == state.text_content()
        seen.append(state.inner_text().split(" at ")[0])
        if seen[-1] == "Tn+4":
            break
        offline.keyboard.press("Shift+ArrowRight")
    assert [label for label in seen if label in ("T1", "T2", "T3", "Tn+2", "Tn+3", "Tn+4")] == [
        "T1", "T2", "T3", "Tn+2", "Tn+3", "Tn+4"]


STATES = ["first", "large", "error", "help", "recording", "menu", "never", "table"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(offline: Page, theme: str) -> None:
    """In eight states of the page, with the rules of axe-core as they come."""
    offline.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    offline.wait_for_timeout(200)
    found = {}
    for name in STATES:
        enter(offline, name)
        results = Axe().run(offline)
        violations = [(v["id"], [n["html"][:150] for n in v["nodes"]][:3]) for v in results.response["violations"]]
        if violations:
            found[name] = violations
        leave(offline, name)
    assert found == {}


def enter(page: Page, name: str) -> None:
    if name == "large":
        page.locator(".lm [data-el=large]").click()
    elif name == "error":
        page.get_by_label("Guest RAM, MiB").fill("32")
    elif name == "help":
        page.locator(".lm [data-el=keys]").click()
    elif name == "recording":
        page.locator(".lm [data-el=recording]").select_option("b05")
    elif name in ("menu", "table"):
        page.locator(".lm-menu summary" if name == "menu" else ".lm-alt summary").click()
    elif name == "never":
        page.get_by_role("button", name=re.compile("Never converges")).click()


def leave(page: Page, name: str) -> None:
    if name == "large":
        page.locator(".lm [data-el=large]").click()
    elif name == "error":
        page.get_by_label("Guest RAM, MiB").fill("256")
    elif name == "help":
        page.keyboard.press("Escape")
    elif name == "menu":
        page.locator(".lm-menu summary").click()


def test_forced_colours_keep_every_mark(offline: Page) -> None:
    offline.emulate_media(forced_colors="active")
    ink = offline.evaluate("getComputedStyle(document.querySelector('.lm')).getPropertyValue('--ink').trim()")
    assert ink == "CanvasText"
