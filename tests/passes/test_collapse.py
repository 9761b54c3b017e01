"""What PyTorch's operators become in an engine, counted by hand; bf16 is 2 bytes, fp32 4."""

from __future__ import annotations

from typing import Any

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


def test_a_sum_is_no_norm() -> None:
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
def test_what_is_saved_is_what_is_told(rows: int, width: int, narrow: bool) -> None:
    dtype = "bf16" if narrow else "fp32"

    def layers() -> Any:
        return nn.Sequential(Layer(width), nn.LayerNorm(width), Layer(width), nn.GELU())

    traced = mw.trace(layers, f"{dtype}[{rows},{width}]", dtype=dtype)
    fused, excess = fuse_traced(traced.program)
    assert traced.moved_bytes == fused.work.moved_bytes + excess.total
    assert fused.work.flops == traced.flops
    assert fused.work.moved_bytes <= traced.moved_bytes
    assert fused.parameters == traced.parameters
