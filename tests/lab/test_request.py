"""A scenario becomes what a recording has under `params` and `guest`: held against the recordings themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import livemig
from livemig.datadir import data_dir
from livemig.lab.inputs import inputs
from livemig.lab.recording import load_recording, recording_files
from livemig.lab.request import FIELDS, Request, RequestError
from livemig.scenario import Action, Scenario

MIB = 1 << 20
# Recorded inside an emulated KVM host, with another guest.
FILES = [file for file in recording_files(data_dir() / "recordings") if not file.name.startswith("k")]


def fields(**changed) -> dict:
    return Scenario(its_devices=0, **changed).to_dict()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_inputs_of_a_recording_ask_for_that_recording(file) -> None:
    """`inputs` reads a scenario out of a recording; what the lab would record for it has its words and parameters."""
    recording = load_recording(file)
    scenario = inputs(recording) | {"plan": []}
    if not recording["guest"]["rate"]:
        scenario["dirty_rate_bytes_per_s"] = 0.0
    more = [name for name in recording["caps"] if name != "events"]
    made = Request.of(scenario, more)
    known = recording["params"]
    # A guest that could not keep its set rate: `inputs` has the measured one.
    words = made.words.to_dict() | ({"rate": recording["guest"]["rate"]} if known["spin"] else {})
    assert words == recording["guest"]
    params = made.params(recording["id"], known["version"])
    for name in ("id", "version", "ram", "wset", "bw", "dl", "order", "spin", "maxlag", "caps", "poll_ms", "beat_us"):
        assert params[name] == known[name], name


def test_every_field_of_the_request_is_an_input_or_will_be_one() -> None:
    known = set(Scenario().to_dict())
    assert {"ram_bytes", "plan", "pause_before_switchover", "link_bytes_per_s"} <= set(FIELDS) & known
    assert len(set(FIELDS)) == len(FIELDS)


def test_plan_and_what_is_special() -> None:
    plan = (Action("set_bandwidth", 8.0, value=256.0 * MIB), Action("set_downtime_limit", 9.0, value=0.25))
    made = Request.of(fields(plan=plan))
    params = made.params("x", "7.2")
    assert (made.special, params["bw2"], params["dl2"]) == ("raise-bw", 256, 250)
    assert Request.of(fields(plan=(Action("destination_dies", 0.3, "stop-copy"),))).special == "kill-dst-switchover"
    paused = fields(pause_before_switchover=True, plan=(Action("cancel", 0.5, "pre-switchover"),))
    assert Request.of(paused).special == "cancel-in-pause"
    assert Request.of(fields(return_path=True)).capabilities == ("return-path",)


def test_give_up_is_a_minute_or_ten_bulk_copies() -> None:
    assert Request.of(fields()).give_up_s == 60.0
    assert Request.of(fields(ram_bytes=1024 * MIB, bandwidth_bytes_per_s=32.0 * MIB)).give_up_s == 320.0
    assert Request.of(fields(give_up_s=7.0)).params("x", "7.2")["max_s"] == 7.0


@pytest.mark.parametrize(("changed", "says"), [
    ({"pattern": "zipf"}, "pattern = 'zipf': the lab's guest writes sequential, lab_random, idle only"),
    ({"page_bytes": 8192}, "page_bytes = 8192: QEMU's virt machine has pages of 4096 bytes"),
    ({"switchover_rule": "fixed"}, "real QEMU knows no fixed threshold"),
    ({"ram_bytes": 4 * MIB, "working_set_bytes": 0, "dirty_rate_bytes_per_s": 0}, "ram_bytes = 4194304"),
    ({"ram_bytes": 256 * MIB + 4096}, "a whole number of MiB"),
    ({"working_set_offset_bytes": MIB}, "the guest's code lies below"),
    ({"filled_offset_bytes": 0}, "filled_offset_bytes = 0"),
    ({"filled_bytes": 255 * MIB}, "filled_bytes = 267386880"),
    ({"downtime_limit_s": 0.0305}, "downtime_limit_s = 0.0305 s: QEMU's downtime-limit is a whole number"),
    ({"dirty_rate_bytes_per_s": 1e14}, "must fit 64 bits"),
    ({"plan": (Action("continue", 1.0),)}, "migrate-continue in pre-switchover only"),
])
def test_what_the_lab_cannot_do_is_refused_by_name(changed, says) -> None:
    with pytest.raises(RequestError, match=r"\A[^\n]+\Z") as caught:
        Request.of(fields(**changed))
    assert says in str(caught.value)


@given(mib=st.integers(8, 1024), rate=st.floats(0, 1e9), wset=st.integers(0, 1 << 18), fill=st.integers(0, 1 << 18))
def test_the_guest_stays_in_its_memory(mib, rate, wset, fill) -> None:
    """Whatever is asked for is refused or stays between the guest's code and the end of RAM."""
    values = fields() | {"ram_bytes": mib * MIB, "dirty_rate_bytes_per_s": rate, "working_set_bytes": wset * 4096,
                         "filled_bytes": fill * 4096}
    try:
        words = Request.of(values).words
    except RequestError:
        return
    end = 0x4000_0000 + mib * MIB
    assert 0x4020_0000 <= words.ws_base <= words.ws_base + words.ws_pages * 4096 <= end
    assert words.fill_end == 0 or 0x4020_0000 <= words.fill_start < words.fill_end <= end
    assert words.rate * 4096 <= rate < (words.rate + 1) * 4096


def test_record_checks_before_it_starts_anything(tmp_path) -> None:
    huge = Scenario(ram_bytes=1 << 43, dirty_rate_bytes_per_s=0, its_devices=0)
    with pytest.raises(RequestError, match="source and destination need"):
        livemig.record(huge, scratch=tmp_path)
    with pytest.raises(RequestError, match="accelerator = 'xen'"):
        livemig.record(accelerator="xen")
    assert list(tmp_path.iterdir()) == []
