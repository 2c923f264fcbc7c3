"""The desk where a learner sits: which exercise with which seed, how many hints, where progress is kept.

Theory of operation. A `Desk` remembers the seed of each exercise that was shown, so that `check` needs only the id and
the answer. Everything that is told is a `Shown`. Progress that cannot be kept is said below the answer, never instead
of it. `livemig.course` has one desk for a notebook; tests make their own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from livemig.course import progress_file
from livemig.course.judge import LETTERS, example_of, judge, shown_key
from livemig.course.model import Bytes, Exercise, Function, Number, Order, Task, find
from livemig.course.shown import Shown, ShownTable

__all__ = ["DEFAULT_SEED", "Desk"]

DEFAULT_SEED = 1
HINTS = 3


class Desk:
    """One learner's session over `exercises`. `path`: the progress file (None: `progress_file.default_path()`)."""

    def __init__(self, exercises: Mapping[str, Exercise], path: Path | None = None) -> None:
        self._exercises = exercises
        self._path = path
        self._seed = DEFAULT_SEED
        self._seeds: dict[str, int] = {}
        self._hints: dict[tuple[str, int], int] = {}

    @property
    def path(self) -> Path:
        """Where progress is kept."""
        return self._path or progress_file.default_path()

    def use_seed(self, seed: int) -> Shown:
        """The seed of all exercises that are shown without one from now on: each student another number.

        >>> from livemig import course
        >>> course.use_seed(7)
        Seed 7 from now on.
        """
        next(iter(self._exercises.values())).task(seed)
        self._seed, self._seeds = seed, {}
        return Shown(f"Seed {seed} from now on.")

    def exercise(self, exercise_id: str, seed: int | None = None) -> Shown:
        """The question, with this seed's numbers. Raises `CourseError` for an unknown exercise or seed.

        >>> from livemig import course
        >>> course.exercise("02.1", seed=7)
        Exercise 02.1: ...
        """
        exercise, used, task = self._find(exercise_id, seed)
        self._seeds[exercise.id] = used
        lines = (task.question, _list_of(task), _how_to(task),
                 f"Answer with course.check({exercise.id!r}, ...); course.hint({exercise.id!r}) gives a hint.")
        return Shown(f"Exercise {exercise.id}: {exercise.title} (seed {used})", lines)

    def check(self, exercise_id: str, answer: Any = ..., seed: int | None = None) -> Shown:
        """Right or wrong, and why. Raises only `CourseError`, for an unknown exercise or seed.

        >>> from livemig import course
        >>> course.check("02.1", "6.8 s", seed=7).right
        True
        """
        exercise, used, task = self._find(exercise_id, seed)
        verdict = judge(task, answer)
        name = f"Exercise {exercise.id} (seed {used})"
        if verdict.right is None:
            return Shown(f"{name}: not answered", (verdict.reason,))
        problem = self._note(exercise.id, used, tries=1, right=verdict.right, last_answer=_text(answer))
        word = "right" if verdict.right else "not right"
        after = task.worked if verdict.right else f"course.hint({exercise.id!r}) gives a hint."
        return Shown(f"{name}: {word}", (verdict.reason, after, problem), verdict.right)

    def hint(self, exercise_id: str, seed: int | None = None) -> Shown:
        """The next of three hints; after them the worked answer is offered.

        >>> from livemig import course
        >>> course.hint("02.2", seed=7).heading
        'Exercise 02.2: hint ... of 3'
        """
        exercise, used, task = self._find(exercise_id, seed)
        given = self._hints.get((exercise.id, used), 0)
        if given >= HINTS:
            return Shown(f"Exercise {exercise.id}: no more hints", (
                f"There were {HINTS}. course.answer({exercise.id!r}) shows the worked answer.",))
        self._hints[exercise.id, used] = given + 1
        problem = self._note(exercise.id, used, hints=given + 1)
        return Shown(f"Exercise {exercise.id}: hint {given + 1} of {HINTS}", (task.hints[given], problem))

    def answer(self, exercise_id: str, seed: int | None = None) -> Shown:
        """The worked answer, once the three hints were asked for or the exercise was solved."""
        exercise, used, task = self._find(exercise_id, seed)
        given = self._hints.get((exercise.id, used), 0)
        if given < HINTS and not self._solved(exercise.id, used):
            return Shown(f"Exercise {exercise.id}: the answer comes after the hints", (
                f"{given} of {HINTS} hints were given. course.hint({exercise.id!r}) gives the next one.",))
        problem = self._note(exercise.id, used, answer_shown=True)
        return Shown(f"Exercise {exercise.id} (seed {used}): the answer is {shown_key(task.key)}",
                     (task.worked, _solution(task), problem))

    def key(self, seed: int | None = None) -> ShownTable:
        """For instructors: the key of every exercise with this seed.

        >>> from livemig import course
        >>> dict(row[::2] for row in course.key(7).rows)["02.1"]
        '6.8 s'
        """
        rows = tuple((one.id, one.title, shown_key(one.task(self._seed if seed is None else seed).key))
                     for one in self._exercises.values())
        return ShownTable(f"Key, seed {self._seed if seed is None else seed}", ("Exercise", "About", "Key"), rows)

    def progress(self) -> ShownTable:
        """What has been tried and solved. Raises `ProgressError` when the file cannot be read."""
        kept = progress_file.read(self.path)
        rows = tuple((name, seed, "solved" if entry["right"] else "open", str(entry["tries"]), str(entry["hints"]),
                      "yes" if entry["answer_shown"] else "no")
                     for name, seeds in sorted(kept.items()) for seed, entry in sorted(seeds.items()))
        solved = len({row[0] for row in rows if row[2] == "solved"} & self._exercises.keys())
        return ShownTable(f"{solved} of {len(self._exercises)} exercises solved",
                          ("Exercise", "Seed", "State", "Tries", "Hints", "Answer shown"), rows,
                          f"Kept in {self.path}, and sent nowhere.")

    def keep_progress_in(self, path: str | Path) -> Shown:
        """Use this file from now on; one that is there goes on. Raises `ProgressError` for what is no progress file."""
        progress_file.read(Path(path))
        self._path = Path(path)
        return Shown(f"Progress is kept in {self._path}.")

    def export_progress(self, path: str | Path) -> Shown:
        """Write a copy, to hand in or to go on with elsewhere (`import_progress`); no file is written over.

        Raises `ProgressError`.
        """
        target, kept = Path(path), progress_file.read(self.path)
        if target.exists():
            raise progress_file.ProgressError(f"{target}: is there already; choose another name")
        with progress_file.locked(target):
            progress_file.write(target, kept)
        return Shown(f"{len(kept)} exercises written into {target}.")

    def import_progress(self, path: str | Path) -> Shown:
        """Add what an exported file has to what is kept here; what was solved in either is solved. Twice is as once.

        Raises `ProgressError`.
        """
        count = progress_file.merge(self.path, Path(path))
        return Shown(f"{count} exercises read from {path}.", ("course.progress() shows all that is kept.",))

    def _find(self, exercise_id: str, seed: int | None) -> tuple[Exercise, int, Task]:
        exercise = find(self._exercises, exercise_id)
        used = self._seeds.get(exercise.id, self._seed) if seed is None else seed
        return exercise, used, exercise.task(used)

    def _solved(self, exercise_id: str, seed: int) -> bool:
        try:
            return bool(progress_file.read(self.path).get(exercise_id, {}).get(str(seed), {}).get("right"))
        except progress_file.ProgressError:
            return False

    def _note(self, exercise_id: str, seed: int, **what: Any) -> str:
        """What is to be said where progress could not be kept; empty otherwise."""
        try:
            progress_file.note(self.path, exercise_id, seed, **what)
        except progress_file.ProgressError as error:
            return f"Progress was not kept. {error}."
        return ""


