"""Diffusion transformers against diffusers' classes, to the last digit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memorywall as mw
from memorywall.catalog.configs import entries
from tests.counting import products
from tests.oracle import denoisers

pytestmark = pytest.mark.sampled(every=4)  # the other models are in the slow tier

ENTRIES = {e.id: e.config for e in entries() if "_class_name" in e.config}


def agrees(config: dict[str, Any], images: int, height: int, width: int) -> None:
    """Compare parameters and the products of a step with those of diffusers' class."""
    answer = mw.analyze(
        config, on="h100-sxm", batch_size=images, image_size=(height, width), steps=1,
        guidance="off",
    )  # fmt: skip
    architecture: Any = answer.scenario.model.architecture
    class_name, text = architecture.class_name, getattr(architecture, "text", 0)
    assert answer.parameters == denoisers.parameters(config, class_name)
    assert products(answer) == denoisers.step_flops(config, class_name, images, height, width, text)


@pytest.mark.parametrize("name", ENTRIES)
def test_published_models(name: str) -> None:
    images = mw.model(name).traits.images
    assert images is not None
    height, width = images.size
    agrees(ENTRIES[name], 2, height, width)


@settings(max_examples=20, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(1, 5))
def test_random_dit(data: Any, images: int, side: int) -> None:
    patch = data.draw(st.integers(1, 3))
    config = {
        "_class_name": "DiTTransformer2DModel",
        "num_attention_heads": data.draw(st.integers(1, 3)),
        "attention_head_dim": 4 * data.draw(st.integers(1, 3)),  # sines of two axes
        "in_channels": data.draw(st.integers(1, 4)),
        "out_channels": data.draw(st.sampled_from([None, 3, 8])),
        "num_layers": data.draw(st.integers(1, 4)),
        "patch_size": patch,
        "sample_size": 3 * patch,
        "attention_bias": data.draw(st.booleans()),
        "activation_fn": data.draw(st.sampled_from(["gelu", "gelu-approximate"])),
        "norm_elementwise_affine": data.draw(st.booleans()),
        "num_embeds_ada_norm": data.draw(st.integers(1, 9)),
    }
    agrees(config, images, side * 8 * patch, side * 8 * patch)


@settings(max_examples=20, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
def test_random_sd3(data: Any, images: int, height: int, width: int) -> None:
    patch, heads, layers = (data.draw(st.integers(1, n)) for n in (3, 3, 4))
    head_dim = 4 * data.draw(st.integers(1, 3))
    config = {
        "_class_name": "SD3Transformer2DModel",
        "num_attention_heads": heads,
        "attention_head_dim": head_dim,
        "caption_projection_dim": heads * head_dim,
        "in_channels": data.draw(st.integers(1, 4)),
        "out_channels": data.draw(st.sampled_from([None, 3])),
        "num_layers": layers,
        "patch_size": patch,
        "sample_size": 3 * patch,
        "pos_embed_max_size": 5,
        "joint_attention_dim": data.draw(st.integers(1, 9)),
        "pooled_projection_dim": data.draw(st.integers(1, 9)),
        "dual_attention_layers": data.draw(st.lists(st.integers(0, layers - 1), unique=True)),
        "qk_norm": data.draw(st.sampled_from([None, "rms_norm", "layer_norm"])),
    }
    agrees(config, images, height * 8 * patch, width * 8 * patch)


@settings(max_examples=20, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
def test_random_flux(data: Any, images: int, height: int, width: int) -> None:
    axes = [2 * data.draw(st.integers(1, 3)) for _ in range(3)]
    config = {
        "_class_name": "FluxTransformer2DModel",
        "num_attention_heads": data.draw(st.integers(1, 3)),
        "attention_head_dim": sum(axes),
        "axes_dims_rope": axes,
        "in_channels": data.draw(st.integers(1, 8)),
        "out_channels": data.draw(st.sampled_from([None, 3])),
        "num_layers": data.draw(st.integers(1, 3)),
        "num_single_layers": data.draw(st.integers(1, 3)),
        "joint_attention_dim": data.draw(st.integers(1, 9)),
        "pooled_projection_dim": data.draw(st.integers(1, 9)),
        "guidance_embeds": data.draw(st.booleans()),
    }
    agrees(config, images, height * 16, width * 16)


@settings(max_examples=15, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
def test_random_pixart(data: Any, images: int, height: int, width: int) -> None:
    heads, head_dim = data.draw(st.integers(1, 3)), 12 * data.draw(st.integers(1, 2))
    config = {
        "_class_name": "PixArtTransformer2DModel",
        "num_attention_heads": heads,
        "attention_head_dim": head_dim,
        "cross_attention_dim": heads * head_dim,
        "caption_channels": data.draw(st.integers(1, 9)),
        "in_channels": data.draw(st.integers(1, 4)),
        "out_channels": data.draw(st.sampled_from([None, 3, 8])),
        "num_layers": data.draw(st.integers(1, 3)),
        "sample_size": data.draw(st.sampled_from([16, 128])),
        "attention_bias": data.draw(st.booleans()),
        "norm_elementwise_affine": data.draw(st.booleans()),
        "use_additional_conditions": data.draw(st.sampled_from([None, True, False])),
    }
    agrees(config, images, height * 16, width * 16)


NEEDED: dict[str, dict[str, Any]] = {"PixArt": {"caption_channels": 7}}


@pytest.mark.parametrize("kind", ["DiT", "SD3", "Flux", "PixArt"])
def test_defaults_are_those_of_diffusers(kind: str) -> None:
    agrees({"_class_name": f"{kind}Transformer2DModel", **NEEDED.get(kind, {})}, 1, 256, 256)
