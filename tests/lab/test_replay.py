"""Logs of migrations: what was polled of recorded runs, in every form, becomes what the recordings themselves say."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.lab.logs import read_text
from livemig.lab.recording import RecordingError
from livemig.lab.replay import BrokenLog, replay, to_trace
from tests.lab.logged import qmp_log, replies, typed, virsh_block, with_events

EPOCH_S = 1_764_117_600.25
NO_MIGRATION = ("k06-stop-cont",)


def read(text, **more):
    log = read_text(text)
    trace = to_trace(log, "log", **more)
    assert log.problems == []
    return trace


# -- query-migrate ----------------------------------------------------------------------------------------------------
def test_the_polls_of_every_recording_give_its_outcome_and_its_passes(name, rec, tra):
    if name in NO_MIGRATION:
        with pytest.raises(RecordingError, match="no answer of a migration in it"):
            read(qmp_log(rec(name)))
        return
    own, got = tra(name), read(qmp_log(rec(name)))
    for field in ("status", "total_time_s", "downtime_s", "transferred_bytes", "normal_pages", "duplicate_pages",
                  "dirty_sync_count", "downtime_bytes"):
        assert getattr(got.outcome, field) == getattr(own.outcome, field), field
    assert abs(len(got.passes()) - len(own.passes())) <= 1
    assert [e.data["until_s"] > e.t_s for e in got.select("gap")] == [True] * len(list(got.select("gap")))
    if own.outcome.status == "completed":
        assert got.mark("Tn+4") == own.outcome.total_time_s
        assert got.mark("Tn+2") == pytest.approx(own.mark("Tn+2"), abs=0.005 if name[0] != "k" else 0.05)


def test_nearly_all_recordings_have_exactly_as_many_passes(all_recordings, tra):
    names = [name for name, _ in all_recordings if name not in NO_MIGRATION]
    equal = [name for name, recording in all_recordings if name in names
             and len(read(qmp_log(recording)).passes()) == len(tra(name).passes())]
    assert len(equal) >= len(names) - 3


def test_with_the_monitors_events_the_passes_begin_when_they_began(rec, tra):
    own, got = tra("b02"), read(with_events(rec("b02"), EPOCH_S))
    assert got.mark("T0") == 0.0
    for mark in (m for m in own.marks() if m.label != "Tn+3"):  # no log has it
        assert got.mark(mark.label) == pytest.approx(mark.t_s, abs=0.003), mark.label
    assert [p.number for p in got.passes()] == [p.number for p in own.passes()]
    assert {e.name for e in got.select("event")} >= {"MIGRATION_PASS", "STOP"}


def test_each_answer_is_a_sample_with_the_fields_of_qmp(rec):
    recording = rec("b05")
    got = read(qmp_log(recording))
    t, reply = replies(recording)[10]
    sample = list(got.select("sample"))[10]
    assert sample.data["remaining"] == reply["ram"]["remaining"]
    assert sample.data["dirty-sync-count"] == reply["ram"]["dirty-sync-count"]
    assert sample.t_s == pytest.approx(t, abs=0.001)
    t_s, left = got.series("remaining")
    assert len(t_s) == len(left) > 100


def shapes(t, reply, n):
    """What people's logs look like, a shape for each number."""
    when = datetime.fromtimestamp(EPOCH_S + t, UTC)
    return [
        json.dumps({"t": t, "return": reply}),
        json.dumps({"time": EPOCH_S + t, "return": reply, "id": f"libvirt-{n}"}),
        json.dumps({"timestamp": when.isoformat(), **reply}),
        json.dumps({"ts": round(1000 * (EPOCH_S + t)), "query-migrate": reply}),
        json.dumps({"@timestamp": when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "reply": reply}),
        f"{when.isoformat()} {json.dumps({'return': reply})}",
        f"[{EPOCH_S + t:.6f}] {json.dumps({'return': reply})}",
        f"{when:%Y-%m-%d %H:%M:%S.%f}\n{json.dumps({'return': reply}, indent=2)}",
        repr({"time": EPOCH_S + t, "return": reply}),
    ]


@pytest.mark.parametrize("shape", range(9))
def test_every_shape_of_a_log_is_the_same_run(rec, shape):
    recording = rec("b05")
    lines = [shapes(t, reply, n)[shape] for n, (t, reply) in enumerate(replies(recording))]
    expected, got = read(qmp_log(recording)), read("\n".join(lines))
    assert got.outcome == expected.outcome
    for event, wanted in zip(got.events, expected.events, strict=True):
        assert (event.kind, event.name) == (wanted.kind, wanted.name)
        assert event.t_s == pytest.approx(wanted.t_s, abs=2e-3)


def test_one_list_and_one_pretty_document_are_logs_too(rec):
    answers = [{"t": t, "return": reply} for t, reply in replies(rec("b05"))]
    assert read(json.dumps(answers)).outcome == read(json.dumps(answers, indent=1)).outcome == read(
        qmp_log(rec("b05"))).outcome


