"""PyTorch's operators collapsed into an engine's, counted by hand; bf16 is 2 bytes, fp32 4."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import memorywall as mw
from memorywall.core.program import Op
from memorywall.passes.collapse import fuse_traced


class RMSNorm(nn.Module):  # type: ignore[misc]
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * wide.to(x.dtype)


class Layer(nn.Module):  # type: ignore[misc]
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = RMSNorm(width)
        self.gate = nn.Linear(width, 2 * width, bias=False)
        self.up = nn.Linear(width, 2 * width, bias=False)
        self.down = nn.Linear(2 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        return x + self.down(nn.functional.silu(self.gate(y)) * self.up(y))


def running(traced: mw.Traced) -> list[Op]:
    return [op for _, op, _ in fuse_traced(traced.program)[0].walk() if op.runs]


def test_a_norm_is_one_operator() -> None:
    traced = mw.trace(lambda: RMSNorm(8), "bf16[3,8]", dtype="bf16")
    # PyTorch: to float (24 in bf16, 24 in fp32), square (24, 24), mean (24, 3), add (3, 3), rsqrt
    # (3, 3), times (24, 3, 24), to bf16 (24, 24), times the weight (8, 24, 24).
    wide, row = 4 * 24, 4 * 3
    assert traced.moved_bytes == (
        (48 + wide) + 2 * wide + (wide + row) + 2 * row + 2 * row + (2 * wide + row) + (wide + 48)
        + (16 + 48 + 48)
    )  # fmt: skip
    (norm,) = running(traced)
    # An engine reads x and the gain, and writes the result.
    assert norm.kind == "norm"
    assert norm.moved_bytes == 2 * (24 + 8 + 24)
    assert norm.flops == traced.flops


def test_a_gated_layer_as_a_family_writes_it() -> None:
    traced = mw.trace(lambda: Layer(4), "bf16[3,4]", dtype="bf16")
    moved = {op.name: op.moved_bytes for op in running(traced) if op.moved_bytes}
    x, wide, weight = 12, 24, 32
    assert list(moved.values()) == [
        2 * (x + 4 + x),  # the norm
        2 * (x + weight),  # the gate's product, which stays on chip
        2 * (x + weight + wide),  # the other one, which writes silu(gate) times itself
        2 * (wide + weight + x + x),  # down, which adds x
    ]


def test_a_sum_is_not_a_norm() -> None:
    class Pool(nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * 2).sum(1)

    (pool,) = running(mw.trace(Pool(), "bf16[3,5,4]"))
    assert (pool.kind, pool.moved_bytes) == ("elementwise", 2 * (60 + 12))


def test_casts_that_narrow_are_not_read_through() -> None:
    class Narrow(nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.to(torch.bfloat16)
            return torch.mm(y, y.t())

    traced = mw.trace(Narrow(), "float32[4,4]")
    cast, product = running(traced)
    assert (cast.moved_bytes, product.moved_bytes) == (4 * 16 + 2 * 16, 2 * 16 + 2 * 16)


def test_repeated_heads_are_read_once() -> None:
    class Repeat(nn.Module):  # type: ignore[misc]
        def forward(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
            k = k[:, :, None].expand(1, 2, 3, 5, 4).reshape(1, 6, 5, 4)
            return q @ k.transpose(2, 3)

    traced = mw.trace(Repeat(), "bf16[1,6,5,4]", "bf16[1,2,5,4]")
    # PyTorch copies the 40 numbers of k three times over.
    assert traced.moved_bytes == 2 * ((40 + 120) + (120 + 120 + 150))
    fused, excess = fuse_traced(traced.program)
    assert fused.work.moved_bytes == 2 * (120 + 40 + 150)
    assert excess["elementwise", "repeat"] == 2 * (40 + 120)
    assert excess["attention", "repeat"] == 2 * 80


def test_scores_stay_on_chip() -> None:
    class Attention(nn.Module):  # type: ignore[misc]
        def forward(self, q: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
            scores = torch.bmm(q, q.transpose(1, 2)) * 0.5 + bias
            return torch.bmm(torch.softmax(scores, -1), q)

    fused, _ = fuse_traced(mw.trace(Attention(), "bf16[2,5,4]", "bf16[5,5]").program)
    # Q K^T reads q once for both of its sides, and the bias; P V reads q and writes as much.
    moved = [op.moved_bytes for _, op, _ in fused.walk() if op.moved_bytes]
    assert moved == [2 * (40 + 25), 2 * (40 + 40)]


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5).map(lambda n: 2 * n), st.booleans())
def test_saved_bytes_are_the_reported_bytes(rows: int, width: int, narrow: bool) -> None:
    dtype = "bf16" if narrow else "fp32"

    def layers() -> Any:
        return nn.Sequential(Layer(width), nn.LayerNorm(width), Layer(width), nn.GELU())

    traced = mw.trace(layers, f"{dtype}[{rows},{width}]", dtype=dtype)
    fused, excess = fuse_traced(traced.program)
    assert traced.moved_bytes == fused.work.moved_bytes + excess.total
    assert fused.work.flops == traced.flops
    assert fused.work.moved_bytes <= traced.moved_bytes
    assert fused.parameters == traced.parameters


class Both(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(8, 1024)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.up(x)
        return y, y.relu()


def test_what_is_returned_is_written() -> None:
    """x and the weights are read; y and relu(y) are written, and y is not read again."""
    answer = mw.analyze(mw.trace(Both, "float32[64,8]"), on="h100-sxm")
    assert answer.moved_bytes == 4 * (64 * 8 + 9 * 1024 + 2 * 64 * 1024)


class Looking(nn.Module):  # type: ignore[misc]
    def forward(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        scores = (q @ k.transpose(-1, -2)).softmax(-1)
        return scores @ v, scores


def test_probabilities_that_are_returned_leave_the_chip() -> None:
    answer = mw.analyze(mw.trace(Looking, *["float32[1,2,32,4]"] * 3), on="h100-sxm")
    assert answer.moved_bytes == 4 * (4 * 2 * 32 * 4 + 2 * 32 * 32)


class OneCache(nn.Module):  # type: ignore[misc]
    """Two layers that read one cache [2, 1, H, T, D]: each a separate part, or both one."""

    def __init__(self, parts: tuple[int, int]) -> None:
        super().__init__()
        self.parts = parts
        self.register_buffer("keys", torch.zeros(2, 1, 2, 100, 8))
        self.register_buffer("values", torch.zeros(2, 1, 2, 100, 8))
        self.between = nn.Linear(8, 8, bias=False)

    def forward(self, q: torch.Tensor) -> torch.Tensor:
        for part in self.parts:
            keys, values = self.keys[part], self.values[part]
            q = nn.functional.scaled_dot_product_attention(q, keys, values)
            q = self.between(q)
        return q


@pytest.mark.parametrize("parts", [(0, 1), (1, 1)])
def test_each_attention_reads_its_cache(parts: tuple[int, int]) -> None:
    """Keys and values of 2 heads x 100 positions x 8 in fp32, by both layers."""
    question: dict[str, Any] = {"phase": "decode", "seq_len": 100, "cache": ("keys", "values")}
    traced = mw.trace(lambda: OneCache(parts), "float32[1,2,1,8]", **question)
    answer = mw.analyze(traced, on="h100-sxm")
    # Queries and what attends to them, 2 x 8 in fp32, go in and out of both kinds of operator.
    assert answer.moved_bytes == 2 * (2 * 2 * 100 * 8 * 4) + 2 * 4 * (4 * 2 * 8 + 8 * 8)


class Putting(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(1000, 64))

    def forward(self, at: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        self.rows[at] = x
        return self.rows.sum()


def test_inputs_that_are_put_into_buffers_are_moved() -> None:
    """128 rows of 64 in fp32 are read and written, and then all 1000 are read."""
    answer = mw.analyze(mw.trace(Putting, "int64[128]", "float32[128,64]"), on="h100-sxm")
    assert answer.moved_bytes == 8 * 128 + 2 * 128 * 64 * 4 + 1000 * 64 * 4 + 4
