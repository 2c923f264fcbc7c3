"""Migration streams of real QEMU against what another program took out of them; cut, damaged and hostile streams."""

import hashlib
import io
import json
import lzma
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livemig.its import stream, stream_its
from livemig.its.errors import DataError, ItsError
from livemig.its.stream_source import ByteSource

DATA = Path(__file__).parents[2] / "data" / "stream"
GOLDEN = json.loads((DATA / "stream-6.12.json").read_bytes())["streams"]
NAMES = ["A.mig", "B.mig"]


def packed(name: str) -> Path:
    return DATA / GOLDEN[name]["file"]


@pytest.fixture(scope="module")
def plain() -> dict[str, bytes]:
    streams = {name: lzma.decompress(packed(name).read_bytes()) for name in NAMES}
    for name, data in streams.items():
        assert hashlib.sha256(data).hexdigest() == GOLDEN[name]["sha256"]
    return streams


@pytest.mark.parametrize("name", NAMES)
def test_sections_equal(name: str) -> None:
    shown = stream.show(packed(name))
    sections = [[hex(row["offset"]), row["kind"], row["name"], row["instance"], row["version"], row["size_bytes"]]
                for row in shown["sections"] if row["kind"] == "FULL"]
    assert sections == GOLDEN[name]["sections"]
    assert (shown["machine"], shown["size_bytes"]) == (GOLDEN[name]["machine"], GOLDEN[name]["size"])
    assert shown["problems"] == []


@pytest.mark.parametrize("name", NAMES)
def test_registers_tables_and_pending_bits_equal(name: str) -> None:
    found = stream.its(packed(name))
    golden = GOLDEN[name]["arm_gicv3_its"]
    assert found["section"]["bytes"] == golden["bytes"]
    assert hex(found["section"]["offset"]) == golden["offset"]
    fields = golden["fields"]
    expected = {f"GITS_{key.upper()}": value for key, value in fields.items() if key != "baser"}
    assert found["registers"] == expected | {f"GITS_BASER{n}": value for n, value in enumerate(fields["baser"])}
    mine = {int(region["gpa"], 16): region for region in found["tables"]}
    for region in GOLDEN[name]["tables"]:
        if region["name"] != "itts":
            assert mine[int(region["gpa"], 16)]["data"] == region["data"], region["name"]
    itts = next(region for region in GOLDEN[name]["tables"] if region["name"] == "itts")
    words = {int(itts["gpa"], 16) + int(offset, 16): text for offset, text in itts["data"].items()}
    assert {int(region["gpa"], 16) + int(offset, 16): text for region in found["tables"]
            if region["name"].startswith("itt_") for offset, text in region["data"].items()} == words
    assert found["pending"] == {"0": [65535], "1": [8193, 8200]}
    assert (found["restore"], found["queue_replay_equal"], found["problems"]) == ("OK", True, [])


def test_all_sources_give_the_same(plain: dict[str, bytes], tmp_path: Path) -> None:
    """.xz file, plain file (pages are found in place), pipe (pages are kept in a temporary file)."""
    whole = stream.its(packed("A.mig"))
    file = tmp_path / "a.mig"
    file.write_bytes(plain["A.mig"])
    assert stream.its(file) == whole
    reader, writer = os.pipe()

    def feed() -> None:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(plain["A.mig"])

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert stream.its(os.fdopen(reader, "rb")) == whole
    feeder.join()


class Endless(io.RawIOBase):
    """A pipe that gives a head, then the same part of RAM `times` times, then a tail."""

    def __init__(self, head: bytes, part: bytes, times: int, tail: bytes) -> None:
        self.pieces = iter([head, *[part] * times, tail])

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        return next(self.pieces, b"")


