"""A real migration is recorded and read like those that livemig ships; and whatever ends it, nothing is left of it."""

import asyncio
import os
import random
import signal
import sys
import threading
import time

import psutil
import pytest

import livemig
from livemig import Action, Scenario
from livemig.lab.convert import to_trace
from livemig.lab.inputs import inputs, writer_start
from livemig.lab.qemu import QemuError
from livemig.lab.record import record
from livemig.lab.recording import load_recording
from livemig.lab.vm import Gone
from tests.lab.left import left_behind, open_files

pytestmark = pytest.mark.qemu
MIB = 1 << 20
SMALL = {"ram_bytes": 16 * MIB, "working_set_bytes": 4 * MIB, "dirty_rate_bytes_per_s": 8.0 * MIB, "its_devices": 0,
         "bandwidth_bytes_per_s": 32.0 * MIB, "downtime_limit_s": 0.05, "give_up_s": 20}
INTERRUPTED = 100


@pytest.fixture
def small(qemu_path, tmp_path):
    """Record a small guest with other inputs; afterwards nothing may be left."""
    def run(progress=None, **changed) -> dict:
        fields = Scenario(**{**SMALL, **changed}).to_dict()
        return record(fields, "small", progress=progress, qemu=qemu_path, scratch=tmp_path, measure=False)

    yield run
    assert left_behind(tmp_path) == []


# -- one real migration -----------------------------------------------------------------------------------------------
def test_a_short_migration_is_recorded_and_validated(qemu_path, tmp_path) -> None:
    """128 MiB at 128 MiB/s, in the form of the recordings; the model says the same about it."""
    scenario = Scenario(ram_bytes=128 * MIB, working_set_bytes=16 * MIB, dirty_rate_bytes_per_s=20.0 * MIB,
                        bandwidth_bytes_per_s=128.0 * MIB, downtime_limit_s=0.1, its_devices=0)
    stages: dict[str, int] = {}

    def hear(progress) -> None:
        stages[progress.stage] = stages.get(progress.stage, 0) + 1
        assert threading.current_thread() is threading.main_thread()

    target = tmp_path / "mine.json"
    trace = livemig.record(scenario, target, progress=hear, qemu=qemu_path, scratch=tmp_path)
    assert left_behind(tmp_path) == [f"file {target}"]
    assert list(stages) == ["starting", "filling", "measuring", "migrating", "ending"]
    assert stages["migrating"] > 5

    recording, shipped = load_recording(target), load_recording(livemig.data_dir() / "recordings" / "b05.json")
    assert recording["id"] == "mine"
    assert list(recording) == list(shipped)
    for key in ("guest", "final", "guest_seen", "sanity", "dirty_rate_before"):
        assert recording[key].keys() - {"stopcopy_mb_s"} <= shipped[key].keys() - {"stopcopy_mb_s"}, key
    assert recording["params"].keys() - shipped["params"].keys() == {"accel", "max_s"}
    assert (recording["status_src"]["status"], recording["status_dst"]["running"]) == ("postmigrate", True)
    assert abs(recording["dirty_rate_before"]["writes_mib_s"] - 20) < 3

    assert trace.to_json() == livemig.recording(target).to_json()
    assert [mark.label for mark in trace.marks()][-4:] == ["Tn+1", "Tn+2", "Tn+3", "Tn+4"]
    assert trace.outcome.guest_runs_on == "destination"
    start = writer_start(recording)
    # The rate that was set; or, where polls came late and more agree with it, exactly the one that was measured.
    measured = recording.get("write_rate_during_mib_s", recording["dirty_rate_before"]["writes_mib_s"])
    assert start.rate_pages_per_s in (5120, measured * MIB / 4096)
    assert abs(measured - 20) < 3
    assert start.agree >= 0.6 * start.of  # other work on the machine makes polls late
    read = inputs(recording)
    assert read["dirty_rate_bytes_per_s"] == start.rate_pages_per_s * 4096
    for name in ("ram_bytes", "working_set_bytes", "bandwidth_bytes_per_s", "downtime_limit_s"):
        assert read[name] == getattr(scenario, name), name
    (run,) = livemig.validate(target)["runs"]
    assert run["modelled"], run["reason"]
    assert run["converged_recorded"]
    assert run["converged_predicted"]
    if not recording["sanity"]["windows_over_104_ms"]:  # an undisturbed run
        assert abs(run["passes_predicted"] - run["passes_recorded"]) <= 1
        assert abs(run["total_time_error"]) < 0.15  # a window of 0.1 s more or less of about 1.1 s


