"""Answers as text: statements on vision models, and omitted conventions."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

import memorywall as mw
from memorywall.report.table import show_analysis


@pytest.mark.parametrize(
    ("model", "asked", "said"),
    [
        ("resnet-50", {}, "encoding an image of 224x224 pixels, batch 1"),
        ("flux.1-schnell", {"steps": 1}, "1 denoising step of an image of 1024x1024 pixels"),
        ("flux.1-schnell", {}, "4 denoising steps of an image of 1024x1024 pixels, guidance off"),
        ("llava-1.5-7b-hf", {"phase": "encode", "images": 2}, "encoding 2 images of 336x336"),
        (
            "llava-1.5-7b-hf",
            {"phase": "prefill", "image_size": 672},
            "with 1 image of 672x672 pixels, resized to 336x336 (576 positions), batch 1",
        ),
        # Qwen2-VL's processor rounds sides to patches of 2 x 14 pixels: 36 of them are 1008.
        (
            "qwen2-vl-7b-instruct",
            {"phase": "prefill", "image_size": 1000},
            "1 image of 1000x1000 pixels, resized to 1008x1008",
        ),
        ("gpt2", {"phase": "prefill", "seq_len": 1}, "prefill of 1 token, batch 1"),
    ],
)
def test_headlines_say_what_is_done(model: str, asked: dict[str, Any], said: str) -> None:
    assert said in mw.headline(mw.analyze(model, on="h100-sxm", **asked))


def shown(model: str, **asked: str) -> str:
    console = Console(width=1000)
    with console.capture() as captured:
        show_analysis(mw.analyze(model, on="h100-sxm", **asked), console)
    return captured.get()


@pytest.mark.parametrize("model", ["resnet-50", "vit-base-patch16-224", "dit-xl-2-256"])
def test_conventions_that_do_not_apply_are_not_printed(model: str) -> None:
    text = shown(model)
    for word in ("kv cache", "kv_cache", "causal", "cache_page", "logits"):
        assert word not in text


def test_a_missing_head_is_printed() -> None:
    assert "logits none" in shown("resnet-50", logits="none")


def test_conventions_that_apply_are_printed() -> None:
    text = shown("gpt2")
    for word in ("kv cache", "kv_cache", "causal half", "cache_page", "logits last"):
        assert word in text
    assert "logits last" in shown("bert-base-uncased")
    # The record stays as it was.
    assert mw.analyze("resnet-50", on="h100-sxm").conventions["causal"] == "half"
