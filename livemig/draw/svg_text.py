"""A figure as the text of an SVG file that is the same whenever the picture is the same."""

from __future__ import annotations

import io
import re

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["svg_text"]


def svg_text(ax: Axes) -> str:
    """The figure of `ax`, which is closed, without a date and with ids that do not change."""
    figure, target = ax.figure, io.StringIO()
    if not isinstance(figure, Figure):
        raise TypeError("axes of a part of a figure: only a whole figure can be written")
    with matplotlib.rc_context({"svg.hashsalt": "livemig", "svg.fonttype": "path"}):
        figure.savefig(target, format="svg", metadata={"Date": None})
    plt.close(figure)
    return re.sub(r"[ \t]+$", "", target.getvalue(), flags=re.MULTILINE)
