"""The instructor's and the student's version of each notebook: solutions, stubs, nbgrader's form."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from typer.testing import CliRunner

from livemig import course
from livemig.cli.app import app
from livemig.course import EXERCISES, CourseError
from livemig.course.judge import key_text
from livemig.course.model import Function
from livemig.course.versions import instructor_version, student_version, write_versions

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
IDS = [path.stem for path in NOTEBOOKS]
SEED = 7
CHEAPEST = "01_the_two_phases"  # without the stage, and with the smallest guests


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def exercise_cells(notebook) -> list:
    return [cell for cell in notebook.cells if "nbgrader" in cell.metadata]


@pytest.fixture(params=NOTEBOOKS, ids=IDS)
def plain(request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    return read(request.param)


def test_what_a_learner_opens_holds_no_answer_and_every_exercise_of_the_catalogue() -> None:
    asked = []
    for path in NOTEBOOKS:
        text = path.read_text(encoding="utf-8")
        assert "SOLUTION" not in text
        notebook = read(path)
        source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        asked += re.findall(r'^course\.exercise\("([\d.]+)"\)', source, re.M)
        assert re.findall(r'course\.check\("([\d.]+)", \.\.\.\)', source) == [
            one for one in EXERCISES if one.startswith(path.name[:2])]
        for exercise_id in (one for one in EXERCISES if one.startswith(path.name[:2])):
            key = EXERCISES[exercise_id].task(1).key
            if isinstance(key, Function):  # the first line that the learner sees is that of the solution
                head = key.solution.splitlines()[0]
                assert re.search(rf"^{re.escape(head)}\n    return (None|0)  # your function$", source, re.M), head
    assert asked == list(EXERCISES)


def test_every_check_of_the_instructors_version_is_right(plain, progress_path) -> None:
    """All exercise cells of a notebook, run in order as its kernel would run them."""
    space: dict = {}
    exec("import livemig", space)
    cells = exercise_cells(instructor_version(plain, SEED))
    try:
        for cell in cells:
            exec(cell.source, space)
    finally:
        course.use_seed(1)
    solved = {name for name, seeds in json.loads(progress_path.read_text())["exercises"].items()
              if seeds[str(SEED)]["right"]}
    assert len(solved) == len(cells) / 3
    assert len(solved) in (3, 4, 5)


def test_a_wrong_answer_raises_with_its_reason(progress_path) -> None:
    made = instructor_version(read(NOTEBOOKS[0]), SEED)
    task = EXERCISES["00.1"].task(SEED)
    space = {"course": course, "answer_00_1": f"{task.key.wrongs[0].answer} B"}
    check = next(cell for cell in made.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "check-00-1")
    with pytest.raises(AssertionError, match="64 KiB is the fixed threshold"):
        exec(check.source.replace('answer_00_1)', f'answer_00_1, seed={SEED})'), space)


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_an_instructors_version_runs_from_top_to_bottom_in_a_kernel(progress_path) -> None:
    notebook = instructor_version(read(FOLDER / f"{CHEAPEST}.ipynb"), SEED)
    NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": FOLDER}}).execute(
        env={**os.environ, "LIVEMIG_PROGRESS": str(progress_path)})
    said = [output.text for cell in exercise_cells(notebook) for output in cell.outputs if "text" in output]
    assert len(said) == 4
    assert all(f"(seed {SEED}): right" in text for text in said)


def test_solutions_are_gone_from_the_students_version_and_nothing_else_is(plain) -> None:
    """By rule: a stub with the marker's indentation for each region, all other lines and cells as they were."""
    made = instructor_version(plain, SEED)
    student = student_version(made)
    nbformat.validate(made)
    nbformat.validate(student)
    region = re.compile(r"^( *)### BEGIN SOLUTION\n(?:.*\n)*? *### END SOLUTION$", re.M)
    stub = r"\1# YOUR CODE HERE\n\1raise NotImplementedError()"
    assert [cell.source for cell in student.cells] == [region.sub(stub, cell.source) for cell in made.cells]
    assert [cell.metadata for cell in student.cells] == [cell.metadata for cell in made.cells]
    text = "\n".join(cell.source for cell in student.cells if cell.cell_type == "code")
    assert text.count("raise NotImplementedError()") == len(exercise_cells(made)) / 3
    for exercise_id in (one for one in EXERCISES if f'"{one}"' in text):
        key = EXERCISES[exercise_id].task(SEED).key
        answer = key.solution.split("\n", 1)[1] if isinstance(key, Function) else json.dumps(key_text(key))
        assert answer not in text
    untouched = [cell for cell in plain.cells if not re.search(r"course\.(exercise|check)\(", cell.source)
                 or cell.cell_type == "markdown"]
    others = [cell for cell in made.cells if "nbgrader" not in cell.metadata]
    changed = [(one.source, other.source) for one, other in zip(untouched, others, strict=True) if one != other]
    assert len(changed) == 1
    assert "Put your answer in the place of the dots" in changed[0][0]
    assert "in the place of the dots (a function's body below its first line), take out the line" in changed[0][1]
    assert "`raise NotImplementedError()` and run the cells; a wrong answer gets a reason" in changed[0][1]


@pytest.mark.parametrize(("instead", "said"), [
    ('"6.8 s"', "not answered"), ("", "not answered"), ('answer_02_1 = "6.8 s"', "right"),
    ('answer_02_1 = "6 s"', "not right")])
