"""How good is the predicted peak of training memory? Traced without memory, then really run.

    python benchmarks/training_memory.py [--backend cuda] [--case NAME] [--out FILE]

Each case is a model at a batch, an optimizer, checkpointing, autocast and accumulation: two steps.
On the CPU the peak is that of the profiler's allocator events, on a GPU max_memory_allocated.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

import memorywall as mw
from memorywall.bench.allocations import measure_training
from memorywall.bench.machine import describe
from memorywall.core.files import write_text
from memorywall.frontends.tracing.capture.training_loop import Recipe
from memorywall.studies.memory.question import examples

BOUND = 0.05


@dataclass(frozen=True)
class Case:
    """One training run: a module, its inputs by name (shape; words where ``labels`` is one)."""

    name: str
    factory: Callable[[], torch.nn.Module]
    inputs: Mapping[str, tuple[int, ...]]
    words: Mapping[str, Any] = field(default_factory=dict)


def main() -> int:
    """Trace and run every case; print and record both peaks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--case", help="only those whose name has this in it")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    rows = []
    for case in cases():
        if arguments.case is None or arguments.case in case.name:
            rows.append(compare(case, arguments.backend))
            show(rows[-1])
    worst = max(rows, key=lambda row: abs(row["error"]))
    print(f"{len(rows)} cases; the largest error is {worst['error']:+.2%}: {worst['case']}")
    if arguments.out:
        record = {
            "command": f"python benchmarks/training_memory.py --backend {arguments.backend}",
            "machine": describe(torch.get_num_threads()),
            "torch": torch.__version__,
            "cases": rows,
        }
        write_text(arguments.out, json.dumps(record, indent=1) + "\n")
    return int(abs(worst["error"]) > BOUND)


def compare(case: Case, backend: str) -> dict[str, Any]:
    """Return predicted and measured peak of a case, in bytes."""
    inputs = {name: tensor(name, shape) for name, shape in case.inputs.items()}
    words = {**case.words, "backend": backend}
    started = time.perf_counter()
    traced = mw.trace(case.factory, named=inputs, phase="train", **words).memory
    took = time.perf_counter() - started
    assert traced is not None
    measured = measure_training(case.factory, (), inputs, Recipe(**words))
    return {
        "case": case.name,
        "inputs": {name: list(shape) for name, shape in case.inputs.items()},
        **{key: str(value) for key, value in traced.conventions.items() if key != "counted"},
        "parameters": traced.parameters,
        "predicted_bytes": traced.peak_bytes,
        "measured_bytes": measured,
        "error": traced.peak_bytes / measured - 1,
        "at_peak": dict(traced.at_peak),
        "trace_s": took,
    }


def tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Return an input without data: whole numbers for words and labels, else images."""
    whole = "ids" in name or name == "labels"
    return torch.empty(shape, dtype=torch.int64 if whole else torch.float32, device="meta")


def show(row: Mapping[str, Any]) -> None:
    """Print one case."""
    print(
        f"{row['case']:52} predicted {row['predicted_bytes'] / 1e6:8.1f} MB, measured "
        f"{row['measured_bytes'] / 1e6:8.1f} MB, {row['error']:+.2%}, traced in "
        f"{row['trace_s']:.1f} s",
        flush=True,
    )


def cases() -> list[Case]:
    """Return all cases."""
    cnns = examples()
    bf16, checkpointed = {"autocast": "bf16"}, {"checkpointing": True}
    momentum = {"optimizer": "sgd", "optimizer_options": {"momentum": 0.9}}
    images = {"input": (4, 3, 224, 224)}
    text, source = words(2, 256), {**words(2, 128), "decoder_input_ids": (2, 128)}
    return [
        Case("GPT-2, AdamW", gpt2, text),
        Case("GPT-2, AdamW, bf16", gpt2, text, bf16),
        Case("GPT-2, SGD, checkpointed", gpt2, text, {**momentum, **checkpointed}),
        Case("GPT-2, SGD, checkpointed, bf16", gpt2, text, {**momentum, **checkpointed, **bf16}),
        Case("GPT-2, Lion, two batches", gpt2, text, {"optimizer": "lion", "accumulation": 2}),
        Case("BERT-Base, Adam", bert, words(8, 128), {"optimizer": "adam"}),
        Case("BERT-Base, eager attention, NAdam", bert_eager, words(4, 256),
             {"optimizer": "nadam"}),
        Case("Llama 135M, Adafactor, bf16", llama, words(1, 512),
             {"optimizer": "adafactor", **bf16}),
        Case("Llama 135M, CAME, checkpointed", llama, words(2, 256),
             {"optimizer": "came", **checkpointed}),
        Case("Marian, RMSprop", marian, source, {"optimizer": "rmsprop"}),
        Case("ViT-Base, AdamW, bf16", vit, {"pixel_values": (4, 3, 224, 224), "labels": (4,)},
             bf16),
        Case("ResNet-50, SGD", resnet50, {"pixel_values": (8, 3, 224, 224), "labels": (8,)},
             momentum),
        Case("ResNet-50, SGD, bf16", resnet50, {"pixel_values": (8, 3, 224, 224), "labels": (8,)},
             {**momentum, **bf16}),
        Case("AlexNet, SGD", cnns.alexnet, {"input": (32, 3, 227, 227)}, momentum),
        Case("VGG19, SGD", cnns.vgg19, images, momentum),
        Case("DenseNet201, AdamW", cnns.densenet201, images),
        Case("ResNeXt101, SGD, two batches", cnns.resnext101, images,
             {**momentum, "accumulation": 2}),
    ]  # fmt: skip


def words(batch: int, length: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a batch of words that are also the labels."""
    return {"input_ids": (batch, length), "labels": (batch, length)}


def gpt2() -> torch.nn.Module:
    """Return the smallest GPT-2, 124 million parameters; fused attention has no dropout here."""
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(attn_pdrop=0.0, use_cache=False))


def bert() -> torch.nn.Module:
    """Return BERT-Base with its head for masked words."""
    return transformers.BertForMaskedLM(transformers.BertConfig())


def bert_eager() -> torch.nn.Module:
    """Return BERT-Base that keeps every score."""
    return transformers.BertForMaskedLM(transformers.BertConfig(attn_implementation="eager"))


def llama() -> torch.nn.Module:
    """Return a Llama of SmolLM2-135M's shape."""
    config = transformers.LlamaConfig(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, vocab_size=49152, tie_word_embeddings=True, use_cache=False,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


def marian() -> torch.nn.Module:
    """Return a Transformer of the base size, with an encoder and a decoder."""
    config = transformers.MarianConfig(
        vocab_size=32000, decoder_vocab_size=32000, d_model=512, encoder_ffn_dim=2048,
        decoder_ffn_dim=2048, encoder_layers=6, decoder_layers=6, encoder_attention_heads=8,
        decoder_attention_heads=8, pad_token_id=0, eos_token_id=0, decoder_start_token_id=0,
        use_cache=False,
    )  # fmt: skip
    return transformers.MarianMTModel(config)


def vit() -> torch.nn.Module:
    """Return ViT-Base with 16x16 patches."""
    return transformers.ViTForImageClassification(transformers.ViTConfig(num_labels=1000))


def resnet50() -> torch.nn.Module:
    """Return ResNet-50."""
    return transformers.ResNetForImageClassification(transformers.ResNetConfig(num_labels=1000))


if __name__ == "__main__":
    sys.exit(main())
