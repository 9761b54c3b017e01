"""Image models in stages against transformers' classes, and what they do derived by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memorywall as mw
from memorywall.catalog.configs import entries
from memorywall.core.errors import InvalidInputError, UnsupportedError
from tests import oracle
from tests.counting import products

KINDS = ("swin", "swinv2", "convnext", "convnextv2", "resnet")
ENTRIES = {e.id: e.config for e in entries() if e.config.get("model_type") in KINDS}
INT8: dict[str, Any] = {"weights": "int8", "activations": "int8", "traffic": "unfused"}


def agrees(config: dict[str, Any], images: int, height: int, width: int) -> None:
    """Compare parameters and products with those of transformers' class."""
    class_name = config["architectures"][0]
    answer = mw.analyze(config, on="h100-sxm", batch_size=images, image_size=(height, width))
    assert answer.parameters == oracle.parameters(config, class_name)
    assert products(answer) == oracle.image_flops(config, class_name, images, height, width)


@pytest.mark.parametrize("name", ENTRIES)
def test_published_models(name: str) -> None:
    config = ENTRIES[name]
    images = mw.model(name).traits.images
    assert images is not None
    height, width = images.size
    if "base" in name:
        height, width = height + 40, width + 75  # neither patches nor windows divide it
    agrees(config, 2, height, width)


# torchvision's own count of multiply-adds, in 10^9 of them ("_ops" in torchvision/models/*.py).
@pytest.mark.parametrize(
    ("name", "multiply_adds"),
    [
        ("microsoft/resnet-18", 1.814),
        ("microsoft/resnet-50", 4.089),
        ("microsoft/resnet-152", 11.514),
        ("facebook/convnext-tiny-224", 4.456),
        ("facebook/convnext-base-224", 15.355),
        ("microsoft/swin-tiny-patch4-window7-224", 4.491),
        ("microsoft/swin-base-patch4-window7-224", 15.431),
    ],
)
def test_products_as_published(name: str, multiply_adds: float) -> None:
    counted = products(mw.analyze(name, on="h100-sxm")) / 2 / 1e9
    assert counted == pytest.approx(multiply_adds, abs=0.0006)


