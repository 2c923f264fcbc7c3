"""Mutation check: change one layout field or one rule at a time; some recorded answer must differ then.

    python tests/its/mutate.py fields            every field of every layout: moved, cut at either end, other shift
    python tests/its/mutate.py rules [MODULE..]  comparisons, conditions, constants, operators and calls in the code

Only recorded answers count as oracles here: the golden KVM cases on three kernels, the emulated ITS's cases, the dumps
of the recorded migrations, the streams. Prints each mutant that no oracle noticed, and how many were tried and caught.
Each mutant runs in a child process of its own.
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
PACKAGE = ROOT / "livemig" / "its"
RULE_MODULES = ("processing", "tables", "restore", "device", "places", "state", "vgic", "registers", "migration",
                "layout", "emulated", "profile")
CHILD_LIMIT_S = 60
FAST_CASES = ("restore-base", "fuzz-commands-00", "fuzz-restore-00", "dirty-log-commands", "pending-basic",
              "indirect-two-l2", "queue-wrap", "baser-pagesize-4k")


def oracles() -> Iterator[bool]:
    """True for each oracle that agrees with the recordings."""
    from livemig.its import guest_log, replay, stream

    cases = [replay.load_case(DATA / "its" / f"{name}.json") for name in FAST_CASES]
    yield all(replay.replay_case(case).first_difference is None for case in cases)
    for folder, kernels in (("its-qemu-tcg", ("6.12",)), ("its-linux-guest", ("6.12",)),
                            ("its", ("6.12", "6.1", "7.2"))):
        for kernel in kernels:
            result = replay.replay_dir(DATA / folder, kernel)
            yield result["equal"] == result["of"]
    for name in ("k10-stale-itt", "k06-stop-cont", "k12-linux-7.2-ring"):
        recording = json.loads((DATA / "recordings" / f"{name}.json").read_bytes())
        yield all(result.first_difference is None for result in guest_log.replay_recording(recording))
    golden = json.loads((DATA / "stream" / "stream-6.12.json").read_bytes())["streams"]["A.mig"]
    found = stream.its(DATA / "stream" / golden["file"])
    yield not found["problems"] and found["pending"] == {"0": [65535], "1": [8193, 8200]}
    yield found["registers"]["GITS_BASER1"] == golden["arm_gicv3_its"]["fields"]["baser"][1]
    yield found["queue_replay_equal"] is True and len(found["mappings"]) == 7


def noticed(mutate: Callable[[], None]) -> bool:
    """Whether an oracle fails, or anything raises, after `mutate` in a child process."""
    child = os.fork()
    if child == 0:
        signal.alarm(CHILD_LIMIT_S)
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        try:
            mutate()
            survived = all(oracles())
        except BaseException:
            survived = False
        os._exit(0 if survived else 1)
    return os.waitpid(child, 0)[1] != 0


# -- fields


def all_layouts() -> Iterator[tuple[str, Any]]:
    from livemig.its import commands, layout, registers, stream_its

    for one in (layout.DTE, layout.CTE, layout.ITE, layout.L1, layout.QEMU_DTE, layout.QEMU_CTE, layout.QEMU_ITE):
        yield one.name, one
    yield from commands.COMMANDS.items()
    yield from {one.name: one for one in registers.REGISTER_LAYOUTS.values()}.items()
    yield stream_its.SECTION.name, stream_its.SECTION


def field_mutants(fields: tuple[Any, ...]) -> Iterator[tuple[str, dict[str, dict[str, int]]]]:
    for field in fields:
        yield f"{field.name} moved up", {field.name: {"hi": field.hi + 1, "lo": field.lo + 1}}
        if field.lo:
            yield f"{field.name} moved down", {field.name: {"hi": field.hi - 1, "lo": field.lo - 1}}
        if field.width_bits > 1:
            yield f"{field.name} without its top bit", {field.name: {"hi": field.hi - 1}}
            yield f"{field.name} without its low bit", {field.name: {"lo": field.lo + 1}}
        if field.shift:
            yield f"{field.name} with shift {field.shift - 1}", {field.name: {"shift": field.shift - 1}}


def change_fields(layout: Any, changes: dict[str, dict[str, int]]) -> None:
    """In place: every module holds the same Layout and Field objects."""
    for field in layout.fields:
        for key, value in changes.get(field.name, {}).items():
            object.__setattr__(field, key, value)
    layout.__dict__.pop("by_name", None)
    layout.__dict__.pop("reserved_mask", None)


def run_fields() -> tuple[int, list[str]]:
    tried, survivors = 0, []
    for name, layout in all_layouts():
        for text, changes in field_mutants(layout.fields):
            tried += 1
            if not noticed(lambda layout=layout, changes=changes: change_fields(layout, changes)):
                survivors.append(f"{name}: {text}")
    return tried, survivors


# -- rules

_OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd, ast.FloorDiv: ast.Mult, ast.Mult: ast.FloorDiv,
    ast.Mod: ast.FloorDiv}


def _skipped(node: ast.AST) -> bool:
    """Annotations, type variables, texts of errors: no rules."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Assert):
        return True
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def rule_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for field, value in ast.iter_fields(tree):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.AST) and not _skipped(node):
                yield node
                yield from rule_nodes(node)


