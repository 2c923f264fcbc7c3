"""The order of events around the switchover: the engine's Trace against recorded KVM migrations."""

from __future__ import annotations

from pathlib import Path

import pytest

from livemig.engine import simulate
from livemig.lab.convert import to_trace
from livemig.lab.recording import load_recording
from livemig.scenario import MIB, Scenario
from livemig.trace import Trace

DATA = Path(__file__).resolve().parents[2] / "data" / "recordings"
RUNS = ("k01-converge", "k02-converge-dst-paused", "k08-dirty-ring", "k12-linux-7.2-ring")

DEVICES = ("ram", "arm_gicv3", "arm_gicv3_its")


def order(trace: Trace) -> list[str]:
    """Landmarks, under the names of QEMU, the kernel and QMP, from the last exact count on.

    The source's in their order, then the destination's in theirs: two processes, two orders.
    """
    begin = max(e.t_s for e in trace.select("pending", "exact"))
    names = {"src": ["exact pending"], "dst": []}
    for event in trace.events:
        side = "dst" if event.lane == "dst" else "src"
        if event.t_s >= begin:
            names[side] += [text for text in landmark(event, trace) if text not in names[side]]
    return names["src"] + names["dst"]


def landmark(event, trace: Trace) -> list[str]:
    if event.kind == "mark" and event.name == "Tn+1":
        return ["low pending"]
    if event.kind == "call" and event.name == "vm_state_notify":
        return [f"{event.lane == 'dst'} vm_state_notify({int(trace_running(event))})"]
    if event.kind == "state":
        return [f"{event.name} {event.data['new']}"]
    if event.kind == "event" and event.name in ("STOP", "RESUME"):
        return [f"event {event.name}"]
    if event.kind == "its":
        return [event.name]
    if event.kind == "sync" and trace.mark("Tn+2") is not None and event.t_s > trace.mark("Tn+2"):
        return ["final sync"]
    if event.kind in ("send", "load") and event.name in DEVICES:
        return [f"{event.kind} {event.name}"]
    if event.kind == "mark" and event.name == "Tn+3":
        return ["switchover-start"]
    return []


def trace_running(event) -> bool:
    return bool(event.data["running"]) if "running" in event.data else event.lane == "dst"


@pytest.fixture(scope="module")
def ours() -> Trace:
    return simulate(Scenario(ram_bytes=64 * MIB, working_set_bytes=8 * MIB, dirty_rate_bytes_per_s=1.6 * MIB,
                             bandwidth_bytes_per_s=4 * MIB, downtime_limit_s=0.06, its_command_period_s=0.005))


@pytest.mark.parametrize("name", RUNS)
def test_order_equals_the_recorded_one(ours, name):
    real = to_trace(load_recording(DATA / f"{name}.json"))
    expected, found = order(real), order(ours)
    if "runstate paused" in expected:  # that destination was started with -S: it loads and stays paused
        expected, found = (x[: x.index("load arm_gicv3_its") + 1] for x in (expected, found))
    assert found == expected


def test_the_order_is_the_one_that_the_facts_state(ours):
    """facts/kvm-end-to-end: the list of the issue, as literals."""
    assert order(ours)[:13] == [
        "exact pending", "low pending", "runstate finish-migrate", "False vm_state_notify(0)", "SAVE_TABLES",
        "SAVE_PENDING_TABLES", "event STOP", "status device", "switchover-start", "final sync", "send ram",
        "send arm_gicv3", "GET BASER0"]
    dst = order(ours)[order(ours).index("load ram"):]
    assert dst == [
        "load ram", "load arm_gicv3", "SET IIDR", "SET CBASER", "SET CREADR", "SET CWRITER",
        *(f"SET BASER{n}" for n in range(8)), "RESTORE_TABLES", "SET CTLR", "load arm_gicv3_its", "event RESUME",
        "runstate running", "True vm_state_notify(1)", "status completed"]


@pytest.mark.parametrize("name", RUNS)
def test_every_page_of_the_save_is_in_the_final_pass(ours, name):
    for trace in (ours, to_trace(load_recording(DATA / f"{name}.json"))):
        stop_s = trace.mark("Tn+2")
        saves = [e for e in trace.select("its", lane="its") if e.name.startswith("SAVE_")]
        saved = [page for e in saves for page in e.data["pages"]]
        final = next(e for e in trace.select("send", "ram") if e.t_s > stop_s)
        assert saved
        assert set(saved) <= set(final.data["table_pages"])


def test_7_2_has_no_switchover_start_and_stays_active():
    trace = simulate(Scenario(qemu_version="7.2", ram_bytes=64 * MIB, working_set_bytes=8 * MIB))
    assert [e.data["new"] for e in trace.select("state", "status", "migration")] == ["active", "completed"]
    assert trace.stack_at(next(trace.select("its", "SAVE_TABLES")).t_s - 1e-9)[2:6] == (
        "migration_completion", "vm_stop_force_state", "vm_stop", "do_vm_stop")
