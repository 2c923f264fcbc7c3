"""`livemig replay` on logs made of a recorded run."""

import json

import livemig
from livemig.lab.recording import load_recording
from tests.cli.test_commands import bad, invoke
from tests.lab.logged import qmp_log

LOG = qmp_log(load_recording(livemig.data_dir() / "recordings" / "b02.json"))


def test_a_log_is_shown(tmp_path) -> None:
    file = tmp_path / "run.jsonl"
    file.write_text(LOG, encoding="utf-8")
    done = invoke("replay", file)
    assert done.exit_code == 0
    for text in ("Tn+2", "Status completed: total time 12.5 s, downtime 3 ms", "10 bitmap syncs",
                 "usually 40 ms apart", "final"):
        assert text in done.stdout
    assert "nowhere" not in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_the_trace_and_a_picture_are_written(tmp_path) -> None:
    file, trace, figure = tmp_path / "run.jsonl", tmp_path / "run.json.gz", tmp_path / "run.svg"
    file.write_text(LOG, encoding="utf-8")
    done = invoke("replay", file, "--json", "-o", trace, "--figure", figure)
    assert (done.exit_code, done.stdout) == (0, "")
    assert livemig.Trace.load(trace).outcome.total_time_s == 12.518
    assert figure.read_text(encoding="utf-8").startswith("<?xml")
    shown = json.loads(invoke("replay", file, "--json").stdout)
    assert livemig.Trace.from_json(shown).outcome.dirty_sync_count == 10


def test_gaps_are_named(tmp_path) -> None:
    lines = LOG.splitlines()
    file = tmp_path / "run.jsonl"
    file.write_text("\n".join(lines[:100] + lines[160:]), encoding="utf-8")
    assert "Nobody looked from 4.0" in invoke("replay", file).stdout
    assert "Nobody looked" not in invoke("replay", file, "--gap", "5s").stdout


def test_broken_lines_are_named_and_the_rest_is_shown(tmp_path) -> None:
    file = tmp_path / "run.jsonl"
    file.write_text(LOG.replace('"active"', '"actve"', 1), encoding="utf-8")
    done = invoke("replay", file)
    bad(done, "1 place could not be read", "line 1: status is 'actve', expected one of none, setup")
    assert "Status completed" in done.stdout


def test_bad_input(tmp_path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n", encoding="utf-8")
    bad(invoke("replay", empty), "no answer of a migration in it")
    bad(invoke("replay", tmp_path / "no"), "no such file")
    file = tmp_path / "run.jsonl"
    file.write_text(LOG, encoding="utf-8")
    bad(invoke("replay", file, "--gap", "soon"), "is not a time")
    bad(invoke("replay", file, "--figure", tmp_path / "x.bmp"), "which form?")
    bad(invoke("replay", file, "--migration", "2"), "migration 2 of 1: expected 1 to 1")
