"""The README's picture shows the stage as it is now."""

from __future__ import annotations

from itertools import islice

import pytest
from PIL import Image, ImageChops, ImageStat
from playwright.sync_api import Browser

from tests.browser.record_stage import FILES, VIEWPORT, frames

pytestmark = pytest.mark.browser
FONTS = 3.0  # mean difference of a pixel, of 255; all text one pixel further right makes 9


@pytest.mark.parametrize("light", [True, False])
def test_the_picture_in_the_readme_is_this_stage(chromium: Browser, light: bool) -> None:
    page = chromium.new_page(viewport=VIEWPORT)
    try:
        taken = list(islice(frames(page, light), 2))
    finally:
        page.close()
    with Image.open(FILES[light]) as kept:
        for number, (picture, _) in enumerate(taken):
            kept.seek(number)
            differ = ImageStat.Stat(ImageChops.difference(picture, kept.convert("RGB"))).mean
            assert max(differ) < FONTS, "the stage looks different now: python -m tests.browser.record_stage"
