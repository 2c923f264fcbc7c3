"""What an exercise is: frozen data, with the key, the usual wrong answers, three hints and the worked answer.

Theory of operation. An `Exercise` builds a `Task` from a random source that its id and a seed determine, so that the
same seed gives the same numbers on every machine. The key of a task is one of four kinds: `Number`, `Bytes`, `Order`,
`Function`. Each kind holds the usual wrong answers (`Wrong`), each with the reason why it is wrong; `judge` compares.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, TypeAlias

from livemig.its.codec import Layout

__all__ = ["Bytes", "Case", "CourseError", "Draw", "Exercise", "Function", "Key", "Number", "Order", "Task", "Wrong",
           "find", "number"]

MOST_DRAWS = 200


class CourseError(ValueError):
    """An exercise, seed or file that there is not; the message names it and what there is."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the message only, for where this was raised says nothing to a learner."""
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True)
class Wrong:
    """A usual wrong answer and why it is wrong. `answer`: of the kind of its key (a function for `Function`)."""

    answer: Any
    reason: str


@dataclass(frozen=True)
class Number:
    """A quantity in `unit` ("bytes", "bytes/s", "s" or "" for a plain number).

    `tolerance`: relative, 0 for whole numbers. `noun`: what a plain number counts ("rounds"); it may be written too.
    `example`: how an answer is written, where the unit's usual example would be another magnitude.
    """

    value: float
    unit: str
    wrongs: tuple[Wrong, ...] = ()
    tolerance: float = 0.02
    noun: str = ""
    example: str = ""

    def near(self, value: float, other: float) -> bool:
        """Whether two values are the same answer."""
        return abs(value - other) <= self.tolerance * abs(other) + (1e-9 if self.tolerance == 0 else 0)


def number(value: float, unit: str, *wrongs: tuple[float, str], tolerance: float = 0.02, noun: str = "",
           example: str = "") -> Number:
    """A `Number` without those wrong answers that this draw's numbers make as good as the key or as another one.

    The first of `wrongs` is kept in any case: where it cannot be told from the key, the next draw is taken.
    """
    kept: list[Wrong] = []
    for answer, reason in wrongs:
        others = [value, *(wrong.answer for wrong in kept)]
        if not kept or all(_apart(answer, other, tolerance) for other in others):
            kept.append(Wrong(answer, reason))
    return Number(value, unit, tuple(kept), tolerance, noun, example)


def _apart(a: float, b: float, tolerance: float) -> bool:
    return abs(a - b) > 2.5 * tolerance * max(abs(a), abs(b))


@dataclass(frozen=True)
class Bytes:
    """Bytes of a table as they lie in memory, the lowest address first, of one entry of `layout`."""

    value: bytes
    layout: Layout
    wrongs: tuple[Wrong, ...] = ()


@dataclass(frozen=True)
class Order:
    """Things in the order in which they happen. `shown`: the same things as the question lists them."""

    value: tuple[str, ...]
    shown: tuple[str, ...]
    wrongs: tuple[Wrong, ...] = ()


@dataclass(frozen=True)
class Case:
    """One call of a learner's function: `args`, and the value that is expected (None: what the `driver` calls good)."""

    args: tuple[Any, ...]
    expected: Any


@dataclass(frozen=True)
class Function:
    """A function of the learner's, called with each case. `driver` calls it (`DRIVERS`), `told` says a case in words.

    `right` is a function that passes; `wrongs` hold functions that make the usual mistakes. `solution`: Python that a
    learner could have written, with `livemig` at most imported; an instructor's notebook has it in its cell.
    """

    name: str
    right: Callable[..., Any]
    cases: tuple[Case, ...]
    wrongs: tuple[Wrong, ...] = ()
    told: Callable[..., str] | None = None
    driver: str = "plain"
    tolerance: float = 1e-6
    solution: str = field(kw_only=True)


Key: TypeAlias = Number | Bytes | Order | Function


@dataclass(frozen=True)
class Task:
    """One exercise with one seed's numbers. `worked`: the answer as an instructor would write it on the board."""

    question: str
    key: Key
    hints: tuple[str, str, str]
    worked: str


class Draw(random.Random):
    """The random source of a task; `choice`, `randrange` and `sample` of a text seed are the same everywhere."""

    def shuffled(self, right: tuple[str, ...]) -> tuple[str, ...]:
        """In another order, never the one that is asked for."""
        while (mixed := tuple(self.sample(right, len(right)))) == right:
            pass
        return mixed


@dataclass(frozen=True)
class Exercise:
    """An exercise: `id` is the notebook's number and its own ("02.1"). `build` makes a task from a `Draw`.

    Where a draw makes two answers fall together, the next draw is taken.
    """

    id: str
    title: str
    build: Callable[[Draw], Task]

    def task(self, seed: int) -> Task:
        """The task of this seed; raises `CourseError` for what is no seed."""
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
            raise CourseError(f"seed = {seed!r}: expected a whole number from 0 to {2**32 - 1}")
        return _task(self, seed)


def find(exercises: Mapping[str, Exercise], exercise_id: object) -> Exercise:
    """The exercise with this id; raises `CourseError` with the near ids, or with all."""
    found = exercises.get(str(exercise_id))
    if found is None:
        near = get_close_matches(str(exercise_id), exercises, n=4)
        known = f"near it are {', '.join(sorted(near))}" if near else f"there are {', '.join(exercises)}"
        raise CourseError(f"no exercise {exercise_id!r}; {known}")
    return found


@lru_cache(maxsize=512)
def _task(exercise: Exercise, seed: int) -> Task:
    draw = Draw(f"livemig {exercise.id} {seed}")
    for _ in range(MOST_DRAWS):
        task = exercise.build(draw)
        if _distinct(task.key):
            return task
    raise AssertionError(f"exercise {exercise.id}: no draw in {MOST_DRAWS} tells its wrong answers from its key")


def _distinct(key: Key) -> bool:
    """Whether no wrong answer could be taken for the key, nor for another wrong answer."""
    if isinstance(key, Function):
        return True
    answers = [key.value, *(wrong.answer for wrong in key.wrongs)]
    if isinstance(key, Number):
        return all(_apart(a, b, key.tolerance) for i, a in enumerate(answers) for b in answers[:i])
    return len(set(answers)) == len(answers)

