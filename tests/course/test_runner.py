"""A learner's function in its process: ends, raises, loops for ever, swallows everything, eats memory."""

from __future__ import annotations

import threading
import time

import psutil
import pytest

from livemig.course.runner import run_cases

LIMIT_S = 1.0
SHARED = 20


def helper(value):
    return value + SHARED


def endless(value):
    while True:
        value += 1


def swallows(value):
    while True:
        try:
            value += 1
        except BaseException:
            continue


def holds_the_lock(value):
    return 10 ** (10**9)


def sleeps(value):
    time.sleep(3600)


def raises(value):
    print("before")
    return value / 0


def recurses(value):
    return recurses(value)


def leaves(value):
    raise SystemExit(3)


def dies(value):
    import os

    os._exit(7)


@pytest.mark.parametrize("function", [endless, swallows, holds_the_lock, sleeps])
def test_what_does_not_end_is_stopped_and_its_line_is_told(function) -> None:
    started = time.monotonic()
    ran = run_cases(function, [(1,)], limit_s=LIMIT_S)
    assert time.monotonic() - started < LIMIT_S + 10
    assert "did not end within 1 s and was stopped" in ran.trouble
    first = function.__code__.co_firstlineno
    lines = range(first, first + 6)
    assert any(f"line {line} of its cell or file ({function.__name__})" in ran.trouble for line in lines)
    assert not [child for child in psutil.Process().children(recursive=True) if "livemig.course.child" in
                " ".join(child.cmdline())]


@pytest.mark.parametrize(("function", "said"), [
    (raises, "raised ZeroDivisionError: division by zero in line"), (recurses, "raised RecursionError"),
    (leaves, "raised SystemExit: 3"), (dies, "ended without a result (exit code 7)"),
    (lambda: 1, "raised TypeError"),
])
def test_what_raises_or_dies_is_explained(function, said) -> None:
    assert said in run_cases(function, [(1,)]).trouble


def test_cases_before_the_one_that_raises_are_kept_and_prints_are_shown() -> None:
    ran = run_cases(lambda value: (print("at", value), 6 / value)[1], [(3,), (0,), (1,)])
    assert ran.values == (2.0,)
    assert ran.printed == "at 3\nat 0\n"
    assert ran.trouble.endswith("in case 2")


def test_it_takes_its_helpers_and_globals_along_and_gives_plain_values_back() -> None:
    inner = 5

    def closed(value):
        return helper(value) + inner, bytes([value]), [True, None, "x"], {1}

    ran = run_cases(closed, [(1,)])
    assert ran.trouble == ""
    assert ran.values == ([26, {"bytes": "01"}, [True, None, "x"], {"type": "set", "repr": "{1}"}],)


def test_memory_is_limited_where_the_system_can() -> None:
    pytest.importorskip("resource")
    ran = run_cases(lambda _: bytearray(1 << 40), [(1,)])
    assert "MemoryError" in ran.trouble


def test_what_cannot_be_carried_is_said() -> None:
    lock = threading.Lock()
    assert "cannot be carried" in run_cases(lambda value: lock, [(1,)]).trouble


def test_it_prints_without_end_and_memory_does_not_grow() -> None:
    ran = run_cases(lambda n: [print("x" * 1000) for _ in range(n)] and 1, [(2000,)])
    assert ran.values == (1,)
    assert len(ran.printed) <= 400
