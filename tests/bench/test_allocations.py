"""Predicted peaks of training beside the allocator's own events, on small models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import nn

from memorywall.bench.allocations import measure_training, peak_on_cpu
from memorywall.frontends.tracing.capture.training_loop import Recipe
from tests.training import training_memory


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 128), nn.GELU())


def gpt2() -> nn.Module:
    transformers.logging.set_verbosity_error()
    config = transformers.GPT2Config(
        n_layer=3, n_embd=128, n_head=4, vocab_size=4000, attn_pdrop=0.0, use_cache=False,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(inplace=True),
        nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


BATCH = {"input": torch.empty(64, 256, device="meta")}
WORDS = dict.fromkeys(("input_ids", "labels"), torch.empty(2, 64, dtype=torch.int64, device="meta"))
IMAGES = {"input": torch.empty(8, 3, 48, 48, device="meta")}


@pytest.mark.parametrize(
    ("factory", "inputs", "words"),
    [
        (mlp, BATCH, {"optimizer": "adam"}),
        (mlp, BATCH, {"optimizer": "sgd", "accumulation": 3, "autocast": "bf16"}),
        (gpt2, WORDS, {"optimizer": "adamw"}),
        (gpt2, WORDS, {"optimizer": "sgd", "checkpointing": True}),
        # Autograd adds two gradients of the tied embedding, one of them cast from 16 bits.
        (gpt2, WORDS, {"optimizer": "sgd", "checkpointing": True, "autocast": "bf16"}),
        (gpt2, WORDS, {"optimizer": "lion", "accumulation": 2}),
        (cnn, IMAGES, {"optimizer": "sgd", "optimizer_options": {"momentum": 0.9}}),
    ],
    ids=["mlp", "mlp bf16 x3", "gpt2", "gpt2 ckpt", "gpt2 ckpt bf16", "gpt2 lion", "cnn"],
)
def test_within_five_percent(factory: Any, inputs: dict[str, Any], words: dict[str, Any]) -> None:
    traced = training_memory(factory, named=inputs, **words)
    measured = measure_training(factory, (), inputs, Recipe(**words))
    assert traced.peak_bytes == pytest.approx(measured, rel=0.05)


def test_the_allocators_events() -> None:
    def run() -> None:
        first = torch.empty(1000)  # 4000 bytes
        second = torch.empty(500)  # 2000 more
        del first
        third = torch.empty(250)  # 1000, when 4000 have been given back
        del second, third

    assert peak_on_cpu(run) == 6000


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("words", [{}, {"autocast": "bf16"}, {"checkpointing": True}], ids=str)
def test_on_a_gpu(words: dict[str, Any]) -> None:
    traced = training_memory(gpt2, named=WORDS, backend="cuda", **words)
    measured = measure_training(gpt2, (), WORDS, Recipe(backend="cuda", **words))
    assert traced.peak_bytes == pytest.approx(measured, rel=0.05)
