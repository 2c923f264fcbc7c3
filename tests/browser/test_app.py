"""`livemig app`: a real Voilà serves notebook 00; the stage comes, answers, and no other host is asked for anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.lab import free_port
from tests.browser.offline import answers, plays, watched

pytestmark = [pytest.mark.browser, pytest.mark.skipif(sys.platform == "win32", reason="signals")]


@pytest.fixture
def app(root: Path, tmp_path: Path) -> Iterator[str]:
    """The app's address; on leaving, Ctrl-C ends it."""
    port = free_port()
    line = [sys.executable, "-c", "from livemig.cli import main; main()", "app", "--no-browser", "--port", str(port),
            "--notebooks", str(root / "notebooks")]
    env = {**os.environ, "PYTHONPATH": str(root), "JUPYTER_CONFIG_DIR": str(tmp_path), "IPYTHONDIR": str(tmp_path)}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(line, env=env, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        assert answers_soon(f"{url}/voila/static/", server), (tmp_path / "log").read_text()
        yield url
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.wait()


def answers_soon(url: str, server: subprocess.Popen[bytes]) -> bool:
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.2)
        else:
            return True
    return False


@pytest.mark.timeout(300)
def test_the_stage_of_notebook_00_works_and_nobody_else_is_asked(app: str, chromium: Browser) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 1000})
    asked = watched(page, app)
    page.goto(f"{app}/", timeout=120_000)
    stage = page.locator(".lm").first
    expect(stage.locator("h2")).to_contain_text("5.21 s", timeout=120_000)
    plays(stage)
    assert answers(stage)
    assert page.locator("text=livemig.stage(scenario").count() == 0  # no code
    shown = page.locator("body").inner_text()
    assert "To answer the exercises: make lab." in shown
    for gone in ("not answered", "place of the dots", "Run All Cells"):
        assert gone not in shown
    grounds = []
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        ground = "body => [getComputedStyle(body).backgroundColor, body.dataset.jpThemeLight]"
        grounds.append(page.locator("body").evaluate(ground))
    assert grounds == [["rgb(255, 255, 255)", "true"], ["rgb(17, 17, 17)", "false"]]  # JupyterLab's --jp-layout-color0
    page.close()
    assert (asked.foreign, asked.errors) == ([], [])
