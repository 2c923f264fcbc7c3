"""docs/ as it is committed and as pages: computed parts are current, pages load nothing, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import livemig
from livemig import course
from livemig.engine.runstate import MIGRATION_TRANSITIONS, RUNSTATE_TRANSITIONS
from livemig.publish.architecture import architecture_page, read_rooms
from livemig.publish.docs import build_docs, on_the_site
from livemig.publish.written import written_files
from tests.project.rooms import parse_arrows

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


@pytest.fixture(scope="module")
def written(root: Path) -> dict[Path, str]:
    return written_files(root)


def parts(svg: str) -> tuple[str, list[float]]:
    """The text of a picture without its numbers and made-up ids, and the numbers."""
    plain = re.sub(r'(?:id|href|clip-path)="[^"]*"', "", svg)
    return NUMBER.sub("#", plain), [float(number) for number in NUMBER.findall(plain)]


# -- what is computed is current ---------------------------------------------------------------------------------------
def test_computed_texts_are_what_make_docs_writes(written) -> None:
    texts = {path: text for path, text in written.items() if path.suffix == ".md"}
    assert len(texts) == 4
    stale = [path.name for path, text in texts.items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run make docs"


def test_computed_pictures_are_what_make_docs_draws(written) -> None:
    """Numbers may differ in the last digits between machines; everything else is equal."""
    pictures = {path: text for path, text in written.items() if path.suffix == ".svg"}
    assert len(pictures) == 3
    for path, text in pictures.items():
        (committed, places), (drawn, now) = parts(path.read_text(encoding="utf-8")), parts(text)
        assert committed == drawn, f"{path.name}: run make docs"
        assert places == pytest.approx(now, abs=0.02), f"{path.name}: run make docs"


def test_the_rooms_are_those_that_the_test_of_imports_reads(root: Path) -> None:
    """Two readers of DESIGN.md's block, written apart, agree on every arrow."""
    design = (root / "DESIGN.md").read_text(encoding="utf-8")
    arrows = parse_arrows(design)
    rooms = {room.name: frozenset(room.uses) for room in read_rooms(design)}
    assert rooms == arrows.allowed
    assert len(rooms) >= 10


def test_the_tables_of_states_are_the_engines(root: Path) -> None:
    page = (root / "docs/architecture.md").read_text(encoding="utf-8")
    for table in (RUNSTATE_TRANSITIONS, MIGRATION_TRANSITIONS):
        for state, following in table.items():
            row = next(line for line in page.splitlines() if line.startswith(f"| `{state}` |"))
            assert re.findall(r"`([\w-]+)`", row) == [state, *following]


def test_a_changed_table_makes_the_page_stale(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (root / "docs/architecture.md").read_text(encoding="utf-8")
    design = (root / "DESIGN.md").read_text(encoding="utf-8")
    assert architecture_page(page, design) == page
    monkeypatch.setitem(RUNSTATE_TRANSITIONS, "shutdown", ("running",))
    assert architecture_page(page, design) != page
    assert architecture_page(page, design.replace("lab      ─► trace", "lab      ─► trace, engine")) != page
    with pytest.raises(ValueError, match="no place"):
        architecture_page("# Nothing", design)


# -- the reference -----------------------------------------------------------------------------------------------------
def test_the_reference_has_every_public_name_with_its_fields(root: Path) -> None:
    page = (root / "docs/reference/livemig.md").read_text(encoding="utf-8")
    for name in livemig.__all__:
        assert name.startswith("__") or f"\n## {name}\n" in page
    for name in livemig.Scenario.__dataclass_fields__:
        assert f"\n| `{name}` |" in page
    assert "| `downtime_limit_s` | 0.3 | s | 0 to 2,000 | Downtime limit |" in page
    pages = (root / "docs/reference/livemig.course.md").read_text(encoding="utf-8")
    assert [name for name in course.__all__ if f"\n## {name}\n" not in pages] == []


# -- the pages of the site ---------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, str]]]:
    folder = tmp_path_factory.mktemp("site")
    return folder, build_docs(folder)


def test_every_markdown_file_is_a_page(root: Path, site) -> None:
    folder, bar = site
    wanted = {path.relative_to(root).with_suffix(".html").as_posix() for path in (root / "docs").rglob("*.md")}
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == wanted
    assert [words for words, _ in bar] == ["How to", "Reference", "Glossary", "Architecture", "Teaching"]
    assert {address for _, address in bar} <= wanted


def test_every_link_of_a_page_leads_to_a_page_and_a_place_in_it(root: Path, site) -> None:
    """Notebooks' pages and the index are the site's business; their addresses are known."""
    folder, _ = site
    others = {"index.html", *(f"{path.stem}.html" for path in (root / "notebooks").glob("*.ipynb"))}
    count = 0
    for file in folder.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        for url in re.findall(r'href="([^"]*)"', text):
            count += 1
            name, _, fragment = url.partition("#")
            target = (file.parent / name).resolve() if name else file
            place = target.relative_to(folder.resolve()).as_posix()
            if place in others:
                continue
            assert target.is_file(), (file.name, url)
            assert not fragment or f'id="{fragment}"' in target.read_text(encoding="utf-8"), (file.name, url)
    assert count > 300


def test_where_a_file_of_the_repository_is_on_the_site() -> None:
    assert on_the_site("docs/howto/index.md") == "docs/howto/index.html"
    assert on_the_site("notebooks/00_start_here.ipynb") == "00_start_here.html"
    others = ("livemig/trace.py", "README.md", "docs/rooms.svg", "notebooks/x/y.ipynb")
    assert [on_the_site(file) for file in others] == [None] * 4


def test_a_page_loads_nothing(site) -> None:
    folder, _ = site
    for file in folder.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        assert re.findall(r'<(?:script|link|iframe)[^>]+(?:src|href)=', text) == []
        assert all(address.startswith("data:image/") for address in re.findall(r'\bsrc="([^"]*)"', text)), file.name
        assert "url(" not in text.split("</style>")[0]
        assert text.count("<h1") == 1, file.name


def test_a_table_of_contents_is_not_needed_to_read_it_without_a_mouse(site) -> None:
    """What scrolls can be reached with the keyboard, and pictures have words."""
    folder, _ = site
    for file in folder.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        assert re.findall(r"<pre(?! tabindex)", text) == []
        assert re.findall(r'<img(?! alt="[^"]{20,})', text) == []
