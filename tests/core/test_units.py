"""Text with a unit, against pint as the oracle."""

from __future__ import annotations

import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

import memorywall as mw
from memorywall.core.errors import InvalidInputError
from memorywall.core.units import parse, read_counts, render, render_number

PINT = pint.UnitRegistry()
PREFIXES = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


@pytest.mark.parametrize(("prefix", "power"), [*PREFIXES.items(), *BINARY.items()])
@pytest.mark.parametrize("unit", ["B", "B/s", "FLOP/s"])
def test_a_prefix_is_a_power_of_1000_or_1024(prefix: str, power: float, unit: str) -> None:
    base = {"B": "byte", "B/s": "byte/s"}.get(unit, unit)
    assert parse(f"3.5 {prefix}{unit}", base) == pytest.approx(3.5 * power, rel=1e-15)


@given(st.floats(1e-3, 999), st.sampled_from(["k", "M", "G", "T", "Ki", "Mi", "Gi"]))
def test_bytes_as_pint_reads_them(number: float, prefix: str) -> None:
    expected = PINT.Quantity(number, f"{prefix}B").to("byte").magnitude
    assert parse(f"{number!r} {prefix}B", "byte") == pytest.approx(expected, rel=1e-12)


def test_known_quantities() -> None:
    assert parse("3.35 TB/s", "byte/s") == 3.35e12
    assert parse("80 GiB", "byte") == 80 * 2**30
    assert parse("80GB", "byte") == 80e9
    assert parse("989.4 TFLOP/s", "FLOP/s") == 989.4e12
    assert parse("312 TFLOPS", "FLOP/s") == 312e12
    assert parse("1979 TOP/s", "FLOP/s") == 1979e12
    assert parse("200 Gb/s", "bit/s") == 200e9
    assert parse("5 us", "s") == pytest.approx(5e-6)


@pytest.mark.parametrize(
    "text",
    ["", "fast", "3.35", "3.35 TB", "3.35 Tb/s", "-1 GB/s", "0 GB/s", "inf GB/s", "nan GB/s", 3.35,
     None, True, "1e999 GB/s", "3,35 TB/s", "x" * 10_000],
)  # fmt: skip
def test_a_text_that_is_not_a_bandwidth(text: object) -> None:
    with pytest.raises(InvalidInputError, match="expected a positive quantity in B/s"):
        parse(text, "byte/s")


def test_rendering() -> None:
    assert render_number(7.4756) == "7.48"
    assert render_number(1557.04, 4) == "1,557"
    assert render_number(66070.3) == "66,070"
    assert render_number(1e20) == "1e+20"
    assert render(3.35e12, "byte/s") == "3.35 TB/s"
    assert render(1.979e15, "FLOP/s") == "1.98 PFLOP/s"
    assert render(0.00514, "s") == "5.14 ms"
    assert render(80e9, "byte") == "80 GB"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("8", [8]),
        (" 8 ", [8]),
        ("-4", [-4]),  # whole; ranges are checked where a number is used
        ("2_048", [2048]),
        ("128k", [128 * 1024]),
        ("128K", [128 * 1024]),
        ("1M", [1024 * 1024]),
        ("1.5k", [1536]),
        ("2k,32k", [2048, 32768]),
        ("2048,32768", [2048, 32768]),
        ("1,4,16", [1, 4, 16]),
        ("8,16,128", [8, 16, 128]),
        ("128,512", [128, 512]),
        ("1,512", [1, 512]),
        ("64,256", [64, 256]),
        ("32, 768", [32, 768]),
    ],
)
def test_lengths(text: str, numbers: list[int]) -> None:
    assert read_counts(text, "seq_len", length=True) == numbers


@pytest.mark.parametrize(
    ("text", "one", "several"),
    [
        ("2,048", "2048 or 2k", "2, 48"),
        ("4,096", "4096 or 4k", "4, 96"),
        ("8,192", "8192 or 8k", "8, 192"),
        ("32,768", "32768 or 32k", "32, 768"),
        ("131,072", "131072 or 128k", "131, 72"),
        ("1,048,576", "1048576 or 1024k", "1, 48, 576"),
        ("10,000", "10000", "10, 0"),
        ("128,000", "128000 or 125k", "128, 0"),
    ],
)
def test_thousands_separators_are_ambiguous(text: str, one: str, several: str) -> None:
    with pytest.raises(InvalidInputError, match="seq_len is ambiguous") as refusal:
        read_counts(text, "seq_len", length=True)
    assert refusal.value.hint == f"Write {one} for one number, and '{several}' for a list."


@pytest.mark.parametrize(
    "text", ["", "x", "1.5", "1.1k", "2 k", "k", "1e3", "8,", "\u0663", "9" * 33]
)
def test_a_text_that_is_not_a_length(text: str) -> None:
    with pytest.raises(InvalidInputError, match="seq_len must be a whole number, got "):
        read_counts(text, "seq_len", length=True)


def test_counts_have_no_k() -> None:
    assert read_counts("1,8", "batch_size") == [1, 8]
    with pytest.raises(InvalidInputError, match="batch_size must be a whole number, got '2k'"):
        read_counts("2k", "batch_size")


def test_a_device_is_changed_in_units() -> None:
    device = mw.hardware("h100-sxm").replace(
        bandwidth="3.35 TB/s", capacity="80 GiB", peaks={"bf16": "1 PFLOP/s"}
    )
    assert (device.bandwidth, device.capacity) == (3.35e12, 80 * 2**30)
    assert device.peak("bf16") == 1e15
    with pytest.raises(InvalidInputError, match="capacity must be a positive quantity in B"):
        device.replace(capacity="80 GB/s")
