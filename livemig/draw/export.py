"""A stage or a run as files: one HTML page that needs neither network nor kernel, a picture, an animation for slides.

The HTML page holds the stage's own module, its style sheet and the values of its traits (`standalone.py`). Pictures are
the figures of `livemig.draw.figures`.
"""

from __future__ import annotations

import html
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livemig.draw.standalone import document, place, scripts, styles
from livemig.trace import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "ExportError", "page", "picture", "save_animation", "save_picture"]

FORMATS = ("png", "svg", "gif", "mp4")
Progress = Callable[[int, int], None]
_STILL_FRAMES = 8  # the last picture stands this long before the animation begins again
_INCHES = (9.6, 5.4)
_DPI = 100

_STYLE = """html, body { margin: 0; background: #fff; }
body[data-jp-theme-light="false"] { background: #212121; --jp-layout-color1: #212121; }
.livemig-page { max-width: 2000px; margin: 0 auto; }
"""
_BODY = """<main class="livemig-page" aria-label="livemig">
<h1 style="position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%)">{title}</h1>
{place}</main>
{scripts}
<script type="module">document.body.dataset.ready = "true";</script>"""


class ExportError(ValueError):
    """A file that cannot be made; the message says which, and what is needed."""


def page(state: dict[str, Any], title: str, words: str) -> str:
    """The stage with these trait values as one HTML page; `words` are for readers without JavaScript.

    What only a kernel could do is left out (`livemig.draw.standalone`).
    """
    body = _BODY.format(title=html.escape(title), scripts=scripts(["stage"]),
                        place=place("stage", state, f"<p>{html.escape(words)}</p>"))
    return document(title, body, _STYLE + styles(["stage"]))


def picture(trace: Trace, form: str = "png", recorded: Trace | None = None) -> bytes:
    """The timeline over the pending curve as PNG or SVG."""
    out = io.BytesIO()
    _drawn(trace, recorded)[0].savefig(out, format=form, dpi=_DPI)
    return out.getvalue()


def save_picture(trace: Trace, file: Path, recorded: Trace | None = None) -> None:
    """`picture` into a file whose name ends in .png or .svg."""
    file.write_bytes(picture(trace, _form(file), recorded))


def save_animation(trace: Trace, file: Path, frames: int = 60, seconds: float = 12.0,
                   progress: Progress | None = None) -> None:
    """The run playing, as GIF, or as MP4 where ffmpeg is installed. `progress(done, frames)` is called for each frame.

    Half of the frames are the run, evenly in time, the other half its switchover. Raises `ExportError` without ffmpeg.
    """
    from matplotlib.animation import FFMpegWriter, PillowWriter

    form = _form(file)
    if form == "mp4" and shutil.which("ffmpeg") is None:
        raise ExportError(f"{file}: MP4 needs the program ffmpeg, which is not installed (Debian: apt install ffmpeg); "
                          "a name ending in .gif needs nothing more")
    figure, views = _drawn(trace, None)
    veils = [(ax, zero_s, scale, ax.axvspan(0, 1, color="white", alpha=0.8, lw=0, zorder=20))
             for ax, zero_s, scale in views]
    fps = max(1, round((frames + _STILL_FRAMES) / seconds))
    writer: Any = FFMpegWriter(fps=fps) if form == "mp4" else PillowWriter(fps=fps)
    with writer.saving(figure, str(file), _DPI):
        for done, t_s in enumerate(_moments(trace, frames), start=1):
            _cover(veils, t_s)
            for _ in range(1 + (_STILL_FRAMES if done == frames else 0)):
                writer.grab_frame()
            if progress is not None:
                progress(done, frames)


def _form(file: Path) -> str:
    form = file.suffix.removeprefix(".").lower()
    if form not in FORMATS:
        raise ExportError(f"{file}: which form? a name ends in {', '.join('.' + one for one in FORMATS)} or .html")
    return form


def _moments(trace: Trace, frames: int) -> list[float]:
    """Times of the frames, from T0 to the end; the switchover has half of them."""
    stop_s, end_s = trace.mark("Tn+1"), max(trace.end_s, 1e-6)
    if stop_s is None:
        return [end_s * i / max(1, frames - 1) for i in range(frames)]
    half = frames // 2
    before = [stop_s * i / max(1, half) for i in range(half)]
    rest = frames - half
    return before + [stop_s + (end_s - stop_s) * i / max(1, rest - 1) for i in range(rest)]


def _cover(veils: list[tuple[Axes, float, float, Any]], t_s: float) -> None:
    """What is still to come lies under a veil."""
    for ax, zero_s, scale, veil in veils:
        low, high = ax.get_xlim()
        left = min(max((t_s - zero_s) * scale, low), high)
        veil.set_bounds(left, 0, high - left, 1)


def _drawn(trace: Trace, recorded: Trace | None) -> tuple[Figure, list[tuple[Axes, float, float]]]:
    """The figure, and its axes with their zero (seconds) and units in a second."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from livemig.draw import figures

    figure = Figure(figsize=_INCHES)
    FigureCanvasAgg(figure)
    top, bottom = figure.subplots(2, 1, height_ratios=(1, 1.9))
    figure.subplots_adjust(left=0.1, right=0.98, top=0.86, bottom=0.1, hspace=0.42)
    panels = [figures.timeline(trace, ax=top, recorded=recorded), figures.pending(trace, ax=bottom, recorded=recorded)]
    bottom.set_title("", loc="left")
    stop_s = trace.mark("Tn+2") or 0.0
    views = [(one.whole, 0.0, 1.0) for one in panels]
    return figure, views + [(one.lens, stop_s, 1e3) for one in panels if one.lens is not None]
