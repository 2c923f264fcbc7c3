"""What a recording says about its scenario, and how exactly it says where the writer stood at T0."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.lab.convert import inputs, not_modelled, to_trace
from livemig.lab.inputs import times_differ, writer_start
from livemig.scenario import Scenario

MIB = 1 << 20


def test_every_recording_is_a_scenario(name, rec):
    values = inputs(rec(name))
    scenario = Scenario.from_dict(values)
    params = rec(name)["params"]
    assert scenario.ram_bytes == params["ram"] * MIB
    assert scenario.downtime_limit_s * 1000 == pytest.approx(params["dl"])
    assert scenario.bandwidth_bytes_per_s == (params["bw"] * MIB or None)
    assert scenario.qemu_version == params["version"]
    final = rec(name)["final"] or {}
    if "ram" in final:
        assert scenario.ram_bytes + scenario.other_ram_bytes == final["ram"]["total"]


def test_the_inputs_of_one_recording_in_full(rec):
    assert inputs(rec("l06")) == {
        "ram_bytes": 256 * MIB, "page_bytes": 4096, "other_ram_bytes": 134_356_992,
        "filled_offset_bytes": 2 * MIB, "filled_bytes": 254 * MIB, "pattern": "sequential",
        "dirty_rate_bytes_per_s": 40.0 * MIB, "working_set_bytes": 192 * MIB, "working_set_offset_bytes": 2 * MIB,
        "writer_start_writes": pytest.approx(14_991, abs=10), "bandwidth_bytes_per_s": 4096.0 * MIB,
        "link_bytes_per_s": rec("l06")["link_seen_mib_s"] * MIB, "switchover_rule": "qemu", "downtime_limit_s": 0.3,
        "qemu_version": "10.0", "accelerator": "tcg", "pause_before_switchover": False, "return_path": False,
        "switchover_ack": False, "avail_switchover_bandwidth_bytes_per_s": None, "destination_paused": False,
        "multifd_channels": 0, "auto_converge": False, "throttle_initial_pct": 20, "throttle_increment_pct": 10,
        "catch_up_s": None, "its_devices": 0, "plan": [], "give_up_s": 60.0,
    }


def test_special_inputs(rec):
    assert inputs(rec("n09"))["bandwidth_bytes_per_s"] is None  # max-bandwidth 0: no limit
    assert inputs(rec("b13"))["pattern"] == "lab_random"
    assert inputs(rec("s16-zero-rate0"))["filled_bytes"] == 0
    assert inputs(rec("v04"))["qemu_version"] == "7.2"
    assert inputs(rec("k01-converge"))["accelerator"] == "kvm"
    assert inputs(rec("k01-converge"))["its_devices"] == 7  # six, and a spare one that comes and goes
    assert inputs(rec("d03"))["plan"] == [{"do": "cancel", "at_s": 18.0001}]
    assert inputs(rec("s10-raise-bandwidth"))["plan"] == [
        {"do": "set_bandwidth", "at_s": 8.0001, "value": 256.0 * MIB}, {"do": "cancel", "at_s": 20.0}]
    assert inputs(rec("k02-converge-dst-paused"))["destination_paused"] is True
    assert inputs(rec("s04-multifd"))["multifd_channels"] == 2
    throttled = inputs(rec("s01-autoconverge"))
    assert (throttled["auto_converge"], throttled["throttle_initial_pct"], throttled["throttle_increment_pct"]) == (
        True, 20, 10)
    assert throttled["catch_up_s"] == 64 / 25600  # its maxlag in pages, at its rate
    assert throttled["dirty_rate_bytes_per_s"] == 100 * MIB
    assert inputs(rec("s06-kill-dst"))["plan"] == [{"do": "destination_dies", "at_s": 2.0001}]
    for name, after_s in (("s17-kill-dst-switchover-no-rp", 0.301), ("k05-kill-dst", 0.0026)):
        (kill,) = inputs(rec(name))["plan"]
        assert (kill["do"], kill["at"]) == ("destination_dies", "stop-copy")
        assert kill["at_s"] == pytest.approx(after_s, abs=0.001)
    (resume,) = inputs(rec("s05-pause"))["plan"]
    assert (resume["do"], resume["at"]) == ("continue", "pre-switchover")
    assert resume["at_s"] == pytest.approx(1.55, abs=0.02)


def test_the_rate_is_the_guests_own_clockwork(name, rec):
    """The guest catches up, so its set rate holds; what the recorder measured is within its dot's resolution of it."""
    recording = rec(name)
    measured = recording.get("write_rate_during_mib_s")
    if measured is None or recording["special"] == "auto-converge":
        return
    rate = inputs(recording)["dirty_rate_bytes_per_s"] / MIB
    assert rate == recording["guest"]["rate"] * 4096 / MIB
    seconds = recording["polls"][-1][0] - recording["polls"][0][0]
    assert abs(rate - measured) <= 1.1 * MIB / MIB / seconds + 0.05 * rate


def test_the_writers_start_is_known_to_a_dot_and_most_polls_agree(name, rec):
    recording = rec(name)
    if "kvm" in recording or not recording["guest"]["rate"] or recording["special"] == "auto-converge":
        return
    start = writer_start(recording)
    assert 0 <= start.low <= start.high <= start.low + recording["guest"]["dot_pages"]
    assert start.agree >= 0.85 * start.of
    # the guest has run for about 1.4 s: 0.3 s before and 1.1 s of dirty-rate measurement
    assert 1.3 < start.writes / start.rate_pages_per_s < 1.6