def test_what_else_a_monitor_says_is_passed_over(rec):
    greeting = '{"QMP": {"version": {"qemu": {"micro": 13, "minor": 0, "major": 10}, "package": ""}}}\n{"return": {}}\n'
    other = '{"return": {"status": "running", "running": true}}\n{"execute": "query-migrate"}\n'
    got = read(greeting + other + qmp_log(rec("b05")))
    assert got.outcome == read(qmp_log(rec("b05"))).outcome
    assert got.meta["qemu_version"] == "10.0.13"


def test_answers_without_any_time_are_placed_by_qemus_total_time(rec):
    lines = [json.dumps({"return": {**reply, "total-time": reply.get("total-time", round(1000 * t))}})
             for t, reply in replies(rec("b05"))]
    got = read("\n".join(lines))
    assert got.outcome.total_time_s == 5.211
    assert got.meta["log"]["interval_s"] == pytest.approx(0.04, abs=0.002)


def test_a_running_migration_has_not_ended(rec):
    lines = qmp_log(rec("b05")).splitlines()[:60]
    got = read("\n".join(lines))
    assert got.outcome.status == "active"
    assert got.outcome.reason == "the log ends while the migration is active"
    assert got.outcome.total_time_s is None
    assert got.mark("Tn+2") is None


def test_two_migrations_in_one_log(rec):
    log = read_text(qmp_log(rec("d01"), EPOCH_S) + qmp_log(rec("b05"), EPOCH_S + 1000))
    assert to_trace(log).outcome.total_time_s == 5.211
    assert to_trace(log).meta["log"]["of"] == 2
    assert to_trace(log, migration=1).outcome.status == "cancelled"
    with pytest.raises(RecordingError, match="migration 3 of 2"):
        to_trace(log, migration=3)


# -- gaps -------------------------------------------------------------------------------------------------------------
def test_missing_answers_are_a_gap_and_nothing_is_sent_in_it(rec):
    answers = [one for one in replies(rec("b02")) if not 4.0 < one[0] < 6.4]
    got = read("".join(json.dumps({"t": t, "return": reply}) + "\n" for t, reply in answers))
    ((from_s, to_s),) = got.gaps()
    assert from_s == pytest.approx(3.97, abs=0.05)
    assert to_s == pytest.approx(6.42, abs=0.05)
    assert got.gaps("main") == got.gaps()
    sends = [(e.data["start_s"], e.t_s) for e in got.select("send")]
    assert all(end <= from_s or start >= to_s for start, end in sends)
    assert read(qmp_log(rec("b02"))).gaps() == ()


def test_a_log_that_begins_late_begins_with_a_gap(rec):
    late = [json.dumps({"return": {**reply, "total-time": reply.get("total-time", round(1000 * t))}})
            for t, reply in replies(rec("b02")) if t > 8.5]
    got = read("\n".join(late))
    assert got.gaps()[0][0] == 0.0
    assert got.gaps()[0][1] == pytest.approx(8.53, abs=0.05)
    assert [p.number for p in got.passes()][:2] == [2, 3]


def test_how_long_a_gap_is_can_be_said(rec):
    text = qmp_log(rec("b02"))
    assert len(read(text, gap_s=0.02).gaps()) > 100
    assert read(text, gap_s=60.0).gaps() == ()


# -- libvirt ----------------------------------------------------------------------------------------------------------
def job_stats(recording):
    return [(t, typed(t, reply)) for t, reply in replies(recording) if "ram" in reply and reply["ram"].get("mbps")
            and (reply["status"] != "completed" or "total-time" in reply)]


def same_run(got, own, close=0.0):
    assert got.outcome.status == own.outcome.status
    assert got.outcome.total_time_s == own.outcome.total_time_s
    assert got.outcome.downtime_s == own.outcome.downtime_s
    assert got.outcome.dirty_sync_count == own.outcome.dirty_sync_count
    assert got.outcome.transferred_bytes == pytest.approx(own.outcome.transferred_bytes, rel=close)
    assert len(got.passes()) == len(own.passes())


@pytest.mark.parametrize("write", [
    lambda t, values: json.dumps(values), lambda t, values: repr(values),
    lambda t, values: json.dumps({"time": EPOCH_S + t, "stats": values}),
    lambda t, values: "<statistics>" + "".join(f"<{k}>{v}</{k}>" for k, v in values.items()) + "</statistics>",
], ids=["json", "python", "timed", "xml"])
def test_job_stats_are_the_run(rec, tra, write):
    got = read("\n".join(write(t, values) for t, values in job_stats(rec("b02"))))
    same_run(got, tra("b02"))
    assert got.meta["log"]["form"] == "libvirt job statistics"


@pytest.mark.parametrize("date", [
    None, "%a %b %d %H:%M:%S UTC %Y", "%a %d %b %Y %I:%M:%S %p UTC", "%Y-%m-%dT%H:%M:%S%z", "%H:%M:%S", "epoch"])
