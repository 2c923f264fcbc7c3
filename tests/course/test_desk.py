"""A learner's session: seeds, hints, the answer after them, the key; what is told, and how it is read."""

from __future__ import annotations

import re

import pytest
from IPython.core.interactiveshell import InteractiveShell

from livemig import course
from livemig.course import EXERCISES, CourseError, Desk
from livemig.course.judge import judge, key_text
from livemig.course.shown import Shown, ShownTable


@pytest.fixture
def desk() -> Desk:
    return Desk(EXERCISES)


def test_check_goes_by_the_seed_that_was_shown(desk) -> None:
    desk.exercise("02.1", seed=7)
    right = key_text(EXERCISES["02.1"].task(7).key)
    assert desk.check("02.1", right).right is True
    assert desk.check("02.1", right, seed=8).right is False
    desk.use_seed(8)
    assert "(seed 8)" in repr(desk.exercise("02.1"))
    assert desk.check("02.1", right).right is False


def test_dots_are_no_answer_and_no_try(desk, progress_path) -> None:
    for empty, said in ((..., "No answer yet"), (None, "No answer given."), ("", "No answer given."),
                        ("  ", "No answer given.")):
        shown = desk.check("03.1", empty)
        assert shown.right is None
        assert said in repr(shown)
    assert not progress_path.exists()


def test_three_hints_then_the_answer(desk) -> None:
    assert "0 of 3 hints were given" in repr(desk.answer("00.1"))
    told = [repr(desk.hint("00.1")) for _ in range(4)]
    assert [f"hint {n} of 3" in text for n, text in enumerate(told[:3], start=1)] == [True] * 3
    assert 'course.answer' in told[3]
    assert key_text(EXERCISES["00.1"].task(1).key) in repr(desk.answer("00.1"))


def test_the_answer_may_be_seen_once_it_was_found(desk) -> None:
    desk.check("04.3", key_text(EXERCISES["04.3"].task(1).key))
    assert "the answer is" in repr(desk.answer("04.3"))


def test_the_key_of_a_seed_is_what_a_student_with_that_seed_has_to_answer(desk) -> None:
    table = desk.key(seed=7)
    assert [row[0] for row in table.rows] == list(EXERCISES)
    for name, _, text in table.rows:
        task = EXERCISES[name].task(7)
        if "any function" not in text:
            assert judge(task, re.sub(r" \(.*", "", text)).right is True


def test_an_unknown_exercise_says_what_there_is(desk) -> None:
    with pytest.raises(CourseError, match=r"no exercise '99.1'; there are 00.1, 00.2"):
        desk.check("99.1", "3")
    with pytest.raises(CourseError, match=r"no exercise 2.4; near it are (?:0\d\.\d, )*02.4\b"):
        desk.check(2.4, "3")


def test_a_notebook_shows_an_error_in_one_line_and_no_traceback(capsys) -> None:
    shell = InteractiveShell()
    shell.run_cell("from livemig import course; course.check('nothing', 1)")
    shown = capsys.readouterr().out.strip().splitlines()
    assert len(shown) == 1
    assert shown[0].startswith("CourseError: no exercise 'nothing'; there are 00.1,")


def test_an_answer_is_told_in_the_unit_in_which_it_was_given(desk) -> None:
    """Seed 1: 40 MiB/s for 180 ms, so 7.2 MiB."""
    def told(answer: str) -> str:
        return repr(desk.check("00.1", answer, seed=1)).replace("\n", " ")

    assert "7.2 MiB is right." in told("7.2 MiB")
    assert "7549747 B (7.2 MiB) is right." in told("7549747 B")
    assert "5.5 MiB is too small." in told("5,5 MiB")
    assert "70 Mbit (8.34 MiB) is too large." in told("70 Mbit")


@pytest.mark.parametrize(("answer", "right", "said"), [
    ("7,2 MiB", True, "is right"), ("7,20MiB", True, "is right"), ("7,200 MiB", None, "write a decimal point"),
    ("7.2 parsecs", None, "or 64 kB|, 64 kB"), ("7200 MiB", False, "180 ms are 0.18 s"),
    ("222 MiB", False, "it is a product"), ("7.2 KiB", False, "1024 times too small; look at the units"),
    ("57.6 MiB", False, "eight times too large"), ("64 KiB", False, "64 KiB is the fixed threshold")])
def test_the_commonest_slips_are_read_or_named(desk, answer, right, said) -> None:
    shown = desk.check("00.1", answer, seed=1)
    assert shown.right is right
    text = repr(shown).replace("\n", " ")
    assert re.search(said, text), text
    assert "(bytes)" not in text  # a number without a unit is not taken, so none is shown as an example


