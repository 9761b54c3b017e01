"""The state of a GPU, read from lines as its driver's tool prints them."""

from __future__ import annotations

import pytest

from memorywall.bench import gpu

LINE = "NVIDIA H100 80GB HBM3, 550.54.15, 1755, 1980, 2619, 41, 312.45, 700.00, 81559, {}"


def test_a_line_of_the_driver_is_read() -> None:
    seen = gpu.read(LINE.format("0x0000000000000000"))
    assert seen["gpu"] == "NVIDIA H100 80GB HBM3"
    assert seen["driver"] == "550.54.15"
    assert seen["clock_hz"] == 1755e6
    assert seen["most_clock_hz"] == 1980e6
    assert seen["temperature_c"] == 41
    assert seen["power_w"] == 312.45
    assert seen["gpu_memory_bytes"] == 81559 * 2**20
    assert seen["throttled"] == []


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        ("0x0000000000000001", []),  # idle
        ("0x0000000000000002", []),  # a clock that the user chose
        ("0x0000000000000004", ["its power limit (software)"]),
        ("0x0000000000000048", ["a hardware slowdown", "heat (hardware)"]),
        ("[N/A]", []),
    ],
)
def test_what_held_it_back(bits: str, reasons: list[str]) -> None:
    assert gpu.read(LINE.format(bits))["throttled"] == reasons


@pytest.mark.parametrize("line", ["", "No devices were found", "a, b"])
def test_another_answer_says_nothing(line: str) -> None:
    assert gpu.read(line) == {}


def test_fields_that_a_card_does_not_report() -> None:
    seen = gpu.read(LINE.replace("312.45", "[N/A]").format("0x0"))
    assert seen["power_w"] is None


def test_without_the_tool_nothing_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert gpu.describe() == {}
