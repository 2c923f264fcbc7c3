"""The frames that lead to a handler, and the handlers in the order of their calls, against QEMU's recorded chain."""

import json

import pytest

import livemig
from livemig.draw.calls import EARLIER, call_path, handler_calls
from livemig.trace import Event, Trace


@pytest.fixture(scope="module")
def trace():
    return livemig.simulate()


def recorded_chain(name, innermost):
    """Frames open at the last call of `innermost` in a recorded call tree (rows: start, end, depth, thread, ...)."""
    record = json.loads((livemig.data_dir() / "calltree" / f"{name}.json").read_text(encoding="utf-8"))
    names = [function for function, _ in record["functions"]]
    frames = {}
    for _, _, depth, thread, function, _ in record["calls_src"]:
        frames[thread, depth] = names[function]
        if names[function] == innermost:
            found = [frames[thread, level] for level in range(depth + 1)]
    return found


@pytest.mark.parametrize("name", ["o01", "o03", "o10"])
def test_the_frames_are_those_of_real_qemu(trace, name):
    assert [row["function"] for row in call_path(trace, "vm_state_notify")] == recorded_chain(name, "vm_state_notify")


def test_what_a_frame_had_called_before(trace):
    rows = {row["function"]: row for row in call_path(trace, "vm_change_state_handler", of="ITS")}
    assert rows["vm_state_notify"][EARLIER] == "runstate_set, cpu_disable_ticks, pause_all_vcpus"
    assert rows["vm_state_notify"]["file"] == "system/runstate.c"
    assert rows["do_vm_stop"][EARLIER] == ""
    assert rows["migration_iteration_run"][EARLIER] == ("..., migration_iteration_run, migration_detect_error, "
                                                        "migration_rate_limit")


def test_two_handlers_of_one_name_are_told_apart(trace):
    its, gic = (call_path(trace, "vm_change_state_handler", of=owner)[-1] for owner in ("ITS", "GICv3"))
    assert (its["file"], its[EARLIER]) == ("hw/intc/arm_gicv3_its_kvm.c", "")
    assert (gic["file"], gic[EARLIER]) == ("hw/intc/arm_gicv3_kvm.c", "vm_change_state_handler")


def test_a_function_that_was_not_called_is_named(trace):
    with pytest.raises(ValueError, match="no call of 'postcopy_start'"):
        call_path(trace, "postcopy_start")
    with pytest.raises(ValueError, match="of 'disk'"):
        call_path(trace, "vm_change_state_handler", of="disk")


def test_handlers_come_backward_at_the_stop_and_forward_at_the_start():
    rows = handler_calls(livemig.simulate(handlers=[livemig.Handler("mine", 3), livemig.Handler("early", -1)]))
    order = ["early", "net", "CPUs", "GICv3", "ITS", "mine"]
    assert [row["of"] for row in rows] == order[::-1] + order
    assert [(row["VM"], row["side"]) for row in (rows[0], rows[-1])] == [("stop", "source"), ("start", "destination")]


def test_a_trace_that_has_not_every_call_shows_those_that_it_has():
    assert [row["function"] for row in call_path(livemig.recording("a01"), "vm_state_notify", lane="dst")] == [
        "vm_state_notify"]
    events = [Event(t_s, kind, "migration", name, depth) for t_s, (kind, name, depth) in enumerate([
        ("call", "over", 0), ("return", "over", 0), ("call", "outer", 1), ("call", "inner", 3)])]
    assert [row["function"] for row in call_path(Trace({}, events), "inner")] == ["outer", "inner"]
