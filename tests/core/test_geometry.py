"""The geometry of operators: FLOPs from named lengths, and copies that keep every field."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import pytest

from memorywall.core.axes import AXES, FOLLOWERS, length, named, names, resized, size, unnamed
from memorywall.core.formats import FORMATS, Beside, Format
from memorywall.core.geometry import (
    Attention,
    Collective,
    Conv,
    Counted,
    Elementwise,
    Embedding,
    Experts,
    Gemm,
    Geometry,
    Idle,
    Norm,
    Scan,
    Softmax,
    Space,
)
from memorywall.core.program import Block, Op, Program
from memorywall.core.routing import distinct
from memorywall.core.tensors import Tensor

ROWS = named(batch=2, tokens=3)
HIDDEN, HEADS = named(hidden=8), named(heads=4, head_dim=5)
BF16 = FORMATS["bf16"]


class Symbol:
    """A number that may be multiplied and added, and refuses to be compared."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __mul__(self, other: Any) -> Symbol:
        return Symbol(self.value * (other.value if isinstance(other, Symbol) else other))

    __rmul__ = __mul__

    def __add__(self, other: Any) -> Symbol:
        return Symbol(self.value + (other.value if isinstance(other, Symbol) else other))

    __radd__ = __add__

    def refuse(self, *_: object) -> bool:
        raise TypeError("a symbol is not compared")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = refuse
    __hash__ = None  # type: ignore[assignment]


def geometries(batch: Any = 2) -> list[tuple[Geometry, int]]:
    """Return one of each kind, with its FLOPs by hand."""
    rows = named(batch=batch, tokens=3)
    qk = Attention("qk", batch, 4, 2, named(head_dim=5), 3, 7, 18)
    both = replace(qk, product="both", value_dim=named(head_dim=6))
    return [
        # 2 x (2 x 3) x (4 x 5) x 8
        (Gemm(rows, HIDDEN, (HEADS,)), 1920),
        # Two parts, 4 x 5 and 6 wide, of one product: 2 x 6 x 26 x 8
        (Gemm(rows, HIDDEN, (HEADS, named(groups=2, state=3))), 2496),
        # One 5 x 7 product a head: 2 x 6 x 4 x 7 x 5
        (Gemm(rows, named(head_dim=5), (named(latent=7),), named(heads=4)), 1680),
        # 8 and 3 numbers side by side, contracted by one weight: 2 x 6 x 2 x (8 + 3)
        (Gemm(rows, HIDDEN, (named(ffn=2),), beside=(named(ffn=3),)), 264),
        # 2 of 16 experts for each of 6 rows: 2 x 12 x (2 x 9) x 8
        (Experts(rows, HIDDEN, named(gate_up=2, expert_ffn=9), 16, 2), 3456),
        # 2 x 2 x 4 x 18 x 5; P V of 6 wide values beside it: 2 x 2 x 4 x 18 x 6 more
        (qk, 1440),
        (both, 1440 + 1728),
        (Softmax((Space(6, named(batch=batch, heads=4, pairs=18)),)), 864),
        (Norm((Space(4, rows + HIDDEN),), "rmsnorm", ("hidden",)), 192),
        (Elementwise((Space(5, rows + HIDDEN),), "silu", gated=True), 240),
        # Two tables are added: one FLOP for each of 2 x 3 x 8
        (Embedding((Space(1, rows + HIDDEN),), ("vocab", "positions")), 48),
        (Conv((Space(8, rows + HIDDEN),), 4, (), "depthwise"), 384),
        # 7 for every number of state, 12 for every channel: 6 x 8 x (7 x 3 + 12)
        (Scan((Space(7, (*rows, ("ssm_heads", 8), ("state", 3))),
               Space(12, (*rows, ("ssm_heads", 8)))), "selective_scan"), 1584),
        (Counted((Space(7, ()), Space(2, rows)), "norm", "mean"), 7 + 12),
    ]  # fmt: skip


@pytest.mark.parametrize("index", range(len(geometries())))
def test_flops_by_hand_and_without_a_comparison(index: int) -> None:
    geometry, flops = geometries()[index]
    assert geometry.flops == flops
    symbolic: Any = geometries(Symbol(2))[index][0].flops
    assert getattr(symbolic, "value", symbolic) == flops


def test_what_does_no_arithmetic() -> None:
    gemm = Gemm(ROWS, HIDDEN, (HEADS,))
    idle = Idle(gemm)
    assert (idle.flops, idle.kind, idle.function) == (0, "gemm", "linear")
    sent = Collective("all_reduce", 1024, 8, "node")
    assert (sent.flops, sent.kind, sent.function) == (0, "collective", "all_reduce")


def test_a_product_as_a_library_is_asked_for_it() -> None:
    plain = Gemm(ROWS, HIDDEN, (HEADS, named(latent=6)))
    assert (plain.m, plain.n, plain.k) == (6, 26, 8)
    assert plain.contracts == ("hidden",)
    assert Gemm(ROWS, HIDDEN, (HEADS,), beside=(named(ffn=3),)).k == 11


def test_matrices_and_biases_are_reported_apart_by_their_axes() -> None:
    square = Gemm(ROWS, HIDDEN, (HIDDEN,))  # its bias has the contracted axis, too
    assert [square.is_factor(axes) for axes in (HIDDEN + HIDDEN, HIDDEN)] == [True, False]
    back = Gemm(ROWS, HEADS, (HIDDEN,))
    assert [back.is_factor(axes) for axes in (HIDDEN + HEADS, HIDDEN)] == [True, False]
    by_head = Gemm(ROWS, named(head_dim=5), (named(head_dim=5),), named(heads=4))
    bias = named(heads=4, head_dim=5)
    assert [by_head.is_factor(axes) for axes in ((*bias, *bias[1:]), bias)] == [True, False]
    mixed = Gemm(ROWS, HIDDEN, (HEADS, named(state=3)))
    joined = named(joined=23)
    assert [mixed.is_factor(axes) for axes in (joined + HIDDEN, joined)] == [True, False]
    experts = Experts(ROWS, HIDDEN, named(gate_up=2, expert_ffn=9), 16, 2)
    stacked = named(experts=16, gate_up=2, expert_ffn=9)
    assert [experts.is_factor(axes) for axes in (stacked + HIDDEN, stacked)] == [True, False]


