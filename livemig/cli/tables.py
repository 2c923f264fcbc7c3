"""Tables and text on stdout: 80 columns are enough, and nothing but text goes into a pipe."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

__all__ = ["HEAD", "TAIL", "note", "shortened", "table"]

HEAD = 12  # rows of a long table that are shown at its beginning
TAIL = 6  # and at its end


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table. A column whose name begins with ">" is aligned to the right (numbers)."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for name in columns:
        if name.startswith(">"):
            made.add_column(name[1:], justify="right", no_wrap=True)
        else:
            made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*row)
    console = _console()
    with console.capture() as printed:
        console.print(title, style="bold")
        console.print(made)
    # rich fills each line with spaces; whoever pipes or copies the text does not want them
    print("\n".join(line.rstrip() for line in printed.get().splitlines() if line.strip()) + "\n")


def note(text: str) -> None:
    """Print a paragraph, wrapped at the width of the terminal; an indented one keeps its indent."""
    indent = " " * (len(text) - len(text.lstrip()))
    print(textwrap.fill(text, _console().width, subsequent_indent=f"{indent}  " if indent else "",
                        break_on_hyphens=False))  # max-bandwidth is one word


def shortened(rows: Sequence[Sequence[str]], more: str) -> list[Sequence[str]]:
    """All rows, or the first and last ones with a row between that says how many more there are and where."""
    if len(rows) <= HEAD + TAIL + 1:
        return list(rows)
    left_out = ["..."] + [""] * (len(rows[0]) - 1)
    left_out[-1] = f"{len(rows) - HEAD - TAIL} more: {more}"
    return [*rows[:HEAD], left_out, *rows[-TAIL:]]


def _console() -> Console:
    return Console(highlight=False, markup=False, emoji=False)
