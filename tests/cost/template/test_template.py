"""A template by hand: a product and an attention, priced, run and kept at points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import memorywall as mw
from memorywall.core.formats import FORMATS
from memorywall.core.geometry import Counted, Gemm, Space
from memorywall.core.hardware import Memory
from memorywall.core.numbers import minimum
from memorywall.core.program import Block, Op, Program
from memorywall.core.routing import distinct
from memorywall.core.symbols import variable
from memorywall.core.tensors import Tensor
from memorywall.cost.roofline import price
from memorywall.cost.template import Point, Template, template_of
from memorywall.cost.template.tables import Table
from memorywall.passes.fuse import fuse
from tests.cost.template.passes import Kind, kinds_of

BF16 = FORMATS["bf16"]
B: Any = variable("B")
S: Any = variable("S")
H100 = mw.hardware("h100-sxm")
# 4 FLOP/s and 4 byte/s.
DEVICE = mw.Hardware("toy", {"bf16": 4.0}, (Memory("HBM", 1e6, 4.0),))


def listed(number: Any) -> list[Any]:
    return list(number.tolist())


def toy(positions: Any) -> Program:
    """Return two layers: y = W x, with W [6, 4], and an attention over cached positions."""
    x = Tensor("x", (("batch", B), ("hidden", 4)), BF16)
    y = Tensor("y", (("batch", B), ("ffn", 6)), BF16)
    z = Tensor("z", (("batch", B), ("ffn", 6)), BF16)
    weight = Tensor("w", (("ffn", 6), ("hidden", 4)), BF16, "weight")
    cache = Tensor("k", (("batch", B), ("keys", positions), ("head_dim", 2)), BF16, "kv_cache")
    product = Gemm((("batch", B),), (("hidden", 4),), ((("ffn", 6),),))
    pairs = (Space(8, (("batch", B), ("keys", positions))),)
    ops = (
        Op("product", product, (x, weight), (y,), "bf16"),
        Op("attention", Counted(pairs, "attention"), (y, cache), (z,), "bf16"),
    )
    return Program((Block("layers", ops, 2),))


def test_a_point_by_hand() -> None:
    # B 3, S 5. Product: 2 x 4 x 6 B = 144 FLOP; 2 (4 B + 24 + 6 B) = 108 bytes. Attention: 8 B S =
    # 120 FLOP; 2 (2 B S + 12 B) = 132 bytes. Twice each, at 4 a second: the product takes 72 s of
    # arithmetic and 54 s of traffic, the attention 60 s and 66 s.
    cost = Template(toy(S)).price(Point(3, 5), DEVICE)
    assert (cost.flops, cost.moved_bytes) == (528, 480)
    assert (cost.compute_s, cost.memory_s) == (132.0, 120.0)
    assert (cost.latency_s, cost.overlapped_s, cost.waiting_s) == (138.0, 132.0, 66.0)


def test_the_listing_by_hand() -> None:
    product, attention = Template(toy(S)).price_ops(Point(3, 5), DEVICE)
    assert (product.name, product.kind, product.count) == ("layers.product", "gemm", 2)
    assert product.traffic == {"activation": 120, "weight": 96}  # 2 x 2 (12 + 18), 2 x 2 x 24
    assert product.waits == {"activation": 0.0, "weight": 0.0}
    assert attention.traffic == {"activation": 144, "kv_cache": 120}  # 2 x 2 x 36, 2 x 2 x 30
    assert attention.waits == {"activation": 36.0, "kv_cache": 30.0}  # over 4 byte/s


def test_the_footprint_by_hand() -> None:
    # W of two layers: 2 x 48 bytes; their caches: 2 x 2 x 2 B S = 120. At the attention x, which
    # every repetition reads, y and z are alive: 2 (4 B + 6 B + 6 B) = 96.
    footprint = Template(toy(S)).footprint(Point(3, 5), DEVICE)
    assert (footprint.weights, footprint.kv_cache, footprint.activations) == (96, 120, 96)
    assert (footprint.state, footprint.capacity) == (0, 1e6)


def test_a_run_of_steps_by_hand() -> None:
    # B 3, S 4 to 8. A step's attention takes 12 S seconds of arithmetic and 6 S + 36 of traffic,
    # the same at S 6, where memory binds: 60 + 66 + 72 s wait, 84 + 96 s compute. The product
    # computes for 72 s a step. All steps: S adds up to 30.
    template = Template(toy(S))
    cost = template.price_run(Point(3, 4), 5, DEVICE)
    assert (cost.flops, cost.moved_bytes) == (5 * 288 + 2 * 24 * 30, 5 * 216 + 2 * (12 * 30 + 360))
    assert (cost.waiting_s, cost.latency_s) == (198.0, 5 * 72.0 + 198.0 + 180.0)
    # Of a step as a whole 72 + 12 S is more than 90 + 6 S at any S above 3.
    assert (cost.compute_s, cost.overlapped_s) == (720.0, 720.0)
    product, attention = template.price_run_ops(Point(3, 4), 5, DEVICE)
    assert (product.count, product.latency_s) == (10, 360.0)
    assert (attention.latency_s, attention.cost.waiting_s) == (378.0, 198.0)
    # While it waits S adds up to 15: 2 x 12 x 15 bytes of cache at 4 byte/s, and 2 x 72 x 3 else.
    assert attention.waits == {"kv_cache": 90.0, "activation": 108.0}


def test_a_run_past_a_window_by_hand() -> None:
    # Positions 4, 5, 6, 6, 6 add up to 27; the attention waits at each, for 6 of them a tie.
    cost = Template(toy(minimum(S, 6))).price_run(Point(3, 4), 5, DEVICE)
    assert cost.flops == 5 * 288 + 2 * 24 * 27
    assert cost.waiting_s == 6 * 27 + 5 * 36


def test_many_points_are_each_as_by_hand() -> None:
    # B 1, S 5: a third of all but the weights' 96 bytes, which take 24 s: the product waits for
    # 24 + 10 s, its arithmetic takes 24 s, and the attention waits for 22 s.
    template, point = Template(toy(S)), Point(np.array([3.0, 1.0]), 5)
    cost = template.price_many(point, DEVICE)
    assert listed(cost.latency_s) == pytest.approx([138.0, 56.0])
    assert listed(cost.waiting_s) == pytest.approx([66.0, 56.0])
    assert listed(cost.flops) == [528, 176]
    assert listed(template.footprint_many(point, DEVICE).activations) == [96, 32]
    twice = DEVICE.replace(bandwidth=np.array([[4.0], [8.0]]))
    slow, fast = listed(template.price_many(point, twice).latency_s)
    assert slow == pytest.approx([138.0, 56.0])
    assert fast == pytest.approx([132.0, 24.0 + 20.0])  # at B 1 attention computes for 20 s


def test_numbers_of_a_lazy_cost_add_and_map() -> None:
    cost = Template(toy(S)).price_many(Point(np.array([3.0, 1.0]), 5), DEVICE)
    assert listed((cost + cost).latency_s) == pytest.approx([276.0, 112.0])
    assert listed(cost.map(lambda number: 2 * number).waiting_s) == pytest.approx([132.0, 112.0])


def test_a_program_of_integers_is_a_template_too() -> None:
    program = kinds_of("gpt2")[0].lower(Point(2, 7))
    assert Template(program).price(Point(9, 9), H100) == price(program, H100)


LLAMA = kinds_of("llama-3.1-8b")[0]


def test_one_template_serves_all_lengths() -> None:
    assert LLAMA.template(Point(1, 1)) is LLAMA.template(Point(64, 4096, 9, 2))


@pytest.mark.parametrize(
    "other",
    [
        replace(LLAMA, step=True),
        replace(LLAMA, fused=False),
        replace(LLAMA, formats=("int4", "bf16", "bf16")),
        replace(LLAMA, words={"logits": "all"}),
        replace(LLAMA, model=mw.model("gpt2")),
    ],
)
def test_changes_of_the_program_have_separate_templates(other: Kind) -> None:
    assert other.template(Point(1, 1)) is not LLAMA.template(Point(1, 1))


def test_a_pass_without_images_has_a_separate_template() -> None:
    seeing = kinds_of("google/gemma-3-27b-it")[0]
    with_one, without = (seeing.template(Point(1, 300, 1, images)) for images in (1, 0))
    assert with_one is not without
    program = seeing.lower(Point(2, 300, 1, 0))
    assert without.price(Point(2, 300, 1, 0), H100) == price(program, H100)


def test_a_formula_that_branches_on_a_length_is_refused() -> None:
    def branching(program: Program) -> Program:
        return program if program.blocks[0].ops[0].writes[0].elements > 9 else fuse(program)

    with pytest.raises(TypeError, match="is not a number yet"):
        template_of(LLAMA.model, LLAMA.forward(Point(1, 1)), branching)


@pytest.mark.parametrize("routing", ["uniform", "skewed"])
def test_a_table_of_experts_is_the_function(routing: str) -> None:
    def expected(tokens: Any) -> Any:
        return distinct(60, 4, tokens, routing)

    table, tokens = Table(expected), np.arange(20_000, dtype=np.float64)
    assert np.array_equal(table(tokens), expected(tokens))  # as it grows, to where it is 60
    assert np.array_equal(table(tokens[:40]), expected(tokens[:40]))
    assert table(7) == expected(7)


def test_a_function_that_never_settles_is_called() -> None:
    table, numbers = Table(lambda tokens: 3 * tokens), np.arange(9.0)
    assert np.array_equal(table(numbers), 3 * numbers)
