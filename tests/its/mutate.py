"""Mutation check: change one layout field or one rule at a time; some recorded answer must differ then.

    python tests/its/mutate.py fields            every field of every layout: moved, cut at either end, other shift
    python tests/its/mutate.py rules [MODULE..]  comparisons, conditions, constants, operators and calls in the code

First come the recorded answers: the golden KVM cases on three kernels, the emulated ITS's cases, dumps of the recorded
migrations, a stream. A mutant that none of them notices goes to the rule tests (RULE_TESTS). Prints each one that
survives both, and how many were tried and caught. Each mutant runs in a child process of its own.
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
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
PACKAGE = ROOT / "livemig" / "its"
RULE_MODULES = ("processing", "tables", "restore", "device", "places", "state", "vgic", "registers", "migration",
                "layout", "emulated", "profile")
CHILD_LIMIT_S = 60
RULE_TESTS = ("test_layout.py", "test_rules.py", "test_golden_qemu.py", "test_migration.py", "test_commands.py")
FAST_CASES = ("restore-base", "fuzz-commands-00", "fuzz-restore-00", "dirty-log-commands", "pending-basic",
              "indirect-two-l2", "queue-wrap", "baser-pagesize-4k")


@cache
def recorded(pattern: str) -> list[Any]:
    """Parsed files; read once, before any child is forked."""
    return [json.loads(path.read_bytes()) for path in sorted(DATA.glob(pattern))]


def oracles() -> Iterator[bool]:
    """True for each oracle that agrees with the recordings; the quickest and the sharpest come first."""
    from livemig.its import guest_log, replay, stream

    cases = recorded("its/*.json")
    for case in sorted(cases, key=lambda case: case["name"] not in FAST_CASES):
        yield replay.replay_case(case).first_difference is None
    for case in cases:
        if case["differs"] or case["crashed"]:
            yield all(replay.replay_case(case, kernel).first_difference is None for kernel in ("6.1", "7.2"))
    for case in recorded("its-qemu-tcg/*.json") + recorded("its-linux-guest/*.json"):
        yield replay.replay_case(case).first_difference is None
    for recording in recorded("recordings/k[01][026]*.json"):
        yield all(result.first_difference is None for result in guest_log.replay_recording(recording))
    golden = recorded("stream/stream-6.12.json")[0]["streams"]["A.mig"]
    found = stream.its(DATA / "stream" / golden["file"])
    yield not found["problems"] and found["pending"] == {"0": [65535], "1": [8193, 8200]}
    yield found["registers"]["GITS_BASER1"] == golden["arm_gicv3_its"]["fields"]["baser"][1]
    yield found["queue_replay_equal"] is True and len(found["mappings"]) == 7


def rule_tests() -> Iterator[bool]:
    import pytest

    arguments = ["-q", "-x", "-p", "no:cacheprovider", *(str(ROOT / "tests" / "its" / name) for name in RULE_TESTS)]
    yield pytest.main(arguments) == 0


def noticed(mutate: Callable[[], None], oracles: Callable[[], Iterator[bool]]) -> bool:
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


@dataclass
class Tally:
    """Mutants tried; caught by recorded answers; by rule tests."""

    tried: int = 0
    by_recordings: int = 0
    by_rule_tests: int = 0

    def judge(self, name: str, mutate: Callable[[], None]) -> None:
        self.tried += 1
        if noticed(mutate, oracles):
            self.by_recordings += 1
        elif noticed(mutate, rule_tests):
            self.by_rule_tests += 1
        else:
            print("survived", name, flush=True)

    def __str__(self) -> str:
        caught = self.by_recordings + self.by_rule_tests
        return (f"{self.tried} mutants, {caught} caught ({self.by_recordings} by recordings, {self.by_rule_tests} by "
                f"rule tests), {self.tried - caught} survived")


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


def run_fields(tally: Tally) -> None:
    for name, layout in all_layouts():
        for text, changes in field_mutants(layout.fields):
            tally.judge(f"{name}: {text}", lambda layout=layout, changes=changes: change_fields(layout, changes))


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


def run_rules(tally: Tally, modules: tuple[str, ...]) -> None:
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

            tally.judge(f"{module}.py:{line}: {text}", mutate)
        print(f"{module} done: {tally}", flush=True)


def main() -> None:
    sys.path.insert(0, str(ROOT))
    assert all(oracles()), "the unchanged code must agree with every oracle"
    what = sys.argv[1]
    tally = Tally()
    if what == "fields":
        run_fields(tally)
    else:
        run_rules(tally, tuple(sys.argv[2:]) or RULE_MODULES)
    print(f"{what}: {tally}")


if __name__ == "__main__":
    main()