def test_the_widths_that_data_readme_tells(all_recordings):
    starts = {name: writer_start(r) for name, r in all_recordings
              if "kvm" not in r and r["guest"]["rate"] and r["special"] != "auto-converge"}
    width = {name: s.high - s.low for name, s in starts.items()}
    assert len(width) == 60
    assert sum(w < 1 for w in width.values()) == 24
    assert {name for name, w in width.items() if w > 52} == {"n03", "n05"}
    assert (round(width["n03"]), round(width["n05"])) == (178, 225)
    assert 0.87 < min(s.agree / s.of for s in starts.values()) < 0.88


def _made_up(start, rate, late, lag):
    """A recording with dots as a guest would print them; `late` polls are answered late, at `lag` polls it lags."""
    polls = []
    for i in range(120):
        t = i * 0.04
        seen = t + (0.03 if i in late else 0.0003)
        writes = start + rate * (seen - (0.02 if i in lag else 0.0))
        polls.append([t, "active", int(writes // 256)])
    return {"guest": {"rate": rate, "dot_pages": 256}, "page_size": 4096, "params": {"rate": 0.0},
            "poll_cols": ["t", "status", "src_dots"], "polls": polls, "trace_src": [], "final": None}


@given(st.floats(0, 1e5), st.integers(700, 40_000), st.sets(st.integers(0, 119), max_size=12),
       st.sets(st.integers(0, 119), max_size=12))
def test_a_known_start_is_found_although_some_polls_lie(start, rate, late, lag):
    found = writer_start(_made_up(start, rate, late, lag))
    slack = 0.0006 * rate + 1  # the answers' usual delay
    width = max(found.high - found.low, 0)
    assert width <= 256
    assert found.low - slack - 256 <= start <= found.high + slack + 256
    if not late and not lag:
        assert found.low - slack <= start <= found.high + slack
        assert found.agree == found.of


def test_a_guest_that_forgets_its_lag_has_the_measured_rate():
    """s01's kind: dots that fit another rate than the set one choose the measured one."""
    recording = _made_up(5000, 9000, set(), set())
    recording["guest"]["rate"] = 12_000
    recording["write_rate_during_mib_s"] = 9000 * 4096 / MIB
    assert writer_start(recording).rate_pages_per_s == pytest.approx(9000)


def test_special_inputs_of_runs_that_are_not_shipped(rec):
    """Kinds of recordings that livemig has rules for and no file of."""
    base = dict(rec("s17-kill-dst-switchover-no-rp"))
    held = base | {"final": {"status": "device"},
                   "trace_src": [row for row in base["trace_src"] if row[2].get("state") != "failed"]}
    (kill,) = inputs(held)["plan"]
    assert (kill["do"], kill["at"]) == ("silent_peer", "stop-copy")  # the proxy kept the source's connection open
    noted = base | {"notes": [[8.678, "destination process stopped (SIGSTOP)"]]}
    assert inputs(noted)["plan"][0]["do"] == "silent_peer"
    old = dict(rec("v09")) | {"notes": [[4.9, "destination process killed"]], "final": {"status": "failed"}}
    (kill,) = inputs(old)["plan"]  # 7.2 stays active: the stop-copy begins with the stop, at 4.722 s
    assert (kill["do"], kill["at"]) == ("destination_dies", "stop-copy")
    assert kill["at_s"] == pytest.approx(4.9 - 4.722, abs=0.001)
    paused = dict(rec("s05-pause"))
    (resume,) = inputs(paused | {"notes": []})["plan"]
    assert (resume["do"], resume["at"]) == ("continue", "pre-switchover")
    assert resume["at_s"] == pytest.approx(1.55, abs=0.03)
    plain = dict(rec("b05"))
    assert inputs(plain | {"params": dict(plain["params"], avail_bw=1024)})[
        "avail_switchover_bandwidth_bytes_per_s"] == 1024 * MIB
    assert inputs(plain | {"notes": [[8.0, "downtime-limit 2000"]]})["plan"] == [
        {"do": "set_downtime_limit", "at_s": 8.0, "value": 2.0}]
    assert inputs(plain | {"notes": [[3.0, "link process killed"]]})["plan"] == [{"do": "link_failure", "at_s": 3.0}]
    old = dict(rec("s01-autoconverge"))
    polled = old | {"trace_src": [row for row in old["trace_src"] if row[1] != "cpu_throttle_set"]}
    assert [e.data["percentage"] for e in to_trace(polled).select("throttle")] == [20, 30, 40, 50, 60, 70]  # as in 7.2
    faster = dict(plain["params"], throttle_init=80, throttle_inc=5)
    told = inputs(plain | {"params": faster, "caps": ["events", "auto-converge"]})
    assert (told["throttle_initial_pct"], told["throttle_increment_pct"], told["catch_up_s"]) == (80, 5, None)


def test_what_is_not_modelled_has_a_reason(rec):
    for name in ("b05", "d01", "l06", "v04", "l09", "s01-autoconverge", "s04-multifd", "s05-pause", "k01-converge"):
        assert not_modelled(rec(name)) is None, name
    assert "XBZRLE" in not_modelled(rec("s02-xbzrle"))
    assert "no migration" in not_modelled(rec("k06-stop-cont"))
    assert "postcopy" in not_modelled(rec("b05") | {"caps": ["events", "postcopy-ram"]})
    old = rec("v04") | {"caps": ["events", "multifd"]}
    assert "7.2" in not_modelled(old)
    assert times_differ(rec("s01-autoconverge")) is None
    assert "emulated" in times_differ(rec("k01-converge"))


def test_an_unknown_capability_is_not_modelled(rec):
    base = dict(rec("b05"))
    assert "zero-copy-send" in not_modelled(base | {"caps": ["events", "zero-copy-send"]})
    assert "no migration" in not_modelled(base | {"final": {}})