def test_virsh_in_a_loop_is_the_run(rec, tra, date):
    text = ""
    for t, values in job_stats(rec("b02")):
        when = datetime.fromtimestamp(EPOCH_S, UTC) + timedelta(seconds=t)
        text += "" if date is None else f"{when.timestamp():.0f}\n" if date == "epoch" else f"{when:{date}}\n"
        text += virsh_block(values)
    got = read(text + "Job type:         None        \n\n")
    same_run(got, tra("b02"), 0.002)


def test_virsh_completed_alone_tells_the_end_and_nothing_of_the_way(rec):
    _, last = job_stats(rec("b02"))[-1]
    got = read(virsh_block(last))
    assert got.outcome.total_time_s == 12.518
    assert got.outcome.downtime_s == 0.003
    assert got.gaps() == ((0.0, 12.518),)


def test_a_domain_that_is_gone_is_no_broken_line(rec):
    text = "".join(virsh_block(values) for _, values in job_stats(rec("b02"))[:50])
    got = read(text + "error: Requested operation is not valid: domain is not running\n")
    assert got.outcome.status == "active"


# -- broken input -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("line", "says"), [
    ('{"t": 2.0, "return": {"status": "act', "not a complete JSON object"),
    ('{"t": "soon", "return": {"status": "active"}}', "t is 'soon', expected seconds or a date"),
    ('{"t": 1, "return": {"status": "actve"}}', "status is 'actve', expected one of none, setup"),
    ('{"t": 1, "return": {"status": "active", "ram": 7}}', "ram is 7, expected an object"),
    ('{"t": 1, "return": {"status": "active", "ram": {"remaining": "all"}}}', "ram.remaining is 'all', expected a num"),
    ('{"t": 1, "return": {"status": "active", "ram": {"remaining": -1}}}', "ram.remaining = -1, expected 0 to"),
    ('{"t": 0.1, "return": {"status": "active"}}', "before that of line"),
    ('{"t": 1, "error": {"class": "GenericError", "desc": "busy"}}', "not answered: busy"),
    ('{"hello": "world"}', "neither an answer to query-migrate nor libvirt's job statistics"),
    ("what is this", "neither an object nor a time: 'what is this'"),
    ('{"t": NaN, "return": {"status": "active"}}', "t is nan, expected a time"),
])
def test_a_broken_line_is_named_and_the_rest_is_kept(tmp_path, rec, line, says):
    lines = qmp_log(rec("b05")).splitlines()
    file = tmp_path / "run.log"
    file.write_text("\n".join([*lines[:50], line, *lines[50:]]) + "\n", encoding="utf-8")
    with pytest.raises(BrokenLog) as caught:
        replay(file)
    assert str(caught.value).startswith(f"{file}: 1 place could not be read; the rest is kept:\n  line 51: ")
    assert says in str(caught.value)
    assert caught.value.problems[0][0] == 51
    assert caught.value.trace.outcome == read(qmp_log(rec("b05"))).outcome


@pytest.mark.parametrize(("old", "new", "says"), [
    ("Time elapsed:     4", "Time elapsed:     four", "Time elapsed is 'four"),
    ("Memory remaining:", "what a line", "neither a line of domjobinfo nor a time"),
    ("Job type:         Unbounded", "Job type:         Unbegrenzt", "expected one of None, Bounded"),
])
def test_a_broken_line_of_virsh_is_named(rec, old, new, says):
    text = "".join(virsh_block(values) for _, values in job_stats(rec("b02")))
    at = text.index(old, len(text) // 3)
    log = read_text(text[:at] + new + text[at + len(old):])
    trace = to_trace(log)
    assert log.problems
    assert any(says in problem for _, problem in log.problems)
    assert all(line > 100 for line, _ in log.problems)
    assert trace.outcome.total_time_s == 12.518


@pytest.mark.parametrize(("content", "says"), [
    (b"", "no answer of a migration in it"),
    (b"\xff\xfe\x00", "not a text file: byte 0 is not UTF-8"),
    (b'{"return": {}}\n', "no answer of a migration in it"),
    (b'{"a": ' * 100_000, "no answer of a migration in it"),
    (b"<a><b></a>", "not complete XML"),
])
def test_what_holds_no_migration_is_refused_in_one_line(tmp_path, content, says):
    file = tmp_path / "x.log"
    file.write_bytes(content)
    with pytest.raises(RecordingError, match=re.escape(says)) as caught:
        replay(file)
    assert str(caught.value).count("\n") == 0
    with pytest.raises(RecordingError, match="no such file"):
        replay(tmp_path / "missing.log")


@given(st.text(max_size=200), st.integers(0, 5))
def test_no_text_breaks_the_reader(text, copies):
    log = read_text('{"t": 1, "return": {"status": "active", "ram": {"remaining": 5}}}\n' * copies + text)
    for line, problem in log.problems:
        assert line >= 1
        assert problem
