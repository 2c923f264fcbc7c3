"""A page opened from its file with every network refused: what it asked for, and what its console said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

SLIDER = "Dirty rate"


@dataclass
class Asked:
    """What a page asked for besides files of its own folder, and the errors of its console."""

    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@contextmanager
def opened(chromium: Browser, file: Path, width: int = 1280, height: int = 900) -> Iterator[Page]:
    """The page of a file; on leaving it must have asked for nothing else and have had no error."""
    page = chromium.new_page(viewport={"width": width, "height": height})
    asked = watched(page, file.parent.as_uri())
    page.goto(file.as_uri())
    try:
        yield page
    finally:
        page.close()
    assert (file.name, asked.foreign, asked.errors) == (file.name, [], [])


def watched(page: Page, allowed: str) -> Asked:
    """Refuse and note every request whose address does not begin with `allowed`."""
    asked = Asked()

    def decide(route: Any) -> None:
        if route.request.url.startswith((f"{allowed}/", "data:")):
            route.continue_()
        else:
            asked.foreign.append(route.request.url)
            route.abort()

    page.route("**/*", decide)
    page.on("pageerror", lambda error: asked.errors.append(str(error)))
    page.on("console", lambda message: asked.errors.append(message.text) if message.type == "error" else None)
    return asked


def plays(stage: Locator) -> None:
    """Play moves the cursor on; pause stops it."""
    button, cursor = stage.locator("[data-el=play]"), stage.locator("[data-el=scrub]")
    button.scroll_into_view_if_needed()
    stage.page.keyboard.press("Escape")
    cursor.fill("0")
    button.click()
    expect(button).to_contain_text("Pause")
    later = "([cursor, before]) => Number(cursor.value) > before"
    stage.page.wait_for_function(later, arg=[cursor.element_handle(), 0])
    stage.page.wait_for_function(later, arg=[cursor.element_handle(), float(cursor.input_value())])
    button.click()
    expect(button).to_contain_text("Play")


def answers(stage: Locator) -> bool:
    """Move a slider and see the headline change; False where the stage draws a given run and so has none."""
    slider = stage.get_by_label(SLIDER, exact=True)
    if slider.count() == 0:
        return False
    headline = stage.locator("h2")
    before = headline.inner_text()
    slider.focus()
    for _ in range(8):
        stage.page.keyboard.press("ArrowRight")
    expect(headline).not_to_have_text(before)
    return True


def violations(page: Page) -> list[Any]:
    """What axe finds, in short."""
    found = Axe().run(page).response["violations"]
    return [(v["id"], [n["html"][:150] for n in v["nodes"]][:3]) for v in found]
