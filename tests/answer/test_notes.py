"""Notes on formats wider than requested, and on guidance of distilled models."""

from __future__ import annotations

import pytest

import memorywall as mw

OLMO = "olmo-2-1124-7b"  # its config says fp32
CACHE = "The cache is kept in fp32, as the config says"
ARITHMETIC = "Arithmetic is in fp32, as the config says"


def notes(model: str, device: str = "h100-sxm", **asked: str) -> str:
    return "\n".join(mw.analyze(model, on=device, **asked).notes)


def test_a_cache_wider_than_activations_is_reported() -> None:
    said = notes(OLMO, weights="bf16", activations="bf16")
    assert f"{CACHE}; --kv-cache bf16 halves it." in said
    assert ARITHMETIC not in said
    wide, narrow = (
        mw.analyze(OLMO, on="h100-sxm", activations="bf16", kv_cache=cache).footprint.kv_cache
        for cache in (None, "bf16")
    )
    assert wide == 2 * narrow
    assert "--kv-cache fp8 makes it 4 times smaller" in notes(OLMO, activations="fp8")


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        (OLMO, {}),
        (OLMO, {"activations": "bf16", "kv_cache": "fp32"}),
        ("llama-3.1-8b", {"activations": "bf16"}),
        ("vit-base-patch16-224", {"activations": "bf16"}),  # it has no cache
    ],
)
def test_no_note_where_the_cache_is_asked_for_or_as_narrow(
    model: str, asked: dict[str, str]
) -> None:
    assert "The cache is kept" not in notes(model, **asked)


def test_slow_fp32_is_reported_from_the_peaks() -> None:
    # H100's data sheet: 66.9 TFLOP/s in fp32, 989.4 in bf16. V100's has fp16 only, 125 to 15.7.
    said = f"{ARITHMETIC}, at 66.9 TFLOP/s; --weights bf16 --activations bf16 would run at 989"
    assert said in notes(OLMO)
    assert "--activations fp16 would run at 125" in notes(OLMO, "v100-sxm-32gb")
    assert "; --activations bf16 would" in notes(OLMO, weights="int8")
    assert ARITHMETIC not in notes("llama-3.1-8b")
    assert ARITHMETIC not in notes(OLMO, activations="fp32")


@pytest.mark.parametrize("model", ["flux.1-dev", "flux.1-schnell"])
def test_guidance_of_what_is_distilled_is_reported(model: str) -> None:
    assert "it is run once a step" in notes(model, guidance="on")
    assert "once a step" not in notes(model)


def test_guidance_of_a_guided_model_adds_no_note() -> None:
    assert "distilled" not in notes("stable-diffusion-3-medium-diffusers", guidance="on")
