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
KEYS = ["id", "group", "modelled", "times_compared", "reason", "status_recorded", "status_predicted",
        "guest_runs_on_recorded", "guest_runs_on_predicted", "order_same", "converged_recorded", "converged_predicted",
        "passes_recorded", "passes_predicted", "total_time_recorded_s", "total_time_predicted_s", "total_time_error",
        "transferred_error", "downtime_recorded_s", "downtime_predicted_s", "throttle_recorded", "throttle_predicted",
        "textbook"]
SOME = ("b05", "c05", "d03", "l06", "v04", "s02-xbzrle", "k01-converge", "k06-stop-cont")
NOTHING = {"median": None, "p90": None}


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
    assert len(modelled) == 73
    zero = {"median": 0.0, "p90": 0.0}
    told = report["summary"]
    assert set(told.pop("groups")) == set("abcdelnsv")
    assert told == {
        "modelled": 73, "of": 75, "times_compared": 66, "converges_right": [73, 73], "status_right": [73, 73],
        "order_right": [73, 73], "throttle_right": [1, 1], "total_time": zero, "passes": zero, "transferred": zero,
        "downtime": {**zero, "n": 18}, "textbook": None}
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
    assert never["summary"]["converges_right"] == [1, 6]  # d03 did not converge
    assert never["summary"]["status_right"] == [1, 6]
    assert never["summary"]["total_time"] == NOTHING
    assert never["summary"]["downtime"] == {**NOTHING, "n": 0}
    always = validate(some, perfect(some, status=lambda _: "completed"))
    assert always["summary"]["converges_right"] == [5, 6]
    runs = {run["id"]: run for run in always["runs"]}
    assert runs["d03"]["converged_recorded"] is False
    assert runs["d03"]["converged_predicted"] is True
    assert runs["d03"]["total_time_error"] is None
    assert runs["d03"]["passes_recorded"] == 7


def test_what_is_not_modelled_is_listed_and_never_simulated(some):
    asked = []
    report = validate(some, lambda values: asked.append(values) or perfect(some)(values))
    runs = {run["id"]: run for run in report["runs"]}
    assert len(asked) == report["summary"]["modelled"] == 6
    for name in ("s02-xbzrle", "k06-stop-cont"):
        assert runs[name]["modelled"] is False
        assert runs[name]["times_compared"] is False
        assert runs[name]["reason"]
        assert runs[name]["converged_predicted"] is None
    assert runs["k06-stop-cont"]["converged_recorded"] is None
    assert runs["k06-stop-cont"]["passes_recorded"] is None


def test_a_run_of_an_emulated_host_is_compared_in_what_happened_only(some):
    """Its seconds mean nothing; an error in them is not counted, one in the status or the order is."""
    runs = {run["id"]: run for run in validate(some, perfect(some, total_time_s=lambda t: 3 * t))["runs"]}
    run = runs["k01-converge"]
    assert run["modelled"] is True
    assert run["times_compared"] is False
    assert "emulated" in run["reason"]
    assert (run["status_predicted"], run["guest_runs_on_predicted"], run["order_same"]) == (
        "completed", "destination", True)
    assert run["total_time_error"] is run["passes_predicted"] is run["downtime_predicted_s"] is None
    wrong = validate(some, perfect(some, guest_runs_on=lambda side: "source"))["summary"]
    assert wrong["status_right"] == [1, 6]  # d03's guest does run on the source
    assert wrong["converges_right"] == [6, 6]


def test_an_order_that_differs_shows(some):
    """STOP before the handlers have run, everything else equal."""
    def swapped(values):
        trace = perfect(some)(values)
        late = [e for e in trace.events if e.kind == "event" and e.name == "STOP"]
        first = [e._replace(t_s=trace.mark("Tn+1")) for e in late]
        return Trace(trace.meta, sorted([e for e in trace.events if e not in late] + first, key=lambda e: e.t_s))
    report = validate(some, swapped)
    assert report["summary"]["order_right"] == [1, 6]  # d03 never stops


def test_steps_of_the_throttle_may_differ_by_one(rec):
    recordings = [("s01-autoconverge", rec("s01-autoconverge"))]
    for left_out, right in ((0, 1), (1, 1), (2, 0)):
        def fewer(values, left_out=left_out):
            trace = perfect(recordings)(values)
            last = [e for e in trace.events if e.kind == "throttle"][6 - left_out:]
            return Trace(trace.meta, [e for e in trace.events if e not in last])
        assert validate(recordings, fewer)["summary"]["throttle_right"] == [right, 1]


def test_the_textbook_stands_beside_plain_runs_only(some):
    asked = []

    def book(values):
        asked.append(values)
        return {"converges": True, "total_time_s": 5.0, "dirty_sync_count": 7, "transferred_bytes": 1e8,
                "downtime_s": 0.1}
    report = validate(some, perfect(some), textbook=book)
    runs = {run["id"]: run for run in report["runs"]}
    assert len(asked) == report["summary"]["textbook"]["runs"] == 5
    assert report["summary"]["textbook"]["compared"] == 4  # d03 was cancelled
    assert runs["k01-converge"]["textbook"] is None
    assert runs["b05"]["textbook"]["total_time_error"] == pytest.approx((5.0 - 5.211) / 5.211)
    assert runs["d03"]["textbook"]["total_time_error"] is None
    assert report["summary"]["textbook"]["textbook"]["converges_right"] == [4, 5]
    assert report["summary"]["textbook"]["simulated"]["converges_right"] == [5, 5]


def test_a_scenario_that_cannot_be_simulated_counts_as_wrong(some):
    def refuse(values):
        raise ValueError("dirty_rate_bytes_per_s = 1: no")
    report = validate(some, refuse)
    assert report["summary"]["converges_right"] == [0, 6]
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
    none = [0, 0]
    assert summary([]) == {
        "modelled": 0, "of": 0, "times_compared": 0, "converges_right": none, "status_right": none,
        "order_right": none, "throttle_right": none, "total_time": NOTHING, "passes": NOTHING, "transferred": NOTHING,
        "downtime": {**NOTHING, "n": 0}, "groups": {}, "textbook": None}
