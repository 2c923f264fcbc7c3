"""Modules import only along the arrows of DESIGN.md, and heavy libraries stay in their rooms."""

import ast
import warnings
from pathlib import Path

import pytest

from tests.project.rooms import Arrows, Module, imports, parse_arrows, read_modules, room_imports

# Which rooms may import these; every other room may not.
ONLY_IN = {
    "matplotlib": {"draw"},
    "anywidget": {"draw"},
    "traitlets": {"draw"},
    "ipywidgets": {"draw", "course"},
    "IPython": {"draw", "course"},
    "typer": {"cli"},
    "rich": {"cli"},
    "qemu": {"lab"},
    "asyncio": {"lab", "publish"},
    "subprocess": {"lab", "course"},
    "cloudpickle": {"course"},
    "nbconvert": {"publish"},
    "nbclient": {"publish"},
    "nbformat": {"course", "publish"},
    "pygments": {"publish"},
    "griffe": {"publish"},
    "mistune": {"publish"},
    "latex2mathml": {"publish"},
    "voila": {"publish"},
}
LINES_IN_ONE_SITTING = 300

DESIGN_LIKE = """
```
notebooks/*.ipynb ─► livemig (about 15 public names), livemig.course
cli      ─► everything below                 typer/rich only here
draw     ─► trace, its.layout                matplotlib only here; never engine
lab      ─► trace                            qemu.qmp only here   ┐ they meet only
engine   ─► scenario, trace, its             numpy                ┘ in Trace
its, trace, scenario ─► nothing in livemig
units, datadir ─► nothing in livemig         any room may import them
```
"""


def misplaced(modules: list[Module], arrows: Arrows) -> list[str]:
    """Return one line for each import that no arrow allows. `livemig/__init__.py` may import any room."""
    rooms = frozenset(module.room for module in modules if module.room)
    return [
        f"{module.name} imports {target or 'the package livemig itself'}"
        for module in modules
        if module.room
        for target in sorted(room_imports(module, rooms))
        if not (arrows.permits(module.room, target) if target else module.room == "cli")
    ]


def heavy(modules: list[Module]) -> list[str]:
    """Return one line for each import of a library outside its rooms."""
    return [
        f"{module.name or 'livemig'} imports {name}, which only {' and '.join(sorted(rooms))} may"
        for module in modules
        for name in sorted(imports(module))
        if (rooms := ONLY_IN.get(name.split(".")[0])) is not None and module.room not in rooms
    ]


def module(name: str, code: str, is_package: bool = False) -> Module:
    return Module(name, is_package, ast.parse(code))


@pytest.fixture(scope="module")
def modules(root: Path) -> list[Module]:
    return read_modules(root / "livemig")


@pytest.fixture(scope="module")
def arrows(root: Path) -> Arrows:
    return parse_arrows((root / "DESIGN.md").read_text(encoding="utf-8"))


def test_every_room_stands_in_design_md(modules, arrows) -> None:
    rooms = {module.room for module in modules if module.room and not module.room.startswith("_")}
    assert rooms - arrows.allowed.keys() == set(), "DESIGN.md draws no arrow line for these rooms"


def test_imports_follow_the_arrows(modules, arrows) -> None:
    assert misplaced(modules, arrows) == []


def test_heavy_libraries_stay_in_their_rooms(modules) -> None:
    assert heavy(modules) == []


def test_every_public_module_has_all(modules) -> None:
    assert [module.name for module in modules if not declares_its_names(module)] == []


def declares_its_names(module: Module) -> bool:
    """Whether a public module binds `__all__`; one that binds no public name needs none."""
    if any(part.startswith("_") for part in module.name.split(".")) and module.name:
        return True
    bound = bound_names(module.tree)
    return "__all__" in bound or not any(not name.startswith("_") for name in bound)


def bound_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names.update(target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names.update((alias.asname or alias.name).split(".")[0] for alias in aliases)
    return names


def test_all_names_exist(modules) -> None:
    missing = []
    for module in modules:
        bound = bound_names(module.tree)
        if "__getattr__" in bound:
            continue
        for node in module.tree.body:
            match node:
                case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List() | ast.Tuple() as value):
                    missing += [f"{module.name}.{name}" for name in ast.literal_eval(value) if name not in bound]
    assert missing == []


@pytest.mark.filterwarnings("default")
def test_files_are_short_enough_to_read_in_one_sitting(root: Path) -> None:
    """Guidance: a longer file is reported as a warning, a file of twice the length fails."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (root / "livemig").rglob("*.py")}
    for path, lines in sorted(lengths.items()):
        if lines > LINES_IN_ONE_SITTING:
            warnings.warn(f"{path.relative_to(root)} has {lines} lines, guidance {LINES_IN_ONE_SITTING}", stacklevel=1)
    assert max(lengths.values()) <= 2 * LINES_IN_ONE_SITTING


# The checks themselves, on packages made up to break a rule.


@pytest.mark.parametrize(
    ("name", "code", "complaint"),
    [
        ("its.tables", "from livemig import trace", "its.tables imports trace"),
        ("engine.migration", "import livemig.lab.vm", "engine.migration imports lab.vm"),
        ("draw.figures", "from ..engine import rules", "draw.figures imports engine.rules"),
        ("draw.figures", "from livemig.its.tables import save", "draw.figures imports its.tables.save"),
        ("draw.figures", "def f():\n    import livemig.scenario", "draw.figures imports scenario"),
        ("trace", "from livemig import Scenario", "trace imports the package livemig itself"),
        ("lab.vm", "import importlib\nimportlib.import_module('livemig.engine.rules')", "lab.vm imports engine.rules"),
    ],
)
def test_an_import_without_an_arrow_is_found(name: str, code: str, complaint: str) -> None:
    rooms = [module(room, "") for room in ("its", "trace", "scenario", "engine", "lab", "draw", "cli")]
    assert misplaced([*rooms, module(name, code)], parse_arrows(DESIGN_LIKE)) == [complaint]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("draw.figures", "from livemig.its.layout import DTE"),
        ("draw.figures", "from livemig.its import layout"),
        ("draw.figures", "from . import palette"),
        ("engine.migration", "from livemig.its.tables import save_tables"),
        ("its.tables", "from livemig.units import MIB"),
        ("cli", "import livemig.lab.vm\nfrom livemig import __version__"),
    ],
)
def test_an_import_along_an_arrow_passes(name: str, code: str) -> None:
    rooms = [module(room, "") for room in ("its", "trace", "scenario", "engine", "lab", "draw", "cli", "units")]
    assert misplaced([*rooms, module(name, code)], parse_arrows(DESIGN_LIKE)) == []


def test_a_heavy_import_in_the_wrong_room_is_found() -> None:
    assert heavy([module("engine.rules", "import matplotlib.pyplot as plt")]) != []
    assert heavy([module("", "from anywidget import AnyWidget", is_package=True)]) != []
    assert heavy([module("draw.figures", "import matplotlib.pyplot as plt")]) == []


def test_a_module_without_all_is_found() -> None:
    assert not declares_its_names(module("its.tables", "def save_tables(): ..."))
    assert declares_its_names(module("its._bits", "def mask(): ..."))
    assert declares_its_names(module("its", '"""Only a docstring."""', is_package=True))