@st.composite
def swin_configs(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    prefix = {"swin": "Swin", "swinv2": "Swinv2"}[kind]
    stages = draw(st.integers(1, 3))
    heads = [draw(st.sampled_from([1, 2])) * 2**stage for stage in range(stages)]
    return {
        "model_type": kind,
        "architectures": [f"{prefix}{draw(st.sampled_from(['Model', 'ForImageClassification']))}"],
        "image_size": draw(st.sampled_from([24, 32])),
        "patch_size": draw(st.integers(2, 3)),
        "num_channels": draw(st.integers(1, 3)),
        "embed_dim": 2 * draw(st.integers(1, 3)),
        "depths": [draw(st.integers(1, 3)) for _ in range(stages)],
        "num_heads": heads,
        "window_size": draw(st.integers(1, 2)),
        "mlp_ratio": draw(st.sampled_from([1.5, 2.0])),
        "qkv_bias": draw(st.booleans()),
        "num_labels": draw(st.integers(1, 5)),
    }


@pytest.mark.parametrize("kind", ["swin", "swinv2"])
@settings(max_examples=20, deadline=None)
@given(st.data(), st.integers(24, 50), st.integers(24, 50))
def test_random_swin(kind: str, data: Any, height: int, width: int) -> None:
    config = data.draw(swin_configs(kind))
    agrees(config, data.draw(st.integers(1, 3)), height, width)


@st.composite
def convnext_configs(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    prefix = {"convnext": "ConvNext", "convnextv2": "ConvNextV2"}[kind]
    stages = draw(st.integers(1, 3))
    config = {
        "model_type": kind,
        "architectures": [f"{prefix}{draw(st.sampled_from(['Model', 'ForImageClassification']))}"],
        "patch_size": draw(st.integers(1, 4)),
        "num_channels": draw(st.integers(1, 3)),
        "num_stages": stages,
        # transformers shrinks a map only where stages differ, or from the second on.
        "hidden_sizes": [draw(st.integers(1, 9)) for _ in range(stages)],
        "depths": [draw(st.integers(1, 3)) for _ in range(stages)],
        "hidden_act": draw(st.sampled_from(["gelu", "relu"])),
        "num_labels": draw(st.integers(1, 5)),
    }
    if kind == "convnext":
        config["layer_scale_init_value"] = draw(st.sampled_from([1e-6, 0.0, 0.5]))
    return config


@pytest.mark.parametrize("kind", ["convnext", "convnextv2"])
@settings(max_examples=20, deadline=None)
@given(st.data(), st.integers(16, 50), st.integers(16, 50))
def test_random_convnext(kind: str, data: Any, height: int, width: int) -> None:
    agrees(data.draw(convnext_configs(kind)), data.draw(st.integers(1, 3)), height, width)


@st.composite
def resnet_configs(draw: st.DrawFn) -> dict[str, Any]:
    stages = draw(st.integers(1, 3))
    return {
        "model_type": "resnet",
        "architectures": [draw(st.sampled_from(["ResNetModel", "ResNetForImageClassification"]))],
        "num_channels": draw(st.integers(1, 3)),
        "embedding_size": draw(st.integers(1, 9)),
        "hidden_sizes": [draw(st.integers(4, 12)) for _ in range(stages)],
        "depths": [draw(st.integers(1, 3)) for _ in range(stages)],
        "layer_type": draw(st.sampled_from(["basic", "bottleneck"])),
        "downsample_in_first_stage": draw(st.booleans()),
        "downsample_in_bottleneck": draw(st.booleans()),
        "num_labels": draw(st.integers(1, 5)),
    }


@settings(max_examples=25, deadline=None)
@given(resnet_configs(), st.integers(1, 3), st.integers(1, 50), st.integers(1, 50))
def test_random_resnet(config: dict[str, Any], images: int, height: int, width: int) -> None:
    agrees(config, images, height, width)


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        ("swin", "Swin"),
        ("swinv2", "Swinv2"),
        ("convnext", "ConvNext"),
        ("convnextv2", "ConvNextV2"),
        ("resnet", "ResNet"),
    ],
)
def test_defaults_are_those_of_transformers(kind: str, prefix: str) -> None:
    agrees({"model_type": kind, "architectures": [f"{prefix}ForImageClassification"]}, 1, 224, 224)


def work(config: dict[str, Any], side: int, **words: Any) -> dict[str, tuple[Any, Any]]:
    """Return FLOPs and bytes by operator for two images; an element is a byte."""
    answer = mw.analyze(config, on="h100-sxm", batch_size=2, image_size=side, **{**INT8, **words})
    return {op.name: (op.flops, op.moved_bytes) for op in answer.ops}


