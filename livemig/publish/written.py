"""Writes the parts of docs/ that are computed: glossary, reference, the tables and pictures of the architecture.

    python -m livemig.publish.written       # in the top folder of a checkout; `make docs` does it
"""

from __future__ import annotations

from pathlib import Path

from livemig.course.words import as_markdown
from livemig.publish.architecture import architecture_page, pictures
from livemig.publish.reference import MODULES, reference_page

__all__ = ["main", "written_files"]


def written_files(root: Path) -> dict[Path, str]:
    """File -> text, of everything below docs/ that is not written by hand. `root`: the checkout's top folder."""
    docs, design = root / "docs", (root / "DESIGN.md").read_text(encoding="utf-8")
    architecture = docs / "architecture.md"
    made = {docs / "glossary.md": as_markdown(),
            architecture: architecture_page(architecture.read_text(encoding="utf-8"), design)}
    made |= {docs / name: text for name, text in pictures(design).items()}
    made |= {docs / "reference" / f"{name}.md": reference_page(name, root) for name in MODULES}
    return made


def main() -> None:
    """Write the files that have changed, and say which."""
    root = Path.cwd()
    if not (root / "DESIGN.md").is_file():
        raise SystemExit(f"{root}: no DESIGN.md here; run this in the top folder of a livemig checkout")
    for path, text in written_files(root).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            print(path.relative_to(root).as_posix())


if __name__ == "__main__":
    main()
