"""The site: an index, and a page for each notebook with the outputs of a run and stages that play without a kernel."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from livemig.publish.cells import Page
from livemig.publish.docs import build_docs, on_the_site
from livemig.publish.folder import replaced
from livemig.publish.notebooks import Notebook, executed, read_notebooks
from livemig.publish.page import SITE_NAME, page
from livemig.publish.readers import to_read

__all__ = ["EXTRA_PAGES", "build_site", "notebook_page"]

# Builders of further pages: each writes into the site's folder and returns (title, address from the top) for the bar.
EXTRA_PAGES: tuple[Callable[[Path], list[tuple[str, str]]], ...] = (build_docs,)
# Where links in notebooks to files of the repository lead, from the site's top.
ADDRESS = on_the_site

_INTRODUCTION = """<h1>Live migration of a virtual machine</h1>
<p>How QEMU and KVM move a running virtual machine to another host: simulated, compared with recorded migrations of
real QEMU, and explained, down to the bytes of an ARM interrupt controller's tables.</p>
<p>These are livemig's notebooks as they ran. The pictures with a Play button are alive: they compute in your browser,
move their sliders. Nothing is loaded from a network, and nothing is sent. To change code and to have answers checked,
open the notebooks: <code>make lab</code> in a clone of livemig.</p>
<h2>Notebooks</h2>
"""


def build_site(notebooks: Path, folder: Path, progress: Callable[[str], None] | None = None,
               runs: Mapping[str, Any] | None = None) -> list[Path]:
    """Write the site into `folder` and return its pages' files; a former site stays until the new one is complete.

    notebooks: their folder. progress: told a line for each notebook. runs: executed notebooks by name, instead of
    executing them now. Raises `PublishError` when a notebook fails or `folder` holds something else.
    """
    chapters = read_notebooks(notebooks)
    with replaced(folder) as made:
        runs = executed(chapters, progress) if runs is None else runs
        nav = [(title, address) for build in EXTRA_PAGES for title, address in build(made)]
        (made / "index.html").write_text(_index(chapters, nav), encoding="utf-8")
        for i, one in enumerate(chapters):
            text = notebook_page(one, runs[one.name], chapters[i - 1:i], chapters[i + 1:i + 2], nav)
            (made / one.page).write_text(text, encoding="utf-8")
    return sorted(folder.rglob("*.html"))


def notebook_page(chapter: Notebook, run: Any, before: Sequence[Notebook] = (), after: Sequence[Notebook] = (),
                  nav: Sequence[tuple[str, str]] = ()) -> str:
    """One executed notebook as a page; `before` and `after` hold the neighbours that it links to, or nothing."""
    run = to_read(run)
    target = Page(run, ADDRESS)
    draw = {"markdown": lambda cell: target.text(cell.source), "code": target.code}
    cells = [draw[cell.cell_type](cell) for cell in run.cells if cell.cell_type in draw]
    turn = _turn(before, after)
    body = f'{cells[0]}{_contents(target)}{"".join(cells[1:])}{turn}{target.scripts()}'
    return page(chapter.title, body, nav=nav, styles=target.styles())


def _contents(target: Page) -> str:
    items = "".join(f'<li><a href="#{name}">{html.escape(text)}</a></li>'
                    for level, text, name in target.anchors.headings if level == 2)
    return f'<nav class="contents" aria-label="On this page"><ul>{items}</ul></nav>' if items else ""


def _turn(before: Sequence[Notebook], after: Sequence[Notebook]) -> str:
    links = [f'<a rel="{rel}" href="{one.page}">{words} <b>{html.escape(one.title)}</b></a>'
             for rel, words, ones in (("prev", "Before", before), ("next", "Next", after)) for one in ones]
    return f'<nav class="turn" aria-label="Other notebooks">{"".join(links)}</nav>'


def _index(chapters: Sequence[Notebook], nav: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f'<li><a href="{one.page}">{html.escape(one.title)}</a> <span class="mute">{one.minutes} minutes'
                   f'</span><br>{html.escape(one.line)}</li>' for one in chapters)
    more = "".join(f'<li><a href="{address}">{html.escape(title)}</a></li>' for title, address in nav)
    rest = f"<h2>To look up</h2><ul>{more}</ul>" if more else ""
    return page(SITE_NAME, f'{_INTRODUCTION}<ol class="chapters" start="0">{rows}</ol>{rest}', nav=nav)
