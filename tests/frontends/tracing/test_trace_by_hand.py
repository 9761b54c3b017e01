"""Small modules whose every operator is counted by hand. fp32 is 4 bytes, int64 8, bf16 2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import memorywall as mw
from memorywall.core.geometry import Attention
from memorywall.core.program import Op


class Runs(nn.Module):  # type: ignore[misc]
    """A module made of a function, and of parts that the function may use."""

    def __init__(self, forward: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.run = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *inputs: Any) -> Any:
        return self.run(self, *inputs)


def trace(forward: Callable[..., Any], *inputs: Any, **parts: nn.Module) -> mw.Traced:
    return mw.trace(Runs(forward, **parts), *inputs)


def ops(traced: mw.Traced) -> list[Op]:
    return [op for _, op, _ in traced.program.walk() if op.runs]


def only(traced: mw.Traced) -> Op:
    (op,) = ops(traced)
    return op


def test_linear_with_its_bias() -> None:
    traced = mw.trace(nn.Linear(4, 3), "float32[2,4]")
    op = only(traced)
    # 2 rows x 4 x 3 multiply-adds; reads 2x4 inputs, 3x4 weights and 3 biases, writes 2x3.
    assert (op.kind, op.flops) == ("gemm", 2 * 2 * 4 * 3)
    assert op.traffic == {"activation": 4 * (8 + 6), "weight": 4 * (12 + 3)}
    assert traced.parameters == 15
    assert traced.coverage.of_operators == traced.coverage.of_bytes == 1.0


def test_views_cost_nothing() -> None:
    def look(_: Any, x: torch.Tensor) -> torch.Tensor:
        return x.t().reshape(4, 6)[:, 1:4].unsqueeze(1).expand(4, 5, 3).transpose(0, 2)

    traced = trace(look, "float32[12,2]")
    # Of all that only reshape copies: rows of 6 are none of [12,2] transposed. 24 read, 24 written.
    assert [op.function for op in ops(traced)] == ["copy"]
    assert (traced.flops, traced.moved_bytes) == (0, 4 * (24 + 24))


def test_writing_in_place_writes_once() -> None:
    traced = trace(lambda _, x, y: x.add_(y).relu_(), "float32[10]", "float32[10]")
    # add_ reads x and y and writes x; relu_ reads and writes x: 5 times 10 elements, 20 FLOPs.
    assert (traced.flops, traced.moved_bytes) == (20, 4 * 50)


def test_copying_into_a_slice_moves_the_slice() -> None:
    def put(_: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        x[2:5].copy_(y)
        return x

    # Three rows of 4 are read from y and written to x; the other seven rows are not touched.
    assert trace(put, "float32[10,4]", "float32[3,4]").moved_bytes == 4 * (12 + 12)


def test_expanded_operands_are_read_once() -> None:
    traced = trace(lambda _, x, y: x + y, "float32[8,16]", "float32[1,16]")
    assert traced.moved_bytes == 4 * (128 + 16 + 128)
    # x x reads x once.
    assert trace(lambda _, x: x * x, "float32[8]").moved_bytes == 4 * (8 + 8)


def test_an_embedding_reads_the_rows_it_looks_up() -> None:
    table = nn.Embedding(1000, 8)
    op = only(mw.trace(table, "int64[2,3]"))
    # 6 rows of 8, their 6 indices, and what is written.
    assert (op.kind, op.flops) == ("embedding", 0)
    assert op.traffic == {"weight": 4 * 48, "activation": 8 * 6 + 4 * 48}
    assert op.reads[0].resident_bytes == 4 * 8000
    # At most all of them.
    assert only(mw.trace(nn.Embedding(4, 8), "int64[2,3]")).traffic["weight"] == 4 * 32


def test_indices_that_are_alike_name_one_row() -> None:
    def look(self: Any, x: torch.Tensor) -> torch.Tensor:
        return self.table(torch.zeros(x.shape, dtype=torch.int64))

    traced = trace(look, "float32[2,3]", table=nn.Embedding(5, 8))
    assert traced.traffic["weight"] == 4 * 8


def test_expanded_indices_name_the_same_rows() -> None:
    def look(self: Any, x: torch.Tensor) -> torch.Tensor:
        return self.table(torch.arange(3).expand(x.shape[0], 3))

    assert trace(look, "float32[7]", table=nn.Embedding(99, 8)).traffic["weight"] == 4 * 3 * 8


@pytest.mark.parametrize(("causal", "pairs"), [("half", 10), ("full", 16)])
def test_attention_stays_whole(causal: str, pairs: int) -> None:
    def attend(_: Any, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return functional.scaled_dot_product_attention(q, k, k, is_causal=True)

    traced = mw.trace(Runs(attend), "float32[1,2,4,8]", "float32[1,2,4,8]", causal=causal)
    products, softmax = ops(traced)
    # 4 queries of 2 heads meet 1 + 2 + 3 + 4 keys, or 4 x 4; 2 x 8 FLOPs for a score and 2 x 8 for
    # its value. 6 FLOPs of softmax for every pair. q, k and the output are moved, no score is.
    assert (products.kind, products.flops) == ("attention", 2 * pairs * (16 + 16))
    assert (softmax.kind, softmax.flops, softmax.moved_bytes) == ("softmax", 6 * 2 * pairs, 0)
    assert products.moved_bytes == 4 * 3 * 64
    assert isinstance(products.geometry, Attention)
    assert (products.geometry.queries, products.geometry.pairs) == (4, pairs)


def test_shared_heads_are_read_once() -> None:
    def attend(_: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)

    shapes = ("bfloat16[2,8,3,16]", "bfloat16[2,2,5,16]", "bfloat16[2,2,5,4]")
    products, _ = ops(mw.trace(Runs(attend), *shapes))
    # 2 x 8 heads x 3 x 5 pairs; 16 wide keys, 4 wide values.
    assert products.flops == 2 * 16 * 15 * (16 + 4)
    q, k, v, out = 2 * 8 * 3 * 16, 2 * 2 * 5 * 16, 2 * 2 * 5 * 4, 2 * 8 * 3 * 4
    assert products.moved_bytes == 2 * (q + k + v + out)


@pytest.mark.parametrize(
    "kernel",
    [
        "_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
    ],
)  # fmt: skip
def test_every_attention_kernel_has_a_formula(kernel: str) -> None:
    def attend(_: Any, q: torch.Tensor) -> Any:
        op = getattr(torch.ops.aten, kernel)
        if "efficient" in kernel:
            return op(q, q, q, None, compute_log_sumexp=False, is_causal=True)
        if "cudnn" in kernel:
            return op(q, q, q, None, compute_log_sumexp=False, is_causal=True)
        return op(q, q, q, is_causal=True)

    traced = trace(attend, "bfloat16[1,2,4,8]")
    assert traced.coverage.unknown == ()
    # As above: 2 heads x 10 pairs x 2 x (8 + 8).
    assert sum(op.flops for op in ops(traced) if op.kind == "attention") == 2 * 10 * 32


def test_products_of_activations_are_attention_and_of_weights_are_not() -> None:
    def multiply(self: Any, x: torch.Tensor) -> Any:
        return torch.bmm(x, x.transpose(1, 2)), torch.bmm(x, self.linear.weight.expand(3, 4, 4))

    traced = trace(multiply, "float32[3,5,4]", linear=nn.Linear(4, 4, bias=False))
    # 3 x 5 x 5 x 4 and 3 x 5 x 4 x 4 multiply-adds.
    assert {op.kind: op.flops for op in ops(traced) if op.flops} == {
        "attention": 2 * 300, "gemm": 2 * 240,
    }  # fmt: skip


def test_convolutions() -> None:
    plain = only(mw.trace(nn.Conv2d(3, 8, 3, padding=1, bias=False), "float32[1,3,8,8]"))
    # 8 x 8 x 8 outputs, 3 x 3 x 3 weights each.
    assert (plain.kind, plain.flops) == ("conv", 2 * 512 * 27)
    grouped = only(mw.trace(nn.Conv1d(8, 8, 5, groups=8, bias=False), "float32[2,8,9]"))
    # 2 x 8 x 5 outputs, 1 x 5 weights each.
    assert grouped.flops == 2 * 80 * 5
    back = only(mw.trace(nn.ConvTranspose2d(4, 6, 2, stride=2, bias=False), "float32[1,4,3,3]"))
    # 4 x 3 x 3 inputs, 6 x 2 x 2 weights each.
    assert back.flops == 2 * 36 * 24


def test_norms_and_activations() -> None:
    assert mw.trace(nn.LayerNorm(6), "float32[5,6]").flops == 7 * 30
    assert mw.trace(nn.LayerNorm(6, elementwise_affine=False), "float32[5,6]").flops == 5 * 30
    assert mw.trace(nn.GELU(), "float32[5,6]").flops == 9 * 30
    assert mw.trace(nn.SiLU(), "float32[5,6]").flops == 4 * 30
    assert mw.trace(nn.Softmax(-1), "float32[5,6]").flops == 5 * 30
    # As in eval(): a gain and an offset, into which mean and variance are folded.
    assert mw.trace(nn.BatchNorm1d(6), "float32[5,6]").flops == 2 * 30


def test_grouped_products_read_the_experts_that_are_chosen() -> None:
    class Experts(nn.Module):  # type: ignore[misc]
        def __init__(self, experts: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(experts, 4, 6, dtype=torch.bfloat16))

        def forward(self, x: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            _, chosen = torch.topk(scores, 2)
            rows = x[chosen.flatten() // 2]
            ends = torch.ones(len(self.weight), dtype=torch.int32)
            return functional.grouped_mm(rows, self.weight, offs=ends)

    def product(tokens: int, experts: int) -> Op:
        traced = mw.trace(Experts(experts), f"bf16[{tokens},4]", f"float32[{tokens},{experts}]")
        return next(op for op in ops(traced) if op.kind == "gemm")

    # One token chooses 2 of 8: 2 rows x 4 x 6 multiply-adds, and 2 experts of 4 x 6.
    assert product(1, 8).flops == 2 * 2 * 24
    assert product(1, 8).traffic["weight"] == 2 * 2 * 24
    # Two tokens choose 2 of 4 each: 4 (1 - (1 - 2/4)^2) = 3 experts are expected.
    assert product(2, 4).traffic["weight"] == 2 * 3 * 24
    assert product(2, 4).reads[1].resident_bytes == 2 * 4 * 24


def test_parts_of_a_product_are_separate_tensors() -> None:
    def split(self: Any, x: torch.Tensor) -> Any:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return q + 1, k + 1, v + 1

    product, *adds = ops(trace(split, "float32[2,4]", qkv=nn.Linear(4, 12, bias=False)))
    assert [tensor.shape for tensor in product.writes] == [(2, 4)] * 3
    assert len({tensor.name for tensor in product.writes}) == 3
    assert [op.reads[0].name for op in adds] == [tensor.name for tensor in product.writes]
    assert product.moved_bytes == 4 * (8 + 48 + 24)


def test_tied_weights_count_once_and_unread_ones_are_resident() -> None:
    class Tied(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(50, 8)
            self.head = nn.Linear(8, 50, bias=False)
            self.head.weight = self.words.weight
            self.spare = nn.Linear(3, 3)  # 12 parameters that no operator reads

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.head(self.words(ids))

    traced = mw.trace(Tied(), "int64[1,2]")
    assert traced.parameters == 400 + 12
    assert traced.program.resident_bytes()["weight"] == 4 * 412
    # The head reads all 400, the embedding 2 rows, and nothing reads the spare ones.
    assert traced.traffic["weight"] == 4 * (400 + 16)


def test_an_operator_without_a_formula_is_flagged() -> None:
    def mix(_: Any, x: torch.Tensor, y: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return functional.bilinear(x.relu(), y, w)

    traced = trace(mix, "float32[2,3]", "float32[2,4]", "float32[5,3,4]")
    (unknown,) = traced.coverage.unknown
    # relu moves 2 x 6 numbers; the product of three reads 6, 8 and 60, and writes 2 x 5.
    assert (unknown.op, unknown.calls) == ("aten::_trilinear", 1)
    assert unknown.moved_bytes == 4 * (6 + 8 + 60 + 10)
    assert traced.coverage.of_operators == 0.5
    assert traced.coverage.of_bytes == pytest.approx(12 / 96)
    assert traced.flops == 6
    answer = mw.analyze(traced, on="h100-sxm")
    assert any("aten::_trilinear has no FLOP formula" in note for note in answer.notes)


@torch.library.custom_op("memorywall_test::fused_mlp", mutates_args=())  # type: ignore[untyped-decorator]
def fused_mlp(x: torch.Tensor, up: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    return functional.linear(functional.linear(x, up).relu(), down)


@fused_mlp.register_fake  # type: ignore[untyped-decorator]
def _(x: torch.Tensor, up: torch.Tensor, down: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
    return x.new_empty(x.shape[0], down.shape[0])


def test_a_formula_is_one_decorated_function() -> None:
    from memorywall.frontends.tracing.interpret import formulas

    parts = {"up": nn.Linear(4, 6, bias=False), "down": nn.Linear(6, 4, bias=False)}

    def run() -> mw.Traced:
        return trace(lambda m, x: fused_mlp(x, m.up.weight, m.down.weight), "float32[2,4]", **parts)

    assert [unknown.op for unknown in run().coverage.unknown] == ["memorywall_test::fused_mlp"]

    @mw.formula("memorywall_test::fused_mlp", kind="gemm")
    def flops(call: Any) -> int:
        x, up, down = call.inputs
        return int(2 * x.shape[0] * (up.numel() + down.numel()))

    try:
        traced = run()
    finally:
        del formulas.FORMULAS["memorywall_test::fused_mlp"]
    # 2 rows by 4 x 6 and by 6 x 4 weights.
    assert (only(traced).kind, traced.flops) == ("gemm", 2 * 2 * 48)
    assert traced.coverage.of_operators == 1.0


def test_a_module_is_left_as_it_is() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    traced = mw.trace(module, torch.randn(3, 4))
    assert [op.function for op in ops(traced)][:1] == ["addmm"]
    assert all(part.training for part in module.modules())
    assert all(p.device.type == "cpu" and p.requires_grad for p in module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_nothing_is_allocated() -> None:
    # 10^12 weights of 2 bytes are 2 TB.
    traced = mw.trace(lambda: nn.Linear(10**6, 10**6, bias=False), "bf16[1,1000000]", dtype="bf16")
    assert (traced.parameters, traced.flops) == (10**12, 2 * 10**12)


def tiny(name: str, **changes: Any) -> Callable[[], Any]:
    """Return a factory of a class of transformers, as small as said; two layers keep state."""
    import transformers

    words = {"hidden_size": 8, "num_hidden_layers": 2, "vocab_size": 11, **changes}
    config = getattr(transformers, f"{name}Config")(**words)
    return lambda: getattr(transformers, f"{name}ForCausalLM")(config)


MAMBA = tiny("Mamba", state_size=3, expand=2, conv_kernel=4, time_step_rank=1)
MAMBA2 = tiny("Mamba2", state_size=3, expand=2, head_dim=4, num_heads=4, n_groups=1, chunk_size=4)
DELTA = tiny(
    "Qwen3Next", intermediate_size=8, num_attention_heads=2, num_key_value_heads=1, head_dim=4,
    linear_num_key_heads=1, linear_num_value_heads=2, linear_key_head_dim=3,
    linear_value_head_dim=5, num_experts=0, num_hidden_layers=3,
    layer_types=["linear_attention", "linear_attention", "full_attention"],
)  # fmt: skip
GRIFFIN = tiny(
    "RecurrentGemma", num_hidden_layers=3, lru_width=8, num_attention_heads=2,
    intermediate_size=8, conv1d_width=4, block_types=["recurrent", "recurrent", "attention"],
)  # fmt: skip
RWKV = tiny("Rwkv", attention_hidden_size=8, intermediate_size=16)
MINIMAX = tiny(
    "MiniMax", intermediate_size=8, num_attention_heads=2, num_key_value_heads=1, head_dim=4,
    num_local_experts=2, block_size=4, layer_types=["linear_attention"] * 2,
)  # fmt: skip
# By class, the FLOPs of one scan over a sequence of 6 positions, and over one more position. Under
# a causal mask 6 positions in chunks of 4 are 4 (4 + 1) / 2 + 2 (2 + 1) / 2 = 13 pairs of a
# position with one not later of its chunk, in 2 chunks; in one chunk 6 (6 + 1) / 2 = 21.
SCANS = {
    # Of 16 channels with 3 numbers of state: 7 for each, and 12.
    "selective_scan": (MAMBA, 6 * 16 * (7 * 3 + 12), 16 * (7 * 3 + 12)),
    # Of 4 heads of 4 with 3 numbers of state. A position and head: 4 P N + 6 P + 9; a pair: 2 N,
    # and a head's 2 P + 3; a chunk and head: 2 P N + 1. A step: 5 P N + 3 P + 6.
    "ssd": (
        MAMBA2,
        6 * 4 * (48 + 24 + 9) + 13 * (2 * 3 + 4 * (2 * 4 + 3)) + 2 * 4 * (24 + 1),
        4 * (5 * 4 * 3 + 3 * 4 + 6),
    ),
    # Of 2 heads, K = 3, V = 5. A pair: 6 K + 4 V + 4; a position: 6 K V + 3 V + 4 K + 4; a chunk
    # 2 K V; the inverse of 6 by 6, 6 x 5 x 4 / 3. A step: 7 K V + 2 V. On the way in a position's
    # one key and query, 7 K, and for each head 3 for beta and 6 for the decay.
    "gated_delta": (
        DELTA,
        2 * (21 * (18 + 20 + 4) + 6 * (90 + 15 + 12 + 4) + 30 + 40) + 6 * (21 + 2 * 9),
        2 * (7 * 15 + 2 * 5) + 21 + 2 * 9,
    ),
    # 15 for each of 8 channels.
    "rg_lru": (GRIFFIN, 6 * 8 * 15, 8 * 15),
    # 23 for each of 8 channels.
    "wkv": (RWKV, 6 * 8 * 23, 8 * 23),
    # Of 2 heads of 4. A pair: 4 H + 1; a position: 4 H H + 3 H; a chunk: 2 H H. A step: 5 H H.
    "lightning": (MINIMAX, 2 * (13 * 17 + 6 * (64 + 12) + 2 * 32), 2 * 5 * 16),
}


@pytest.mark.parametrize("phase", ["prefill", "decode"])
@pytest.mark.parametrize("function", SCANS)
def test_scans_are_one_operator(function: str, phase: str) -> None:
    make, over_six, over_one = SCANS[function]
    tokens = 6 if phase == "prefill" else 1
    # A step of RWKV's class with two sequences adds every one to every other.
    batch = 1 if function == "wkv" else 2
    length = 7 if phase == "decode" else None
    traced = mw.trace(make, f"int64[{batch},{tokens}]", phase=phase, seq_len=length)
    scans = [(op, repeat) for _, op, repeat in traced.program.walk() if op.kind == "scan"]
    assert sum(repeat for _, repeat in scans) == 2
    for op, _ in scans:
        assert op.function == function
        assert op.flops == batch * (over_six if phase == "prefill" else over_one)
    assert traced.coverage.unknown == ()
    assert traced.parameters == sum(p.numel() for p in make().parameters())


def the_scan(make: Callable[[], Any], phase: str) -> Op:
    tokens = 6 if phase == "prefill" else 1
    length = 7 if phase == "decode" else None
    traced = mw.trace(make, f"int64[2,{tokens}]", phase=phase, seq_len=length, dtype="bf16")
    return next(op for op in ops(traced) if op.kind == "scan")


def test_a_scan_reads_its_inputs_once_and_keeps_its_state() -> None:
    # x, the time step and the gate of 2 sequences, 16 channels and 6 positions, and B and C of 3;
    # of the weights A, 16 by 3, and D and the step's bias, 16 each; the output. All in two bytes.
    prefill, step = the_scan(MAMBA, "prefill"), the_scan(MAMBA, "decode")
    inputs = 2 * 6 * (3 * 16 + 2 * 3)
    assert prefill.traffic["weight"] == 2 * (16 * 3 + 2 * 16)
    assert prefill.traffic["activation"] - 2 * (inputs + 2 * 6 * 16) == 4 * 2 * 16 * 3  # the state
    # A step reads the state, 2 x 16 x 3 in four bytes, and writes it.
    assert step.traffic["weight"] == 2 * (16 * 3 + 2 * 16)
    assert step.traffic["activation"] == 2 * 2 * (3 * 16 + 2 * 3 + 16)
    assert step.traffic["state"] == 2 * 4 * 2 * 16 * 3


def test_short_convolutions() -> None:
    def convolutions(phase: str) -> list[Op]:
        tokens = 6 if phase == "prefill" else 1
        length = 7 if phase == "decode" else None
        traced = mw.trace(MAMBA, f"int64[2,{tokens}]", phase=phase, seq_len=length, dtype="bf16")
        return [op for op in ops(traced) if op.kind == "conv"]

    # 16 channels, width 4: no position is convolved that is cut off again.
    assert convolutions("prefill")[0].flops == 2 * 4 * 16 * 2 * 6
    step = convolutions("decode")[0]
    assert step.flops == 2 * 4 * 16 * 2
    # The window of 4 is read and written.
    assert step.traffic["state"] == 2 * 2 * 2 * 16 * 4


def test_state_is_written_where_it_is_made() -> None:
    from memorywall.passes.collapse import fuse_traced

    traced = mw.trace(MAMBA, "int64[2,6]", phase="prefill", dtype="bf16")
    fused, excess = fuse_traced(traced.program)
    states = {op.kind: op.traffic["state"] for _, op, _ in fused.walk() if "state" in op.traffic}
    # A window of 4 in two bytes, and 3 numbers in four, for 2 x 16 channels; zeros, copies: none.
    assert states == {"conv": 2 * 2 * 16 * 4, "scan": 4 * 2 * 16 * 3}
    assert float(traced.moved_bytes) == float(fused.work.moved_bytes) + float(excess.total)


def test_a_scan_takes_back_only_what_it_alone_reads() -> None:
    # Of the same class, where its gate is read by a scan and by nothing else.
    gated = the_scan(DELTA, "prefill")
    read = {tensor.name.rpartition(".")[2] for tensor in gated.reads if tensor.role == "weight"}
    assert read == {"A_log", "dt_bias"}


def test_a_module_keeps_what_it_had() -> None:
    module = GRIFFIN()
    mw.trace(module, "int64[1,6]", phase="prefill")
    blocks = [part for part in module.modules() if hasattr(part, "conv1d_state")]
    assert blocks
    assert all(part.conv1d_state is None for part in blocks)
    assert torch.isfinite(module(torch.ones(1, 3, dtype=torch.int64)).logits).all()


class OwnScan(nn.Module):  # type: ignore[misc]
    """A recurrence without a replacement: a loop over positions."""

    def forward(self, x: torch.Tensor, decay: torch.Tensor) -> torch.Tensor:
        state, out = torch.zeros_like(x[:, 0]), []
        for position in range(x.shape[1]):
            state = decay * state + x[:, position]
            out.append(state)
        return torch.stack(out, dim=1)


def test_a_loop_of_one_s_own_is_traced_as_it_stands() -> None:
    traced = mw.trace(OwnScan(), "float32[2,12,16]", "float32[16]")
    # A product and a sum for each of 2 x 12 x 16 numbers.
    assert traced.flops == 2 * 2 * 12 * 16
    assert not any(op.kind == "scan" for op in ops(traced))


@pytest.mark.parametrize(
    ("query", "key", "sequences", "heads"),
    [
        ("[1,8,16,32]", "[4,8,16,32]", 4, 8),
        ("[3,8,16,32]", "[3,2,16,32]", 3, 8),
        ("[16,32]",) * 2 + (1, 1),
    ],
)
def test_attention_is_of_every_sequence(query: str, key: str, sequences: int, heads: int) -> None:
    """Q K^T and P V: 2 x 16 x 16 x 32 FLOPs each, for every head of every sequence."""

    class Attend(nn.Module):  # type: ignore[misc]
        def forward(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
            attend = functional.scaled_dot_product_attention
            grouped = k.dim() > 2 and k.shape[-3] < heads
            out: torch.Tensor = attend(q, k, k, enable_gqa=grouped)
            return out

    traced = mw.trace(Attend, f"float32{query}", f"float32{key}")
    products = sum(op.flops for _, op, _ in traced.program.walk() if op.kind == "attention")
    assert products == sequences * heads * 2 * (2 * 16 * 16 * 32)


def test_complex_numbers_are_several() -> None:
    """[4, 8] by [8, 2]: 8 FLOPs of real numbers a multiply-add; then 8 products, 8 sums."""

    class Mix(nn.Module):  # type: ignore[misc]
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            c = a @ b
            return c * c + c

    traced = mw.trace(Mix, "complex64[4,8]", "complex64[8,2]")
    assert traced.flops == 8 * 4 * 8 * 2 + 8 * 6 + 8 * 2


def test_views_in_place_move_nothing() -> None:
    class Turn(nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x + 1).t_().unsqueeze_(0)

    traced = mw.trace(Turn, "float32[10,6]")
    assert traced.moved_bytes == 2 * 10 * 6 * 4
    assert not traced.coverage.unknown


def test_gradients_within_a_pass() -> None:
    """A convolution of 3 taps by one channel of 8, forward, and back to its input."""

    class Sloping(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                out: torch.Tensor = torch.autograd.grad(self.conv(x).sum(), x)[0]
            return out

    traced = mw.trace(Sloping, "float32[1,1,8]")
    convolved = [op.flops for _, op, _ in traced.program.walk() if op.kind == "conv"]
    assert convolved == [2 * 3 * 8, 2 * 3 * 8]


@pytest.mark.parametrize(
    ("size", "mode", "neighbours"), [("[1,2,5]", "linear", 2), ("[1,2,5,5,5]", "trilinear", 8)]
)
def test_interpolation_weighs_neighbours(size: str, mode: str, neighbours: int) -> None:
    def stretch(_: Any, x: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(x, scale_factor=2, mode=mode)

    traced = trace(stretch, f"float32{size}")
    # Two channels of 10, or of 10 x 10 x 10.
    assert traced.flops == 2 * neighbours * 2 * 10 ** (size.count(",") - 1)


def test_distances_of_all_pairs() -> None:
    traced = trace(lambda _, a, b: torch.cdist(a, b), "float32[7,3]", "float32[5,3]")
    assert traced.flops == 3 * 7 * 5 * 3
    assert not traced.coverage.unknown
