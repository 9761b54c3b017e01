"""Layers that repeat, caches that are kept: folded, named and counted by hand."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import transformers
from torch import nn

import memorywall as mw
from memorywall.core.errors import InvalidInputError
from memorywall.cost.footprint import peak_activations
from memorywall.passes.collapse import fuse_traced


class Layer(nn.Module):  # type: ignore[misc]
    def __init__(self, wide: int = 8) -> None:
        super().__init__()
        self.up = nn.Linear(4, wide, bias=False)
        self.down = nn.Linear(wide, 4, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(self.up(x).relu())


class Stack(nn.Module):  # type: ignore[misc]
    def __init__(self, *widths: int, shared: bool = False) -> None:
        super().__init__()
        layers = [Layer(wide) for wide in widths]
        self.layers = nn.ModuleList(layers[:1] if shared else layers)
        self.times = len(layers) if shared else 1
        self.head = nn.Linear(4, 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(self.times):
            for layer in self.layers:
                x = layer(x)
        return self.head(x)


def blocks(traced: mw.Traced) -> list[tuple[str, int, int]]:
    return [(block.name, block.repeat, len(block.ops)) for block in traced.program.blocks]


def test_layers_that_repeat_stand_once() -> None:
    traced = mw.trace(Stack(8, 8, 8, 8, 8), "float32[3,4]")
    assert blocks(traced) == [("layers", 5, 4), ("Stack", 1, 1)]
    assert traced.parameters == 5 * 64 + 8
    # A layer multiplies 3 rows by 2 x 32 weights, and does 24 relus and 12 additions.
    assert traced.flops == 5 * (2 * 3 * 64 + 24 + 12) + 2 * 3 * 8
    names = [path for path, _, _ in traced.program.walk()]
    assert names == [
        "layers.up.mm", "layers.relu", "layers.down.mm", "layers.add", "Stack.head.mm",
    ]  # fmt: skip


def test_what_a_layer_hands_on_has_one_name() -> None:
    traced = mw.trace(Stack(8, 8, 8), "float32[3,4]")
    layer, head = traced.program.blocks
    handed = layer.ops[-1].writes[0].name
    assert layer.ops[0].reads[0].name == layer.ops[-1].reads[0].name == handed
    assert head.ops[0].reads[0].name == handed
    # At the relu: what came in (12 numbers), and the wide rows before and after it (24 each).
    assert peak_activations(traced.program) == 4 * (12 + 24 + 24)


def test_layers_that_alternate_are_folded_in_pairs() -> None:
    traced = mw.trace(Stack(8, 6, 8, 6, 8, 6), "float32[3,4]")
    assert blocks(traced) == [("layers", 3, 8), ("Stack", 1, 1)]
    assert traced.parameters == 3 * (64 + 48) + 8


def test_a_shared_layer_is_resident_once() -> None:
    traced = mw.trace(Stack(8, 8, 8, shared=True), "float32[3,4]")
    assert blocks(traced) == [("layers.0", 3, 4), ("Stack", 1, 1)]
    assert traced.program.blocks[0].shared
    assert traced.parameters == 64 + 8
    assert traced.traffic["weight"] == 4 * (3 * 64 + 8)


def test_runs_of_two_kinds_keep_their_weights_apart() -> None:
    traced = mw.trace(Stack(8, 8, 6, 6, 6), "float32[3,4]")
    assert blocks(traced) == [("layers", 2, 4), ("layers_2", 3, 4), ("Stack", 1, 1)]
    assert traced.parameters == 2 * 64 + 3 * 48 + 8


def test_unlike_layers_are_not_folded() -> None:
    traced = mw.trace(Stack(8, 7, 6), "float32[3,4]")
    assert blocks(traced) == [("Stack", 1, 13)]


def test_a_loop_of_operators_is_folded() -> None:
    class Loop(nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            state = x
            for _ in range(100):
                state = (state * x).relu()
            return state

    traced = mw.trace(Loop(), "float32[10]")
    # A round reads the state and x, writes and reads and writes; the first has one x for both.
    assert (traced.flops, traced.moved_bytes) == (100 * 20, 100 * 4 * (30 + 20) - 4 * 10)
    assert sum(len(block.ops) for block in traced.program.blocks) < 10


CONFIG: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "vocab_size": 40,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
}  # fmt: skip


def llama() -> nn.Module:
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**CONFIG))


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_decode_reads_the_cache_and_writes_a_token(cache: str) -> None:
    traced = mw.trace(
        llama, "int64[2,1]", phase="decode", seq_len=10, cache=cache, dtype="bf16", causal="full"
    )
    # 3 layers of keys and of values: 2 sequences x 2 heads x 10 positions x 4.
    whole, token = 2 * 3 * 2 * 2 * 10 * 4, 2 * 3 * 2 * 2 * 4
    assert traced.program.resident_bytes()["kv_cache"] == 2 * whole
    fused, _ = fuse_traced(traced.program)
    moved = sum(op.traffic.get("kv_cache", 0) * n for _, op, n in fused.walk())
    assert moved == 2 * (whole + token)
    # Q K^T and P V: 2 sequences x 4 heads x 10 pairs, 2 x 4 each.
    attention = sum(op.flops * n for _, op, n in traced.program.walk() if op.kind == "attention")
    assert attention == 3 * 2 * 4 * 10 * 16


def test_concatenating_a_cache_is_marked() -> None:
    traced = mw.trace(llama, "int64[1,1]", phase="decode", seq_len=10, dtype="bf16")
    grown = [(op, n) for _, op, n in traced.program.walk() if op.function == "cache concatenation"]
    # Keys and values of 3 layers: 9 old positions and a new one read, 10 written, 2 heads x 4 each.
    assert sum(n for _, n in grown) == 6
    assert sum(op.moved_bytes * n for op, n in grown) == 6 * 2 * (9 + 1 + 10) * 8
    assert any("artefact" in note for note in traced.notes)


def test_prefill_fills_the_cache() -> None:
    traced = mw.trace(llama, "int64[2,10]", dtype="bf16")
    assert traced.phase == "prefill"
    assert traced.program.resident_bytes()["kv_cache"] == 2 * 2 * 3 * 2 * 2 * 10 * 4


def test_caches_of_a_module_s_own() -> None:
    class Cached(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.project = nn.Linear(4, 4, bias=False)
            self.register_buffer("k_cache", torch.zeros(1, 16, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.k_cache[:, 15:16] = self.project(x)
            return torch.bmm(x, self.k_cache.transpose(1, 2))

    traced = mw.trace(Cached(), "float32[1,1,4]", phase="decode", seq_len=16, cache=("k_cache",))
    assert traced.program.resident_bytes() == {"weight": 4 * 16, "kv_cache": 4 * 64}
    # One position of 4 is written, all 16 are read.
    assert traced.traffic["kv_cache"] == 4 * (4 + 64)
    fused, _ = fuse_traced(traced.program)
    # The product writes where the cache is: neither its output nor the copy of it is moved.
    assert traced.moved_bytes - fused.work.moved_bytes == 4 * (4 + 4)
    assert traced.notes == ()
    words: dict[str, Any] = {"phase": "decode", "seq_len": 4096}
    for cache, advised in (("*cache", False), ("dynamic", True)):
        (note,) = mw.trace(Cached(), "float32[1,1,4]", cache=cache, **words).notes
        assert note.startswith("seq_len=4096 has no effect: ")
        assert "k_cache [1, 16, 4]" in note
        assert ("Name the buffers" in note) == advised
    with pytest.raises(mw.MemoryWallError, match="no buffer is named 'v_cache'"):
        mw.trace(Cached(), "float32[1,1,4]", cache=("v_cache",))


def test_encoder_decoders_read_a_source() -> None:
    def t5() -> nn.Module:
        return transformers.T5ForConditionalGeneration(
            transformers.T5Config(
                vocab_size=40,
                d_model=16,
                d_kv=4,
                d_ff=24,
                num_layers=2,
                num_heads=4,
                decoder_start_token_id=0,
            )
        )

    prefill = mw.trace(t5, "int64[1,7]", named={"decoder_input_ids": "int64[1,5]"})
    # Of 2 layers, keys and values of 16 for 5 positions and for the source's 7.
    assert prefill.program.resident_bytes()["kv_cache"] == 4 * 2 * 2 * 16 * (5 + 7)
    step = mw.trace(t5, "int64[1,7]", phase="decode", seq_len=5)
    assert step.program.resident_bytes()["kv_cache"] == 4 * 2 * 2 * 16 * (5 + 7)
    attention = sum(op.flops * n for _, op, n in step.program.walk() if op.kind == "attention")
    # 2 layers x 16 wide x (5 + 7) pairs, for scores and for values.
    assert attention == 2 * 2 * 2 * 16 * (5 + 7)


def test_a_step_of_several_tokens() -> None:
    """Four drafted tokens at the end of 20: products of four, and pairs with 17 to 20 keys."""
    config = transformers.LlamaConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, vocab_size=11,
    )  # fmt: skip
    words: dict[str, Any] = {"phase": "decode", "seq_len": 20}
    make = partial(transformers.LlamaForCausalLM, config)
    one, four = (mw.trace(make, f"int64[1,{new}]", **words) for new in (1, 4))
    flops = [
        sum(op.flops for _, op, _ in step.program.walk() if op.kind == "gemm")
        for step in (one, four)
    ]
    assert flops[1] == 4 * flops[0] == 4 * 2 * (4 * 16 * 16 + 3 * 16 * 32 + 16 * 11)
    with pytest.raises(InvalidInputError, match="at least the 30 tokens of the step"):
        mw.trace(make, "int64[1,30]", **words)
    with pytest.raises(InvalidInputError, match="takes its length from the inputs"):
        mw.trace(make, "int64[1,30]", seq_len=20)


class Called(nn.Module):  # type: ignore[misc]
    """Layers called in an order, so that some are called again."""

    def __init__(self, layers: list[nn.Module], order: list[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.order = order

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for index in self.order:
            x = self.layers[index](x)
        return x


def weights_of(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def check_weights(module: nn.Module, *inputs: Any) -> None:
    """Check that a pass and a training step have each weight of a module once."""
    for phase in (None, "train"):
        traced = mw.trace(module, *inputs, phase=phase)
        fused, _ = fuse_traced(traced.program)
        assert traced.parameters == traced.program.parameters == weights_of(module)
        assert mw.analyze(traced, on="h100-sxm").parameters == weights_of(module)
        for program in (traced.program, fused):
            assert program.resident_bytes()["weight"] == 4 * weights_of(module)


@pytest.mark.parametrize(
    "order", ["0101", "0011", "012012", "0001", "0110", "0122", "01230", "0123210", "012012345"]
)
def test_layers_that_are_called_again_count_once(order: str) -> None:
    calls = [int(digit) for digit in order]
    layers = [nn.Sequential(nn.Linear(16, 16), nn.ReLU()) for _ in set(calls)]
    module = Called(layers, calls)
    assert weights_of(module) == 272 * len(layers)
    check_weights(module, "float32[2,16]")


def test_groups_of_layers_that_share_count_once() -> None:
    config = transformers.AlbertConfig(
        num_hidden_layers=4, num_hidden_groups=2, hidden_size=64, num_attention_heads=4,
        intermediate_size=128, embedding_size=32, vocab_size=100,
    )  # fmt: skip
    check_weights(transformers.AlbertModel(config), "int64[1,8]")


def test_a_weight_that_some_layers_share_counts_once() -> None:
    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.own = nn.Linear(16, 16)
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(self.own(x)).relu()

    shared = nn.Linear(16, 16)
    blocks = [Block(nn.Linear(16, 16)), *(Block(shared) for _ in range(5))]
    check_weights(Called(blocks, [0, 1, 2, 3, 4, 5]), "float32[2,16]")


def test_phases_that_fold_unlike_count_weights_once() -> None:
    class Residual(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            inner = [(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16)) for _ in range(4)]
            self.norm = nn.LayerNorm(16)
            self.inner = nn.Sequential(*(layer for part in inner for layer in part))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.inner(self.norm(x))

    check_weights(nn.Sequential(Residual(), Residual()), "float32[4,16]")


class Named(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x).relu()


@pytest.mark.parametrize("read", [True, False])
@pytest.mark.parametrize("wide", [16, 8])
def test_a_name_that_a_layer_s_could_be_is_counted_apart(wide: int, read: bool) -> None:
    layers = Called([Named() for _ in range(3)], [0, 1, 2])
    last = nn.Linear(16, wide)
    layers.layers.add_module("norm", last)  # layers.norm, as layers.0.norm without its number
    module = nn.Sequential(layers, last if read else nn.ReLU())
    check_weights(module, "float32[2,16]")
    assert mw.trace(module, "float32[2,16]").coverage.operators == 7


def test_a_weight_that_is_only_written_counts_once() -> None:
    class Writes(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.kept = nn.Parameter(torch.zeros(4), requires_grad=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.kept.copy_(x)
            return x.relu()

    assert mw.trace(Writes(), "float32[4]").parameters == 4


class Reader(nn.Module):  # type: ignore[misc]
    """A layer that attends to keys and values that it is handed, or to its own."""

    def __init__(self, *, own: bool) -> None:
        super().__init__()
        self.project = nn.Linear(64, 64)
        if own:
            add_cache(self)

    def forward(self, x: torch.Tensor, *cache: torch.Tensor) -> torch.Tensor:
        query = self.project(x).view(1, 1, 4, 16).transpose(1, 2)
        keys, values = cache or (self.k_cache, self.v_cache)
        seen = nn.functional.scaled_dot_product_attention(query, keys, values)
        return x + seen.transpose(1, 2).reshape(1, 1, 64)


class Readers(nn.Module):  # type: ignore[misc]
    def __init__(self, *, own: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Reader(own=own) for _ in range(8))
        self.own = own
        if not own:
            add_cache(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x) if self.own else layer(x, self.k_cache, self.v_cache)
        return x


def add_cache(module: nn.Module) -> None:
    for name in ("k_cache", "v_cache"):
        module.register_buffer(name, torch.zeros(1, 4, 1000, 16))


@pytest.mark.parametrize("traffic", ["fused", "unfused"])
@pytest.mark.parametrize(("own", "copies"), [(False, 1), (True, 8)])
@pytest.mark.parametrize(("cache", "role"), [("*_cache", "kv_cache"), ("dynamic", "buffer")])
def test_buffers_that_layers_share_are_resident_once(
    traffic: str, own: bool, copies: int, cache: str, role: str
) -> None:
    traced = mw.trace(Readers(own=own), "float32[1,1,64]", phase="decode", cache=cache)
    assert blocks(traced) == [("layers", 8, len(traced.program.blocks[0].ops))]
    # Keys and values: 4 heads x 1000 positions x 16 of 4 bytes each; unnamed they are constants,
    # since no operator writes them, and are resident beside the weights.
    held = copies * 2 * 4 * 1000 * 16 * 4
    assert traced.program.resident_bytes()[role] == held
    footprint = mw.analyze(traced, on="h100-sxm", traffic=traffic).footprint
    weights = 4 * traced.parameters
    found = {"kv_cache": footprint.kv_cache, "buffer": footprint.weights - weights}
    assert found[role] == held
    assert footprint.state == 0
    # Every layer reads them.
    assert traced.traffic[role] == 8 * 2 * 4 * 1000 * 16 * 4


@pytest.mark.parametrize("order", ["0000", "0101", "0011", "01230", "0123", "012012"])
def test_buffers_count_once_in_any_order_they_are_read(order: str) -> None:
    class Reads(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.project = nn.Linear(16, 16)

        def forward(self, x: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
            return self.project(x) @ held

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(Reads() for _ in order)
            for index in sorted(set(order)):
                self.register_buffer(f"held_{index}", torch.zeros(16, 16))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for index, layer in zip(order, self.layers, strict=True):
                x = layer(x, getattr(self, f"held_{index}"))
            return x * self.held_0.sum()

    traced = mw.trace(Net(), "float32[16,16]")
    assert traced.program.resident_bytes()["buffer"] == len(set(order)) * 4 * 256
