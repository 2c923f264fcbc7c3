"""Records the README's picture, the real stage in Chromium playing one migration, for light and for dark pages.

    python -m tests.browser.record_stage                # writes docs/stage.gif and docs/stage-dark.gif

The passes are shown evenly in time, the switchover row by row of the sequence diagram, and the end stands. The GIF's
comment says what was shown; `tests/project/test_readme.py` compares it with a simulation.
"""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

import livemig
from livemig.trace import Trace
from tests.browser.notebook_page import CHROMIUM_ARGS
from tests.browser.stage_page import show
from tests.conftest import TOOLS

ROOT = Path(__file__).resolve().parents[2]
FILES = {True: ROOT / "docs/stage.gif", False: ROOT / "docs/stage-dark.gif"}  # light: file
SCENARIO = livemig.Scenario(downtime_limit_s=0.03)
WIDTH, HEIGHT = 1000, 776
VIEWPORT: ViewportSize = {"width": WIDTH, "height": HEIGHT + 200}
PASS_FRAMES = 28
PASS_MS, ROW_MS, TABLES_MS, END_MS = 120, 320, 1200, 5000
COLOURS = 128
# Two columns and nothing to press: only time, guest memory and the sequence.
_CSS = """.lm-tools, .lm-tr, .lm-scrub, .lm-presets, .lm-stack, .lm-file, .lm-alt, details { display: none !important }
.lm .lm-body { grid-template: "time seq" auto "mem seq" 1fr / minmax(0, 1fr) minmax(0, 1fr) !important }
.lm-state { min-height: 2.9em }"""
_HIDE = """names => names.forEach(name => {
  const box = document.querySelector(`[data-el=panels] input[value=${name}]`);
  if (box) { box.checked = false; box.dispatchEvent(new Event('change', { bubbles: true })); }
})"""
# Event by event to the next row of the diagram; true when there is none.
_NEXT_ROW = """async () => {
  const row = () => document.querySelector('.lm [data-el=sequence] .pointer')?.getAttribute('d');
  const place = () => document.querySelector('.lm [data-el=position]').textContent;
  const [before, next] = [row(), document.querySelector('.lm [data-el=next]')];
  for (let last = ''; row() === before && place() !== last;) {
    last = place();
    next.click();
  }
  return row() === before;
}"""
_TO = "t => window.model.set('cursor_s', t)"
_SETTLE_MS = 60


def moments(page: Page, trace: Trace) -> Iterator[int]:
    """Bring the stage to each frame's moment, and say how long that frame stands, in milliseconds."""
    stop_s = trace.mark("Tn+1") or trace.end_s
    for number in range(PASS_FRAMES):
        page.evaluate(_TO, stop_s * number / PASS_FRAMES)
        yield PASS_MS
    page.evaluate(_TO, stop_s)
    over = False
    while not over:
        yield TABLES_MS if "SAVE_TABLES" in page.locator(".lm [data-el=state]").inner_text() else ROW_MS
        over = page.evaluate(_NEXT_ROW)
    yield END_MS


def frames(page: Page, light: bool) -> Iterator[tuple[Image.Image, int]]:
    """(picture, milliseconds) of each frame."""
    stage = livemig.stage(SCENARIO)
    show(page, stage, light=light)
    page.add_style_tag(content=_CSS)
    page.evaluate(_HIDE, ["ctl", "its"])
    page.wait_for_timeout(500)
    for stands_ms in moments(page, stage.trace):
        page.wait_for_timeout(_SETTLE_MS)
        shot = page.screenshot(clip={"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT})
        yield Image.open(io.BytesIO(shot)).convert("RGB"), stands_ms


Colours = npt.NDArray[np.int32]


def most_used(pictures: list[Image.Image]) -> Colours:
    """The colours of most pixels: a drawing has few, and a quantizer would mix the small areas' with others."""
    counted: Counter[tuple[int, int, int]] = Counter()
    for picture in pictures[::4] + pictures[-8:]:
        counted.update({colour: count for count, colour in picture.getcolors(1 << 20)})
    return np.array([colour for colour, _ in counted.most_common(COLOURS)], dtype=np.int32)


def in_colours(picture: Image.Image, palette: Colours) -> Image.Image:
    """The picture in the palette's nearest colours; Pillow's own search is coarse and makes white grey."""
    pixels = np.asarray(picture).reshape(-1, 3).astype(np.int32)
    seen, where = np.unique(pixels @ [1 << 16, 1 << 8, 1], return_inverse=True)
    wanted = np.stack([seen >> 16, seen >> 8 & 255, seen & 255], axis=1)
    nearest = ((wanted[:, None] - palette[None]) ** 2).sum(axis=2).argmin(axis=1)
    made = Image.fromarray(nearest[where].reshape(picture.height, picture.width).astype(np.uint8))
    made.putpalette(palette.astype(np.uint8).tobytes())
    return made


def write(taken: list[tuple[Image.Image, int]], file: Path) -> None:
    """The frames as a GIF that plays for ever."""
    pictures = [picture for picture, _ in taken]
    palette = most_used(pictures)
    first, *rest = (in_colours(picture, palette) for picture in pictures)
    first.save(file, save_all=True, append_images=rest, duration=[stands_ms for _, stands_ms in taken], loop=0,
               comment=livemig.stage(SCENARIO).describe())


def main() -> None:
    chromium = next(filter(None, map(shutil.which, TOOLS["chromium"][0])))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=CHROMIUM_ARGS)
        for light, file in FILES.items():
            taken = list(frames(browser.new_page(viewport=VIEWPORT), light))
            write(taken, file)
            print(f"{file}: {len(taken)} frames, {file.stat().st_size / 1e6:.2f} MB")
        browser.close()


if __name__ == "__main__":
    main()
