"""Layout tables: literal bytes the kernel and QEMU wrote, error texts, explanations, bulk against single."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.its.codec import Field, Layout
from livemig.its.commands import COMMANDS
from livemig.its.errors import ItsError
from livemig.its.layout import CTE, DTE, ITE, L1, LPI_CONFIG, LPI_PENDING, QEMU_CTE, QEMU_DTE, QEMU_ITE, pending_bit
from livemig.its.registers import REGISTER_LAYOUTS
from livemig.its.stream_its import SECTION
from tests.its.documented import all_documented

ALL = [DTE, ITE, CTE, L1, LPI_CONFIG, LPI_PENDING, QEMU_DTE, QEMU_CTE, QEMU_ITE, *COMMANDS.values(),
       *{layout.name: layout for layout in REGISTER_LAYOUTS.values()}.values()]

WRITTEN = [  # bytes out of data/its and data/its-qemu-tcg, with the commands that led to them
    (DTE, "0400200800000680", {"valid": 1, "next": 3, "itt_address": 0x41000000, "size": 4}),
    (ITE, "0100012000001c00", {"next": 28, "pintid": 8193, "icid": 1}),
    (CTE, "0200020000000080", {"valid": 1, "rdbase": 2, "icid": 2}),
    (L1, "0000604000000080", {"valid": 1, "l2_address": 0x40600000}),
    (QEMU_DTE, "c9ffffffffff0300", {"valid": 1, "size": 4, "itt_address": 0xFFFFFFFFFFF00}),
    (QEMU_CTE, "0700000000000000", {"valid": 1, "rdbase": 3}),
    (QEMU_ITE, "b381000001000000ff030000",
     {"valid": 1, "physical": 1, "pintid": 8300, "icid": 1, "vpeid": 0, "doorbell": 1023}),
    (LPI_CONFIG, "a1", {"priority": 0xA0, "enabled": 1}),
]


@pytest.mark.parametrize(("layout", "text", "fields"), WRITTEN, ids=lambda value: getattr(value, "name", ""))
def test_written_bytes(layout: Layout, text: str, fields: dict[str, int]) -> None:
    assert layout.decode(bytes.fromhex(text)) == fields
    assert layout.pack(**fields).hex() == text


def test_fields_lie_where_the_documents_say() -> None:
    """Every field's place, width and dropped bits, against lists typed from the documents."""
    documented = all_documented()
    ours = {layout.name: {field.name: (field.hi, field.lo, field.shift) for field in layout.fields}
            for layout in (*ALL, SECTION)}
    assert ours == documented


def test_error_text_says_what_does_not_fit() -> None:
    with pytest.raises(ItsError, match=r"next = 0x4000 needs more than its 14 bits \[62:49\]"):
        DTE.encode(next=0x4000)
    with pytest.raises(ItsError, match="pintid = -1 is negative"):
        ITE.encode(pintid=-1)
    with pytest.raises(ItsError, match="l2_address = 0x40608000 is not a multiple of 0x10000"):
        L1.encode_array(l2_address=np.array([0x40600000, 0x40608000]))
    with pytest.raises(ItsError, match=r"icid = 0x10000 needs more than its 16 bits \[15:0\]"):
        ITE.encode_array(icid=np.array([1, 0x10000]))
    with pytest.raises(ItsError, match="icid: a column must hold integers that are not negative"):
        ITE.encode_array(icid=np.array([-1]))
    with pytest.raises(ItsError, match="7 bytes are not one DTE of 8 bytes"):
        DTE.decode(bytes(7))
    with pytest.raises(ItsError, match="13 bytes are not whole emulated ITEs of 12 bytes"):
        QEMU_ITE.decode_array(bytes(13))


def test_explanation_covers_every_bit() -> None:
    lines = DTE.explain(bytes.fromhex("0400200800000680"))
    assert lines[1] == "next [62:49] = 3: distance to the next mapped DeviceID, 0 = last, capped at 16383"
    assert lines[2].startswith("itt_address [48:5] = 0x41000000: ")
    assert CTE.explain(1 << 62)[-1] == "reserved bits hold 0x4000000000000000: no field of CTE is there"


def test_layout_refuses_overlap_and_straddling() -> None:
    with pytest.raises(ValueError, match="overlaps"):
        Layout("x", 8, (Field("a", "a", 7, 0), Field("b", "b", 8, 7)))
    with pytest.raises(ValueError, match="straddles"):
        Layout("x", 16, (Field("a", "a", 64, 63),))


def test_lpi_pending_bit() -> None:
    """LPI 8193 is bit 1 of byte 0x400, 65535 the last bit of the table (recorded in data/stream)."""
    assert pending_bit(8193) == (0x400, 2)
    assert pending_bit(65535) == (0x1FFF, 0x80)


@given(st.data())
def test_bulk_is_single_and_round_trips(data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(ALL))
    count = data.draw(st.integers(1, 5))
    columns = {field.name: [data.draw(st.integers(0, field.max_raw)) << field.shift for _ in range(count)]
               for field in layout.fields}
    entries = layout.encode_array(**{name: np.array(values, np.uint64) for name, values in columns.items()})
    raw = entries.tobytes()
    for index in range(count):
        one = {name: values[index] for name, values in columns.items()}
        piece = raw[index * layout.size_bytes:(index + 1) * layout.size_bytes]
        assert layout.pack(**one) == piece
        assert layout.decode(piece) == one
    for decoded in (layout.decode_array(entries), layout.decode_array(raw)):
        assert {name: list(map(int, values)) for name, values in decoded.items()} == columns


@given(st.binary(min_size=8, max_size=8))
def test_any_entry_decodes_and_encodes_but_for_reserved_bits(raw: bytes) -> None:
    for layout in (DTE, ITE, CTE, L1, QEMU_DTE, QEMU_CTE):
        value = int.from_bytes(raw, "little")
        assert layout.encode(**layout.decode(raw)) == value & ~layout.reserved_mask
