"""The colours and line weights of every figure: one colour, one actor.

Blue is the migration thread and what it sends, orange is dirty memory and so the pending curve, teal is the running
VM, raspberry is the ITS; nothing else is coloured. Stopped is a texture (diagonal ink), "now" is inverted ink, the
other run is dashed grey. Contrast against paper: text at least 6.3, marks at least 3.2, in both themes; the five hues
stay apart under full deuteranopia and protanopia (CIELAB distance at least 17).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DARK", "GREY", "LIGHT", "Palette"]


@dataclass(frozen=True)
class Palette:
    """Colour tokens of one theme, as #rrggbb."""

    paper: str
    well: str
    ink: str
    mute: str
    edge: str
    rule: str
    send: str
    dirty: str
    run: str
    its: str
    send_tint: str
    run_tint: str
    its_tint: str

    stop_hatch: str = "/////"
    gap_hatch: str = "..."
    other_dashes: tuple[float, float] = (5.0, 6.0)  # far apart: seen as dashes on a wider line too


LIGHT = Palette(
    paper="#ffffff", well="#f5f6f8", ink="#1a1d21", mute="#545b64", edge="#7c858f", rule="#d5d9de",
    send="#0b5cad", dirty="#b4470b", run="#0f766e", its="#b20952",
    send_tint="#cfe1f4", run_tint="#cfeae6", its_tint="#f8dce7")

DARK = Palette(
    paper="#212121", well="#2a2c2f", ink="#eef0f2", mute="#b0b7bf", edge="#8b949d", rule="#43484e",
    send="#7ab7f5", dirty="#f4a45a", run="#5bcbb9", its="#ff6a8c",
    send_tint="#1d4268", run_tint="#154a43", its_tint="#5a2231")

# For paper: actors differ by lightness, and nothing is lost on a printer without colours.
GREY = Palette(
    paper="#ffffff", well="#f7f7f7", ink="#111111", mute="#4d4d4d", edge="#b0b0b0", rule="#d0d0d0",
    send="#2e2e2e", dirty="#000000", run="#666666", its="#6b6b6b",
    send_tint="#dedede", run_tint="#efefef", its_tint="#f5f5f5")
