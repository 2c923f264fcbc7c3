"""The object that drives the engine drives a real QEMU: a ramp that is too low at first, and a policy that fails."""

from __future__ import annotations

import re

import pytest

import livemig
from livemig.engine.policies import KubevirtRamp
from livemig.lab.qemu import QemuError
from livemig.lab.request import RequestError
from livemig.scenario import Scenario
from tests.lab.left import left_behind

MIB = 1 << 20
# 12 MiB are written again and again, faster than they are sent: the limit must rise above 12 MiB / 32 MiB/s.
GUEST = Scenario(ram_bytes=32 * MIB, working_set_bytes=12 * MIB, dirty_rate_bytes_per_s=200.0 * MIB, its_devices=0,
                 bandwidth_bytes_per_s=32.0 * MIB, give_up_s=8.0)
RAMP = KubevirtRamp(initial_ms=50, max_ms=650, steps=4, cooldown_s=0.4, start_after_iteration=2, interval_s=0.1)


def limits(trace) -> list[int]:
    """In ms; a recording has what was said as text, a simulated run as a value."""
    said = trace.select("command", "migrate-set-parameters")
    return [round(e.data["downtime-limit"] * 1000) if "downtime-limit" in e.data
            else int(re.fullmatch(r"downtime-limit (\d+)", e.data["text"])[1]) for e in said]


@pytest.mark.qemu
def test_one_policy_drives_the_engine_and_a_real_qemu(qemu_path, tmp_path) -> None:
    simulated = livemig.simulate(GUEST, policy=RAMP)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    recorded = livemig.record(GUEST, tmp_path / "ramp.json", policy=RAMP, scratch=scratch, measure=False,
                              qemu=qemu_path)
    assert (simulated.outcome.status, recorded.outcome.status) == ("completed", "completed")
    assert limits(recorded) == limits(simulated) == [250, 450]
    assert recorded.outcome.total_time_s == pytest.approx(simulated.outcome.total_time_s, rel=0.25)
    again = livemig.recording(tmp_path / "ramp.json")  # what the policy did is in the recording, as a plan
    assert [(step["do"], step["value"]) for step in again.meta["scenario"]["plan"] if step["do"] != "cancel"] == [
        ("set_downtime_limit", 0.25), ("set_downtime_limit", 0.45)]
    (run,) = livemig.validate(tmp_path / "ramp.json")["runs"]
    assert run["modelled"]
    assert run["converged_recorded"] == run["converged_predicted"]
    assert left_behind(scratch) == []


@pytest.mark.qemu
def test_one_that_raises_ends_the_real_migration_too(qemu_path, tmp_path) -> None:
    def broken(sample, memory):
        assert {"status", "remaining", "dirty-sync-count", "total-time", "downtime-limit", "base-memory"} <= set(sample)
        return [][sample["dirty-sync-count"]]

    trace = livemig.record(GUEST, policy=broken, scratch=tmp_path, measure=False, qemu=qemu_path)
    assert trace.outcome.status == "cancelled"
    assert re.fullmatch(r"policy failed: policy broken at \S+ s: IndexError: list index out of range",
                        trace.outcome.reason)
    assert trace.outcome.guest_runs_on == "source"
    assert [e.name for e in trace.select("fault")] == ["policy"]
    assert left_behind(tmp_path) == []


def test_what_real_qemu_cannot_do_is_refused(tmp_path) -> None:
    with pytest.raises((RequestError, QemuError), match="real QEMU knows no fixed threshold"):
        livemig.record(GUEST, policy="seed", scratch=tmp_path)
