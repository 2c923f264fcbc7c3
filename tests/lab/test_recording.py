"""Hostile and broken recordings end in one message that names file, key and reason."""

import contextlib
import copy
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livemig.datadir import data_dir
from livemig.lab.convert import inputs, not_modelled, to_trace
from livemig.lab.recording import (
    RecordingError,
    check_recording,
    load_recording,
    recording_files,
    recording_name,
)
from livemig.trace import TraceError

FOLDER = data_dir() / "recordings"
B05 = FOLDER / "b05.json"
K01 = FOLDER / "k01-converge.json"


def small(path=FOLDER / "s16-zero-rate0.json"):
    return json.loads(path.read_text())


def test_every_recording_of_the_repository_loads_and_the_folder_is_small():
    files = recording_files(FOLDER)
    assert len(files) == 75
    assert sum(f.stat().st_size for f in files) < 8 << 20
    for file in files:
        recording = load_recording(file)
        assert recording["id"] == recording_name(file)


def test_compressed_and_plain_give_the_same(tmp_path):
    packed = tmp_path / "b05.json.gz"
    packed.write_bytes(gzip.compress(B05.read_bytes()))
    assert load_recording(packed) == load_recording(B05)
    assert recording_name(packed) == "b05"
    assert recording_files(tmp_path) == [packed]


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "not a complete JSON file"),
    (b"{", "not a complete JSON file"),
    (b"\xff\xfe\x00", "not a complete JSON file"),
    (b"[]", "a recording is a JSON object, this is a list"),
    (b"null", "a recording is a JSON object"),
    (b"{}", "key 'format' is missing"),
    (b'{"format": 2}', "format is 2, this livemig reads format 1"),
    (b'{"format": true}', "format is True"),
    (b'{"format": "1"}', "format is '1'"),
    (b'{"format": 1}', "key 'id' is missing"),
    (b'{"format": 1, "id": NaN}', "holds NaN"),
    (b'{"format": 1, "id": 1e999}', "id holds a number that is not finite"),
    (b'{"format": 1, "id": 99999999999999999999}', "too large"),
    (b'{"format": 1, "id": ' + b"9" * 5000 + b"}", "not a complete JSON file"),
    (b"[" * 100_000, "nested too deeply"),
    (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested too deeply"),
])
def test_bad_content(tmp_path, content, reason):
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=reason) as caught:
        load_recording(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_cut_off(tmp_path, share):
    text = B05.read_bytes()
    plain, packed = tmp_path / "cut.json", tmp_path / "cut.json.gz"
    plain.write_bytes(text[:int(len(text) * share)])
    whole = gzip.compress(text)
    packed.write_bytes(whole[:int(len(whole) * share)])
    for path in (plain, packed):
        with pytest.raises(RecordingError, match="cut off"):
            load_recording(path)


def test_missing_file_folder_and_not_gzip(tmp_path):
    with pytest.raises(RecordingError, match="no such file"):
        load_recording(tmp_path / "none.json")
    with pytest.raises(RecordingError, match="not a file"):
        load_recording(tmp_path)
    with pytest.raises(RecordingError, match="no such folder"):
        recording_files(tmp_path / "none")
    with pytest.raises(RecordingError, match="holds no recording"):
        recording_files(tmp_path)
    assert recording_files(B05) == [B05]
    fake = tmp_path / "x.json.gz"
    fake.write_bytes(b"not gzip")
    with pytest.raises(RecordingError, match="not a gzip file"):
        load_recording(fake)


def test_a_gzip_bomb_is_refused(tmp_path):
    bomb = tmp_path / "bomb.json.gz"
    bomb.write_bytes(gzip.compress(b"[" + b" " * (65 << 20) + b"]", compresslevel=1))
    with pytest.raises(RecordingError, match="larger than 64 MiB"):
        load_recording(bomb)


@pytest.mark.parametrize(("path", "value", "message"), [
    (("qemu", "version"), "7.1.0", "qemu.version is '7.1.0', expected something like"),
    (("qemu", "version"), None, "qemu.version is missing"),
    (("params", "ram"), 0, "params.ram = 0, must be above 0"),
    (("params", "ram"), True, "params.ram is true or false"),
    (("params", "bw"), -1, "params.bw = -1, must not be negative"),
    (("params", "order"), "zigzag", "params.order is 'zigzag', expected one of seq, rand"),
    (("page_size",), 4095, "page_size = 4095, not a power of two"),
    (("guest", "ws_pages"), "many", "guest.ws_pages is text 'many', expected a whole number"),
    (("trace_src", 3), [1.0, 5, {}], r"trace_src\[3\]\[1\] is a number 5, expected text"),
    (("trace_src", 3), [1.0], r"trace_src\[3\] is a list of 1, expected a row of 3 values"),
    (("trace_src", 0), [0.1, "migrate_transferred", {}],
     "key 'trace_src.0. migrate_transferred.transferred' is missing"),
    (("trace_dst", 0), [0.1, "migrate_set_state", {"state": 3}],
     "migrate_set_state.state is a number 3, expected text"),
    (("polls", 0), [1, 2], r"polls\[0\] has 2 values, expected 17"),
    (("poll_cols", 0), "a", r"key 'polls.0..t' is missing"),
    (("final", "status"), "done", "final.status is 'done', expected one of none, setup"),
    (("events", 0), {}, r"events\[0\] is an object"),
    (("notes",), None, "notes is missing"),
])
def test_wrong_values_name_the_key(path, value, message):
    data = small()
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(RecordingError, match=message):
        check_recording(data, "x.json")


@pytest.mark.parametrize("key", ["final.total-time", "final.downtime", "final.ram.dirty-sync-count", "params.wset",
                                 "guest.fill_start", "trace_src", "polls", "caps", "final"])
def test_missing_keys_are_named(key):
    data = small()
    *way, last = key.split(".")
    place = data
    for step in way:
        place = place[step]
    del place[last]
    with pytest.raises(RecordingError, match=key):
        check_recording(data, "x.json")


ODD = st.one_of(st.none(), st.booleans(), st.integers(-2**70, 2**70), st.floats(), st.text(max_size=3),
                st.just([]), st.just({}), st.lists(st.integers(), max_size=3))


def _places(value, way=()):
    """Every place of a JSON value, lists only at their first three and last entries."""
    yield way
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, (*way, key))
    elif isinstance(value, list):
        for i in {0, 1, 2, len(value) - 1} & set(range(len(value))):
            yield from _places(value[i], (*way, i))


PLAIN = {name: small(FOLDER / f"{name}.json") for name in ("s16-zero-rate0", "k01-converge")}
PLACES = {name: sorted((p for p in _places(data) if p), key=str) for name, data in PLAIN.items()}


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_value_anywhere_is_read_or_refused(data):
    """Put an odd value somewhere: the loader refuses it by name, or everything that reads the recording copes."""
    name = data.draw(st.sampled_from(sorted(PLAIN)))
    way = data.draw(st.sampled_from(PLACES[name]))
    recording = copy.deepcopy(PLAIN[name])
    place = recording
    for step in way[:-1]:
        place = place[step]
    place[way[-1]] = data.draw(ODD)
    checked = None
    with contextlib.suppress(RecordingError):
        checked = check_recording(recording, "odd.json")
    if checked is not None:
        inputs(checked)
        not_modelled(checked)
        to_trace(checked, whole=True)
        to_trace(checked).passes()


def test_the_error_is_a_trace_error_and_one_line():
    with pytest.raises(TraceError) as caught:
        load_recording(Path("nowhere") / "x.json")
    assert str(caught.value) == f"{Path('nowhere') / 'x.json'}: no such file"
