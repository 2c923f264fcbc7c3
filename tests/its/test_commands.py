"""Command queue entries against the recorded queues: their decoded fields and their bytes were written side by side."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.its import Its, RamSlots
from livemig.its.commands import COMMANDS, OPCODES, decode_command, decode_commands, encode_command
from livemig.its.errors import ItsError

DATA = Path(__file__).parents[2] / "data"
NAMES = {"devid": "device_id", "eventid": "event_id", "itt": "itt_address", "rd1": "rdbase", "rd2": "rdbase2"}


def recorded() -> Iterator[tuple[str, dict[str, int], str]]:
    for path in [*(DATA / "its").glob("*.json"), *(DATA / "its-qemu-tcg").glob("*.json"),
                 *(DATA / "its-linux-guest").glob("*.json")]:
        for step in json.loads(path.read_bytes())["steps"]:
            for one in step.get("commands", ()):
                fields: dict[str, Any] = one["fields"]
                numbers = {NAMES.get(key, key): int(str(value), 0) for key, value in fields.items()}
                yield one["name"], numbers, one["raw"]


def test_recorded_commands_decode_and_encode() -> None:
    """Both directions; fields wider than the command's (out-of-range inputs) are left out of encoding."""
    seen: dict[str, int] = {}
    for name, fields, raw in recorded():
        decoded = decode_command(bytes.fromhex(raw))
        if name in ("RAW", "RAWCMD") or name not in COMMANDS:
            continue
        assert decoded.name == name
        layout = COMMANDS[name]
        fit = all(key in layout.by_name and layout.by_name[key].decode(layout.by_name[key].mask) >= value
                  for key, value in fields.items())
        if fit:
            expected = {field.name: 0 for field in layout.fields[1:]} | fields
            if "itt_address" in fields:
                expected["itt_address"] = fields["itt_address"] & ~0xFF
            assert dict(decoded.fields) == expected
            if expected == expected | fields:
                assert encode_command(name, **fields).hex() == raw
        seen[name] = seen.get(name, 0) + 1
    assert set(seen) == set(COMMANDS)
    assert sum(seen.values()) > 3000


def test_unknown_opcode_is_a_command_without_fields() -> None:
    raw = bytes([0x42]) + bytes(31)
    one = decode_command(raw)
    assert (one.name, dict(one.fields)) == ("unknown", {})
    assert one.explain() == ("opcode 0x42: no such command; the ITS steps over it",)


def test_errors_name_the_field_and_its_limit() -> None:
    with pytest.raises(ItsError, match=r"icid = 0x10000 needs more than its 16 bits \[143:128\]"):
        encode_command("MAPC", icid=0x10000)
    with pytest.raises(ItsError, match="itt_address = 0x41000080 is not a multiple of 0x100"):
        encode_command("MAPD", itt_address=0x41000080)
    with pytest.raises(ItsError, match="MAPC has no field 'device_id'; it has opcode, icid, rdbase, valid"):
        encode_command("MAPC", device_id=1)
    with pytest.raises(ItsError, match="no ITS command 'MAPX'"):
        encode_command("MAPX")
    with pytest.raises(ItsError, match="a command is 32 bytes, not 31"):
        decode_command(bytes(31))
    with pytest.raises(ItsError, match="33 bytes"):
        decode_commands(bytes(33))


@given(st.data())
def test_random_fields_round_trip(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(COMMANDS)))
    fields = {field.name: data.draw(st.integers(0, field.max_raw)) << field.shift
              for field in COMMANDS[name].fields[1:]}
    raw = encode_command(name, **fields)
    assert decode_command(raw).name == name
    assert dict(decode_command(raw).fields) == fields
    assert raw[0] == OPCODES[name]


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=30))
def test_any_bytes_are_commands(entries: list[bytes]) -> None:
    """No queue raises: what cannot be done is dropped with a reason."""
    ram = RamSlots()
    ram.add(0, 0x4000_0000, 0x100_0000)
    its = Its.create(ram, (0, 1), propbaser=0x4040_000F, pendbasers=(0x4050_0000, 0x4051_0000))
    for raw in entries:
        assert isinstance(its.apply(raw), str)
