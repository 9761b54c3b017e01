"""Axes of every model of the catalogue: they fit each other, and they are what is split.

The splitter below is a test's own: of a list of axes the first that an array or an operator has is
cut, with those that follow it. That the weights, caches and FLOPs of one rank come out as by hand
shows that the axes are named right; nothing reads the name of a tensor or of an operator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

import memorywall as mw
from memorywall.catalog.configs import entries
from memorywall.core.axes import AXES, FOLLOWERS, JOINED, Axes, names, size
from memorywall.core.formats import FORMATS
from memorywall.core.forward import Forward
from memorywall.core.geometry import Attention, Experts, Gemm, Space
from memorywall.core.program import Block, Op, Program
from memorywall.core.tensors import Tensor

pytestmark = pytest.mark.sampled(every=4)  # the other models are in the slow tier

BF16 = FORMATS["bf16"]
TENSOR = ("vocab", "ffn", "expert_ffn", "heads", "ssm_heads")
SEQUENCE = (*TENSOR, "tokens")
EXPERT = ("experts",)
DECODE: dict[str, Any] = {"batch": 32, "tokens": 1, "past": 4095, "mla": "absorbed", "step": True}
CONFIGS = {entry.id: entry.config for entry in entries()}


@cache
def program(name: str, **words: Any) -> Program:
    """Return one pass of a model: as long as its images need, or 37 tokens."""
    model = mw.model(CONFIGS[name])
    forward = Forward(2, 37, 0, BF16, BF16, BF16, source=23)
    images = model.traits.images
    if images is not None:
        forward.image_size = images.size
        forward.tokens = images.tokens(*images.size) + (37 if images.with_text else 0)
    return model.lower(replace(forward, **words))


def named(name: str, **words: Any) -> Program:
    """Return one pass of a model of the catalogue by any of its names."""
    return mw.model(name).lower(Forward(**{**DECODE, **words}, weights=BF16, activations=BF16,
                                        kv_cache=BF16))  # fmt: skip


def tensors(program: Program) -> Iterator[Tensor]:
    for _, op, _ in program.walk():
        yield from op.reads + op.writes


@pytest.mark.parametrize("name", CONFIGS)
def test_axes_are_of_the_table_and_fill_what_is_stored(name: str) -> None:
    for tensor in tensors(program(name)):
        assert {*names(tensor.axes), *names(tensor.touched or ())} <= set(AXES), tensor.name
        stored: Any = 1
        for length in tensor.shape:
            stored = stored * length
        assert stored == tensor.elements == size(tensor.axes), tensor.name
        if JOINED in names(tensor.axes):
            every = dict(tensor.axes)[JOINED]
            assert every == sum(size(part) for part in tensor.parts), tensor.name
    for path, op, _ in program(name).walk():
        geometry = op.geometry
        assert geometry.axes <= set(AXES), path
        assert {*geometry.contracts, *geometry.over} <= set(AXES), path
        assert op.flops == sum(s.coefficient * size(s.axes) for s in geometry.spaces), path


@pytest.mark.parametrize("name", CONFIGS)
def test_products_fit_the_arrays_that_they_read_and_write(name: str) -> None:
    found = 0
    for path, op, _ in program(name).walk():
        g = op.geometry
        written = sum(tensor.moved_elements for tensor in op.writes)
        factors = [t.elements for t in op.reads if t.role == "weight"]
        if isinstance(g, Gemm):
            # The output is rows x groups x n, and a matrix has groups x n x k elements.
            assert written == g.m * size(g.groups) * g.n, path
            assert not factors or size(g.groups) * g.n * g.k in factors, path
            read = op.reads[0].moved_elements + sum(size((*g.rows, *b)) for b in g.beside)
            assert read == g.m * size(g.groups) * g.k, path
        elif isinstance(g, Experts):
            rows = size(g.rows) * g.chosen
            assert written == rows * size(g.out), path
            assert op.reads[0].moved_elements == rows * size(g.inner), path
            assert g.experts * size(g.out) * size(g.inner) in factors, path
        elif isinstance(g, Attention) and g.product == "qk":
            assert written == g.batch * g.heads * g.pairs, path
        elif isinstance(g, Attention) and g.product == "pv":
            assert op.reads[0].moved_elements == g.batch * g.heads * g.pairs, path
            assert written == g.batch * g.heads * g.queries * size(g.head_dim), path
        else:
            continue
        found += 1
    assert found


@pytest.mark.parametrize("name", CONFIGS)
def test_layers_keep_their_order(name: str) -> None:
    """Every block that repeats says which layers it is; no layer is missing in between."""
    found: dict[str, list[int]] = {}
    for block in program(name).blocks:
        assert len(block.layers) == block.repeat or (not block.layers and block.repeat == 1)
        assert list(block.layers) == sorted(block.layers)
        # Halves and towers count separately, by their prefix; the stages of a map continue.
        stack = re.sub(r"stage\d+", "", block.name.rpartition(".")[0])
        found.setdefault(stack, []).extend(block.layers)
    assert any(found.values())
    for places in found.values():
        assert sorted(set(places)) == list(range(len(set(places))))


def test_kinds_of_layers_that_alternate() -> None:
    program = named("openai/gpt-oss-120b")
    places = {block.name: block.layers for block in program.blocks if block.layers}
    assert places == {
        "sliding_layers": tuple(range(0, 36, 2)),
        "layers": tuple(range(1, 36, 2)),
    }


def first_of(layout: Sequence[str], axes: set[str]) -> str:
    """Return the first axis of a layout that is among some, or that one of these follows."""
    led = {FOLLOWERS[name].leader for name in axes if name in FOLLOWERS}
    return next((axis for axis in layout if axis in axes | led), "")


def cut(axes: Axes, axis: str, ranks: int, parts: tuple[Axes, ...] = ()) -> Axes:
    """Return the axes of one rank, rounded up: a follower keeps at least one."""
    local = []
    for name, length in axes:
        follower = FOLLOWERS.get(name)
        if name == JOINED:
            local.append((name, sum(size(cut(part, axis, ranks)) for part in parts)))
        elif axis and (name == axis or (follower is not None and follower.leader == axis)):
            local.append((name, -(-length // ranks)))
        else:
            local.append((name, length))
    return tuple(local)


def local(tensor: Tensor, layout: Sequence[str], ranks: int) -> Tensor:
    """Return the part of an array that one rank holds."""
    every = {*names(tensor.axes), *(name for part in tensor.parts for name in names(part))}
    axes = cut(tensor.axes, first_of(layout, every), ranks, tensor.parts)
    return replace(tensor, axes=axes, _resident=None)


def held(
    program: Program, layout: Sequence[str], ranks: int, role: str = "weight"
) -> list[tuple[Tensor, int]]:
    """Return what one rank holds of a role, with the number of copies."""
    return [
        (local(tensor, layout, ranks), copies)
        for tensor, copies in program.kept().values()
        if tensor.role == role
    ]


def weights(program: Program, layout: Sequence[str], ranks: int) -> int:
    return int(sum(tensor.elements * copies for tensor, copies in held(program, layout, ranks)))


def cache_bytes(program: Program, layout: Sequence[str], ranks: int) -> int:
    return int(
        sum(t.resident_bytes * copies for t, copies in held(program, layout, ranks, "kv_cache"))
    )


def flops(op: Op, layout: Sequence[str], ranks: int) -> Any:
    """Return the FLOPs of one rank: the same coefficients with local lengths."""
    axis = first_of(layout, set(op.geometry.axes))
    spaces = [Space(s.coefficient, cut(s.axes, axis, ranks)) for s in op.geometry.spaces]
    return sum(space.flops for space in spaces)


def gemms(program: Program, layout: Sequence[str], ranks: int) -> int:
    return sum(
        flops(op, layout, ranks) * repeat for _, op, repeat in program.walk() if op.kind == "gemm"
    )


LLAMA, MIXTRAL, DEEPSEEK, GPT_OSS = (
    "meta-llama/Llama-3.1-70B",
    "mistralai/Mixtral-8x7B-v0.1",
    "deepseek-ai/DeepSeek-V3",
    "openai/gpt-oss-120b",
)


@pytest.mark.parametrize(
    ("name", "layout", "ranks", "expected"),
    [
        # D 8192, F 28672, V 128256, 80 layers, K H = 1024: of a layer q and o D^2 / 8 each, k and
        # v 128 D each, three products of D F / 8, two norms; two tables of V D / 8, one norm.
        (LLAMA, TENSOR, 8, 8_820_367_360),
        # At 16 the 8 heads of keys and values lie on two ranks each: k and v 128 D each as at 8.
        (LLAMA, TENSOR, 16, 4_494_729_216),
        # 32 (attention 41,943,040 + one expert 3 x 4096 x 14336 + router 8 x 4096 + norms 2 x
        # 4096) + 2 x 32000 x 4096 + 4096.
        (MIXTRAL, EXPERT, 8, 7_242_780_672),
        # 1/8 of every expert, of attention, of both tables; router and norms whole.
        (MIXTRAL, TENSOR, 8, 5_838_999_552),
        # kv_a, q_a, norms and routers whole, all else by 8.
        (DEEPSEEK, TENSOR, 8, 84_780_342_272),
        # 32 of 256 experts; all else whole.
        (DEEPSEEK, EXPERT, 8, 98_856_229_888),
        # 2880 / 8 = 360 of each expert's width; biases of o and of the experts' down products on
        # every rank.
        (GPT_OSS, TENSOR, 8, 14_627_147_616),
    ],
)
def test_weights_of_a_rank(name: str, layout: Sequence[str], ranks: int, expected: int) -> None:
    assert weights(named(name), layout, ranks) == expected


@pytest.mark.parametrize(
    ("name", "ranks", "expected"),
    [
        # 32 x 4096 positions, one head of 128 of keys and of values, 2 B, 80 layers: both at 8 and
        # at 16, where every head lies on two ranks.
        (LLAMA, 8, 32 * 4096 * 128 * 2 * 2 * 80),
        (LLAMA, 16, 5_368_709_120),
        # Latents belong to no head: 32 x 4096 x 576 x 2 B x 61 layers on every rank.
        (DEEPSEEK, 8, 9_210_691_584),
        # 18 layers of 4096 positions and 18 of 128, one head of 64: 32 x 76032 x 64 x 2 x 2.
        (GPT_OSS, 8, 622_854_144),
    ],
)
def test_caches_of_a_rank(name: str, ranks: int, expected: int) -> None:
    assert cache_bytes(named(name), TENSOR, ranks) == expected


def test_caches_by_sequence() -> None:
    # Data parallel attention over 8 ranks: 4 of 32 sequences each.
    assert cache_bytes(named(DEEPSEEK), ("batch",), 8) == 1_151_336_448


def test_products_of_a_rank() -> None:
    whole, part = (gemms(named(LLAMA), TENSOR, ranks) for ranks in (1, 16))
    # 16 ranks do k's and v's products once more: 2 x 8192 x 1024 x 2 x 32 x 80 FLOPs.
    assert part == 283_375_566_848
    assert 16 * part - whole == 2 * 8192 * 1024 * 2 * 32 * 80 == 85_899_345_920
    # kv_a, q_a and the router run whole on 8 ranks.
    whole, part = (gemms(named(DEEPSEEK), TENSOR, ranks) for ranks in (1, 8))
    assert 8 * part - whole == 461_394_411_520


def test_groups_that_heads_of_a_scan_share() -> None:
    """Bamba's mixer over 4 rows: B and C, one group of 128, are made on every rank."""
    layer = next(
        block
        for block in named("ibm-ai-platform/Bamba-9B-v1", batch=4).blocks
        for op in block.ops
        if op.kind == "scan"
    )
    products = [
        op for op in layer.ops if isinstance(op.geometry, Gemm) and "ssm_heads" in op.geometry.axes
    ]
    more = sum(8 * flops(op, TENSOR, 8) - flops(op, TENSOR, 1) for op in products)
    assert more == 7 * 2 * 128 * 4096 * 4 * 2 == 58_720_256