def test_a_stream_larger_than_its_window_is_read_in_one_pass(plain: dict[str, bytes]) -> None:
    """128 MiB of RAM parts before the rest of a real stream: the reader never holds more than a few MiB."""
    largest = 0

    class Watched(ByteSource):
        def _refill(self, count: int) -> bool:
            nonlocal largest
            done = super()._refill(count)
            largest = max(largest, len(self.window))
            return done

    first_part = plain["A.mig"].index(b"\x7e\0\0\0\1") + 5
    pages = b"".join(page(4096 * number, bytes([number % 255 + 1]) * 4096, b"" if number else b"mach-virt.ram")
                     for number in range(512))
    part = b"\x02" + (1).to_bytes(4, "big") + pages + (16).to_bytes(8, "big") + b"\x7e" + (1).to_bytes(4, "big")
    pipe = Endless(plain["A.mig"][:first_part], part, 64, plain["A.mig"][first_part:])
    with Watched(pipe) as source:  # type: ignore[arg-type]
        read_once = stream.read_stream(source)
        assert source.offset == read_once.size_bytes == 64 * len(part) + len(plain["A.mig"])
    assert read_once.ram.blocks["mach-virt.ram"].pages == 64 * 512 + 15
    assert largest < 8 << 20


def test_tables_out_of_a_pipe_that_gives_little_at_a_time(plain: dict[str, bytes]) -> None:
    data = plain["A.mig"]
    pieces = [data[at:at + 4999] for at in range(0, len(data), 4999)]
    pipe = Endless(b"QEVM", b"", 0, b"")
    pipe.pieces = iter(pieces)
    with ByteSource(pipe) as source:  # type: ignore[arg-type]
        found = stream_its.stream_its(stream.read_stream(source, keep_ram=True))
    assert found.to_json() == stream.its(packed("A.mig"))


def same(script: Any, mine: Any) -> bool:
    """A value as analyze-migration.py prints it ("0x2a", "aa bb", True) against ours (number, hexadecimal text)."""
    if isinstance(script, dict):
        return isinstance(mine, dict) and script.keys() == mine.keys() and all(
            same(script[key], mine[key]) for key in mine)
    if isinstance(script, list):
        return len(script) == len(mine) and all(map(same, script, mine))
    if isinstance(script, str) and script.startswith("0x"):
        digits = script.split()[0][2:]
        return int(digits, 16) == mine % (1 << 4 * len(digits))
    return script.replace(" ", "") == mine if isinstance(script, str) else bool(mine) is script


def test_every_device_field_as_qemus_own_script_shows_it() -> None:
    """analyze-migration-A.json is what analyze-migration.py of QEMU 10.0.13 printed for A.mig.

    Sections, RAM blocks and every field of every device are the same. The script stops at the ITS registers; the
    tables that `stream.its` decodes out of the RAM pages are not in its output.
    """
    script = json.loads(lzma.decompress((DATA / "analyze-migration-A.json.xz").read_bytes()))
    shown = stream.show(packed("A.mig"))
    ram = script.pop("ram (1)")["section sizes"]
    assert {row["name"]: row["size_bytes"] for row in shown["ram"]} == {
        name: int(size, 16) for name, size in ram.items()}
    sections = [row for row in shown["sections"] if row["kind"] == "FULL"]
    assert [f"{row['name']} ({row['section_id']})" for row in sections] == list(script)
    for row, (name, fields) in zip(sections, script.items(), strict=True):
        mine = shown["devices"][f"{row['name']}/{row['instance']}"]
        assert [key for key in fields if not same(fields[key], mine.get(key))] == [], name
    assert "41100000" not in json.dumps(script), "the script names an ITT? then it decodes tables by now"


def read(data: bytes, its: bool = True) -> Any:
    return stream.its(io.BytesIO(data)) if its else stream.show(io.BytesIO(data))


@pytest.mark.parametrize("its", [False, True])
def test_cut_stream_is_named_with_its_offset(plain: dict[str, bytes], its: bool) -> None:
    data = plain["A.mig"]
    cuts = [0, 3, 8, 13, 40, 66, 300, 5000, 100_000, 600_000, 673_026, 673_100, 683_990, 684_090, 690_000, 696_503,
            696_508, 700_000, len(data) - 1]
    for cut in cuts:
        if cut == 696_500 + 3:
            continue
        with pytest.raises(DataError) as failure:
            read(data[:cut], its)
        assert failure.value.offset is not None, cut
        assert "byte offset" in failure.value.message


def test_damaged_xz() -> None:
    data = packed("A.mig").read_bytes()
    for bad in (data[:5000], data[:3000] + b"\0" * 100 + data[3100:]):
        with pytest.raises(DataError):
            stream.show(io.BytesIO(bad))