def mutations(node: ast.AST) -> Iterator[tuple[str, Callable[[], None]]]:
    """(what, action on the tree) for one node."""
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            other = _OPERATORS.get(type(operator))
            if other is not None:
                yield (f"{type(operator).__name__} -> {other.__name__}",
                       lambda index=index, other=other: node.ops.__setitem__(index, other()))
    elif isinstance(node, ast.BoolOp | ast.BinOp) and type(node.op) in _OPERATORS:
        other = _OPERATORS[type(node.op)]
        yield f"{type(node.op).__name__} -> {other.__name__}", lambda: setattr(node, "op", other())
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield f"{node.value} -> {node.value + 1}", lambda: setattr(node, "value", node.value + 1)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield f"{node.value} -> {not node.value}", lambda: setattr(node, "value", not node.value)
    elif isinstance(node, ast.If | ast.IfExp):
        yield "condition negated", lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield f"no {ast.unparse(node.value)[:50]}", lambda: setattr(node, "value", ast.Constant(None))
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
        yield f"no {ast.unparse(node)[:50]}", lambda: setattr(node, "targets", [ast.Name("_", ast.Store())])


class _Mutated(importlib.abc.Loader):
    def __init__(self, code: Any) -> None:
        self.code = code

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, name: str, code: Any) -> None:
        self.name, self.code = name, code

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, _Mutated(self.code)) if name == self.name else None


def load_mutated(module: str, tree: ast.Module) -> None:
    """Import livemig.its afresh with `module` made from `tree`."""
    for name in [name for name in sys.modules if name.startswith("livemig.its")]:
        del sys.modules[name]
    code = compile(ast.fix_missing_locations(tree), f"{module}.py (mutated)", "exec")
    sys.meta_path.insert(0, _Finder(f"livemig.its.{module}", code))
    importlib.import_module("livemig.its")


def run_rules(modules: tuple[str, ...]) -> tuple[int, list[str]]:
    tried, survivors = 0, []
    for module in modules:
        source = (PACKAGE / f"{module}.py").read_text()
        count = sum(len(list(mutations(node))) for node in rule_nodes(ast.parse(source)))
        for number in range(count):
            tree = ast.parse(source)
            line, text, action = [(getattr(node, "lineno", 0), text, action) for node in rule_nodes(tree)
                                  for text, action in mutations(node)][number]

            def mutate(action: Callable[[], None] = action, tree: ast.Module = tree, module: str = module) -> None:
                action()
                load_mutated(module, tree)

            tried += 1
            if not noticed(mutate):
                survivors.append(f"{module}.py:{line}: {text}")
                print("survived", survivors[-1], flush=True)
        print(f"{module}: {tried} tried so far, {len(survivors)} survived", flush=True)
    return tried, survivors


def main() -> None:
    sys.path.insert(0, str(ROOT))
    assert all(oracles()), "the unchanged code must agree with every oracle"
    what = sys.argv[1]
    tried, survivors = run_fields() if what == "fields" else run_rules(tuple(sys.argv[2:]) or RULE_MODULES)
    if what == "fields":
        print("\n".join(f"survived {one}" for one in survivors))
    print(f"{what}: {tried} mutants, {tried - len(survivors)} caught, {len(survivors)} survived")


if __name__ == "__main__":
    main()
