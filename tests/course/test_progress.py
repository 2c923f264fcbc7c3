"""The progress file: kept, added to by several at once, never half, never lost, and exported."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from livemig.course import EXERCISES, Desk, ProgressError
from livemig.course import progress_file as kept
from livemig.course.judge import key_text

RIGHT = key_text(EXERCISES["04.3"].task(1).key)


@pytest.fixture
def desk() -> Desk:
    return Desk(EXERCISES)


def test_tries_hints_and_success_are_kept_for_the_next_session(desk, progress_path) -> None:
    desk.check("04.3", "5")
    desk.hint("04.3")
    desk.check("04.3", RIGHT)
    desk.check("04.3", "5")  # solved stays solved
    table = Desk(EXERCISES).progress()
    assert table.rows == (("04.3", "1", "solved", "3", "1", "no"),)
    assert f"1 of {len(EXERCISES)} exercises solved" in repr(table)
    assert str(progress_path) in repr(table)


def test_another_file_and_an_export_that_goes_on_elsewhere(desk, tmp_path) -> None:
    desk.keep_progress_in(tmp_path / "mine.json")
    desk.check("04.3", RIGHT)
    desk.export_progress(tmp_path / "hand_in.json")
    other = Desk(EXERCISES)
    other.keep_progress_in(tmp_path / "hand_in.json")
    assert other.progress().rows == desk.progress().rows != ()
    with pytest.raises(ProgressError, match="is there already"):
        desk.export_progress(tmp_path / "hand_in.json")


def test_an_export_is_taken_into_another_session_without_losing_that_ones_work(desk, tmp_path) -> None:
    """A Binder session that ended, and the next one: two learners' homes with nothing but the exported file between."""
    desk.hint("04.3")
    desk.check("04.3", "5")
    desk.check("04.3", RIGHT)
    desk.check("05.2", "A B C D E F")
    desk.export_progress(tmp_path / "away.json")
    later = Desk(EXERCISES, tmp_path / "next session" / "progress.json")
    later.check("04.3", "6")
    later.check("00.1", "1 MiB")
    assert "2 exercises read" in repr(later.import_progress(tmp_path / "away.json"))
    once = later.progress().rows
    assert once == (("00.1", "1", "open", "1", "0", "no"), ("04.3", "1", "solved", "2", "1", "no"),
                    ("05.2", "1", "open", "1", "0", "no"))
    later.import_progress(tmp_path / "away.json")
    assert later.progress().rows == once
    assert "the answer is" in repr(later.answer("04.3"))


def test_an_import_of_what_is_no_export_says_so_and_changes_nothing(desk, progress_path, tmp_path) -> None:
    desk.check("04.3", RIGHT)
    before = progress_path.read_bytes()
    (tmp_path / "notes.json").write_text("[]")
    for name, said in (("missing.json", "there is no such file"), ("notes.json", "is no progress file")):
        with pytest.raises(ProgressError, match=said):
            desk.import_progress(tmp_path / name)
    assert progress_path.read_bytes() == before


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_entries_the_later_answer_and_every_field_stays(progress_path, tmp_path, turned) -> None:
    old = {"tries": 3, "right": True, "hints": 0, "answer_shown": False, "last_answer": "a", "last_time": "2026-01-01",
           "grade": 1}
    new = {"tries": 1, "right": False, "hints": 2, "answer_shown": False, "last_answer": "b", "last_time": "2026-02-02"}
    mine, theirs = (new, old) if turned else (old, new)
    for path, entry in ((progress_path, mine), (tmp_path / "other.json", theirs)):
        path.parent.mkdir(exist_ok=True)
        kept.write(path, {"04.3": {"1": entry}})
    kept.merge(progress_path, tmp_path / "other.json")
    assert kept.read(progress_path)["04.3"]["1"] == {**old, **new, "tries": 3, "right": True, "hints": 2}


def holding(exercises: str) -> str:
    return '{"form": "livemig course progress 1", "exercises": ' + exercises + "}"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"form": "other"}', holding("3"), holding('{"00.1": 5}'),
                                  holding('{"00.1": {"1": {"tries": "x"}}}'), "\udcff", "[" * 100000])
def test_a_file_that_is_none_is_left_as_it_is_and_the_check_answers_all_the_same(desk, progress_path, text) -> None:
    progress_path.parent.mkdir()
    content = text.encode("utf-8", "surrogateescape")
    progress_path.write_bytes(content)
    shown = desk.check("04.3", RIGHT)
    assert shown.right is True
    said = repr(shown).replace("\n", " ")
    assert "Progress was not kept" in said
    assert "it was left as it is; move it away" in said
    assert progress_path.read_bytes() == content
    with pytest.raises(ProgressError, match=re.escape(str(progress_path))):
        desk.progress()
    assert [one.name for one in progress_path.parent.iterdir()] == [progress_path.name]


def test_a_write_that_fails_leaves_the_old_file(desk, progress_path, monkeypatch) -> None:
    desk.check("04.3", RIGHT)
    before = progress_path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept.os, "replace", full)
    shown = desk.check("04.3", "5")
    assert shown.right is False
    assert "No space left" in repr(shown).replace("\n", " ")
    assert progress_path.read_bytes() == before
    assert [one.name for one in progress_path.parent.iterdir()] == [progress_path.name]


def test_a_folder_that_cannot_be_made_is_said_and_the_check_answers(desk, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIVEMIG_PROGRESS", str(tmp_path / "file" / "progress.json"))
    shown = desk.check("04.3", RIGHT)
    assert shown.right is True
    assert "Progress was not kept" in repr(shown)


def test_fields_that_a_later_version_may_add_are_kept(desk, progress_path) -> None:
    desk.check("04.3", "5")
    data = json.loads(progress_path.read_text())
    data["exercises"]["04.3"]["1"]["grade"] = 1.0
    progress_path.write_text(json.dumps(data))
    desk.check("04.3", RIGHT)
    assert json.loads(progress_path.read_text())["exercises"]["04.3"]["1"]["grade"] == 1.0


def test_two_notebooks_at_once_lose_nothing(progress_path) -> None:
    code = ("from pathlib import Path; from livemig.course.progress_file import note; "
            f"[note(Path({str(progress_path)!r}), '00.1', 1, tries=1) for _ in range(60)]")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [subprocess.Popen([sys.executable, "-c", code], env=env) for _ in range(2)]
    assert [one.wait(60) for one in running] == [0, 0]
    assert kept.read(progress_path)["00.1"]["1"]["tries"] == 120


def test_a_lock_that_somebody_left_is_taken_away_and_a_fresh_one_is_waited_for(progress_path, monkeypatch) -> None:
    lock = progress_path.with_name("progress.json.lock")
    lock.parent.mkdir()
    lock.write_text("")
    monkeypatch.setattr(kept, "LOCK_WAIT_S", 0.1)
    with pytest.raises(ProgressError, match="cannot be changed now"):
        kept.note(progress_path, "00.1", 1, tries=1)
    os.utime(lock, (0, 0))
    kept.note(progress_path, "00.1", 1, tries=1)
    assert kept.read(progress_path)["00.1"]["1"]["tries"] == 1
    assert not lock.exists()