def _list_of(task: Task) -> str:
    if not isinstance(task.key, Order):
        return ""
    return "\n".join(f"  {letter}  {name}" for letter, name in zip(LETTERS, task.key.shown, strict=False))


def _how_to(task: Task) -> str:
    key = task.key
    match key:
        case Number():
            units = {"bytes": "Give a size with its unit, such as {}.", "s": "Give a time with its unit, such as {}.",
                     "bytes/s": "Give a rate with its unit, such as {}.", "": "Give a number."}
            off = f" {key.tolerance * 100:g} % off is near enough." if key.tolerance else ""
            return units[key.unit].format(repr(example_of(key))) + off
        case Bytes():
            return f"Give {key.layout.size_bytes} bytes in hexadecimal, the lowest address first."
        case Order():
            return f"Give the letters {' '.join(LETTERS[:len(key.shown)])} in the right order, as one text."
        case Function():
            return (f"Write the function {key.name} and give it without calling it. It is tried in its own process, "
                    "and stopped when it does not end.")


def _solution(task: Task) -> str:
    return textwrap.indent(task.key.solution, "  ") if isinstance(task.key, Function) else ""


def _text(answer: Any) -> str:
    try:
        text = answer.hex(" ") if isinstance(answer, bytes) else getattr(answer, "__name__", None) or str(answer)
        return str(text)[:200]
    except Exception:
        return type(answer).__name__
