"""Forward and backward passes beside PyTorch's own counter of FLOPs, to the last digit.

It counts products and convolutions; a causal mask it counts in full, and so do we here. It does not
know the CPU's fused attention, for which its formula of another kernel's is asked by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

import memorywall as mw
from memorywall.passes.collapse import fuse_traced
from tests.counting import PRODUCTS, products
from tests.training import train

transformers.logging.set_verbosity_error()
IDS = torch.zeros(2, 24, dtype=torch.int64)
WORDS = {"input_ids": IDS, "labels": IDS}


def counted(factory: Callable[[], nn.Module], *args: Any, **kwargs: Any) -> int:
    """Return what PyTorch's counter says of a forward and a backward pass."""
    module = factory().train()
    with FlopCounterMode(display=False) as counter:
        out = module(*args, **kwargs)
        loss = getattr(out, "loss", None)
        (out.sum() if loss is None else loss).backward()
    return int(counter.get_total_flops())


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 20), nn.GELU(), nn.Linear(20, 7), nn.Tanh(), nn.Linear(7, 3))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, dilation=2), nn.ReLU(),
        nn.ConvTranspose2d(16, 4, 2, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 10),
    )  # fmt: skip


def recurrent() -> nn.Module:
    return nn.Sequential(nn.Conv1d(6, 9, 5), nn.LeakyReLU(), nn.Conv1d(9, 4, 3, padding=1))


SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 97}


def bert() -> nn.Module:
    config = transformers.BertConfig(**SIZES, intermediate_size=48, attn_implementation="eager")
    return transformers.BertForMaskedLM(config)


def gpt2() -> nn.Module:
    config = transformers.GPT2Config(
        n_embd=32, n_layer=3, n_head=4, vocab_size=97, use_cache=False, bos_token_id=0,
        eos_token_id=0, attn_implementation="eager",
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def llama(attention: str = "eager", layers: int = 3) -> nn.Module:
    config = transformers.LlamaConfig(
        **SIZES | {"num_hidden_layers": layers}, intermediate_size=48, num_key_value_heads=2,
        use_cache=False, attn_implementation=attention,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


@pytest.mark.parametrize(
    ("factory", "args", "kwargs"),
    [
        (mlp, (torch.ones(5, 12),), {}),
        (cnn, (torch.ones(2, 3, 33, 29),), {}),
        (recurrent, (torch.ones(3, 6, 40),), {}),
        (bert, (), WORDS),
        (gpt2, (), WORDS),
        (llama, (), WORDS),
    ],
    ids=["mlp", "cnn", "conv1d", "bert", "gpt2", "llama"],
)
def test_products_are_those_of_torchs_counter(factory: Any, args: Any, kwargs: Any) -> None:
    traced = train(factory, *args, named=kwargs, optimizer="sgd")
    assert traced.coverage.unknown == ()
    assert products(traced) == counted(factory, *args, **kwargs)


@pytest.mark.parametrize("factory", [cnn, bert, llama], ids=["cnn", "bert", "llama"])
@pytest.mark.parametrize("words", [{}, {"accumulation": 2, "autocast": "bf16"}], ids=str)
def test_fusing_moves_no_byte_more(factory: Any, words: dict[str, Any]) -> None:
    given: dict[str, Any] = {"input": torch.ones(2, 3, 33, 29)} if factory is cnn else WORDS
    program = train(factory, named=given, **words).program
    fused, excess = fuse_traced(program)
    before, after = program.work, fused.work
    assert after.flops == before.flops
    assert after.moved_bytes == before.moved_bytes - excess.total < before.moved_bytes
    # The least traffic: each weight in every forward pass, each gradient.
    least = program.resident_bytes()
    assert fused.traffic["optimizer_state"] >= 2 * least["optimizer_state"]
    assert fused.traffic["gradient"] >= 2 * least["gradient"]


def test_fused_attention_goes_back_as_five_products() -> None:
    # The counter does not know the CPU's kernel: its formula for another one is asked, 3 layers of
    # 2 x 4 heads of 24 queries and keys, 8 wide. Causal: in full, and 300 of 576 pairs.
    q = (2, 4, 24, 8)
    whole, half = (
        train(lambda: llama("sdpa"), named=WORDS, causal=causal) for causal in ("full", "half")
    )
    forward, backward = sdpa_flop_count(q, q, q), sdpa_backward_flop_count(q, q, q, q)
    assert products(whole, ["attention"]) == 3 * (forward + backward)
    assert products(half, ["attention"]) * 576 == products(whole, ["attention"]) * 300
    assert products(whole, ["gemm"]) == products(train(llama, named=WORDS), ["gemm"])
    # Scale, maximum, difference, exponential, sum, quotient; and six on the way back.
    softmax = [op for _, op, n in whole.program.walk() if op.name.endswith(".softmax")]
    assert {op.flops for op in softmax} == {6 * 2 * 4 * 576}


def test_grouped_convolutions_by_hand() -> None:
    # 2 x 8 x 9 outputs of 2 channels x 3: forward, for the input and for the weight. The counter
    # has the weight's gradient of all channels with all, four times too many.
    def make() -> nn.Module:
        return nn.Sequential(nn.Conv1d(8, 8, 3, padding=1), nn.Conv1d(8, 8, 3, padding=1, groups=4))

    traced = train(make, "float32[2,8,9]", optimizer="sgd")
    plain, grouped = 2 * (2 * 8 * 9) * 8 * 3, 2 * (2 * 8 * 9) * 2 * 3
    assert products(traced) == 2 * plain + 3 * grouped
    assert counted(make, torch.ones(2, 8, 9)) == 2 * plain + 2 * grouped + 4 * grouped


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=3, max_size=6), st.integers(1, 5))
def test_going_back_is_twice_going_forward(widths: list[int], batch: int) -> None:
    pairs = list(pairwise(widths))
    make = lambda: nn.Sequential(*(nn.Linear(a, b) for a, b in pairs))  # noqa: E731
    traced = train(make, f"float32[{batch},{widths[0]}]", optimizer="sgd")
    by_phase = {
        phase: sum(
            op.flops * n
            for path, op, n in traced.program.walk()
            if path.startswith(phase) and op.kind == "gemm"
        )
        for phase in ("forward", "backward")
    }
    # The gradient of the first layer's input is not needed.
    first = 2 * batch * widths[0] * widths[1]
    assert by_phase["backward"] == 2 * by_phase["forward"] - first


