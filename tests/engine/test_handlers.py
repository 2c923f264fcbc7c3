"""Handlers that users register: when they run, what they may break."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.engine import Handler, HandlerError, qemu_add_vm_change_state_handler, simulate
from livemig.engine.vmstop import order_of_calls, qdev_add_vm_change_state_handler
from livemig.scenario import MIB, Scenario

SMALL = Scenario(ram_bytes=16 * MIB, working_set_bytes=4 * MIB, other_ram_bytes=0)


@given(st.lists(st.integers(-3, 6)))
def test_list_ascends_by_priority_and_is_fifo_within_one(priorities):
    handlers: list[Handler] = []
    for i, priority in enumerate(priorities):
        qemu_add_vm_change_state_handler(handlers, Handler(f"h{i}", priority))
    assert [(h.priority, int(h.name[1:])) for h in handlers] == sorted((p, i) for i, p in enumerate(priorities))
    assert order_of_calls(handlers, running=False) == order_of_calls(handlers, running=True)[::-1]


def test_qdev_devices_go_by_depth():
    handlers: list[Handler] = []
    for name, depth in (("root", 1), ("deep", 4), ("middle", 3)):
        qdev_add_vm_change_state_handler(handlers, Handler(name), depth)
    assert [h.name for h in order_of_calls(handlers, running=False)] == ["deep", "middle", "root"]


@pytest.mark.parametrize(("version", "expected"), [
    ("10.0", ["p deep", "p mine", "deep", "mine"]), ("7.2", ["deep", "mine"])])
def test_prepare_callbacks_run_first_and_only_in_10(version, expected):
    seen: list[str] = []

    def note(name):
        return lambda s, running, state: None if running else seen.append(name)

    simulate(Scenario(ram_bytes=16 * MIB, working_set_bytes=4 * MIB, qemu_version=version), [
        Handler("mine", 0, note("mine"), note("p mine")), Handler("deep", 2, note("deep"), note("p deep"))])
    assert seen == expected


def test_a_handler_sees_the_stopped_vm_and_what_it_writes_is_sent():
    """Between vm_state_notify(0) and the final sync: the only moment at which bytes put into RAM still arrive."""
    stopped: list[bool] = []
    address = 0x4000_0000 + 8 * MIB

    def write(s, running, state):
        if not running:
            stopped.append(s.paused_at_s is not None and s.runstate == "finish-migrate")
            s.memory.write(address, b"written by my handler")

    trace = simulate(SMALL, [Handler("mine", 0, write)])
    assert stopped == [True]
    assert trace.meta["memory"]["different_pages"] == []


def test_a_handler_that_raises_ends_in_one_clear_error():
    def broken(s, running, state):
        raise KeyError("no such device")

    with pytest.raises(HandlerError, match=r"'mine' \(priority 5, callback, running=False\) raised KeyError: 'no such"):
        simulate(SMALL, [Handler("mine", 5, broken)])
    with pytest.raises(HandlerError) as caught:
        simulate(SMALL, [Handler("mine", 5, broken)])
    assert caught.value.trace.mark("Tn+2") is not None  # nothing is lost