def test_stages_of_a_pipeline() -> None:
    """Four stages of 20 layers by eight ranks: the first has the words, the last norm and head."""
    program = named(LLAMA)
    embeddings, layers, head = program.blocks
    assert layers.layers == tuple(range(80))
    each = weights(Program((replace(layers, repeat=20, layers=layers.layers[:20]),)), TENSOR, 8)
    first, last = (weights(Program((block,)), TENSOR, 8) for block in (embeddings, head))
    assert (each + first, each, each + last) == (2_270_756_864, 2_139_422_720, 2_270_765_056)


def saved(name: str, axes: Axes, *, nbytes: int = 2) -> Tensor:
    return Tensor(name, axes, FORMATS["bf16" if nbytes == 2 else "int8"], "saved")


def test_what_a_layer_saves_for_its_backward_pass() -> None:
    """Korthikanti et al., "Reducing Activation Recomputation", table 2: a layer of GPT-3 175B.

    s = 2048 positions, b = 1, h = 12288, a = 96 heads, t = 8 ranks: s b h (10 + 24 / t) + 5 a s^2
    b / t bytes; 34 s b h / t + 5 a s^2 b / t where what is not split by heads is split by tokens.
    """
    config = {
        "model_type": "gpt2", "vocab_size": 50257, "n_positions": 2048, "n_embd": 12288,
        "n_layer": 96, "n_head": 96, "activation_function": "gelu_new",
    }  # fmt: skip
    whole = Forward(1, 2048, 0, BF16, BF16, BF16, full=True)
    layer = mw.model(config).lower(whole).blocks[1]
    by_name = {op.name: op for op in layer.ops}
    kept = [
        saved(tensor.name, tensor.touched or tensor.axes)
        for name in (
            "attention_norm", "attention.q_proj", "attention.scores", "attention.context",
            "attention.o_proj", "mlp_norm", "mlp.up_proj", "mlp.activation", "mlp.down_proj",
        )
        for tensor in by_name[name].reads
        if tensor.role != "weight"
    ]  # fmt: skip
    hidden = by_name["attention_add"].writes[0].axes
    kept += [saved(name, hidden, nbytes=1) for name in ("attention_mask", "mlp_mask")]
    scores = by_name["attention.softmax"].writes[0].axes
    kept += [saved("scores_dropped", scores), saved("scores_mask", scores, nbytes=1)]
    unique = tuple({tensor.name: tensor for tensor in kept}.values())
    block = Block("layer", (Op("saves", by_name["mlp_add"].geometry, (), unique, "bf16"),))
    sbh, scored = 2048 * 12288, 96 * 2048**2
    assert Program((block,)).resident_bytes() == {"saved": 34 * sbh + 5 * scored}
    found = [
        sum(t.resident_bytes for t, _ in held(Program((block,)), layout, 8, "saved"))
        for layout in (TENSOR, SEQUENCE)
    ]
    assert found == [sbh * 13 + 5 * scored // 8, 34 * sbh // 8 + 5 * scored // 8]
    assert found == [578_813_952, 358_612_992]
