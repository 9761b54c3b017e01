"""Images by hand: tokens by rule, FLOPs and bytes derived above each number, what is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import memorywall as mw
from memorywall.app.cli import main
from memorywall.core.errors import InvalidInputError, UnsupportedError
from memorywall.families import family_of
from tests.families.image_configs import CLIP, IMAGE_TEXT, PAIRS, SIGLIP, TOWERS, VISION

LLAVA, _ = IMAGE_TEXT[0]
VIEWS, _ = IMAGE_TEXT[5]
QWEN, _ = IMAGE_TEXT[7]
QWEN25, _ = IMAGE_TEXT[8]
INT8: dict[str, Any] = {"on": "h100-sxm", "weights": "int8", "activations": "int8"}


def tower(model_type: str) -> dict[str, Any]:
    return next(tower for tower in TOWERS if tower["model_type"] == model_type)


def flops(answer: mw.Analysis) -> dict[str, Any]:
    return {op.name: op.flops for op in answer.ops}


@pytest.mark.parametrize(
    ("name", "size", "tokens"),
    [
        ("google/vit-base-patch16-224", (224, 224), 197),  # 14 x 14 patches and the class
        ("google/vit-base-patch16-224", (384, 256), 385),  # 24 x 16 + 1
        ("google/vit-base-patch16-224", (239, 225), 197),  # 14 x 14 whole patches + 1
        ("facebook/deit-base-distilled-patch16-224", (224, 224), 198),  # and the teacher's
        ("facebook/dinov2-base", (518, 518), 1370),  # 37 x 37 + 1
        ("facebook/dinov2-with-registers-small", (518, 518), 1374),  # and four registers
        ("facebook/dinov3-vitb16-pretrain-lvd1689m", (224, 224), 201),  # 196 + 1 + 4
        ("openai/clip-vit-large-patch14", (224, 224), 257),  # 16 x 16 + 1
        ("google/siglip-so400m-patch14-384", (384, 384), 729),  # 27 x 27, 6 pixels left over
        ("google/siglip2-base-patch16-naflex", (1000, 300), 256),  # padded to as many, always
        ("llava-hf/llava-1.5-7b-hf", (336, 336), 576),  # 24 x 24, the class left behind
        ("llava-hf/llava-1.5-7b-hf", (1000, 300), 576),  # resized
        ("google/gemma-3-4b-it", (896, 896), 256),  # 64 x 64 patches, means of four by four
        ("google/paligemma-3b-mix-224", (224, 224), 256),  # 16 x 16
        # Sides in units of 28: 8 x 8; 1000 / 28 = 35.7 and 10.7, so 36 x 11.
        ("Qwen/Qwen2-VL-7B-Instruct", (224, 224), 64),
        ("Qwen/Qwen2-VL-7B-Instruct", (1000, 300), 396),
        # 784 pixels are less than 3,136: both sides doubled, 2 x 2.
        ("Qwen/Qwen2-VL-7B-Instruct", (28, 28), 4),
        # 7,168 x 7,168 is four times 12,845,056 = 3,584 x 3,584: halved, 128 x 128.
        ("Qwen/Qwen2.5-VL-7B-Instruct", (7168, 7168), 16_384),
        # 42 / 28 = 1.5 and 70 / 28 = 2.5 round to the even 2: 2 x 2.
        ("Qwen/Qwen2.5-VL-7B-Instruct", (42, 70), 4),
    ],
)
def test_tokens_of_an_image(name: str, size: tuple[int, int], tokens: int) -> None:
    images = mw.model(name).traits.images
    assert images is not None
    assert images.tokens(*size) == tokens


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        # Views of 32 x 32 are 4 x 4 patches, joined to 2 x 2 rows. The longer side is four views:
        # of 128 x 128 four by four and the whole; of 10 x 100 the shorter is 12.8, so four by one;
        # of 60 x 100 it is 76.8, so four by three.
        ((128, 128), 17 * 4),
        ((10, 100), 5 * 4),
        ((100, 60), 13 * 4),
    ],
)
def test_tokens_of_views(size: tuple[int, int], tokens: int) -> None:
    answer = mw.analyze(VIEWS, phase="encode", image_size=size, **INT8)
    assert answer.seq_len == tokens
    # Each patch of each view is embedded: 16 x 192 x 32 products for every four tokens.
    assert flops(answer)["vision.embeddings.patches"] == tokens // 4 * 16 * 2 * 192 * 32


def test_a_vit_by_hand() -> None:
    # D 48, N 4, F 80, 3 layers; two images of 32 x 24: 4 x 3 patches of 8 x 8 x 3 = 192 numbers,
    # so 13 tokens with the class, 26 rows. Patches: 2 x 192 x 48 x 24. Projections: 2 x 48 x 48 x
    # 26. Feed-forward: 2 x 48 x 80 x 26. Scores: 2 x 12 FLOPs for 2 x 4 x 13 x 13 pairs.
    found = flops(mw.analyze(TOWERS[1], batch_size=2, image_size=(32, 24), **INT8))
    assert found["embeddings.patches"] == 2 * 192 * 48 * 24
    assert found["embeddings.positions_add"] == 26 * 48
    assert found["layers.attention.q_proj"] == 3 * 2 * 48 * 48 * 26
    assert found["layers.mlp.up_proj"] == 3 * 2 * 48 * 80 * 26
    assert found["layers.attention.scores"] == 3 * 2 * 12 * 2 * 4 * 13 * 13
    assert found["head.classifier"] == 2 * 48 * 5 * 2


def test_bytes_of_patches_by_hand() -> None:
    # An int8 is a byte. 24 patches of 192 numbers in, a weight of 48 x 192 and a bias of 48, and 24
    # rows of 48 out; then those and the class's row and 13 rows of positions, and 26 rows out.
    answer = mw.analyze(TOWERS[1], batch_size=2, image_size=32, traffic="unfused", **INT8)
    moved = {op.name: op.moved_bytes for op in answer.ops}
    assert moved["embeddings.patches"] == 32 * 192 + 48 * 192 + 48 + 32 * 48
    assert moved["embeddings.positions_add"] == 32 * 48 + 48 + 17 * 48 + 34 * 48


def test_another_size_interpolates_positions() -> None:
    # The table of 17 rows is read whole, 31 rows are written, and the add reads those.
    answer = mw.analyze(TOWERS[1], image_size=(48, 40), traffic="unfused", **INT8)
    moved = {op.name: op.moved_bytes for op in answer.ops}
    assert moved["embeddings.positions_resize"] == (17 + 31) * 48
    assert any("interpolated from 32x32" in note for note in answer.notes)
    made = mw.analyze(TOWERS[1], **INT8)
    assert "embeddings.positions_resize" not in flops(made)
    assert not any("interpolated" in note for note in made.notes)


def test_beit_adds_a_bias_of_each_layer() -> None:
    # 7 x 7 distances of 4 x 4 patches and three of the class: 52 rows of 4 heads, for each of three
    # layers; a bias of 4 x 17 x 17 is made of them.
    answer = mw.analyze(tower("beit"), traffic="unfused", **INT8)
    bias = next(op for op in answer.ops if op.name == "layers.distances")
    assert bias.moved_bytes == 3 * (52 * 4 + 4 * 17 * 17)


def test_texts_of_clip_look_back_only_and_keep_nothing() -> None:
    # Of 7 tokens 28 pairs, where SigLIP's attend to all 49: 2 x 12 FLOPs for each of 4 heads.
    clip, siglip = (mw.analyze(pair, seq_len=7, **INT8) for pair in PAIRS[:2])
    assert flops(clip)["text.layers.attention.scores"] == 3 * 2 * 12 * 4 * 28
    assert flops(siglip)["text.layers.attention.scores"] == 3 * 2 * 12 * 4 * 49
    assert clip.footprint.kv_cache == siglip.footprint.kv_cache == 0


def test_every_text_is_held_against_every_image() -> None:
    # Three texts and six images, rows of 24: 2 x 24 x 18, and one FLOP for the scale of each.
    found = flops(mw.analyze(PAIRS[0], batch_size=3, images=2, seq_len=7, **INT8))
    assert found["likeness.pairs"] == 2 * 24 * 18
    assert found["likeness.logits"] == 18
    alone = flops(mw.analyze(PAIRS[0], batch_size=3, images=0, seq_len=7, **INT8))
    assert alone["likeness.pairs"] == alone["vision.layers.mlp.up_proj"] == 0
    assert alone["text.layers.mlp.up_proj"] == found["text.layers.mlp.up_proj"] > 0


def test_rows_of_images_enter_in_place_of_words() -> None:
    # Two sequences of two images of 16 rows, 48 wide: read once and written over the words' rows.
    words: dict[str, Any] = {"batch_size": 2, "images": 2, "seq_len": 90, **INT8}
    prefill = mw.analyze(LLAVA, phase="prefill", **words)
    assert {op.name: op.moved_bytes for op in prefill.ops}["images.enter"] == 2 * 2 * 2 * 16 * 48


def test_phases_add_up() -> None:
    # A prefill encodes the image, inserts the rows, and reads the text.
    words: dict[str, Any] = {"batch_size": 2, "traffic": "unfused", **INT8}
    both = mw.analyze(LLAVA, phase="prefill", images=2, seq_len=90, **words)
    look = mw.analyze(LLAVA, phase="encode", images=2, **words)
    read = mw.analyze(LLAVA, phase="prefill", images=0, seq_len=90, **words)
    assert both.flops == look.flops + read.flops
    assert both.moved_bytes == look.moved_bytes + read.moved_bytes + 2 * 2 * 2 * 16 * 48
    assert (look.seq_len, look.images, look.footprint.kv_cache) == (32, 2, 0)
    assert both.footprint.weights == look.footprint.weights == both.parameters
    assert look.images_per_s == 4 / look.latency_s


def test_a_step_leaves_the_tower_resident() -> None:
    words: dict[str, Any] = {"phase": "decode", "seq_len": 90, **INT8}
    step = mw.analyze(LLAVA, **words)
    text = mw.analyze({**LLAVA["text_config"], "dtype": "bfloat16"}, **words)
    assert (step.flops, step.moved_bytes) == (text.flops, text.moved_bytes)
    assert step.footprint.weights == step.parameters > text.parameters
    assert step.images is None


def test_generating_looks_once() -> None:
    words: dict[str, Any] = {"images": 1, "seq_len": 40, **INT8}
    prefill = mw.analyze(LLAVA, phase="prefill", **words)
    steps = [mw.analyze(LLAVA, phase="decode", seq_len=n, **INT8) for n in (41, 42)]
    whole = mw.analyze(LLAVA, phase="generate", new_tokens=3, **words)
    assert whole.flops == prefill.flops + sum(step.flops for step in steps)


def test_tokens_of_an_image_see_one_another() -> None:
    # Of 20 tokens 210 pairs look back; the four of an image look ahead to 6 more, of two images to
    # 12: 2 x 12 FLOPs for each of 4 heads and 3 layers. All 20 of PaliGemma's prefill see all.
    def scores(config: dict[str, Any], images: int) -> Any:
        words = {"phase": "prefill", "images": images, "seq_len": 20, **INT8}
        found = flops(mw.analyze(config, **words))
        named = [name for name in found if name.endswith("layers.attention.scores")]
        return sum(found[name] for name in named if "vision" not in name)

    gemma, pali = IMAGE_TEXT[2][0], {**IMAGE_TEXT[3][0]}
    assert [scores(gemma, n) for n in (0, 1, 2)] == [3 * 4 * 24 * p for p in (210, 216, 222)]
    assert scores(pali, 1) == 3 * 4 * 24 * 400
    pali["text_config"] = {**pali["text_config"], "use_bidirectional_attention": False}
    assert scores(pali, 1) == 3 * 4 * 24 * 210


def test_windows_of_a_tower_by_hand() -> None:
    # 72 x 56 pixels are 18 x 14 patches, 9 x 7 units of 2 x 2; windows of 24 pixels are 3 units.
    # Down 3 + 3 + 3, across 3 + 3 + 1: (9 + 9 + 9) x (9 + 9 + 1) pairs of units, 16 of patches
    # each. Three layers look so, two at all 252 patches.
    found = flops(mw.analyze(QWEN25, phase="encode", image_size=(72, 56), **INT8))
    near, far = "vision.windowed_layers.attention.scores", "vision.layers.attention.scores"
    assert found[near] == 3 * 2 * 8 * 4 * 27 * 19 * 16
    assert found[far] == 2 * 2 * 8 * 4 * 252 * 252


def test_numbers_of_images_may_be_an_array() -> None:
    counts = np.array([1, 2, 5])
    grid = mw.analyze(LLAVA, phase="prefill", images=counts, seq_len=100, on="h100-sxm")
    for at, count in enumerate(counts):
        one = mw.analyze(LLAVA, phase="prefill", images=int(count), seq_len=100, on="h100-sxm")
        assert grid.flops[at] == pytest.approx(one.flops)  # type: ignore[index]
        assert grid.latency_s[at] == pytest.approx(one.latency_s)  # type: ignore[index]
    words: dict[str, Any] = {"phase": "generate", "seq_len": 100, "new_tokens": 3}
    grid = mw.analyze(LLAVA, images=counts, on="h100-sxm", **words)
    one = mw.analyze(LLAVA, images=5, on="h100-sxm", **words)
    assert grid.latency_s[2] == pytest.approx(one.latency_s)  # type: ignore[index]
    with pytest.raises(InvalidInputError, match="from 1 to"):
        mw.analyze(LLAVA, phase="prefill", images=[0, 1], seq_len=100, on="h100-sxm")


@pytest.mark.parametrize(
    ("model", "words", "message"),
    [
        ("gpt2", {"image_size": 224}, "image_size requires images"),
        ("gpt2", {"images": 1}, "images requires images beside a text"),
        (TOWERS[1], {"seq_len": 9}, "seq_len requires a text"),
        (TOWERS[1], {"images": 2}, "images requires images beside a text"),
        (TOWERS[1], {"image_size": 7}, "less than a patch of 8x8"),
        (TOWERS[1], {"image_size": (1, 2, 3)}, "height and width, got"),
        (TOWERS[1], {"image_size": [8.5, 9]}, "image_size must be a whole number"),
        (LLAVA, {"phase": "encode", "seq_len": 9}, "seq_len has no effect on .* in phase encode"),
        (LLAVA, {"phase": "encode", "images": 0}, "images must be 1 or more"),
        (LLAVA, {"phase": "prefill", "seq_len": 9}, "1 x 16 positions .* do not fit, got 9"),
        (LLAVA, {"images": 3, "seq_len": 47}, "images has no effect on .* in phase decode"),
        (
            LLAVA,
            {"phase": "prefill", "images": 3, "seq_len": 47},
            "3 x 16 positions .* do not fit, got 47",
        ),
        (QWEN, {"phase": "encode", "image_size": (1, 201)}, "more than 200 times the other"),
    ],
)
def test_what_cannot_be_asked(model: Any, words: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        mw.analyze(model, on="h100-sxm", **words)
    text = f"{raised.value.message} {raised.value.hint}"
    assert re.search(message, text), text


@pytest.mark.parametrize(
    "config",
    [
        {**LLAVA, "vision_feature_layer": [-2, -3]},
        {**LLAVA, "vision_config": {**VISION, "model_type": "vit"}},
        {**LLAVA, "text_config": {"model_type": "mamba"}},
        {**TOWERS[0], "architectures": ["ViTBackbone"]},
        {**tower("dinov3_vit"), "query_bias": False},
        {
            **tower("beit"),
            "use_relative_position_bias": True,
            "use_shared_relative_position_bias": True,
        },
    ],
)
def test_not_covered(config: dict[str, Any]) -> None:
    family = family_of(config["model_type"])
    assert family is not None
    with pytest.raises(UnsupportedError, match="not supported"):
        family.read(config, "config")


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({k: v for k, v in LLAVA.items() if k != "vision_config"}, "vision_config"),
        ({**LLAVA, "vision_config": {**CLIP, "patch_size": 40}}, "patch_size"),
        ({**IMAGE_TEXT[2][0], "mm_tokens_per_image": 5}, "mm_tokens_per_image"),
        ({**IMAGE_TEXT[3][0], "projection_dim": 49}, "projection_dim"),
        ({**QWEN25, "vision_config": {**QWEN25["vision_config"], "window_size": 1}}, "window_size"),
        ({**PAIRS[1], "vision_config": SIGLIP}, "vision_use_head"),
        ({**PAIRS[2], "vision_config": {**VISION, "num_patches": 15}}, "num_patches"),
        ({**TOWERS[1], "image_size": [32, 32, 32]}, "image_size"),
    ],
)
def test_faults_are_named(config: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidInputError, match=f"'{key}'"):
        mw.model(config)


def test_an_answer_about_images_says_so() -> None:
    record = mw.analyze(LLAVA, on="h100-sxm", phase="prefill", image_size=(20, 30)).to_dict()
    assert (record["image_size"], record["images"], record["images_per_s"]) == ((20, 30), 1, None)
    assert "Every image is resized to 32x32 pixels." in record["notes"]
    assert "image_size" not in mw.analyze("gpt2", on="h100-sxm").to_dict()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["analyze", *arguments, "--on", "h100-sxm"])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def test_the_command_asks_about_images(capsys: pytest.CaptureFixture[str]) -> None:
    vit, llava = "vit-base-patch16-224", "llava-1.5-7b-hf"
    code, text = run(capsys, vit, "--image-size", "448x336", "--batch", "8")
    assert code == 0
    # 28 x 21 patches and the class.
    headline = " ".join(text.partition("-bound:")[0].split())
    assert "encoding an image of 448x336 pixels, batch 8" in headline
    assert "images/s" in headline
    code, text = run(capsys, llava, "--phase", "prefill", "--images", "2", "--seq", "2048")
    assert "prefill of 2048 tokens with 2 images of 336x336 pixels" in " ".join(text.split())
    code, text = run(capsys, llava, "--phase", "prefill", "--images", "1,2", "--seq", "2048")
    assert code == 0
    assert "images" in text
    code, text = run(capsys, vit, "--image-size", "1x2x3")
    assert code == 2
    assert "image_size must be a whole number of pixels, or height and width" in text
