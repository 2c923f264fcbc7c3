"""The table of errors: a perfect simulator has none, wrong ones show, nothing is lost."""

import json
import shutil

import pytest

from livemig.datadir import data_dir
from livemig.lab.convert import inputs, not_modelled, to_trace
from livemig.lab.recording import RecordingError
from livemig.lab.validate import BrokenRecordings, summary, validate, validate_dir
from livemig.trace import Trace

FOLDER = data_dir() / "recordings"
KEYS = ["id", "modelled", "reason", "converged_recorded", "converged_predicted", "passes_recorded",
        "passes_predicted", "total_time_error", "transferred_error", "downtime_recorded_s", "downtime_predicted_s"]
SOME = ("b05", "c05", "d03", "l06", "v04", "s05-pause", "k01-converge", "k06-stop-cont")


def perfect(recordings, **changes):
    """A simulator that knows the answers: the recorded trace of the inputs, with some of its outcome changed."""
    known = [(inputs(r), to_trace(r)) for _, r in recordings]

    def simulate(values):
        trace = next(t for i, t in known if i == values)
        outcome = dict(trace.meta["outcome"])
        for key, change in changes.items():
            outcome[key] = change(outcome[key]) if outcome[key] is not None else None
        return Trace({**trace.meta, "outcome": outcome}, trace.events)
    return simulate


@pytest.fixture
def some(rec):
    return [(name, rec(name)) for name in SOME]


def test_a_perfect_simulator_has_no_error(all_recordings):
    report = validate(all_recordings, perfect(all_recordings))
    assert list(report) == ["runs", "summary"]
    assert [run["id"] for run in report["runs"]] == [name for name, _ in all_recordings]
    assert all(list(run) == KEYS for run in report["runs"])
    modelled = [name for name, r in all_recordings if not_modelled(r) is None]
    zero = {"median": 0.0, "p90": 0.0}
    assert report["summary"] == {
        "modelled": len(modelled), "of": 75, "converges_right": [len(modelled), len(modelled)],
        "total_time": zero, "passes": zero, "transferred": zero, "downtime": {**zero, "n": 12}}
    assert json.loads(json.dumps(report)) == report


def test_wrong_simulators_show(some):
    wrong = perfect(some, total_time_s=lambda t: t * 1.1, transferred_bytes=lambda b: b * 0.95,
                    dirty_sync_count=lambda n: n + 1, downtime_s=lambda t: t * 2)
    report = validate(some, wrong)
    runs = {run["id"]: run for run in report["runs"]}
    assert runs["b05"]["total_time_error"] == pytest.approx(0.1)
    assert runs["b05"]["transferred_error"] == pytest.approx(-0.05)
    assert (runs["b05"]["passes_recorded"], runs["b05"]["passes_predicted"]) == (7, 8)
    assert report["summary"]["total_time"] == {"median": pytest.approx(0.1), "p90": pytest.approx(0.1)}
    assert report["summary"]["transferred"]["median"] == pytest.approx(0.05)  # absolute
    # b05 7 -> 8, c05 3 -> 4, l06 13 -> 14, v04 12 -> 13
    assert report["summary"]["passes"]["median"] == pytest.approx((1 / 7 + 1 / 12) / 2)
    # at least 10 ms recorded: c05 35 ms, l06 283 ms, v04 11 ms
    assert report["summary"]["downtime"] == {"median": pytest.approx(1), "p90": pytest.approx(1), "n": 3}


def test_convergence_told_wrongly(some):
    never = validate(some, perfect(some, status=lambda _: "cancelled"))
    assert never["summary"]["converges_right"] == [1, 5]  # d03 did not converge
    assert never["summary"]["total_time"] == {"median": None, "p90": None}
    assert never["summary"]["downtime"] == {"median": None, "p90": None, "n": 0}
    always = validate(some, perfect(some, status=lambda _: "completed"))
    assert always["summary"]["converges_right"] == [4, 5]
    runs = {run["id"]: run for run in always["runs"]}
    assert runs["d03"]["converged_recorded"] is False
    assert runs["d03"]["converged_predicted"] is True
    assert runs["d03"]["total_time_error"] is None
    assert runs["d03"]["passes_recorded"] == 7


def test_what_is_not_modelled_is_listed_and_never_simulated(some):
    asked = []
    report = validate(some, lambda values: asked.append(values) or perfect(some)(values))
    runs = {run["id"]: run for run in report["runs"]}
    assert len(asked) == report["summary"]["modelled"] == 5
    for name in ("s05-pause", "k01-converge", "k06-stop-cont"):
        assert runs[name]["modelled"] is False
        assert runs[name]["reason"]
        assert runs[name]["converged_predicted"] is None
    assert runs["k01-converge"]["passes_recorded"] == 5
    assert runs["k06-stop-cont"]["converged_recorded"] is None
    assert runs["k06-stop-cont"]["passes_recorded"] is None


def test_a_scenario_that_cannot_be_simulated_counts_as_wrong(some):
    def refuse(values):
        raise ValueError("dirty_rate_bytes_per_s = 1: no")
    report = validate(some, refuse)
    assert report["summary"]["converges_right"] == [0, 5]
    assert report["runs"][0]["modelled"] is True
    assert report["runs"][0]["reason"] == "the simulation failed: dirty_rate_bytes_per_s = 1: no"


def test_a_fault_of_the_simulator_is_not_hidden(some):
    def broken(values):
        raise KeyError("oops")
    with pytest.raises(KeyError):
        validate(some, broken)


def test_a_broken_file_is_named_after_all_others_were_compared(tmp_path, some):
    for name in ("b05", "c05"):
        shutil.copy(FOLDER / f"{name}.json", tmp_path)
    (tmp_path / "a_cut.json").write_text((FOLDER / "a01.json").read_text()[:5000])
    (tmp_path / "z_other.json").write_text('{"format": 9}')
    (tmp_path / "notes.txt").write_text("not a recording")
    seen = []
    with pytest.raises(BrokenRecordings) as caught:
        validate_dir(tmp_path, perfect(some), progress=seen.append)
    assert seen == ["b05", "c05"]
    assert [run["id"] for run in caught.value.report["runs"]] == ["b05", "c05"]
    assert caught.value.report["summary"]["converges_right"] == [2, 2]
    message = str(caught.value)
    assert "2 recordings could not be read; the other 2 were compared" in message
    assert f"{tmp_path / 'a_cut.json'}: not a complete JSON file" in message
    assert f"{tmp_path / 'z_other.json'}: format is 9" in message


def test_a_folder_without_recordings(tmp_path):
    with pytest.raises(RecordingError, match="holds no recording"):
        validate_dir(tmp_path, lambda values: None)
    with pytest.raises(RecordingError, match="no such folder"):
        validate_dir(tmp_path / "none", lambda values: None)


def test_the_summary_of_nothing():
    nothing = {"median": None, "p90": None}
    assert summary([]) == {"modelled": 0, "of": 0, "converges_right": [0, 0], "total_time": nothing,
                           "passes": nothing, "transferred": nothing, "downtime": {**nothing, "n": 0}}
