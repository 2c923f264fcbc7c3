"""QEMU's and the kernel's names in texts are spelled as in their sources, and stand in the files that are named.

What is known comes from three places: the engine's own list, the functions that were recorded from QEMU 10.0.13
(data/calltree, an oracle that livemig did not write), and FURTHER, names of sources that neither of the two has.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import livemig
import livemig.engine
from livemig.course.words import TERMS
from livemig.engine import qemu_names

# Looked up in QEMU 10.0 and Linux 6.12. Notebooks and documentation name them; the engine does not call them.
FURTHER = {
    "kvm_arm_its_pre_save": "hw/intc/arm_gicv3_its_kvm.c",
    "kvm_arm_its_post_load": "hw/intc/arm_gicv3_its_kvm.c",
    "migration_clear_memory_region_dirty_bitmap": "migration/ram.c",
    "migration_is_active": "migration/migration.c",
    "ram_find_and_save_block": "migration/ram.c",
    "save_zero_page": "migration/ram.c",
    "runstate_transitions_def": "system/runstate.c",
    "vgic_its_ctrl": "arch/arm64/kvm/vgic/vgic-its.c",
}
# A word that begins so is taken for a function of QEMU or of the kernel, unless livemig has that name for its own.
PREFIXES = ("migration|migrate|mig|vm|vmstate|ram|qemu|qmp|hmp|do_vm|kvm|vgic|gicv3|its|postcopy|precopy|multifd|cpu"
            "|memory|bdrv|blk|pause|resume|runstate|process|save|load|loadvm|close|xbzrle|qdev|bql|global|virtio|all")
FUNCTION = re.compile(rf"\b(?:{PREFIXES})_[a-z0-9_]+\b(?!\.py)")
# Files that are named without a function of theirs.
FURTHER_FILES = {"hw/intc/arm_gicv3_its.c", "migration/multifd.c", "migration/options.c", "monitor/hmp.c",
                 "tools/libs/guest/xg_sr_save.c", "tools/libxc/xc_domain_save.c"}  # the last two are Xen's
FILE = re.compile(r"\b(?:[a-z][\w-]*/)+[\w-]+\.[ch]\b")
# `file.c` (`one`, `two`), as the sources of a notebook are written.
CITED = re.compile(r"`((?:[\w-]+/)+[\w-]+\.[ch])`\s*\(((?:`\w+`(?:,\s*)?)+)\)")


@pytest.fixture(scope="module")
def recorded(root: Path) -> dict[str, set[str]]:
    """Function -> files, of the call trees that were recorded from QEMU."""
    found: dict[str, set[str]] = {}
    for path in sorted((root / "data/calltree").glob("*.json")):
        for name, file in json.loads(path.read_text(encoding="utf-8"))["functions"]:
            found.setdefault(name, set()).add(file)
    return found


@pytest.fixture(scope="module")
def known(recorded) -> dict[str, set[str]]:
    names = {name: {file} for name, file in FURTHER.items()}
    for name, files in (*recorded.items(), *qemu_names().items()):
        names.setdefault(name, set()).update(files)
    return names


@pytest.fixture(scope="module")
def own(root: Path) -> set[str]:
    """What livemig defines outside the engine, what the engine offers, and the fields and arguments of all of it."""
    names = {path.stem for path in (root / "livemig").rglob("*.py")} | set(livemig.engine.__all__)
    for path in (root / "livemig").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.AnnAssign(target=ast.Name(id=name)) | ast.arg(arg=name):
                    names.add(name)
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name) if "engine" not in path.parts:
                    names.add(name)
    return names


def prose(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        yield path.name, "\n".join("".join(cell["source"]) for cell in cells)
    for path in (*root.glob("*.md"), root / "data/README.md", *sorted((root / "docs").rglob("*.md"))):
        text = path.read_text(encoding="utf-8")
        yield path.relative_to(root).as_posix(), re.sub(r"\]\([^)]*\)", "]", text)  # targets of links are no names


def unknown(text: str, known: dict[str, set[str]], own: set[str]) -> list[str]:
    """The names in a text that look like a function of QEMU or the kernel, and are none."""
    return sorted({name for name in FUNCTION.findall(text) if name not in known and name not in own})


def misplaced(text: str, known: dict[str, set[str]]) -> list[str]:
    """The functions that a text cites in a file that does not define them."""
    cited = [(name, match[1]) for match in CITED.finditer(text) for name in re.findall(r"\w+", match[2])]
    return [f"{name} is not in {file}" for name, file in cited if file not in known.get(name, ())]


def test_every_function_in_prose_is_spelled_as_in_its_source(root, known, own) -> None:
    texts = dict(prose(root))
    assert sum(len(FUNCTION.findall(text)) for text in texts.values()) > 120, "the pattern finds no names any more"
    assert {where: names for where, text in texts.items() if (names := unknown(text, known, own))} == {}


def test_every_file_is_one_of_qemu_or_the_kernel(root, known) -> None:
    """Files move between versions: cpu-throttle.c lies in system/ in QEMU 9.1 and in migration/ in 10.0."""
    files = {file for names in known.values() for file in names} | FURTHER_FILES
    found = {(where, file) for where, text in prose(root) for file in FILE.findall(text)}
    assert len(found) > 20
    assert sorted(pair for pair in found if pair[1] not in files) == []


def test_every_function_is_cited_with_its_file(root, known) -> None:
    texts = dict(prose(root))
    assert sum(len(CITED.findall(text)) for text in texts.values()) > 20
    assert {where: names for where, text in texts.items() if (names := misplaced(text, known))} == {}


def test_the_glossary_cites_functions_in_their_files(known) -> None:
    cited = [match for one in TERMS if (match := re.match(r"(?:QEMU|Linux) (\S+\.c) (\w+)$", one.source))]
    assert len(cited) > 30
    assert [match[0] for match in cited if match[1] not in known.get(match[2], ())] == []


@pytest.mark.parametrize("wrong", ["migration_complete_precopy", "vm_state_notfy", "qemu_savevm_state_iterable",
                                   "do_vm_stopp", "kvm_arm_its_presave", "vgic_its_control", "ram_save_completed"])
def test_a_misspelling_is_found(known, own, wrong: str) -> None:
    text = "`migration_completion` calls `migration_completion_precopy`, that `migration_stop_vm`."
    assert unknown(text, known, own) == []
    assert unknown(text.replace("migration_completion_precopy", wrong), known, own) == [wrong]
    assert unknown(text.replace("`migration_completion_precopy`", f"{wrong}()"), known, own) == [wrong]


def test_a_wrong_file_is_found(known) -> None:
    assert misplaced("`system/cpus.c` (`do_vm_stop`,\n  `vm_stop`)", known) == []
    text = "`migration/ram.c` (`ram_save_iterate`, `do_vm_stop`)"
    assert misplaced(text, known) == ["do_vm_stop is not in migration/ram.c"]


def test_a_users_handler_is_no_name_of_qemu() -> None:
    before = qemu_names()
    livemig.simulate(handlers=[livemig.Handler("mine", callback=lambda s, running, state: None, file="mine.c")])
    assert qemu_names() == before
    assert "mine" not in before


def test_the_engines_names_are_those_of_the_recorded_qemu(recorded) -> None:
    """Not recorded: KVM's handlers (the recordings are of TCG) and a function of 7.2 that 10.0 has not."""
    mirrored = qemu_names()
    assert len(mirrored) > 90
    compared = {name: files for name, files in mirrored.items() if name in recorded}
    assert {name: files for name, files in compared.items() if not recorded[name] & set(files)} == {}
    missing = sorted(mirrored.keys() - recorded.keys())
    assert missing == ["kvm_arm_vm_state_change", "migration_maybe_pause", "qdev_add_vm_change_state_handler",
                       "vm_change_state_handler"]
