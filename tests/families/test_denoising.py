"""Denoising, derived by hand in the comment above each number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memorywall as mw
from memorywall.core.errors import InvalidInputError, UnsupportedError
from tests.counting import products
from tests.families.test_stages import INT8

# D 4 in two heads, three layers; 8 x 8 pixels a latent, 2 x 2 latents a patch.
DIT = {
    "_class_name": "DiTTransformer2DModel", "num_attention_heads": 2, "attention_head_dim": 2,
    "in_channels": 1, "out_channels": 2, "num_layers": 3, "patch_size": 2, "sample_size": 4,
    "num_embeds_ada_norm": 5,
}  # fmt: skip
SD3 = {
    "_class_name": "SD3Transformer2DModel", "num_attention_heads": 2, "attention_head_dim": 2,
    "in_channels": 1, "out_channels": 1, "num_layers": 4, "patch_size": 2, "sample_size": 4,
    "caption_projection_dim": 4, "joint_attention_dim": 3, "pooled_projection_dim": 5,
    "dual_attention_layers": [0, 1],
}  # fmt: skip
FLUX = {
    "_class_name": "FluxTransformer2DModel", "num_attention_heads": 1, "attention_head_dim": 6,
    "axes_dims_rope": [2, 2, 2], "in_channels": 4, "num_layers": 2, "num_single_layers": 3,
    "joint_attention_dim": 3, "pooled_projection_dim": 5, "guidance_embeds": True,
}  # fmt: skip


def step(config: dict[str, Any], side: int, **words: Any) -> dict[str, tuple[Any, Any]]:
    """Return FLOPs and bytes by operator of one step over two images; an element is a byte."""
    words = {"steps": 1, "image_size": side, **INT8, **words}
    answer = mw.analyze(config, on="h100-sxm", batch_size=2, **words)
    return {op.name: (op.flops, op.moved_bytes) for op in answer.ops}


def test_a_step_of_a_dit() -> None:
    # 32 x 32 pixels are 4 x 4 latents and 4 patches; guidance makes four rows of two images, and
    # 16 patches, 64 numbers.
    found = step(DIT, 32)
    assert found["embeddings.patches"] == (2 * 4 * 4 * 16, 16 * 4 + 16 + 4 + 64)
    assert found["embeddings.positions_add"] == (64, 64 + 4 * 4 + 64)
    # In each of three layers: 256 sines to D and D to D, and a row of six classes for each row.
    assert found["layers.step.linear_1"] == (3 * 2 * 4 * 256 * 4, 3 * (1024 + 1024 + 4 + 16))
    assert found["layers.class"] == (0, 3 * (4 * 4 + 16))
    # Six factors of four rows; two of them scale and shift 64 numbers, one gates.
    assert found["layers.modulation"] == (3 * 2 * 4 * 4 * 24, 3 * (16 + 96 + 24 + 96))
    assert found["layers.attention_norm"] == (3 * 5 * 64, 3 * (64 + 64))
    assert found["layers.attention_norm_modulate"] == (3 * 2 * 64, 3 * (64 + 4 * 8 + 64))
    assert found["layers.attention_gate"] == (3 * 64, 3 * (64 + 16 + 64))
    # Four rows of two heads and 4 x 4 pairs, 2 x 2 FLOPs each.
    assert found["layers.attention.scores"][0] == 3 * 4 * 4 * 2 * 16
    assert found["layers.mlp.up_proj"][0] == 3 * 2 * 16 * 4 * 16
    # The first layer's embedders once more, and 2 x 2 x 2 numbers for each patch.
    assert found["head.step.linear_1"][0] == 2 * 4 * 256 * 4
    assert found["head.noise"] == (2 * 16 * 4 * 8, 64 + 32 + 8 + 128)


def test_the_parameters_of_dit_xl_are_those_published_and_the_copies_of_embedders() -> None:
    # An embedder: 256 x 1152 + 1152, 1152 x 1152 + 1152, and 1001 classes of 1152. diffusers keeps
    # 28; the paper's model (Peebles and Xie, 2022, table 1: 675 M) has one.
    embedder = 257 * 1152 + 1153 * 1152 + 1001 * 1152
    parameters = mw.model("facebook/DiT-XL-2-256").parameters
    assert round((parameters - 27 * embedder) / 1e6) == 675


@pytest.mark.parametrize(("size", "published"), [(256, 118.64), (512, 524.60)])
def test_the_work_of_dit_xl_is_that_published(size: int, published: float) -> None:
    # Table 4 and section 5.1 of the paper, in 10^9 multiply-adds. Of the 29 times that diffusers
    # embeds a step, 256 x 1152 + 1152^2 multiply-adds, the paper's model needs one.
    answer = mw.analyze(
        f"facebook/DiT-XL-2-{size}", on="h100-sxm", steps=1, guidance="off", image_size=size
    )
    counted = products(answer) / 2 - 28 * (256 * 1152 + 1152**2)
    assert counted / 1e9 == pytest.approx(published, rel=3e-4)


def test_image_and_prompt_attend_together() -> None:
    # 32 x 32 pixels are four patches, and the prompt has 333 positions: 337 of each of four rows.
    found = step(SD3, 32)
    pairs = 4 * 2 * 337 * 337
    assert found["layers.attention.scores"][0] == 2 * 2 * pairs
    # Two of four layers attend again, over the image alone; each has nine factors a row.
    assert found["dual_layers.attention2.scores"][0] == 2 * 2 * 2 * 4 * 2 * 16
    assert found["dual_layers.modulation"][0] == 2 * 2 * 4 * 4 * 36
    # Both streams write a part of the queries: 16 and 1332 rows of four.
    assert found["layers.attention.q_proj"] == (2 * 16 * 16, 64 + 16 + 4 + 64)
    assert found["layers.attention.text_q_proj"] == (2 * 1332 * 16, 5328 + 16 + 4 + 5328)
    # The output is read in parts too.
    assert found["layers.attention.text_o_proj"] == (2 * 1332 * 16, 5328 + 16 + 4 + 5328)
    # The last layer has no use for the prompt any more.
    assert "last_layer.attention.text_q_proj" in found
    assert "last_layer.attention.text_o_proj" not in found
    assert "last_layer.text_mlp.up_proj" not in found


def test_layers_of_one_stream() -> None:
    # 32 x 32 pixels are four packed latents, the prompt has 512 positions: 516 of two rows, since
    # guidance is embedded and takes no second run.
    found = step(FLUX, 32)
    rows = 2 * 516
    assert found["embeddings.guidance.linear_1"][0] == 2 * 2 * 256 * 6
    assert found["layers.attention.q_rotary"] == (2 * 3 * rows * 6, 2 * (rows * 6 * 2))
    assert found["single_layers.attention.scores"][0] == 3 * 2 * 6 * 2 * 516 * 516
    # Attended and fed forward side by side: 6 + 24 numbers to 6.
    assert found["single_layers.o_proj"] == (
        3 * 2 * rows * 30 * 6, 3 * (rows * 30 + 180 + 6 + rows * 6),
    )  # fmt: skip
    assert found["join.copy"] == (0, rows * 6 * 2)
    assert found["part.copy"] == (0, 8 * 6 * 2)
    assert found["head.noise"][0] == 2 * 8 * 6 * 4


def test_a_prompt_is_attended_to_beside_the_image() -> None:
    # D 12 in one head. 32 x 32 pixels are four patches; four rows of 120 positions of the prompt.
    config = {
        "_class_name": "PixArtTransformer2DModel", "num_attention_heads": 1,
        "attention_head_dim": 12, "cross_attention_dim": 12, "caption_channels": 5,
        "num_layers": 3, "sample_size": 128,
    }  # fmt: skip
    found = step(config, 32)
    assert found["layers.cross_attention.scores"][0] == 3 * 2 * 12 * 4 * 4 * 120
    assert found["layers.cross_attention.k_proj"][0] == 3 * 2 * 480 * 144
    # Both sides and the shape of the image, a third of D each, two and one for each of four rows.
    assert found["embeddings.sides.linear_1"][0] == 2 * 8 * 256 * 4
    assert found["embeddings.shape.linear_1"][0] == 2 * 4 * 256 * 4
    assert "embeddings.sides.linear_1" not in step({**config, "sample_size": 64}, 32)
    # Six factors are made once, and a table of them is added in every layer.
    assert found["embeddings.modulation"][0] == 2 * 4 * 12 * 72
    assert found["layers.table_add"] == (3 * 288, 3 * (288 + 72 + 288))
    assert found["head.table_add"] == (96, 48 + 24 + 96)


@pytest.mark.parametrize("name", ["facebook/DiT-XL-2-256", "stable-diffusion-3-medium"])
def test_steps_are_all_alike(name: str) -> None:
    one, many = (mw.analyze(name, on="h100-sxm", steps=steps) for steps in (1, 7))
    assert many.flops == 7 * one.flops
    assert many.moved_bytes == 7 * one.moved_bytes
    assert many.latency_s == pytest.approx(7 * one.latency_s)
    assert many.step_s == pytest.approx(one.latency_s)
    assert many.overlapped_s == pytest.approx(7 * one.overlapped_s)
    assert many.footprint == one.footprint
    for first, whole in zip(one.ops, many.ops, strict=True):
        assert (whole.flops, whole.count) == (7 * first.flops, 7 * first.count)


def test_guidance_doubles_the_rows() -> None:
    guided, twice = (
        mw.analyze("dit-xl-2-256", on="h100-sxm", batch_size=batch, guidance=guidance)
        for batch, guidance in ((1, "on"), (2, "off"))
    )
    assert guided.flops == twice.flops
    assert guided.moved_bytes == twice.moved_bytes
    assert guided.images_per_s == pytest.approx(1 / guided.latency_s)
    assert twice.images_per_s == pytest.approx(2 / guided.latency_s)


@pytest.mark.parametrize(
    ("name", "steps", "guidance", "size"),
    [
        ("facebook/DiT-XL-2-512", 50, "on", (512, 512)),
        ("stabilityai/stable-diffusion-3.5-large", 28, "on", (1024, 1024)),
        ("black-forest-labs/FLUX.1-dev", 28, "off", (1024, 1024)),
        ("black-forest-labs/FLUX.1-schnell", 4, "off", (1024, 1024)),
    ],
)
def test_defaults(name: str, steps: int, guidance: str, size: tuple[int, int]) -> None:
    answer = mw.analyze(name, on="h100-sxm")
    record = answer.to_dict()
    assert (answer.phase, answer.steps, answer.guidance) == ("denoise", steps, guidance)
    assert (record["steps"], record["guidance"], answer.image_size) == (steps, guidance, size)
    assert answer.conventions["guidance"] == guidance
    assert answer.footprint.kv_cache == 0
    assert any("not counted" in note for note in answer.notes)


def test_a_grid_of_batches() -> None:
    batches = [1, 3, 8]
    grid = mw.analyze("dit-xl-2-256", on="h100-sxm", batch_size=np.array(batches), steps=5)
    points = [mw.analyze("dit-xl-2-256", on="h100-sxm", batch_size=b, steps=5) for b in batches]
    assert np.asarray(grid.flops).tolist() == [point.flops for point in points]
    assert grid.latency_s == pytest.approx([point.latency_s for point in points])


@pytest.mark.parametrize(
    ("model", "words", "match"),
    [
        ("dit-xl-2-256", {"image_size": (256, 512)}, "square"),
        ("dit-xl-2-256", {"image_size": 250}, "16 x 16 pixels do not divide"),
        ("stable-diffusion-3-medium", {"image_size": 4096}, "positions for 3072 pixels"),
        ("dit-xl-2-256", {"seq_len": 256}, "seq_len"),
        ("dit-xl-2-256", {"steps": 0}, "steps"),
        ("dit-xl-2-256", {"steps": 2**21}, "steps"),
        ("gpt2", {"steps": 5}, "steps requires denoising, which gpt2 does not have"),
        ("resnet-50", {"guidance": "on"}, "guidance requires denoising"),
    ],
)
def test_questions_that_are_refused(model: str, words: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        mw.analyze(model, on="h100-sxm", **words)


@pytest.mark.parametrize(
    ("model", "phase"),
    [("dit-xl-2-256", "encode"), ("flux.1-dev", "decode"), ("gpt2", "denoise")],
)
def test_phases_that_are_refused(model: str, phase: str) -> None:
    with pytest.raises(UnsupportedError, match="phase"):
        mw.analyze(model, on="h100-sxm", phase=phase)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({**DIT, "activation_fn": "geglu"}, "activation_fn"),
        ({**DIT, "sample_size": -1}, "sample_size"),
        ({**SD3, "caption_projection_dim": 5}, "caption_projection_dim"),
        ({**SD3, "dual_attention_layers": [4]}, "dual_attention_layers"),
        ({**SD3, "qk_norm": "l2"}, "qk_norm"),
        ({**FLUX, "axes_dims_rope": [2, 2]}, "axes_dims_rope"),
        ({"_class_name": "PixArtTransformer2DModel"}, "caption_channels"),
    ],
)
def test_faults_are_named(config: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidInputError, match=f"'{key}'"):
        mw.model(config)


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({**DIT, "norm_type": "ada_norm"}, "norm_type"),
        ({**FLUX, "patch_size": 2}, "patch_size"),
        ({"_class_name": "PixArtTransformer2DModel", "attention_type": "gated"}, "attention_type"),
        ({"_class_name": "Transformer2DModel", "norm_type": "layer_norm"}, "Transformer2DModel"),
        ({"_class_name": "UNet2DConditionModel"}, "UNet2DConditionModel"),
    ],
)
def test_architectures_that_are_refused(config: dict[str, Any], match: str) -> None:
    with pytest.raises(UnsupportedError, match=match):
        mw.model(config)