def test_touched_experts_are_a_rule_over_rows() -> None:
    # 1 row touches 2 of 4 experts, 2 rows 4 (1 - 1/4) = 3; halves do not add up to the whole.
    one = Experts(named(batch=1), HIDDEN, HIDDEN, 4, 2)
    two = Experts(named(batch=2), HIDDEN, HIDDEN, 4, 2)
    assert (one.touched, two.touched) == (2, 3) == (distinct(4, 2, 1, "uniform"), 3)


def test_what_is_summed_normalised_and_linear() -> None:
    assert Softmax(()).over == ("keys",)
    assert Norm((), "rmsnorm", ("hidden",)).over == ("hidden",)
    assert Elementwise((), "add", (0,), ("routed",)).contracts == ("routed",)
    assert Elementwise((), "add", (0, 1)).linear_in == (0, 1)
    assert Embedding((), ("vocab",)).contracts == ("vocab",)
    qk = Attention("qk", 1, 2, 1, named(head_dim=5), 1, 7, 7)
    assert (qk.contracts, replace(qk, product="pv").contracts) == (("head_dim",), ("keys",))
    assert qk.axes == {"batch", "heads", "pairs", "head_dim"}


def test_a_copy_keeps_every_field() -> None:
    x, y = (Tensor(name, unnamed(2), BF16) for name in "xy")
    op = Op("a", Elementwise((Space(1, ()),), "add"), (x,), (y,), "bf16")
    moved, replaced = op.moving((y,), (x,)), replace(op, reads=(y,), writes=(x,))
    for field in dataclasses.fields(Op):
        assert getattr(moved, field.name) is getattr(replaced, field.name) or field.name in (
            "reads",
            "writes",
        )
    assert (moved.reads, moved.writes) == ((y,), (x,))
    part = replace(x, axes=ROWS + HEADS, row=2, column=1, role="saved", parts=(HEADS,)).part(ROWS)
    assert (part.axes, part.row, part.column) == (ROWS + HEADS, 2, 1)
    assert (part.role, part.parts, part.touched) == ("saved", (HEADS,), ROWS)


def test_axes_and_how_they_are_stored() -> None:
    assert size(ROWS + HEADS) == 2 * 3 * 4 * 5
    assert names(ROWS) == ("batch", "tokens")
    assert (length(ROWS, "tokens"), length(ROWS, "experts")) == (3, 1)
    assert resized(ROWS, tokens=1) == named(batch=2, tokens=1)
    queries = Tensor("q", ROWS + HEADS, BF16, row=2)
    assert (queries.shape, queries.rows_axes, queries.row_axes) == ((6, 20), ROWS, HEADS)
    stacked = Tensor("w", named(experts=3, gate_up=2, expert_ffn=5) + HIDDEN, BF16, column=2)
    assert (stacked.shape, stacked.width) == ((3, 10, 8), 8)
    assert Tensor("scores", ROWS, BF16, row=2).shape == (6,)


def test_groups_and_blocks_run_along_what_is_stored() -> None:
    # 20 numbers of 4 bits in groups of 16 under 8 bits: 10 B and two scales for each of 8 rows.
    grouped = Format("x", 4, group=16, scale_bits=8)
    assert Tensor("o", HIDDEN + HEADS, grouped, row=2).resident_bytes == 8 * (10 + 2)
    # Blocks of 4 x 4 under 32 bits, of each of 3 matrices of 10 by 8: 80 B and 3 x 2 scales.
    blocks = Format("y", 8, beside=(Beside(32, 4, 4),))
    axes = named(experts=3, gate_up=2, expert_ffn=5) + HIDDEN
    assert Tensor("w", axes, blocks, column=2).resident_bytes == 3 * (80 + 6 * 4)


def test_parts_side_by_side() -> None:
    # z and x of 4 heads of 5, B and C of 2 groups of 3: 40 + 12 numbers a row, of which x moves.
    parts = (HEADS, HEADS, named(groups=2, state=3), named(groups=2, state=3))
    made = Tensor("made", (*ROWS, ("joined", 52)), BF16, parts=parts)
    assert made.elements == size(ROWS) * sum(size(part) for part in parts)
    x = made.part(ROWS + HEADS)
    assert (x.moved_elements, x.moved_rows, x.shape) == (120, 6, (6, 52))


def test_saved_tensors_and_buffers_outlive_an_operator() -> None:
    # Of 3 repetitions each saves 2 x 3 x 8 numbers of 2 B; the angles' buffer is one for each.
    saved = Tensor("saved", ROWS + HIDDEN, BF16, "saved")
    angles = Tensor("angles", named(positions=4), BF16, "buffer")
    op = Op("a", Elementwise((), "add"), (angles,), (saved,), "bf16")
    program = Program((Block("layers", (op,), 3, held={"angles": 1}, layers=(0, 1, 2)),))
    assert program.resident_bytes() == {"saved": 288, "buffer": 8}


def test_followers_lead_back_to_known_axes() -> None:
    assert {*FOLLOWERS, *(follower.leader for follower in FOLLOWERS.values())} <= set(AXES)
    assert not {follower.leader for follower in FOLLOWERS.values()} & set(FOLLOWERS)
