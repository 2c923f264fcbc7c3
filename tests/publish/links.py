"""Reads pages as a browser would: ids, links, and whatever a page would load."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

LOADS = ("src", "srcset", "poster", "data")


class Page(HTMLParser):
    """Ids, addresses of links, addresses that the page loads, and its `alt`-less pictures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag in ("a", "area") and given.get("href"):
            self.links.append(str(given["href"]))
        if tag == "link":
            self.loads.append(str(given.get("href")))
        self.loads += [str(given[name]) for name in LOADS if given.get(name) and not tag.startswith("data-")]


def broken(folder: Path) -> list[str]:
    """Page and address of each link of the pages in `folder` that leads to no file or id; not of those elsewhere."""
    pages = {file.resolve(): Page(file.read_text(encoding="utf-8")) for file in folder.rglob("*.html")}
    found = []
    for file, page in pages.items():
        for link in page.links:
            if urlparse(link).scheme in ("http", "https", "mailto"):
                continue
            address, anchor = urldefrag(link)
            target = (file.parent / unquote(address)).resolve() if address else file
            if (target not in pages and not target.is_file()) or (anchor and anchor not in pages[target].ids):
                found.append(f"{file.name}: {link}")
    return found
