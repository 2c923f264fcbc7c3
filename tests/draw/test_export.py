"""Exports: one HTML page, pictures and animations, the command, and what is shown where no JavaScript runs."""

import base64
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import livemig
from livemig.cli.app import app
from livemig.draw.export import ExportError, save_animation, save_picture
from livemig.draw.stage import Stage
from livemig.engine import simulate
from livemig.scenario import MIB, Scenario

PNG = b"\x89PNG\r\n\x1a\n"


def state_of(text: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])  # type: ignore[no-any-return]


def test_the_page_holds_everything_and_names_no_address() -> None:
    stage = livemig.stage(Scenario(dirty_rate_bytes_per_s=5.0 * MIB))
    stage.embed("b05")
    text = stage.to_html(title="a </script><b>")
    state = state_of(text)
    assert state["dirty_rate_bytes_per_s"] == 5 * MIB
    assert list(state["_library"]) == ["b05"]  # type: ignore[call-overload]
    assert state["_recordings"] == []
    assert stage.describe() in text.replace("&#x27;", "'")
    assert "<title>a &lt;/script&gt;&lt;b&gt;</title>" in text
    assert not re.search(r"(src|href)\s*=|url\((?!#)|@import|https?://(?!www\.w3\.org)", text)
    assert len(text) < 600_000


def test_a_page_without_a_model_has_no_sliders() -> None:
    text = Stage(simulate(Scenario())).to_html()
    assert state_of(text)["_controls"] == []


def test_where_no_javascript_runs_there_is_a_picture_with_its_description() -> None:
    data, _ = livemig.stage()._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]).startswith(PNG)
    assert "completed after" in data["text/plain"]


@pytest.mark.parametrize(("name", "start"), [("run.png", PNG), ("run.svg", b"<?xml"), ("run.gif", b"GIF89a")])
def test_pictures_and_animations(name: str, start: bytes, tmp_path: Path) -> None:
    file = tmp_path / name
    told: list[tuple[int, int]] = []
    if name.endswith("gif"):
        save_animation(simulate(Scenario()), file, frames=4, progress=lambda done, of: told.append((done, of)))
        assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    else:
        save_picture(simulate(Scenario()), file, recorded=livemig.recording("b05"))
    assert file.read_bytes().startswith(start)


def test_the_frames_of_an_animation_differ(tmp_path: Path) -> None:
    from PIL import Image

    file = tmp_path / "run.gif"
    save_animation(simulate(Scenario()), file, frames=4)
    with Image.open(file) as image:
        seen = set()
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            seen.add(image.convert("L").tobytes())
    assert len(seen) == 4


def test_mp4_without_ffmpeg_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match="needs the program ffmpeg"):
        save_animation(simulate(Scenario()), tmp_path / "run.mp4")


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    file = tmp_path / "stage.html"
    done = CliRunner().invoke(app, ["export", "--html", str(file), "--rate", "7MiB/s", "--recording", "n11"])
    assert done.exit_code == 0, done.output
    state = state_of(file.read_text(encoding="utf-8"))
    assert state["dirty_rate_bytes_per_s"] == 7 * MIB
    assert list(state["_library"]) == ["n11"]  # type: ignore[call-overload]


@pytest.mark.parametrize(("options", "said"), [
    ([], "either --html FILE or --output FILE"),
    (["-o", "run.doc"], "which form"),
    (["--html", "x.html", "--recording", "z9"], "no recording 'z9'"),
    (["--html", "no/such/folder/x.html"], "No such file or directory"),
    (["-o", "x.png", "--ram", "1MiB"], "working_set_bytes"),
])
def test_the_command_refuses_in_one_line(options: list[str], said: str, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["export", *options])
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output
