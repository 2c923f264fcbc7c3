"""GuestMemory against a memory made of Python sets: same bits, same scan, same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from livemig.engine.contents import RAM_BASE
from livemig.engine.memory import GuestMemory
from livemig.engine.workload import make_workload
from livemig.its.errors import MemoryFault
from livemig.scenario import Scenario
from tests.engine.test_workload import pages_of

PAGE = 4096
SCENARIO = {"ram_bytes": 96 * PAGE, "other_ram_bytes": 32 * PAGE, "its_devices": 0, "filled_offset_bytes": 8 * PAGE,
            "filled_bytes": 60 * PAGE, "working_set_offset_bytes": 4 * PAGE, "working_set_bytes": 80 * PAGE,
            "dirty_rate_bytes_per_s": 100.0 * PAGE}


class MemoryMachine(RuleBasedStateMachine):
    """Random syncs, sends and device writes; after each step bitmap, classes and bytes agree with the simple model."""

    pattern = "uniform"
    contents = False

    def __init__(self) -> None:
        super().__init__()
        self.scenario = Scenario(pattern=self.pattern, contents=self.contents, **SCENARIO)
        self.memory = GuestMemory(self.scenario, make_workload(self.scenario))
        self.t_s = 0.0
        self.bitmap: set[int] = set()
        self.log: set[int] = set()
        self.touched: set[int] = set()
        self.position = 0
        self.memory.mark_all_dirty()
        self.bitmap |= set(range(128))

    @rule(dt_s=st.floats(0, 0.6))
    def time_passes(self, dt_s: float) -> None:
        workload = make_workload(self.scenario)
        first, last = workload.writes_by(self.t_s), workload.writes_by(self.t_s + dt_s)
        self.t_s += dt_s
        self.log |= {int(p) + 4 for p in pages_of(self.scenario, first, last)}
        self.memory.guest_runs_until(self.t_s)
        self.touched |= self.log

    @rule(page=st.integers(0, 95), offset=st.integers(0, PAGE - 4))
    def a_device_writes(self, page: int, offset: int) -> None:
        data = bytes([page + 1, 2, 3, 4])
        self.memory.write(RAM_BASE + page * PAGE + offset, data)
        assert self.memory.read(RAM_BASE + page * PAGE + offset, 4) == data
        self.log.add(page)
        self.touched.add(page)

    @rule()
    def sync(self) -> None:
        new = self.memory.sync(self.t_s)
        assert new == len(self.log - self.bitmap)
        self.bitmap |= self.log
        self.log.clear()

    @rule(normal=st.integers(1, 40), zero=st.integers(1, 60))
    def send(self, normal: int, zero: int) -> None:
        run = self.memory.next_run(lambda is_zero: (normal, zero)[is_zero])
        if not self.bitmap:
            assert run is None
            return
        assert run is not None
        run = run.head((normal, zero)[run.zero])
        pages = list(range(run.first, run.first + run.count)) if run.pages is None else run.pages.tolist()
        ordered = sorted(self.bitmap, key=lambda p: (p < self.position, p))
        assert pages == ordered[: len(pages)]
        for page in pages:
            assert run.zero == (not 8 <= page < 68 and page not in self.touched)
        self.memory.send(run)
        self.bitmap -= set(pages)
        self.position = (pages[-1] + 1) % 128

    @invariant()
    def bitmaps_agree(self) -> None:
        assert set(np.flatnonzero(self.memory.dirty).tolist()) == self.bitmap
        assert self.memory.pending_pages == len(self.bitmap)

    def teardown(self) -> None:
        self.sync()
        while run := self.memory.next_run(lambda zero: 1 << 20):
            self.memory.send(run)
        assert self.memory.different_pages().tolist() == []


class SequentialMachine(MemoryMachine):
    pattern = "sequential"


class ContentsMachine(MemoryMachine):
    contents = True


for machine in (MemoryMachine, SequentialMachine, ContentsMachine):
    machine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, derandomize=True)
TestUniform = MemoryMachine.TestCase
TestSequential = SequentialMachine.TestCase
TestContents = ContentsMachine.TestCase


@pytest.mark.parametrize("address", [0, RAM_BASE - 1, RAM_BASE + 96 * PAGE - 3, 2**52])
def test_addresses_outside_ram_fault(address):
    scenario = Scenario(**SCENARIO)
    memory = GuestMemory(scenario, make_workload(scenario))
    with pytest.raises(MemoryFault):
        memory.read(address, 4)
    with pytest.raises(MemoryFault):
        memory.write(address, b"1234")


def test_a_page_sent_before_it_is_written_again_differs():
    scenario = Scenario(contents=True, **SCENARIO)
    memory = GuestMemory(scenario, make_workload(scenario))
    memory.mark_all_dirty()
    while run := memory.next_run(lambda zero: 1 << 20):
        memory.send(run)
    memory.write(RAM_BASE + 5 * PAGE, b"late")
    assert memory.different_pages().tolist() == [5]
