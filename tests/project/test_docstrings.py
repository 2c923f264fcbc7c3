"""The examples in the docstrings of public names, and where there has to be one."""

from __future__ import annotations

import doctest
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from livemig.publish.reference import MODULES

# Where an example would say nothing: errors, a folder, a version, pictures, and what needs a QEMU, a log or answers.
WITHOUT = {
    "CourseError", "Desk", "EXERCISES", "ProgressError", "ScenarioError", "Stage", "__version__", "answer",
    "data_dir", "export_progress", "figures", "import_progress", "keep_progress_in", "policies", "progress",
    "record", "replay", "stage",
}


def public() -> Iterator[tuple[str, Any]]:
    for module_name in (*MODULES, "livemig.engine"):
        module = importlib.import_module(module_name)
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isroutine(value) or inspect.isclass(value):
                yield f"{module_name}.{name}", value


@pytest.mark.parametrize(("name", "value"), list(public()), ids=[name for name, _ in public()])
@pytest.mark.usefixtures("fresh_desk")
def test_the_examples_of_a_docstring_give_what_they_show(name: str, value: Any) -> None:
    finder = doctest.DocTestFinder(recurse=inspect.isclass(value))
    module = inspect.getmodule(value)
    tests = [one for one in finder.find(value, name, module=module, globs={}) if one.examples]
    for one in tests:
        done = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(one)
        assert done.failed == 0, f"{one.name}: see the output"


def test_public_names_have_a_docstring_and_an_example() -> None:
    named = {name: inspect.getdoc(value) or "" for name, value in public() if not name.startswith("livemig.engine.")}
    assert [name for name, text in named.items() if not text] == []
    assert {name.rsplit(".", 1)[-1] for name, text in named.items() if ">>>" not in text} <= WITHOUT
    assert sum(">>>" in text for text in named.values()) > 15
