"""Bytes of every format, derived by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorywall.core.errors import UnknownNameError
from memorywall.core.formats import FORMATS, find_format


@pytest.mark.parametrize(
    ("name", "shape", "nbytes"),
    [
        ("fp32", (3, 5), 60),
        ("bf16", (3, 5), 30),
        ("int8", (3, 5), 15),
        ("int4", (2, 128), 2 * (64 + 2)),  # 128 x 4 bits and one 16-bit scale a row
        ("int4", (2, 129), 2 * 64 + 1 + 2 * 2 * 2),  # 258 x 4 bits and two scales a row
        ("mxfp4", (2, 64), 2 * (32 + 2)),  # two 8-bit scales a row of 64
        ("nvfp4", (1, 64), 32 + 4),  # four
        ("mxfp8", (1, 64), 64 + 2),
        ("int4", (1, 1), 3),  # 4 + 16 bits, rounded up
    ],
)
def test_by_hand(name: str, shape: tuple[int, ...], nbytes: int) -> None:
    assert FORMATS[name].nbytes(shape) == nbytes


@given(st.sampled_from(sorted(FORMATS)), st.integers(0, 5000), st.integers(1, 5000))
def test_arrays_as_scalars(name: str, rows: int, width: int) -> None:
    format_ = FORMATS[name]
    array = np.asarray(format_.nbytes((np.array([rows, 7.0]), width)))
    assert array[0] == format_.nbytes((rows, width))
    assert array[1] == format_.nbytes((7, width))
    # Never below its bits, never more than a scale a row and a byte above.
    least = rows * width * format_.bits_per_element / 8
    assert least - 1e-6 <= format_.nbytes((rows, width)) <= least + rows * 2 + 1


def test_names_as_torch_spells_them() -> None:
    assert find_format("torch.bfloat16").name == "bf16"
    assert find_format("Float16").name == "fp16"
    with pytest.raises(UnknownNameError, match="'int3' is not known"):
        find_format("int3")
