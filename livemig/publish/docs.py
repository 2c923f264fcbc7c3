"""The pages of docs/ as HTML for the site: how-to, reference, glossary, architecture, teaching.

Theory of operation. docs/ is Markdown that reads well on its own; here each file becomes one page that loads nothing:
pictures are written into it, links between Markdown files lead to pages, links to notebooks to their pages on the site,
and a link to another file of the repository, which the site has not, becomes its name. Headings get the anchors that
GitHub gives them, so that a link is right in both places.
"""

from __future__ import annotations

import base64
import html
import mimetypes
import posixpath
import re
from pathlib import Path
from typing import Any

import mistune

from livemig.course.words import anchor
from livemig.publish.page import page

__all__ = ["Source", "build_docs", "docs_dir", "on_the_site", "sources", "to_html"]

# (file or folder below docs/, words in the bar) in the bar's order. A folder's index.md lists its pages.
BAR = (("howto/index.md", "How to"), ("reference/livemig.md", "Reference"), ("glossary.md", "Glossary"),
       ("architecture.md", "Architecture"), ("teaching.md", "Teaching"))
FOLDER = "docs"  # of the pages, below the site's top


class Source:
    """One Markdown file: `name` below docs/, its text, its title, and the address of its page from the site's top."""

    def __init__(self, docs: Path, path: Path) -> None:
        self.path = path
        self.name = path.relative_to(docs).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.address = f"{FOLDER}/{self.name.removesuffix('.md')}.html"
        heading = re.search(r"^# (.+)$", self.text, re.MULTILINE)
        self.title = heading[1] if heading else self.name


def docs_dir() -> Path:
    """docs/ of the checkout that this package is in. Raises `FileNotFoundError`: an installed wheel has none."""
    docs = Path(__file__).resolve().parents[2] / "docs"
    if not (docs / "glossary.md").is_file():
        raise FileNotFoundError(f"{docs}: no documentation here; it is in a clone of livemig, not in the wheel")
    return docs


def sources(docs: Path) -> list[Source]:
    """Every Markdown file of docs/, sorted by name."""
    return [Source(docs, path) for path in sorted(docs.rglob("*.md"))]


def build_docs(folder: Path) -> list[tuple[str, str]]:
    """Write every page of docs/ below `folder`, the site's top, and return what the site's bar may link.

    That is (words, address from the top) of one page for each part, in order; the how-to index links the rest. Raises
    `FileNotFoundError` outside a checkout, or where a picture is missing.
    """
    found = {source.name: source for source in sources(docs_dir())}
    nav = [(words, found[name].address) for name, words in BAR]
    for source in found.values():
        target = folder / source.address
        target.parent.mkdir(parents=True, exist_ok=True)
        root = "../" * source.address.count("/")
        target.write_text(page(source.title, to_html(source), root=root, nav=nav), encoding="utf-8", newline="\n")
    return nav


def to_html(source: Source) -> str:
    """The body of a page. Raises `FileNotFoundError` for a picture that is missing."""
    text = re.sub(r"<!--.*?-->\n?", "", source.text, flags=re.DOTALL)
    return str(mistune.create_markdown(escape=False, renderer=_Renderer(source), plugins=["table"])(text))


class _Renderer(mistune.HTMLRenderer):
    def __init__(self, source: Source) -> None:
        super().__init__(escape=False)
        self._source = source
        self._taken: dict[str, int] = {}
        self._tables = 0

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        plain = html.unescape(re.sub(r"<[^>]+>", "", text))
        base = anchor(plain)
        count = self._taken[base] = self._taken.get(base, -1) + 1
        name = f"{base}-{count}" if count else base
        label = html.escape(f"Link to {plain}")
        return f'<h{level} id="{name}">{text}<a class="anchor" href="#{name}" aria-label="{label}">#</a></h{level}>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        if re.match(r"[a-z]+:|#", url):
            return super().link(text, url, title)
        address = _address(self._source, url)
        return text if address is None else super().link(text, address, title)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        file = (self._source.path.parent / url).resolve()
        if not file.is_file():
            raise FileNotFoundError(f"docs/{self._source.name}: the picture {url} is missing")
        kind = mimetypes.guess_type(file.name)[0]
        data = base64.b64encode(file.read_bytes()).decode("ascii")
        return f'<img alt="{html.escape(text)}" src="data:{kind};base64,{data}">'

    def block_code(self, code: str, info: str | None = None) -> str:
        return f'<div><pre tabindex="0"><code>{html.escape(code)}</code></pre></div>\n'

    def table(self, text: str) -> str:
        self._tables += 1
        region = f'class="scroll" tabindex="0" role="region" aria-label="Table {self._tables}"'
        return f"<div {region}><table>\n{text}</table></div>\n"

    def table_cell(self, text: str, align: str | None = None, head: bool = False) -> str:
        """A name in a table stays on one line; the table scrolls where the window is too narrow."""
        tag, whole = "th" if head else "td", text.replace("<code>", '<code style="white-space: nowrap">')
        return f"<{tag}>{whole}</{tag}>\n"


def _address(source: Source, url: str) -> str | None:
    """Where a link of a Markdown file leads, from the page of that file; None where the site has nothing."""
    name, _, fragment = url.partition("#")
    target = posixpath.normpath(posixpath.join(FOLDER, posixpath.dirname(source.name), name))
    place = on_the_site(target)
    if place is None:
        return None
    return posixpath.relpath(place, posixpath.dirname(source.address)) + (f"#{fragment}" if fragment else "")


def on_the_site(file: str) -> str | None:
    """The address of a page for a file of the repository, from the site's top; None where the site has none.

    >>> on_the_site("docs/glossary.md"), on_the_site("notebooks/00_start_here.ipynb"), on_the_site("livemig/trace.py")
    ('docs/glossary.html', '00_start_here.html', None)
    """
    if file.startswith(f"{FOLDER}/") and file.endswith(".md"):
        return f"{file.removesuffix('.md')}.html"
    found = re.fullmatch(r"notebooks/([^/]+)\.ipynb", file)
    return f"{found[1]}.html" if found else None