def test_a_swin_attends_within_windows() -> None:
    # Two images of 10 x 10 pixels, cut by 2: maps of 5 x 5 = 25 pixels of 4 channels, 2 heads of 2.
    # Windows of 3 pad the map to 6 x 6: four windows of 9 pixels each, 72 rows of two images.
    config = {
        "model_type": "swin", "image_size": 10, "patch_size": 2, "num_channels": 3, "embed_dim": 4,
        "depths": [2], "num_heads": [2], "window_size": 3, "mlp_ratio": 2.0,
    }  # fmt: skip
    found = work(config, 10)
    assert found["embeddings.patches"] == (2 * 12 * 4 * 50, 2 * 100 * 3 + 12 * 4 + 4 + 50 * 4)
    layers, layer = 2, "stage1.layers"
    # A table of 5 x 5 distances for two heads makes 81 numbers for each.
    assert found[f"{layer}.attention.bias"] == (0, layers * (50 + 162))
    assert found[f"{layer}.attention.pad"] == (0, layers * (50 * 4 + 72 * 4))
    assert found[f"{layer}.attention.q_proj"] == (layers * 2 * 72 * 16, layers * (288 + 20 + 288))
    # Eight windows of 9 x 9 pairs for two heads of 2: 2 x 2 FLOPs a pair.
    assert found[f"{layer}.attention.scores"][0] == layers * 4 * 2 * 8 * 81
    # The softmax reads scores and bias, and writes as many numbers as there are scores.
    assert found[f"{layer}.attention.softmax"] == (
        layers * 6 * 1296, layers * (1296 + 162 + 1296),
    )  # fmt: skip
    assert found[f"{layer}.attention.crop"] == (0, layers * (50 * 4 + 50 * 4))
    assert found[f"{layer}.mlp.up_proj"][0] == layers * 2 * 50 * 4 * 8
    answer = mw.analyze(config, on="h100-sxm")
    assert "Maps of 5x5 are padded to whole windows." in answer.notes
    assert answer.seq_len == 25


def test_a_swin_2_compares_directions() -> None:
    # As above without padding: 6 x 6 pixels in four windows of 9, 72 rows of two images.
    config = {
        "model_type": "swinv2", "image_size": 12, "patch_size": 2, "num_channels": 3,
        "embed_dim": 4, "depths": [1], "num_heads": [2], "window_size": 3, "mlp_ratio": 2.0,
    }  # fmt: skip
    found, layer = work(config, 12), "stage1.layers.attention"
    # Queries and keys are divided by their length: square, sum, divide, without weights.
    assert found[f"{layer}.q_norm"] == (3 * 288, 288 + 288)
    # 25 distances of two coordinates through 512 numbers to one for each head.
    assert found[f"{layer}.distances.up_proj"] == (2 * 25 * 2 * 512, 50 + 1024 + 512 + 25 * 512)
    assert found[f"{layer}.distances.down_proj"][0] == 2 * 25 * 512 * 2
    # A number for each head is clipped; 16 sigmoid(x): three FLOPs and one.
    assert found[f"{layer}.logit_scale"] == (2 * 2, 2 + 2)
    assert found[f"{layer}.bias_activation"][0] == 3 * 162
    assert found[f"{layer}.bias_scale"][0] == 162
    assert f"{layer}.pad" not in found


def test_swin_merges_four_pixels() -> None:
    # 6 x 6 pixels of 4 channels become 3 x 3 of 8: 9 rows an image of 16 numbers, normed before.
    config = {
        "model_type": "swin", "image_size": 12, "patch_size": 2, "embed_dim": 4, "depths": [1, 1],
        "num_heads": [1, 1], "window_size": 3, "mlp_ratio": 2.0,
    }  # fmt: skip
    found = work(config, 12)
    assert found["stage2.merge.gather"] == (0, 72 * 4 + 18 * 16)
    assert found["stage2.merge.norm"] == (7 * 288, 288 + 32 + 288)
    assert found["stage2.merge.reduction"] == (2 * 18 * 16 * 8, 288 + 128 + 18 * 8)
    second = work({**config, "model_type": "swinv2"}, 12)
    assert second["stage2.merge.norm"] == (7 * 144, 144 + 16 + 144)


def test_a_convnext_layer() -> None:
    # Two images of 8 x 8 cut by 4: maps of 2 x 2, eight rows of 3 channels.
    config = {
        "model_type": "convnext", "patch_size": 4, "num_channels": 1, "num_stages": 1,
        "hidden_sizes": [3], "depths": [2], "image_size": 8,
    }  # fmt: skip
    found, layer = work(config, 8), "stage1.layers"
    # 49 taps for each of 24 numbers, of one channel; the padded edges are counted.
    assert found[f"{layer}.near"] == (2 * 2 * 49 * 24, 2 * (24 + 49 * 3 + 3 + 24))
    assert found[f"{layer}.mlp.up_proj"][0] == 2 * 2 * 8 * 3 * 12
    assert found[f"{layer}.scale"] == (2 * 24, 2 * (24 + 3 + 24))
    assert found["head.pool"] == (24, 24 + 6)
    assert found["head.norm"] == (7 * 6, 6 + 6 + 6)
    second = work({**config, "model_type": "convnextv2"}, 8)
    assert second[f"{layer}.mlp.responses"] == (2 * 6 * 96, 2 * (96 + 24 + 96))
    assert f"{layer}.scale" not in second


