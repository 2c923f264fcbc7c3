"""Reads which rooms livemig's modules import, and which arrows DESIGN.md draws between rooms."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "livemig"
ARROW = re.compile(r"^(?P<left>\w[\w, ]*?)\s*(?:─►|─+>|-+>|→)\s*(?P<right>.*)$")
ANY_ROOM = "any room may import"


@dataclass(frozen=True)
class Arrows:
    """Which room may import what: `allowed[room]` holds dotted names below `livemig`, `leaves` anyone may import."""

    allowed: dict[str, frozenset[str]]
    leaves: frozenset[str] = frozenset()

    def permits(self, room: str, target: str) -> bool:
        """Whether a module of `room` may import `target`, a dotted name below `livemig`."""
        grants = self.allowed.get(room, frozenset()) | self.leaves | {room}
        return any(target == grant or target.startswith(f"{grant}.") for grant in grants)


def parse_arrows(design: str) -> Arrows:
    """Read the first code block of DESIGN.md that draws arrows.

    A line is `room, room ─► target, target   remark`. The target `everything below` means every room that stands on the
    left of a later line, `nothing ...` no room; a remark with `any room may import` makes the rooms on its left leaves.
    """
    for block in re.findall(r"^```[^\n]*\n(.*?)^```", design, flags=re.DOTALL | re.MULTILINE):
        if lines := [match for line in block.splitlines() if (match := ARROW.match(line))]:
            return _arrows([(_names(m["left"]), m["right"]) for m in lines])
    raise ValueError("no code block of this text draws an arrow such as 'draw ─► trace, its.layout'")


def _names(text: str) -> list[str]:
    return [name for name in re.split(r",\s*|\s+", text.strip()) if name]


def _arrows(lines: list[tuple[list[str], str]]) -> Arrows:
    allowed: dict[str, frozenset[str]] = {}
    leaves: set[str] = set()
    for number, (rooms, right) in enumerate(lines):
        targets = re.split(r"\s{2,}", right)[0].strip()
        if targets.startswith("everything below"):
            grant = frozenset(room for later, _ in lines[number + 1 :] for room in later)
        elif targets.startswith("nothing"):
            grant = frozenset()
        else:
            grant = frozenset(re.sub(r"\s*\(.*?\)", "", targets).replace(" ", "").split(","))
        allowed.update(dict.fromkeys(rooms, grant))
        if ANY_ROOM in right:
            leaves.update(rooms)
    return Arrows(allowed, frozenset(leaves))


@dataclass(frozen=True)
class Module:
    """One parsed file: its dotted name below `livemig` (empty for the package itself)."""

    name: str
    is_package: bool
    tree: ast.Module

    @property
    def room(self) -> str:
        """The first part of the name; empty for `livemig/__init__.py`."""
        return self.name.split(".")[0]


def read_modules(package: Path) -> list[Module]:
    """Parse every module of the package folder `package`."""
    modules = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        modules.append(Module(name, is_package, ast.parse(path.read_text(encoding="utf-8"), str(path))))
    return modules


def imports(module: Module) -> set[str]:
    """Return every absolute dotted name that `module` imports, in functions and `TYPE_CHECKING` blocks too."""
    found: set[str] = set()
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names=names):
                found.update(alias.name for alias in names)
            case ast.ImportFrom(module=base, names=names, level=level):
                origin = _absolute(module, base or "", level)
                found.update(f"{origin}.{alias.name}" for alias in names)
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                found.add(f"{PACKAGE}.{module.name}{name}" if name.startswith(".") else name)
    return found


def _absolute(module: Module, base: str, level: int) -> str:
    if level == 0:
        return base
    parts = [PACKAGE, *filter(None, module.name.split("."))]
    drop = level - 1 if module.is_package else level
    return ".".join([*parts[: len(parts) - drop], *filter(None, [base])])


def room_imports(module: Module, rooms: frozenset[str]) -> set[str]:
    """Return what `module` imports of livemig, as dotted names below `livemig`; empty for the package itself.

    `from livemig.its import layout` is `its.layout`; a name of the package that is no room is ``.
    """
    targets = set()
    for name in imports(module):
        head, _, rest = name.partition(".")
        if head == PACKAGE:
            targets.add(rest if rest.split(".")[0] in rooms else "")
    return targets