def test_a_counted_thing_may_be_named(desk) -> None:
    rounds = key_text(EXERCISES["02.2"].task(1).key)
    for written in (rounds, f"{rounds} rounds", f"{rounds} Rounds ", f" {rounds} round"):
        assert desk.check("02.2", written).right is True, written
    assert desk.check("02.2", f"{rounds} passes").right is None
    for exercise_id, noun in (("01.1", "pages"), ("01.2", "pages"), ("06.3", "calls"), ("08.1", "steps")):
        number = key_text(EXERCISES[exercise_id].task(1).key)
        assert desk.check(exercise_id, f"{number} {noun}").right is True, exercise_id
        assert desk.check(exercise_id, f"{number} parsecs").right is None, exercise_id


def test_the_example_has_the_magnitude_that_is_asked_for(desk) -> None:
    """The same example in the cell's comment (notebook 02) and below the question."""
    assert "such as '78.91 s'" in repr(desk.exercise("02.1", seed=1))
    assert "such as '78.91 s'" in repr(desk.check("02.1", 45, seed=1)).replace("\n", " ")


@pytest.mark.parametrize(("exercise_id", "answer", "said"), [
    ("00.1", "12", "12 of what? Write the unit too"), ("00.1", 12.5, "of what"),
    ("00.1", "12 parsecs", "is not a size"),
    ("00.1", "nan MiB", "is not a size"), ("00.1", [1], "found list"), ("00.1", True, "found bool"),
    ("00.1", "300 ms", "is not a size"), ("04.3", "1 B", "is not a number"),
    ("00.2", "A B", "each once"), ("00.2", 5, "found int"), ("00.2", "A A B C D", "each once"),
    ("04.1", "zz", "two hexadecimal digits"), ("04.1", "00 11", "a DTE has 8 bytes, found 2"), ("04.1", 5, "no order"),
    ("04.1", [1], "found list"), ("02.4", "True", "without calling it"), ("02.4", True, "without calling it"),
])
def test_what_cannot_be_read_is_no_try_and_says_how_to_write_it(desk, progress_path, exercise_id, answer, said) -> None:
    shown = desk.check(exercise_id, answer)
    assert shown.right is None
    assert said in repr(shown).replace("\n", " ")
    assert not progress_path.exists()


def test_bytes_and_orders_are_read_in_the_ways_people_write_them(desk) -> None:
    raw = EXERCISES["04.1"].task(1).key.value
    for written in (raw, bytearray(raw), raw.hex(), raw.hex(" "), raw.hex(":").upper(), raw.hex(",", 2),
                    " ".join(f"0x{byte:02x}" for byte in raw)):
        assert desk.check("04.1", written).right is True, written
    order = EXERCISES["00.2"].task(1).key
    letters = key_text(order)
    for written in (letters, letters.lower(), letters.replace(" ", ""), letters.replace(" ", ", "),
                    letters.replace(" ", " > "), letters.split(), order.value, list(order.value)):
        assert desk.check("00.2", written).right is True, written


def test_an_answer_that_is_none_of_the_usual_ones_is_told_what_can_be_told(desk) -> None:
    assert "is too large" in repr(desk.check("00.1", "3 TiB"))
    raw = bytearray(EXERCISES["04.1"].task(1).key.value)
    raw[0] ^= 1
    assert "the field size differs" in repr(desk.check("04.1", raw))
    order = EXERCISES["05.2"].task(1).key.value
    assert "The first 2 are right" in repr(desk.check("05.2", (*order[:2], order[5], *order[2:5]))).replace("\n", " ")


def test_a_notebook_shows_words_with_a_label_and_no_colours_and_everything_escaped() -> None:
    shown = Shown("<b>Exercise</b>", ("a < b & <script>alert(1)</script>", "  A  <i>", ""))
    page = shown._repr_html_()
    assert "<script" not in page
    assert "<i>" not in page
    assert page.startswith('<section aria-label="&lt;b&gt;Exercise&lt;/b&gt;"')
    table = ShownTable("Key", ("Exercise", "<Key>"), (("00.1", "<x>"),))._repr_html_()
    assert table.count('scope="col"') == 2
    assert table.count('scope="row"') == 1
    assert "<x>" not in table
    assert "color" not in page + table
    for exercise_id in EXERCISES:
        assert "style" not in course.exercise(exercise_id, seed=1)._repr_html_()
    assert max(map(len, repr(course.exercise("04.1", seed=1)).splitlines())) <= 100
