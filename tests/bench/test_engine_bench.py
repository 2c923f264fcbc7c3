"""The engine's speed and memory, each as a ratio to something that runs beside it."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from livemig.engine import simulate
from livemig.engine.memory import GuestMemory, Run
from livemig.engine.workload import make_workload
from livemig.scenario import MIB, Scenario
from tests.bench.measure import TOLERANCE, minima, processor_seconds, report

pytestmark = pytest.mark.bench
PAGE = 4096
COPY = Scenario(ram_bytes=512 * MIB, other_ram_bytes=0, contents=True, its_devices=0)


@pytest.fixture(scope="module")
def memory() -> GuestMemory:
    memory = GuestMemory(COPY, make_workload(COPY))
    assert memory.here.array is not None
    assert memory.there.array is not None
    np.copyto(memory.there.array, memory.here.array)  # page faults of the first touch are not the copy's
    return memory


def copy_ratio(memory: GuestMemory, run: Run) -> float:
    """Speed of sending the run's pages over the speed of np.copyto on as many bytes."""
    def send() -> None:
        memory.dirty[run.key] = True
        memory.pending_pages = run.count
        memory.send(run)

    ours, plain = minima(send, lambda: np.copyto(memory.there.array[: run.count], memory.here.array[: run.count]))
    return plain / ours


def test_page_copy_when_all_pages_are_dirty(memory):
    ratio = copy_ratio(memory, Run(0, memory.ram_pages, False))
    report("page copy, all dirty, x np.copyto", ratio, ">= 0.85")
    assert ratio >= 0.85 / TOLERANCE


@pytest.mark.parametrize(("order", "goal"), [("sorted", 0.38), ("random", 0.28)])
def test_page_copy_of_sparse_pages(memory, order, goal):
    pages = np.random.default_rng(1).permutation(memory.ram_pages)[: memory.ram_pages // 4]
    if order == "sorted":
        pages.sort()
    ratio = copy_ratio(memory, Run(int(pages[0]), len(pages), False, pages))
    report(f"page copy, {order} quarter of the pages, x np.copyto", ratio, f">= {goal}")
    assert ratio >= goal / TOLERANCE


TERABYTE = """
import time
import numpy as np
from livemig.engine.memory import GuestMemory
from livemig.engine.workload import make_workload
from livemig.scenario import MIB, Scenario
rng = np.random.default_rng(1)
s = Scenario(ram_bytes=1 << 40, other_ram_bytes=0, its_devices=0, pattern="uniform", working_set_bytes=1 << 39,
             dirty_rate_bytes_per_s=1e6 * 4096, bandwidth_bytes_per_s=12.5e9)
m = GuestMemory(s, make_workload(s))
m.mark_all_dirty()
def one_round(t):
    start = time.perf_counter()
    m.sync(t)
    while run := m.next_run(lambda zero: 305_000):  # a 100 ms window of 100 Gbit/s
        m.send(run)
    return time.perf_counter() - start
rounds, plain = [one_round(0.0)], []
m.mark_all_dirty()
rounds.append(one_round(1.0))
# not ru_maxrss: that begins with the parent's
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
for k in range(2, 5):
    start = time.perf_counter(); rng.bytes(1 << 28); plain.append(time.perf_counter() - start)
    m.mark_all_dirty()
    rounds.append(one_round(float(k)))
print(min(rounds) / min(plain), peak / 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_a_terabyte_guest():
    """One round: sync with 10^6 random writes, then all 2^28 pages in windows."""
    done = subprocess.run([sys.executable, "-c", TERABYTE], capture_output=True, text=True, check=True)
    ratio, peak_mib = map(float, done.stdout.split())
    report("one round of 2^28 pages, x rng.bytes(2^28)", ratio, "<= 2")
    report("peak memory of it, MiB", peak_mib, "<= 400")
    assert ratio <= 2 * TOLERANCE
    assert peak_mib <= 400


def test_default_scenario_is_faster_than_the_migration():
    scenario = Scenario()
    simulated_s = simulate(scenario).end_s
    ours = processor_seconds(lambda: simulate(scenario), enough_s=simulated_s / 500)
    report("default scenario, simulated time / run time", simulated_s / ours, ">= 500")
    assert simulated_s / ours >= 500 / TOLERANCE


def test_memory_stays_flat_over_many_runs():
    """A slider makes hundreds of runs: nothing may pile up."""
    for _ in range(20):
        simulate(Scenario())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(100):
        simulate(Scenario())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30 * 1024
