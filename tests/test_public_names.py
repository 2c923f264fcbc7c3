"""The public names: few, loaded when first used, known to dir() and to type checkers."""

import ast
import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import livemig
from livemig.lab.recording import RecordingError

PROBE = "import sys, livemig; {code}; print(sorted({{m.partition('.')[0] for m in sys.modules}} & {looked_for!r}))"


def loaded(code: str, looked_for: set[str]) -> list[str]:
    """Which of the packages `looked_for` a fresh interpreter has loaded after `code`."""
    probe = PROBE.format(code=code, looked_for=looked_for)
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return ast.literal_eval(done.stdout)


def test_import_loads_not_even_numpy() -> None:
    assert loaded("dir(livemig)", {"numpy", "pandas", "matplotlib", "typer"}) == []


@pytest.mark.parametrize("code", ["livemig.simulate()", "livemig.recording('b02')", "livemig.recordings()"])
def test_running_loads_nothing_that_draws(code) -> None:
    assert loaded(code, {"pandas", "matplotlib", "ipywidgets", "anywidget", "scipy", "typer", "rich", "IPython"}) == []


def test_some_twenty_names_the_most_important_first() -> None:
    assert livemig.__all__[:3] == ["simulate", "Scenario", "Trace"]
    assert 13 <= len(livemig.__all__) <= 24
    assert set(livemig.__all__) <= set(dir(livemig))


@pytest.mark.parametrize("name", livemig.__all__)
def test_every_name_is_there_and_explained(name) -> None:
    assert getattr(livemig, name) is getattr(livemig, name)
    assert name == "__version__" or getattr(livemig, name).__doc__


def test_type_checkers_see_the_same_origins() -> None:
    """What `if TYPE_CHECKING` imports is what `__getattr__` loads: same module, same attribute."""
    tree = ast.parse(Path(livemig.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    for name, (module, attribute) in livemig._ORIGINS.items():
        assert seen[name] == (module if attribute else module.rpartition(".")[0])


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'simulat'; its names are simulate, Scenario"):
        _ = livemig.simulat
    assert not hasattr(livemig, "__wrapped__")


def test_recordings_can_be_named_in_three_ways() -> None:
    names = livemig.recordings()
    assert "b02" in names
    assert "k01-converge" in names
    assert names == sorted(names)
    file = livemig.data_dir() / "recordings" / "k01-converge.json"
    events = livemig.recording("k01-converge").events
    assert livemig.recording("k01").events == events
    assert livemig.recording(file).events == events
    assert livemig.recording(str(file)).events == events


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("k01-convege", "the nearest are k01-converge"),
        ("b03", "the nearest are b01, b02, b04"),
        ("", "no recording ''; the nearest are a01"),
        ("/nowhere/x.json", "no such file"),
        (Path("nowhere"), "no such file"),
    ],
)
def test_a_wrong_name_gets_near_names(name, says) -> None:
    with pytest.raises(RecordingError, match=says):
        livemig.recording(name)


def test_the_docstrings_examples_run() -> None:
    names: dict[str, object] = {}
    for example in doctest.DocTestParser().get_examples(livemig.__doc__):
        exec(example.source, names)
    assert names["trace"].outcome.status == "completed"


def test_validate_runs_one_folder(tmp_path) -> None:
    (tmp_path / "b02.json").symlink_to(livemig.data_dir() / "recordings" / "b02.json")
    seen: list[str] = []
    report = livemig.validate(tmp_path, seen.append)
    assert seen == ["b02"]
    assert report["summary"]["of"] == 1
    assert report["runs"][0]["converged_predicted"] is True
