"""docs/howto: what its Python examples and its commands print is what they print; commands that are not run exist.

`python` blocks with `>>>` are run as one session a page, `console` blocks after them line by line, `json file=NAME` is
written first. `...` stands for text that the page leaves out. `sh` blocks need a QEMU, a dump or a running guest: of
them only the names of commands and options are looked at.
"""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from livemig.cli.app import app

PAGES = sorted((Path(__file__).parents[2] / "docs/howto").glob("*.md"))
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(text: str, kind: str) -> list[tuple[str, str]]:
    """(what stands behind the kind, content) of each fenced block of a kind."""
    return re.findall(rf"^```{kind}\b ?(.*?)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def shown(block: str) -> list[tuple[list[str], str]]:
    """(arguments, expected output) of each `$ livemig ...` of a console block."""
    parts = re.split(r"^\$ livemig (.*)\n", block, flags=re.MULTILINE)
    return [(shlex.split(parts[i]), parts[i + 1]) for i in range(1, len(parts), 2)]


def commands(block: str) -> list[list[str]]:
    """The arguments of each livemig command of a shell block."""
    return [shlex.split(line)[1:] for line in block.splitlines() if line.startswith("livemig ")]


def unknown(arguments: list[str]) -> list[str]:
    """The subcommands and options of a command line that the help of the command does not have."""
    words: list[str] = []
    for word in arguments:
        if CliRunner().invoke(app, [*words, word, "--help"]).exit_code != 0:
            break
        words.append(word)
        if "COMMAND" not in CliRunner().invoke(app, [*words, "--help"]).stdout.splitlines()[0]:
            break
    else:
        return arguments
    told = CliRunner().invoke(app, [*words, "--help"]).stdout
    if "COMMAND" in told.splitlines()[0]:
        return [arguments[len(words)]]
    options = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", told))
    return [word for word in arguments[len(words):] if re.match(r"--?[a-z]", word) and word not in options]


@pytest.fixture
def place(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, fresh_desk: None) -> Path:
    """An empty folder with the repository's data in it, as the current one."""
    (tmp_path / "data").symlink_to(root / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_prints_what_it_shows(path: Path, place: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for info, content in blocks(text, "json"):
        Path(info.removeprefix("file=")).write_text(content, encoding="utf-8")
    session = "\n".join(content for _, content in blocks(text, "python"))
    test = doctest.DocTestParser().get_doctest(session, {}, path.name, str(path), 0)
    done = doctest.DocTestRunner(optionflags=FLAGS).run(test)
    assert done == doctest.TestResults(failed=0, attempted=len(test.examples))
    for _, content in blocks(text, "console"):
        for arguments, expected in shown(content):
            ran = CliRunner().invoke(app, arguments)
            assert ran.exit_code in (0, 1), ran.output
            wanted = expected or "..."
            assert doctest.OutputChecker().check_output(wanted, ran.stdout, FLAGS), ran.stdout


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_commands_that_are_not_run_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = [line for _, content in blocks(text, "sh") for line in commands(content)]
    lines += [arguments for _, content in blocks(text, "console") for arguments, _ in shown(content)]
    assert [(arguments, wrong) for arguments in lines if (wrong := unknown(arguments))] == []


def test_the_pages_have_something_to_run() -> None:
    texts = [path.read_text(encoding="utf-8") for path in PAGES]
    assert len(PAGES) == 9
    assert sum(text.count("\n>>> ") for text in texts) > 30
    assert sum(text.count("\n$ livemig ") for text in texts) > 7


def test_a_wrong_option_is_found() -> None:
    assert unknown(["predict", "--ram", "1GiB", "-o", "x"]) == ["-o"]
    assert unknown(["predict", "--memory", "1GiB"]) == ["--memory"]
    assert unknown(["forecast"]) == ["forecast"]
    assert unknown(["its", "check"]) == ["check"]
    assert unknown(["its", "decode", "x.raw", "--base", "0"]) == []


def test_every_page_is_in_the_list() -> None:
    index = next(path for path in PAGES if path.stem == "index").read_text(encoding="utf-8")
    assert {path.name for path in PAGES} - {"index.md"} == set(re.findall(r"\]\((\w+\.md)\)", index))
