"""Vision models against transformers' classes, to the last digit, on images without values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memorywall as mw
from memorywall.catalog.configs import entries
from tests import oracle
from tests.asking import analyze_alike
from tests.counting import products
from tests.families.image_configs import IMAGE_TEXT, PAIRS, QWEN3_5, TOWERS, tower_configs

pytestmark = pytest.mark.sampled(every=4)  # the other models are in the slow tier

MODELS = {entry.id: mw.model(entry.id) for entry in entries()}
LOOKS = {
    name: m.traits.images
    for name, m in MODELS.items()
    if m.traits.images and m.traits.denoising is None
}
SEEING = {entry.id: entry.config for entry in entries() if entry.id in LOOKS}
SIZES = {name: images.size for name, images in LOOKS.items()}
ALONE = [name for name, images in LOOKS.items() if not images.with_text]
# SigLIP 2 runs on the host: a small one is held below.
BESIDE = [
    name
    for name, config in SEEING.items()
    if name not in ALONE and not MODELS[name].causal and config["model_type"] != "siglip2"
]
WITHIN = [name for name in SEEING if MODELS[name].causal]
VIEWS = ("idefics3", "smolvlm")
FULL: dict[str, Any] = {"on": "h100-sxm", "logits": "all", "causal": "full"}


def class_of(config: dict[str, Any]) -> str:
    return str(mw.model(config).architecture.class_name)


@pytest.mark.parametrize("name", SEEING)
def test_parameters(name: str) -> None:
    assert class_of(SEEING[name]) == SEEING[name]["architectures"][0]
    assert mw.model(name).parameters == oracle.parameters(SEEING[name], class_of(SEEING[name]))


@pytest.mark.parametrize("name", ALONE)
def test_published_encoders(name: str) -> None:
    config = SEEING[name]
    height, width = SIZES[name]
    for size in ((height, width), (height + 28, width - 28)):
        answer = analyze_alike(name, batch_size=2, image_size=size, **FULL)
        assert products(answer) == oracle.image_flops(config, class_of(config), 2, *size)


@pytest.mark.parametrize("name", BESIDE)
def test_published_pairs(name: str) -> None:
    config = SEEING[name]
    side = SIZES[name][0]
    answer = analyze_alike(config, batch_size=1, images=2, seq_len=5, **FULL)
    theirs = oracle.likeness_flops(config, class_of(config), 1, 5, 2, side)
    assert products(answer) == theirs


@pytest.mark.parametrize("name", WITHIN)
def test_published_image_text_models(name: str) -> None:
    height, width = SIZES[name]
    cut = SEEING[name]["model_type"] in VIEWS
    check_image_text(shallow(SEEING[name]), 1200, (height, width // 4 if cut else width))


def shallow(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config with a decoder of few layers: its depth is held by the parameters.

    They are six, or twelve where kinds are listed, so that some of each keep keys for others.
    """
    if "layer_types" in config.get("text_config", {}):
        text = dict(config["text_config"])
        text["layer_types"] = text["layer_types"][:12]
        text["num_hidden_layers"] = 12
        if "num_kv_shared_layers" in text:
            text["num_kv_shared_layers"] = min(5, text["num_kv_shared_layers"])
        return {**config, "text_config": text}
    if "text_config" in config:
        text = {**config["text_config"], "num_hidden_layers": 6}
        return {**config, "text_config": text}
    return {**config, "num_hidden_layers": 6}


def given_of(config: dict[str, Any], size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    """Return how many images a processor makes of one, and their size.

    Of those here that are cut, four views and the whole: test_images.py has the rule.
    """
    if config["model_type"] not in VIEWS:
        return 1, size
    side = config["vision_config"]["image_size"]
    return 5, (side, side)


def check_image_text(config: dict[str, Any], length: int, size: tuple[int, int]) -> None:
    """Hold prefill, encode and three steps against transformers."""
    name = class_of(config)
    views, given = given_of(config, size)
    looking, reading = oracle.image_text_flops(config, name, 2, length, 4 * views, given)
    words: dict[str, Any] = {**FULL, "batch_size": 2, "image_size": size}
    prefill = analyze_alike(config, phase="prefill", images=2, seq_len=length, **words)
    assert products(prefill) == looking + reading
    assert products(analyze_alike(config, phase="encode", images=2, **words)) == looking
    text = {name: word for name, word in words.items() if name != "image_size"}
    alone = analyze_alike(config, phase="prefill", images=0, seq_len=length, **text)
    assert products(alone) == reading
    for context in (2, 9, 33):
        step = analyze_alike(config, phase="decode", seq_len=context, kv_cache="bf16", **words)
        flops, elements = oracle.image_text_step(config, name, 2, context)
        assert products(step) == flops
        assert step.footprint.kv_cache == 2 * elements


@pytest.mark.parametrize("config", TOWERS, ids=lambda config: config["architectures"][0])
def test_small_towers(config: dict[str, Any]) -> None:
    # transformers lays a masked image's patches out in a square.
    masked = config["architectures"][0].endswith("ForMaskedImageModeling")
    check_tower(config, 3, (48, 48) if masked else (48, 40))


def check_tower(config: dict[str, Any], images: int, size: tuple[int, int]) -> None:
    answer = analyze_alike(config, batch_size=images, image_size=size, **FULL)
    assert answer.parameters == oracle.parameters(config, class_of(config))
    assert products(answer) == oracle.image_flops(config, class_of(config), images, *size)


@settings(max_examples=25, deadline=None)
@given(tower_configs(), st.integers(1, 5), st.integers(8, 60), st.integers(8, 60))
def test_random_towers(config: dict[str, Any], images: int, height: int, width: int) -> None:
    check_tower(config, images, (height, width))


@pytest.mark.parametrize("config", PAIRS, ids=lambda config: config["model_type"])
def test_small_pairs(config: dict[str, Any]) -> None:
    answer = analyze_alike(config, batch_size=3, images=2, seq_len=7, **FULL)
    assert answer.parameters == oracle.parameters(config, class_of(config))
    assert products(answer) == oracle.likeness_flops(config, class_of(config), 3, 7, 6, 32)


@pytest.mark.parametrize(("config", "size"), IMAGE_TEXT, ids=lambda value: str(value)[:40])
def test_small_image_text_models(config: dict[str, Any], size: tuple[int, int]) -> None:
    assert mw.model(config).parameters == oracle.parameters(config, class_of(config))
    check_image_text(config, 260, size)


def test_tower_of_qwen3_5() -> None:
    name, size = class_of(QWEN3_5), (256, 320)
    assert mw.model(QWEN3_5).parameters == oracle.parameters(QWEN3_5, name)
    answer = analyze_alike(QWEN3_5, phase="encode", batch_size=2, images=2, image_size=size, **FULL)
    assert products(answer) == oracle.tower_flops(QWEN3_5, name, 4, size)