def test_forward_is_that_of_a_pass_without_training() -> None:
    # Without dropout both roads run the same products and move the same weights.
    once = mw.trace(lambda: llama("sdpa"), "int64[2,24]", phase="encode")
    step = train(lambda: llama("sdpa"), named=WORDS)
    forward = [(op, n) for path, op, n in step.program.walk() if path.startswith("forward")]
    assert sum(op.flops * n for op, n in forward if op.kind in PRODUCTS) == products(once)
    weights = sum(op.traffic.get("weight", 0) * n for op, n in forward)
    assert weights == once.traffic["weight"]


def test_experts_go_back_as_two_products_each() -> None:
    config = transformers.MixtralConfig(
        **SIZES, intermediate_size=48, num_key_value_heads=2, num_local_experts=4,
        num_experts_per_tok=2, use_cache=False, experts_implementation="grouped_mm",
    )  # fmt: skip
    traced = train(lambda: transformers.MixtralForCausalLM(config), named=WORDS)
    assert traced.coverage.unknown == ()
    experts = {
        phase: sum(
            op.flops * n
            for path, op, n in traced.program.walk()
            if path.startswith(phase) and op.function == "_grouped_mm"
        )
        for phase in ("forward", "backward")
    }
    # 3 layers, 48 tokens by 2 experts each: gate and up [32, 2 x 48], down [48, 32].
    assert experts["forward"] == 3 * 2 * 96 * 3 * 32 * 48
    assert experts["backward"] == 2 * experts["forward"]


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_layers_add_up(layers: int) -> None:
    # Folded or not, a model of n layers does n times what one more layer adds.
    def flops(count: int) -> int:
        return int(train(lambda: llama("sdpa", count), named=WORDS).flops)

    each = flops(3) - flops(2)
    assert flops(layers) == flops(2) + (layers - 2) * each