# -- broken on purpose ------------------------------------------------------------------------------------------------
def test_a_link_that_is_cut_and_a_peer_that_falls_silent(small) -> None:
    """Both QEMUs live on without their link; with a silent peer the source waits until it is told to cancel."""
    cut = small(link_bytes_per_s=40.0 * MIB, plan=(Action("link_failure", 0.2),))
    assert (cut["special"], cut["final"]["status"], cut["status_src"]["running"]) == ("kill-link", "failed", True)
    assert inputs(cut)["plan"][0]["do"] == "link_failure"
    silent = small(plan=(Action("silent_peer", 0.15),), give_up_s=0.6)
    assert (silent["final"]["status"], silent["status_src"]["running"]) == ("cancelled", True)
    assert [step["do"] for step in inputs(silent)["plan"]] == ["silent_peer", "cancel"]
    assert [event.name for event in to_trace(silent).select("fault")] == ["process frozen"]


def test_a_destination_that_waits_for_cont(small) -> None:
    done = small(destination_paused=True)
    assert done["status_dst"]["status"] == "paused"
    assert inputs(done)["destination_paused"]
    assert to_trace(done).outcome.guest_runs_on is None


@pytest.mark.parametrize("who", ["plan", "somebody"])
def test_the_source_runs_on_when_the_destination_is_killed(small, who) -> None:
    killed = []

    def kill(progress) -> None:
        if not killed and progress.elapsed_s > 0.15:
            killed.append(progress.destination_pid)
            os.kill(progress.destination_pid, signal.SIGKILL)

    done = small(plan=(Action("link_failure", 0.15),)) if who == "plan" else small(kill)
    trace = to_trace(done)
    assert (done["special"], done["final"]["status"]) == ("kill-dst", "failed")
    assert (trace.outcome.status, trace.outcome.guest_runs_on) == ("failed", "source")
    assert [note[1] for note in done["notes"]] == ["destination process killed"]
    assert [event.name for event in trace.select("fault")][:1] == ["process killed"]
    assert inputs(done)["plan"][0]["do"] == "destination_dies"


def test_killed_in_the_stop_copy_of_a_slow_link(small) -> None:
    done = small(ram_bytes=32 * MIB, working_set_bytes=10 * MIB, link_bytes_per_s=40.0 * MIB,
                 bandwidth_bytes_per_s=None, dirty_rate_bytes_per_s=30.0 * MIB, downtime_limit_s=0.3,
                 plan=(Action("destination_dies", 0.02, "stop-copy"),))
    trace = to_trace(done)
    assert (done["special"], trace.outcome.status) == ("kill-dst-switchover", "failed")
    assert "STOP" in [event.name for event in trace.select("event")]
    assert trace.outcome.guest_runs_on == "source"
    assert 20 < done["link_seen_mib_s"] < 44


def test_pause_limits_and_cancel(small) -> None:
    """One run with every kind of command: new limits at their times, a wait in pre-switchover, then a cancel."""
    done = small(pause_before_switchover=True, plan=(
        Action("set_bandwidth", 0.1, value=64.0 * MIB), Action("set_downtime_limit", 0.2, value=0.04),
        Action("cancel", 0.1, "pre-switchover")))
    notes = {text: at_s for at_s, text in done["notes"]}
    assert list(notes) == ["max-bandwidth 64 MiB/s", "downtime-limit 40", "seen pre-switchover",
                           "migrate_cancel in pre-switchover"]
    assert done["final"]["status"] == "cancelled"
    assert done["status_src"]["running"]
    assert to_trace(done).outcome.guest_runs_on == "source"
    assert notes["migrate_cancel in pre-switchover"] - notes["seen pre-switchover"] == pytest.approx(0.1, abs=0.09)


def test_one_that_does_not_converge_is_given_up(small) -> None:
    done = small(dirty_rate_bytes_per_s=200.0 * MIB, working_set_bytes=12 * MIB, bandwidth_bytes_per_s=16.0 * MIB,
                 downtime_limit_s=0.001, give_up_s=0.8)
    assert done["final"]["status"] == "cancelled"
    assert [text for _, text in done["notes"]] == ["migrate_cancel"]
    assert inputs(done)["give_up_s"] == 0.8


def test_what_qemu_refuses_is_said_in_one_line(qemu_path, tmp_path) -> None:
    for more, says in (({"capabilities": ["no-such-thing"]}, "no-such-thing"),
                       ({"parameters": {"no-such-limit": 1}}, "no-such-limit")):
        with pytest.raises(QemuError, match=rf"\Athe source QEMU .* refuses migrate-set-\w+: .*{says}.*\Z"):
            record(Scenario(**SMALL).to_dict(), scratch=tmp_path, measure=False, qemu=qemu_path, **more)
    assert left_behind(tmp_path) == []


def test_inside_a_running_event_loop(small) -> None:
    async def cell() -> dict:
        return small()

    assert asyncio.run(cell())["final"]["status"] == "completed"