@pytest.mark.parametrize(("at", "value", "text"), [
    (0, b"QEVX", "no QEMU migration stream"),
    (8, b"\x63", "section type 0x63 is not known"),
    (0x2A, b"X", "configuration subsection"),
    (0x39, b"\0\0\0\x10", "pages of 2"),
    (0x44, b"rom", "comes in parts, which is understood for ram only"),
    (0x65, b"\xff", "does not fit|is not in the total|no printable text|more than"),
])
def test_damage_is_named(plain: dict[str, bytes], at: int, value: bytes, text: str) -> None:
    data = bytearray(plain["A.mig"])
    data[at:at + len(value)] = value
    with pytest.raises(DataError, match=text):
        read(bytes(data), its=False)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_changed_bytes_never_raise_anything_else(plain: dict[str, bytes], data: st.DataObject) -> None:
    """A few bytes anywhere, most of them where headers are."""
    changed = bytearray(plain["A.mig"])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.one_of(st.integers(0, 400), st.integers(672_000, 697_000),
                                    st.integers(0, len(changed) - 1)))
        changed[place] = data.draw(st.integers(0, 255))
    with suppress(ItsError):
        read(bytes(changed))


def ram_stream(*records: bytes, size_bytes: int = 0x100000) -> bytes:
    """A minimal stream: one RAM block and these records."""
    start = b"QEVM\0\0\0\3" + b"\x01" + (1).to_bytes(4, "big") + b"\x03ram" + bytes(4) + (4).to_bytes(4, "big")
    listed = (size_bytes | 4).to_bytes(8, "big") + b"\x01m" + size_bytes.to_bytes(8, "big")
    return start + listed + b"".join(records) + (16).to_bytes(8, "big") + b"\x7e" + (1).to_bytes(4, "big") + b"\0"


def page(address: int, data: bytes, name: bytes = b"") -> bytes:
    head = address | (8 if name else 0x28)
    return head.to_bytes(8, "big") + (bytes([len(name)]) + name if name else b"") + data


def test_newest_copy_of_a_page_counts() -> None:
    records = (page(0, b"a" * 4096, b"m"), page(4096, b"b" * 4096), page(0, b"c" * 4096),
               (4096 | 0x22).to_bytes(8, "big") + b"\0")
    with stream.open_stream(io.BytesIO(ram_stream(*records))) as source:
        memory = stream_its.stream_memory(stream.read_stream(source, keep_ram=True), 0x40000000)
        assert memory.read(0x40000000, 3) == b"ccc"
        assert memory.read(0x40001000, 4096) == bytes(4096)


@pytest.mark.parametrize(("records", "text"), [
    ((page(0, b"a" * 4096),), "none was named"),
    ((page(0, b"a" * 4096, b"x"),), "RAM block x, which was not announced"),
    ((page(0x100000, b"a" * 4096, b"m"),), "outside RAM block m"),
    ((page(0, b"a" * 4096, b"m"), page(1 << 60, b"a" * 4096)), "outside RAM block m"),
    ((page(0, b"a" * 4096, b"m"), (4096 | 0x22).to_bytes(8, "big") + b"\1"), "not zero"),
    (((0x400).to_bytes(8, "big"),), "flags 0x400"),
])
def test_hostile_ram_records(records: tuple[bytes, ...], text: str) -> None:
    with pytest.raises(DataError, match=text):
        read(ram_stream(*records), its=False)


def test_claimed_sizes_cost_nothing() -> None:
    """A RAM block of 2^62 bytes, a device section without an end, a description of 4 GiB."""
    shown = read(ram_stream(page(0, b"a" * 4096, b"m"), size_bytes=1 << 62), its=False)
    assert shown["ram"][0]["pages"] == 1
    endless = b"QEVM\0\0\0\3\x04" + bytes(4) + b"\x01d" + bytes(8)
    with pytest.raises(DataError, match="no end of section d"):
        read(endless + b"\1" * 100_000, its=False)
    with pytest.raises(DataError, match="the limit is"):
        read(b"QEVM\0\0\0\3\0\x06\xff\xff\xff\xff", its=False)


def test_streams_without_an_its_say_so() -> None:
    with pytest.raises(DataError, match="no section arm_gicv3_its"):
        read(ram_stream(page(0, b"a" * 4096, b"m")))
