"""Layouts as asked, and settled."""

from __future__ import annotations

from typing import Any

import pytest

from memorywall.core.errors import InvalidInputError, MemoryWallError, UnsupportedError
from memorywall.core.layout import AskedLayout, Layout


@pytest.mark.parametrize(
    ("asked", "settled"),
    [
        ({}, Layout()),
        ({"devices": 8}, Layout(tensor=8)),
        ({"devices": 8, "tensor": 2}, Layout(tensor=2, attention_data=4)),
        ({"devices": 8, "attention_data": 4}, Layout(tensor=2, attention_data=4)),
        ({"tensor": 2, "attention_data": 4, "expert": 8}, Layout(2, 1, 8, 4)),
        ({"devices": "8", "pipeline": 1}, Layout(tensor=8)),
    ],
)
def test_a_missing_degree_is_derived(asked: dict[str, Any], settled: Layout) -> None:
    assert AskedLayout(**asked).settled() == settled


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"devices": 8, "tensor": 3}, "devices must be tensor x attention_data, got 8 beside"),
        ({"devices": 8, "tensor": 2, "attention_data": 2}, "8 beside tensor 2 x attention_data 2"),
        ({"tensor": 4, "expert": 3}, "expert must divide the 4 devices, got 3"),
        ({"pipeline": 2}, "pipeline over 1 is not divided yet, got 2"),
    ],
)  # fmt: skip
def test_degrees_that_do_not_fit_each_other(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(MemoryWallError, match=said):
        AskedLayout(**asked).settled()


def test_pipelines_are_not_supported() -> None:
    with pytest.raises(UnsupportedError):
        AskedLayout(pipeline=4).settled()


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "two"])
def test_degrees_are_whole_numbers(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="tensor"):
        AskedLayout(tensor=value)


def test_words_and_products() -> None:
    layout = Layout(2, 1, 4, 4)
    assert (layout.devices, layout.stage, layout.expert_tensor) == (8, 8, 2)
    assert layout.words == "tensor 2, expert 4, attention_data 4"
    assert Layout().words == ""