def test_a_resnet_layer() -> None:
    # An image of 16 x 16 is halved twice before the stages: 8 x 8, then 4 x 4 of 2 channels.
    config = {
        "model_type": "resnet", "num_channels": 1, "embedding_size": 2, "hidden_sizes": [4, 8],
        "depths": [1, 2], "layer_type": "bottleneck",
        "architectures": ["ResNetForImageClassification"], "num_labels": 3,
    }  # fmt: skip
    found = work(config, 16)
    assert found["embeddings.conv"] == (2 * 49 * 2 * 128, 2 * 256 + 49 * 2 + 2 * 128)
    assert found["embeddings.conv_norm"] == (2 * 256, 256 + 4 + 256)
    # The largest of nine for each of 2 x 4 x 4 x 2 numbers.
    assert found["embeddings.pool"] == (9 * 64, 256 + 64)
    # A bottleneck of 4 channels works on one; from 2 channels to 4 the shortcut is a convolution.
    assert found["stage1.first.conv2"][0] == 2 * 9 * 1 * 1 * 32
    assert found["stage1.first.shortcut"] == (2 * 2 * 4 * 32, 64 + 8 + 128)
    # The second stage strides in its middle convolution: 4 x 4 in, 2 x 2 out.
    assert found["stage2.first.conv1"][0] == 2 * 4 * 2 * 32
    assert found["stage2.first.conv2"] == (2 * 9 * 2 * 2 * 8, 32 * 2 + 36 + 8 * 2)
    assert "stage2.layers.shortcut" not in found
    assert found["head.classifier"] == (2 * 2 * 8 * 3, 16 + 24 + 3 + 6)
    nothing = work(config, 16, logits="none")
    assert nothing["head.classifier"] == (0, 0)


@pytest.mark.parametrize(
    ("config", "size"),
    [
        ({"model_type": "swin"}, 112),  # the last map is 4 x 4, its windows 7
        ({"model_type": "convnext"}, 31),  # 32 x 32 pixels make one
        ({"model_type": "convnextv2"}, (64, 16)),
    ],
)
def test_images_that_are_too_small(config: dict[str, Any], size: Any) -> None:
    assert mw.analyze(config, on="h100-sxm", image_size=224).parameters > 0
    with pytest.raises(InvalidInputError, match="image_size"):
        mw.analyze(config, on="h100-sxm", image_size=size)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"model_type": "swin", "num_heads": [5, 6, 12, 24]}, "num_heads"),
        ({"model_type": "swin", "depths": [2, 2]}, "num_heads"),
        ({"model_type": "swinv2", "image_size": 16}, "image_size"),
        ({"model_type": "convnext", "num_stages": 3}, "num_stages"),
        ({"model_type": "convnext", "depths": [3, 3, 9, 2**16]}, "depths"),
        ({"model_type": "convnext", "hidden_sizes": [3, "x", 1, 1]}, "hidden_sizes"),
        ({"model_type": "resnet", "layer_type": "dense"}, "layer_type"),
        ({"model_type": "resnet", "hidden_sizes": [3, 512, 1024, 2048]}, "hidden_sizes"),
    ],
)
def test_faults_are_named(change: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidInputError, match=f"'{key}'"):
        mw.model(change)


def test_positions_by_place_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="use_absolute_embeddings"):
        mw.model({"model_type": "swin", "use_absolute_embeddings": True})
