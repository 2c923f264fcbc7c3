"""Units: literals of what people write, and properties that hold for every number."""

import math
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from livemig.units import (
    UnitError,
    format_number,
    format_quantity,
    format_rate,
    format_size,
    format_time,
    parse_quantity,
    parse_rate,
    parse_size,
    parse_time,
)

UNITS = ("bytes", "bytes/s", "s", "pages", "")
SIZES = [
    ("64KiB", 65536), ("64 KiB", 65536), ("256MiB", 268435456), ("1GiB", 1073741824), ("1.5 GiB", 1610612736),
    ("2TiB", 2199023255552), ("4096", 4096), ("0", 0), ("12 B", 12), ("12 bytes", 12), ("64 kB", 64000),
    ("64KB", 64000), ("3MB", 3000000), ("2 GB", 2000000000), ("1 TB", 10**12), ("256M", 268435456),
    ("1G", 1073741824), ("64k", 65536),
    (" 64 mib ", 67108864), ("8 kbit", 1000), ("1e3", 1000), ("-5KiB", -5120), (".5 KiB", 512), ("5. B", 5),
]
RATES = [
    ("32MiB/s", 33554432.0), ("32 MiB/s", 33554432.0), ("20 MB/s", 2e7), ("1Gbit/s", 1.25e8), ("10 Gbps", 1.25e9),
    ("100Mbit/s", 1.25e7), ("100 mbps", 1.25e7), ("8 kbit/s", 1000.0), ("1048576", 1048576.0), ("0.5 B/s", 0.5),
    ("64M/s", 67108864.0), ("0", 0.0),
]
TIMES = [
    ("300ms", 0.3), ("2.5s", 2.5), ("2.5 s", 2.5), ("250us", 0.00025), ("250 µs", 0.00025), ("250 μs", 0.00025),
    ("10ns", 1e-8), ("1 min", 60.0), ("2h", 7200.0), ("0.3", 0.3), ("0", 0.0), ("3 sec", 3.0), ("1e-3 s", 0.001),
]


@pytest.mark.parametrize(("text", "value"), SIZES)
def test_sizes(text, value) -> None:
    assert parse_size(text) == value
    assert isinstance(parse_size(text), int)


@pytest.mark.parametrize(("text", "value"), RATES)
def test_rates(text, value) -> None:
    assert parse_rate(text) == value


@pytest.mark.parametrize(("text", "value"), TIMES)
def test_times(text, value) -> None:
    assert parse_time(text) == value


@pytest.mark.parametrize(
    ("text", "unit", "value"), [("4", "", 4), ("10%", "", 0.1), ("1000 pages", "pages", 1000), ("1.5", "pages", 1.5)]
)
def test_plain_numbers_and_pages(text, unit, value) -> None:
    assert parse_quantity(text, unit) == value


@pytest.mark.parametrize(
    ("text", "unit", "says"),
    [
        ("", "s", "a time, such as 300ms"),
        ("fast", "bytes/s", "a rate, such as 32MiB/s"),
        ("32MiB", "bytes/s", r"did you mean MiB/s\?"),
        ("32MiB/s", "bytes", "a size, such as 64KiB"),
        ("64Mb", "bytes", "write MB for bytes, Mbit for bits"),
        ("64 kb/s", "bytes/s", "write kB/s for bytes, kbit/s for bits"),
        ("64 kb", "s", "could be bits or bytes"),
        ("5 parsec", "s", "a time"),
        ("1 2", "s", "a time"),
        ("0x10", "bytes", "a size"),
        ("1_000", "bytes", "a size"),
        ("1,5", "s", "a time"),
        ("٣", "s", "a time"),
        ("nan", "s", "a time"),
        ("inf", "bytes/s", "a rate"),
        ("1e999", "s", "too large"),
        ("1e305 TiB", "bytes", "too large"),
        ("1e999999999", "bytes", "a size"),
        ("9" * 1000, "bytes", "a size"),
        ("5 MiB", "", "a number, such as 4"),
    ],
)
def test_an_error_names_the_text_and_what_was_expected(text, unit, says) -> None:
    with pytest.raises(UnitError, match=says) as caught:
        parse_quantity(text, unit)
    message = str(caught.value)
    assert repr(text)[:40] in message
    assert len(message) < 250


