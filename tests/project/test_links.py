"""Links and paths inside the repository lead somewhere: in Markdown files and in the notebooks' prose."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import mistune
import pytest

# A path from the top of the repository, as prose and commands name it; a recording may be named without its ending.
PATH = re.compile(r"(?<![\w./-])(?<!QEMU )(?<!libvirt )(?:livemig|tests|docs|data|notebooks)/[\w./*-]*[\w*]")
# Only in an installed package.
ELSEWHERE = {"livemig/_data"}
MARKDOWN = ("*.md", "docs/**/*.md", "data/**/*.md", "tests/**/*.md")

_tokens = mistune.create_markdown(renderer=None, plugins=["table"])


def prose(root: Path) -> Iterator[tuple[Path, str]]:
    for pattern in MARKDOWN:
        for path in sorted(root.glob(pattern)):
            yield path, path.read_text(encoding="utf-8")
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        yield path, "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def walk(tokens: list[dict]) -> Iterator[dict]:
    for token in tokens:
        yield token
        yield from walk(token.get("children", []))


def plain(token: dict) -> str:
    return token.get("raw", "") if not token.get("children") else "".join(map(plain, token["children"]))


def headings(path: Path, text: str) -> set[str]:
    """The fragments that a page offers: GitHub's for Markdown, JupyterLab's (words joined by hyphens) for notebooks."""
    names = [plain(token) for token in walk(_tokens(text)) if token["type"] == "heading"]
    if path.suffix == ".ipynb":
        return {name.replace(" ", "-") for name in names}
    slugs = [re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in names]
    return {f"{slug}-{slugs[:i].count(slug)}" if slug in slugs[:i] else slug for i, slug in enumerate(slugs)}


def targets(text: str) -> list[str]:
    """Where the links and pictures of a text lead, the addresses of the web left out."""
    found = [token["attrs"]["url"] for token in walk(_tokens(text)) if token["type"] in ("link", "image")]
    return [url for url in found if not re.match(r"[a-z]+:", url)]


def broken(path: Path, text: str, texts: dict[Path, str]) -> list[str]:
    """The links of a page that lead nowhere."""
    wrong = []
    for url in targets(text):
        name, _, fragment = url.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (fragment and fragment not in headings(target, texts.get(target, ""))):
            wrong.append(url)
    return wrong


def missing(root: Path, text: str) -> list[str]:
    """The paths that a text names and the repository has not."""
    named = {name.rstrip("./") for name in PATH.findall(text)} - ELSEWHERE
    return sorted(name for name in named if not (root / name).exists() and not [*root.glob(f"{name}*")])


@pytest.fixture(scope="module")
def texts(root: Path) -> dict[Path, str]:
    return dict(prose(root))


def test_every_link_leads_to_a_file_and_to_a_heading_in_it(texts) -> None:
    assert sum(len(targets(text)) for text in texts.values()) > 20
    assert {path.name: wrong for path, text in texts.items() if (wrong := broken(path, text, texts))} == {}


def test_every_path_that_is_named_exists(root, texts) -> None:
    assert sum(len(PATH.findall(text)) for text in texts.values()) > 50
    assert {path.name: names for path, text in texts.items() if (names := missing(root, text))} == {}


@pytest.mark.parametrize(("text", "wrong"), [
    ("[a](two.md)", []), ("[a](two.md#a-heading)", []), ("[a](#own)", []), ("![a](none.png)", ["none.png"]),
    ("[a](two.md#another)", ["two.md#another"]), ("[a](#none)", ["#none"]), ("[a](three.md)", ["three.md"]),
    ("`[a](three.md)`", []), ("[a][b]\n\n[b]: three.md", ["three.md"]), ("[a](https://example.org/three.md)", []),
])
def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, text: str, wrong: list[str]) -> None:
    one, two = tmp_path / "one.md", tmp_path / "two.md"
    two.write_text("# A `heading`!\n")
    texts = {one: f"# Own\n\n{text}\n", two: two.read_text()}
    one.write_text(texts[one])
    assert broken(one, texts[one], texts) == wrong


def test_a_path_that_is_missing_is_found(root: Path) -> None:
    there = "`livemig/trace.py` and data/recordings/k01, notebooks/00_start_here.ipynb."
    assert missing(root, f"{there} Also tests/nothing.py and `docs/non/e`.") == ["docs/non/e", "tests/nothing.py"]
