"""Bytes of every format, derived by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorywall.core.errors import UnknownNameError
from memorywall.core.formats import FORMATS, Beside, Format, find_format
from memorywall.core.storage import MeanFormat, Storage


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
    # Never below its bits, never more than a block or a scale a row and what is stored once.
    least = rows * width * format_.bits_per_element / 8
    once = sum(beside.bits for beside in format_.beside)
    most = least + rows * (2 + format_.block_bytes) + 1 + once * (1 + width // 128)
    assert least - 1e-6 <= format_.nbytes((rows, width)) <= most


def test_names_as_torch_spells_them() -> None:
    assert find_format("torch.bfloat16").name == "bf16"
    assert find_format("Float16").name == "fp16"
    with pytest.raises(UnknownNameError, match="'int9' is not known"):
        find_format("int9")


@pytest.mark.parametrize(
    ("beside", "shape", "bits"),
    [
        (Beside(32, rows=128, columns=128), (256, 384), 32 * 2 * 3),
        (Beside(32, rows=128, columns=128), (257, 385), 32 * 3 * 4),  # parts of blocks count whole
        (Beside(32, rows=128, columns=128), (5, 256, 384), 32 * 5 * 2 * 3),  # of five experts
        (Beside(16, rows=1, columns=0), (256, 384), 16 * 256),  # a scale a row
        (Beside(32, rows=0, columns=1), (256, 384), 32 * 384),  # the order of inputs
        (Beside(32, rows=0, columns=0), (256, 384), 32),  # one of the whole
        (Beside(32, rows=0, columns=0), (5, 256, 384), 32 * 5),  # of each expert
        (Beside(8, run=64), (3, 100), 8 * 5),  # 300 elements in five runs, across rows
        (Beside(32, rows=0, columns=0), (0,), 0),  # nothing of it moves
        (Beside(32, rows=0, columns=1), (0,), 0),
        (Beside(8, run=64), (0,), 0),
    ],
)
def test_what_lies_beside_by_hand(beside: Beside, shape: tuple[int, ...], bits: int) -> None:
    assert beside.nbits(shape) == bits
    elements = int(np.prod(shape))
    assert Format("x", 8, beside=(beside,)).nbytes(shape) == elements + -(-bits // 8)
    lengths = np.array([shape[0], shape[0]], dtype=np.float64)
    assert list(np.asarray(beside.nbits((lengths, *shape[1:])))) == [bits, bits]


def test_the_mean_of_layers_that_differ() -> None:
    # Of three layers of 512 weights two take 144 B for 256 and one 210 B: 996 B, 332 B a layer.
    mean = MeanFormat("Q4_K, Q6_K", 5, stored_bytes=996, stored_elements=3 * 512)
    assert mean.nbytes((2, 256)) == 332
    assert mean.nbytes((1, 256)) == 166
    assert mean.nbytes((1, 255)) == 166  # 165.35, whole bytes
    assert mean.bits_per_element == pytest.approx(8 * 996 / 1536)


@pytest.mark.parametrize(
    ("op", "weight", "is_matrix", "is_packed"),
    [
        ("attention.q_proj", "layers.attention.q_proj.weight", True, True),
        ("attention.q_proj", "layers.attention.q_proj.bias", False, False),
        ("mlp.experts.up", "layers.mlp.experts.up.weight", True, True),
        ("mlp.experts.up", "layers.mlp.experts.up.bias", False, False),
        ("mlp.router", "layers.mlp.router.weight", True, False),
        ("words", "embeddings.words.weight", False, False),
        ("lm_head", "embeddings.words.weight", True, False),  # tied
        ("norm", "head.norm.weight", False, False),
        ("mixer.conv", "layers.mixer.conv.weight", False, False),
    ],
)
def test_what_the_operator_is_decides_the_format(
    op: str, weight: str, is_matrix: bool, is_packed: bool
) -> None:
    packed, rest = FORMATS["mxfp4"], FORMATS["bf16"]
    assert Storage("x", packed, rest).format_of(op, weight, is_matrix=is_matrix) is (
        packed if is_packed else rest
    )
    own = Storage("x", packed, rest, by_name={weight.partition(".")[2]: FORMATS["fp8"]})
    assert own.format_of(op, weight, is_matrix=is_matrix) is FORMATS["fp8"]