def test_a_size_is_whole() -> None:
    with pytest.raises(UnitError, match=r"'0.3 B' is 0.3 bytes: a size is a whole number"):
        parse_size("0.3 B")


def test_an_error_shows_no_control_characters() -> None:
    with pytest.raises(UnitError) as caught:
        parse_time("\x1b[31m5")
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"), (1, "1 B"), (999, "999 B"), (1000, "1000 B"), (1023, "1023 B"), (1024, "1 KiB"), (65536, "64 KiB"),
        (16022034, "15.3 MiB"), (1047552, "1023 KiB"), (1048575, "1 MiB"), (402792448, "384 MiB"), (2**44, "16 TiB"),
        (-5120, "-5 KiB"), (1536, "1.5 KiB"), (math.inf, "no limit"),
    ],
)
def test_sizes_have_three_digits(value, text) -> None:
    assert format_size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 s"), (0.007655, "7.66 ms"), (5.012905, "5.01 s"), (0.3, "300 ms"), (0.9996, "1 s"), (0.00025, "250 us"),
        (1e-9, "1 ns"), (59.99, "60 s"), (3600, "3600 s"), (1234567, "1230000 s"), (-0.5, "-500 ms"),
    ],
)
def test_times_have_three_digits(value, text) -> None:
    assert format_time(value) == text


def test_quantities_by_unit() -> None:
    assert format_rate(33554432) == "32 MiB/s"
    assert format_rate(134356992 / 3, 3) == "42.7 MiB/s"
    assert format_size(134356992, None) == "131208 KiB"
    assert format_quantity(None, "bytes/s") == "none"
    assert format_quantity(0.1, "") == "0.1"
    assert format_quantity(1000, "pages") == "1000 pages"
    assert format_number(0.1 + 0.2) == "0.3"
    assert format_number(1e-7) == "1e-07"
    assert [write(math.inf) for write in (format_rate, format_time, format_number)] == ["no limit"] * 3


finite = st.floats(min_value=0, max_value=1e18, allow_nan=False) | st.integers(0, 2**60)


@given(finite, st.sampled_from(UNITS))
@example(1047552, "bytes")
def test_three_digits_are_within_half_a_percent(value, unit) -> None:
    assert math.isclose(parse_quantity(format_quantity(value, unit), unit), value, rel_tol=0.00501, abs_tol=1e-300)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53), st.sampled_from(UNITS))
def test_exact_texts_come_back_equal(value, unit) -> None:
    assert parse_quantity(format_quantity(value, unit, None), unit) == value


@given(st.integers(0, 2**53), st.sampled_from(["", "KiB", "MiB", "GiB", "TiB"]), st.sampled_from(["", " ", "  "]))
def test_binary_prefixes_are_powers_of_1024(count, name, space) -> None:
    power = ["", "KiB", "MiB", "GiB", "TiB"].index(name)
    assert parse_size(f"{count}{space}{name}") == count * 1024**power


@given(st.text(max_size=80), st.sampled_from(UNITS))
@example("1e+999", "bytes")
def test_any_text_is_a_number_or_a_unit_error(text, unit) -> None:
    """UnitError is the only exception, and its message is safe to print."""
    try:
        outcome = parse_quantity(text, unit)
    except UnitError as error:
        outcome = str(error)
    assert outcome.isprintable() if isinstance(outcome, str) else math.isfinite(outcome)


def test_units_import_nothing_of_livemig() -> None:
    code = "import sys, livemig.units; print(sorted(m for m in sys.modules if m.startswith(('livemig', 'numpy'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['livemig', 'livemig.units']"


@pytest.mark.parametrize(("unit", "text", "said"), [
    ("bytes", "4096", "'4096' has no unit; expected a size, such as 64KiB, 256MiB, 1.5 GiB, 64 kB"),
    ("s", "0.3", "'0.3' has no unit; expected a time, such as 300ms, 2.5s, 250us, 1 min"),
    ("bytes/s", "5 parsecs", "'5 parsecs' is not a rate, such as 32MiB/s, 20 MB/s, 1Gbit/s")])
def test_where_a_unit_is_asked_for_no_example_goes_without(unit, text, said):
    with pytest.raises(UnitError) as caught:
        parse_quantity(text, unit, bare=False)
    assert str(caught.value) == said
    assert parse_quantity("3", "", bare=False) == 3