# -- interrupted ------------------------------------------------------------------------------------------------------
class Interrupt(Exception):
    """What the callback raises."""


def ctrl_c(_) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def raise_error(_) -> None:
    raise Interrupt


def kill(side: str):
    def act(progress) -> None:
        pid = getattr(progress, f"{side}_pid")
        if pid is None:
            raise Interrupt  # it has not started yet
        os.kill(pid, signal.SIGKILL)

    return act


WAYS = {"Ctrl-C": ctrl_c, "exception": raise_error, "source killed": kill("source"),
        "destination killed": kill("destination")}


def interrupted(fields: dict, how, moment: tuple[str, float], scratch, qemu_path) -> str:
    """Record and interrupt once, in the moment's stage or so many seconds into the migration; returns how it ended."""
    stage, elapsed_s = moment
    done = []

    def hear(progress) -> None:
        assert not left_behind(scratch) or progress.source_pid or progress.stage == "starting"
        if not done and progress.stage == stage and progress.elapsed_s >= elapsed_s:
            done.append(True)
            how(progress)

    try:
        ended = record(fields, scratch=scratch, measure=False, progress=hear, qemu=qemu_path)
    except (KeyboardInterrupt, Interrupt, Gone) as error:
        return type(error).__name__
    finally:
        assert done, "it was over before it was interrupted"
    return ended["final"]["status"]


@pytest.mark.slow
def test_nothing_is_left_after_a_hundred_interrupted_recordings(qemu_path, tmp_path) -> None:
    """Ctrl-C, an exception in the callback, either QEMU killed by its process id; at five
    kinds of moments."""
    chance = random.Random(5)
    fields = Scenario(**SMALL).to_dict()
    moments = [("starting", 0.0), ("filling", 0.0), ("migrating", 0.0), ("migrating", None)] * 3 + [("ending", 0.0)]
    cases = list(zip(list(WAYS) * 25, [moment for moment in moments * 2 for _ in WAYS], strict=False))
    assert len(cases) == INTERRUPTED
    ends: dict[str, int] = {}
    files = open_files()
    for way, (stage, elapsed_s) in cases:
        at = (stage, chance.uniform(0.01, 0.3) if elapsed_s is None else elapsed_s)
        end = interrupted(fields, WAYS[way], at, tmp_path, qemu_path)
        ends[end] = ends.get(end, 0) + 1
    assert sum(ends.values()) == INTERRUPTED
    assert ends["KeyboardInterrupt"] == INTERRUPTED // len(WAYS), ends
    assert {"Interrupt", "Gone", "failed"} <= ends.keys(), ends
    print(ends)
    assert left_behind(tmp_path) == []
    assert open_files() <= files + 1


def test_the_count_sees_what_is_there(qemu_path, tmp_path) -> None:
    """Two processes, their sockets, the folder and the thread, while it runs."""
    seen = []

    def look(progress) -> None:
        if progress.stage == "migrating":
            seen.extend(left_behind(tmp_path))
            raise Interrupt

    with pytest.raises(Interrupt):
        record(Scenario(**SMALL).to_dict(), scratch=tmp_path, measure=False, progress=look, qemu=qemu_path)
    kinds = [line.split()[0] for line in seen]
    assert kinds.count("process") == 2
    assert kinds.count("thread") == 1
    assert kinds.count("socket") >= 4
    assert kinds.count("file") > 5
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_is_ended_by_a_signal(qemu_path, tmp_path, number) -> None:
    """`livemig record` in a process of its own; Ctrl-C in a terminal, and what a service manager sends."""
    code = "from livemig.cli import main; main()"
    command = [sys.executable, "-c", code, "record", "--ram", "64MiB", "--bandwidth", "16MiB/s", "--wset", "8MiB",
               "--qemu", str(qemu_path), "-o", str(tmp_path / "x.json")]
    scratch = tmp_path / "s"
    scratch.mkdir()
    python = psutil.Popen(command, env={**os.environ, "TMPDIR": str(scratch)}, stderr=-1, stdout=-1, text=True)
    try:
        for line in python.stderr:
            if "migrating" in line:
                break
        started = [process.pid for process in python.children(recursive=True)]
        assert len(started) == 2
        sent_s = time.monotonic()
        python.send_signal(number)
        out, err = python.communicate(timeout=20)
    finally:
        if python.poll() is None:
            python.kill()
    assert time.monotonic() - sent_s < 5
    assert python.returncode == 130
    assert err.splitlines()[-1] == "livemig: interrupted"
    assert out == ""
    assert not [pid for pid in started if psutil.pid_exists(pid)]
    assert sorted(os.listdir(tmp_path)) == ["s"]
    assert left_behind(scratch) == []
