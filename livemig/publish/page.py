"""The frame of every page of the site: head, style sheet, a bar with links, the body, light and dark.

A page is one file: style sheet and scripts are written into it, pictures come as `data:` addresses. The policy in its
head lets the browser load nothing else, so a forgotten address of the network shows as an error in the console.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from livemig.draw.standalone import document

__all__ = ["SITE_NAME", "page", "static_text", "titled"]

SITE_NAME = "livemig"

_BODY = """<a class="skip" href="#content">To the text</a>
<header class="bar"><nav aria-label="Site"><a class="home" href="{root}index.html">{site}</a>{links}</nav></header>
<main id="content" tabindex="-1">
{body}
</main>"""


def page(title: str, body_html: str, *, root: str = "", nav: Sequence[tuple[str, str]] = (),
         styles: str = "") -> str:
    """One page of the site as HTML.

    title: plain text, of the tab and of the window; the page's `<h1>` is the body's business.
    body_html: what stands in `<main>`, as it is. Scripts in it must be inline, pictures `data:` addresses.
    root: how the page's folder gets to the site's top: "" at the top, "../" one folder below.
    nav: (plain text, address relative to the site's top) of further links in the bar, in their order.
    styles: CSS that only this page needs, behind the frame's own.
    """
    links = "".join(f'<a href="{root}{html.escape(address)}">{html.escape(text)}</a>' for text, address in nav)
    body = _BODY.format(root=root, site=SITE_NAME, links=links, body=body_html)
    return document(titled(title), body, static_text("page.css") + styles)


def titled(title: str) -> str:
    """What a browser's tab says of a page."""
    return title if title == SITE_NAME else f"{title} - {SITE_NAME}"


@cache
def static_text(name: str) -> str:
    """A file of `static/` as text, without its last line end."""
    return files("livemig.publish").joinpath("static", name).read_text(encoding="utf-8").rstrip("\n")
