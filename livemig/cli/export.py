"""`livemig export`: the stage as one HTML file, or a run as picture or animation."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import typer

from livemig.cli.errors import say
from livemig.cli.options import parameters, read_scenario
from livemig.units import UnitError

__all__ = ["export"]

_HTML_RECORDINGS = ("b05", "b02", "n11")


def _option(name: str, annotation: Any, default: Any, *names: str, **more: Any) -> inspect.Parameter:
    made = typer.Option(default, *names, rich_help_panel="Output", **more)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=made)


_OWN = (
    _option("page", Path | None, None, "--html", metavar="FILE",
            help="The whole stage in one HTML file: no network, no kernel, sliders and all"),
    _option("output", Path | None, None, "--output", "-o", metavar="FILE",
            help="The run as .png, .svg, .gif, or as .mp4 where ffmpeg is installed"),
    _option("recordings", list[str], None, "--recording", metavar="NAME", show_default=False,
            help=f"A recording to take into the HTML file; may be given again [{', '.join(_HTML_RECORDINGS)}]"),
    _option("frames", int, 60, "--frames", min=2, max=2000, help="Frames of an animation"),
)


def export(**given: Any) -> None:
    """Write the stage as one HTML file, or one run as a picture or an animation for slides.

    The HTML file opens in any browser, without network and without a kernel; its sliders simulate anew. Every input of
    `livemig run` has the same option here; it sets where the sliders begin.
    """
    html, output = given.pop("page"), given.pop("output")
    recordings, frames = given.pop("recordings"), given.pop("frames")
    if (html is None) == (output is None):
        raise UnitError("livemig export: say either --html FILE or --output FILE")
    scenario = read_scenario(given)
    if html is not None:
        import livemig

        stage = livemig.stage(scenario)
        stage.embed(*(recordings or _HTML_RECORDINGS))
        stage.to_html(html)
        say(f"stage written to {html} ({html.stat().st_size / 1e6:.2f} MB); open it in a browser")
        return
    from livemig.draw.export import save_animation, save_picture
    from livemig.engine import simulate

    if output.suffix.lower() in (".gif", ".mp4"):
        save_animation(simulate(scenario), output, frames, progress=_tell)
    else:
        save_picture(simulate(scenario), output)
    say(f"run written to {output}")


export.__signature__ = inspect.Signature([*_OWN, *parameters()])  # type: ignore[attr-defined]
export.__annotations__ = {}  # typer would take the type of **given for each option


def _tell(done: int, frames: int) -> None:
    """Progress on stderr, on one line of a terminal, at most twenty lines elsewhere."""
    if done % max(1, frames // 20) == 0 or done == frames:
        say(f"frame {done} of {frames}")
