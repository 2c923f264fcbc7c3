"""The slides as a lecturer uses them: from a file, without a network, by keys; stages play on their slides."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from livemig.publish.slides import build_slides
from tests.browser.offline import answers, opened, plays, violations

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
SHOWN = """() => {
  const [slide, ...more] = [...document.querySelectorAll('.slide')].filter(s => s.getClientRects().length);
  return [more.length, slide.id, slide.scrollWidth - slide.clientWidth, slide.scrollHeight - slide.clientHeight > 2
          && getComputedStyle(slide).overflowY !== 'auto'];
}"""


@pytest.fixture(scope="module")
def decks(root: Path, runs: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decks") / "slides"
    build_slides(root / "notebooks", folder, runs=runs)
    return folder


def test_every_deck_goes_from_the_first_to_the_last_slide_by_keys(decks: Path, chromium: Browser) -> None:
    """One slide is shown at a time, none is wider than the screen, what is higher scrolls; every stage plays."""
    played = 0
    for file in sorted(decks.glob("[0-9]*.html")):
        with opened(chromium, file, 1280, 720) as page:
            count = page.locator(".slide").count()
            for number in range(1, count + 1):
                assert page.evaluate(SHOWN) == [0, f"slide-{number}", 0, False], file.name
                stages = page.locator(".slide:not([hidden]) [data-widget=stage][data-ready] > * > .lm").all()
                for stage in stages:
                    plays(stage)
                    answers(stage)
                    played += 1
                page.keyboard.press("Escape")
                page.keyboard.press("ArrowRight")
            expect(page.locator("[data-place]")).to_have_text(f"{count} / {count}")
    assert played >= 2


def test_a_presenters_remote_passes_over_nothing(decks: Path, chromium: Browser) -> None:
    """Page Down shows a high slide to its end before the next one; Page Up comes back; a reload stays."""
    with opened(chromium, decks / "00_start_here.html", 1280, 720) as page:
        high = str(page.locator(".slide:has([data-widget=stage])").first.get_attribute("id"))
        after = f"slide-{int(high.removeprefix('slide-')) + 1}"
        while shown(page) != high:
            page.keyboard.press("ArrowRight")
        assert violations(page) == []
        seen = 0
        while shown(page) == high and seen < 20:
            page.keyboard.press("PageDown")
            page.wait_for_timeout(50)
            seen += 1
        assert seen >= 2
        assert shown(page) == after
        page.reload()
        assert shown(page) == after
        page.keyboard.press("PageUp")
        page.keyboard.press("End")
        page.keyboard.press(" ")
        page.keyboard.press("Home")
        assert shown(page) == "slide-1"
        assert violations(page) == []
        page.get_by_role("button", name="Next slide").click()
        assert shown(page) == "slide-2"


def test_the_bar_says_who_has_the_keys_and_that_a_slide_goes_on(decks: Path, chromium: Browser) -> None:
    """And it lies over nothing: a slide ends where the bar begins."""
    with opened(chromium, decks / "00_start_here.html", 1280, 720) as page:
        bar, keys = page.locator(".turn-slides"), page.locator("[data-keys]")
        more = page.get_by_role("button", name="more")
        expect(more).to_be_hidden()  # the first slide of the notebook fits
        while not page.locator(".slide:not([hidden]) [data-widget=stage]").count():
            page.keyboard.press("ArrowRight")
        here = shown(page)
        slide = page.locator(f"#{here}").bounding_box()
        assert slide["y"] + slide["height"] <= bar.bounding_box()["y"] + 0.5  # type: ignore[index]
        slider = page.locator(f"#{here}").get_by_label("Dirty rate", exact=True)
        slider.focus()
        expect(keys).to_contain_text("Esc, then →")
        page.keyboard.press("ArrowRight")
        assert shown(page) == here
        page.keyboard.press("Escape")
        expect(keys).to_be_empty()
        for _ in range(20):
            if more.is_hidden():
                break
            more.click()
            page.wait_for_timeout(50)
        assert shown(page) == here
        assert page.locator(f"#{here}").evaluate("s => s.scrollHeight - s.clientHeight - s.scrollTop") <= 2
        page.keyboard.press("ArrowRight")
        assert shown(page) != here


def shown(page: Page) -> str:
    return str(page.locator(".slide:not([hidden])").get_attribute("id"))