def test_what_a_student_puts_in_the_stubs_place_is_judged_or_called_no_answer(instead, said) -> None:
    """A bare answer without the name is no NameError."""
    cells = exercise_cells(student_version(instructor_version(read(NOTEBOOKS[2]), SEED)))[:3]
    space: dict = {}
    try:
        exec(cells[0].source, space)
        exec(cells[1].source.replace("raise NotImplementedError()", instead), space)
        if said == "right":
            exec(cells[2].source, space)
        else:
            with pytest.raises(AssertionError, match=rf"Exercise 02\.1 \(seed 7\): {said}"):
                exec(cells[2].source, space)
    finally:
        course.use_seed(1)


def test_the_metadata_are_nbgraders(plain) -> None:
    """nbgrader's documentation, "Developing assignments": solution, autograded tests, read-only."""
    cells = exercise_cells(instructor_version(plain, SEED))
    found = [cell.metadata["nbgrader"] for cell in cells]
    kinds = {"question": (False, False, True), "answer": (False, True, False), "check": (True, False, True)}
    for cell, data in zip(cells, found, strict=True):
        what = data["grade_id"].split("-")[0]
        assert (data["grade"], data["solution"], data["locked"]) == kinds[what]
        assert data["schema_version"] == 3
        assert data["task"] is False
        assert ("points" in data) is data["grade"]
        assert ("BEGIN SOLUTION" in cell.source) is data["solution"]
        assert re.fullmatch(r"[a-zA-Z0-9_\-]+", data["grade_id"])
    assert len({data["grade_id"] for data in found}) == len(found)


# Cells, and what nbgrader 0.9.6's ClearSolutions made of them.
CLEARED_BY_NBGRADER = (
    ('answer_1 = ...  # a number\n### BEGIN SOLUTION\nanswer_1 = "3"\n### END SOLUTION',
     "answer_1 = ...  # a number\n# YOUR CODE HERE\nraise NotImplementedError()"),
    ("def f(a):\n    ### BEGIN SOLUTION\n    if a:\n\n        return 1\n    return 2\n    ### END SOLUTION",
     "def f(a):\n    # YOUR CODE HERE\n    raise NotImplementedError()"),
    ("class A:\n    def f(self):\n        ### BEGIN SOLUTION\n        return 1\n        ### END SOLUTION\n\n"
     "    def g(self):\n        ### BEGIN SOLUTION\n        return 2\n        ### END SOLUTION\n\n\nA().f()",
     "class A:\n    def f(self):\n        # YOUR CODE HERE\n        raise NotImplementedError()\n\n"
     "    def g(self):\n        # YOUR CODE HERE\n        raise NotImplementedError()\n\n\nA().f()"))


@pytest.mark.parametrize(("source", "cleared"), CLEARED_BY_NBGRADER)
def test_stubs_are_those_that_nbgrader_makes(source, cleared) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    assert student_version(notebook).cells[0].source == cleared


if importlib.util.find_spec("nbgrader"):  # no part of the environment (DESIGN.md, 20); where it is, it is asked too
    def test_nbgrader_itself_clears_the_same() -> None:
        from nbgrader.preprocessors import ClearSolutions

        for path in NOTEBOOKS:
            made = instructor_version(read(path), SEED)
            student = student_version(made)
            cleared, _ = ClearSolutions().preprocess(made, {})
            assert [cell.source for cell in cleared.cells] == [cell.source for cell in student.cells], path.name


def test_the_command_writes_both_and_nothing_over(tmp_path) -> None:
    arguments = ["course", "--student", str(tmp_path / "s"), "--instructor", str(tmp_path / "i"), "--seed", "12",
                 "--notebooks", str(FOLDER)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    for folder, word in (("s", "raise NotImplementedError()"), ("i", "### BEGIN SOLUTION")):
        assert sorted(path.stem for path in (tmp_path / folder).iterdir()) == IDS
        text = (tmp_path / folder / "08_when_it_does_not_converge.ipynb").read_text(encoding="utf-8")
        assert word in text
        assert "course.use_seed(12)" in text
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 2
    assert "is there already; choose another folder" in again.output


@pytest.mark.parametrize(("arguments", "said"), [
    ([], "say --student DIR, --instructor DIR or both"),
    (["--student", "x", "--notebooks", "no-such-folder"], "no 00_start_here.ipynb in"),
    (["--student", "x", "--seed", "-1"], "greater than or equal to 0"),
])
def test_what_cannot_be_done_is_said(arguments, said, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["course", *arguments])
    assert done.exit_code == 2
    assert said in done.output
    assert not list(tmp_path.iterdir())


def test_folders_and_exercises_that_there_are_not(tmp_path) -> None:
    with pytest.raises(CourseError, match="no notebooks"):
        write_versions(tmp_path, tmp_path / "out", SEED, "student")
    (tmp_path / "file").write_text("")
    with pytest.raises(CourseError, match="cannot be written"):
        write_versions(FOLDER, tmp_path / "file", SEED, "student")
    odd = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell('course.check("99.1", ...)')])
    with pytest.raises(CourseError, match=r"no exercise '99\.1'; there are 00\.1"):
        instructor_version(odd, SEED)
