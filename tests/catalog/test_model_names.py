"""Names of models: hub ids, their siblings and quantised twins, short names, near names."""

from __future__ import annotations

import pytest

import memorywall as mw
from memorywall.catalog.configs import config_names, entries, find_config, known_names
from memorywall.core.errors import UnknownNameError, near_names

# The models of which public measurements of serving exist, under the names that they have there.
SERVED = (
    "MiniMaxAI/MiniMax-M2.5", "Qwen/Qwen3-235B-A22B-FP8", "Qwen/Qwen3.5-397B-A17B",
    "deepseek-ai/DeepSeek-R1", "deepseek-ai/DeepSeek-V3", "meta-llama/Llama-3.1-70B",
    "meta-llama/Llama-3.1-8B-Instruct", "nvidia/DeepSeek-R1-NVFP4", "nvidia/DeepSeek-V3.1-NVFP4",
    "nvidia/Llama-3.1-8B-Instruct-FP8", "nvidia/Qwen3-32B-NVFP4", "openai/gpt-oss-120b",
    "zhipuai/GLM-5",
)  # fmt: skip
SHORT = {
    "llama-3.3-70b": "meta-llama/Llama-3.3-70B-Instruct",
    "llama-3.1-8b-instruct": "meta-llama/Llama-3.1-8B-Instruct",
    "LLAMA-3.1-8B": "meta-llama/Llama-3.1-8B",
    "llama3.1:8b": "meta-llama/Llama-3.1-8B",
    "llama-3-8b": "meta-llama/Meta-Llama-3-8B",
    "Llama2-7B": "meta-llama/Llama-2-7b-hf",
    "llama-2-13b-chat": "meta-llama/Llama-2-13b-hf",
    "qwen2.5-72b": "Qwen/Qwen2.5-72B",
    "qwen2.5-7b-instruct": "Qwen/Qwen2.5-7B-Instruct",
    "qwen3-14b": "Qwen/Qwen3-14B",
    "qwen3-coder-480b-a35b": "Qwen/Qwen3-Coder-480B-A35B-Instruct",
    "phi-4": "microsoft/phi-4",
    "phi4": "microsoft/phi-4",
    "phi-4-mini": "microsoft/Phi-4-mini-instruct",
    "mixtral-8x7b": "mistralai/Mixtral-8x7B-v0.1",
    "mixtral-8x22b-instruct": "mistralai/Mixtral-8x22B-v0.1",
    "mistral-nemo": "mistralai/Mistral-Nemo-Base-2407",
    "mistral-small-24b": "mistralai/Mistral-Small-24B-Base-2501",
    "kimi-k2": "moonshotai/Kimi-K2-Instruct",
    "kimi-k2.5": "moonshotai/Kimi-K2.5",
    "gemma-2-9b-it": "google/gemma-2-9b-it",
    "gemma-3-12b": "google/gemma-3-12b-it",
    "nemotron-nano-9b": "nvidia/NVIDIA-Nemotron-Nano-9B-v2",
    "falcon-7b-instruct": "tiiuae/falcon-7b-instruct",
    "gpt-oss20b": "openai/gpt-oss-20b",
}


@pytest.mark.parametrize("name", SERVED)
def test_models_of_public_measurements_answer_offline(name: str) -> None:
    assert mw.model(name).name in (name, "zai-org/GLM-5")


@pytest.mark.parametrize(("name", "known"), SHORT.items())
def test_short_names(name: str, known: str) -> None:
    entry = find_config(name)
    assert entry is not None
    assert entry.id == known


def test_every_name_is_one_model_and_is_read() -> None:
    names = known_names()
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert mw.model(name).parameters > 0


def test_variants_have_the_shape_of_their_entry() -> None:
    # Those that publish other shapes; each follows from the keys that differ.
    other = {"vocab_size", "intermediate_size", "tie_word_embeddings", "num_key_value_heads"}
    for entry in entries():
        whole = mw.model(entry.id).parameters
        for name, keys in entry.variants.items():
            assert (mw.model(name).parameters == whole) is not bool(other & set(keys)), name


def test_variants_of_other_shapes_by_hand() -> None:
    # Qwen2.5-72B's quantised twins are padded from 29568 to 29696: 3 x 8192 x 128 x 80 layers.
    padded = mw.model("Qwen/Qwen2.5-72B-Instruct-AWQ").parameters
    assert padded - mw.model("Qwen/Qwen2.5-72B-Instruct").parameters == 3 * 8192 * 128 * 80
    # DeepSeek's distillation of Qwen2.5-1.5B unties its head, 151936 x 1536.
    untied = mw.model("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B").parameters
    assert untied == 1_543_714_304 + 151_936 * 1536 == 1_777_088_000
    # CodeLlama-Python has 16 tokens fewer in two tables of 4096 columns.
    fewer = mw.model("codellama/CodeLlama-7b-Python-hf").parameters
    assert fewer == 6_738_546_688 - 2 * 16 * 4096 == 6_738_415_616


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        # NVIDIA's fp8 of Llama-3.1-70B: a layer has q, o 8192^2, k, v 8192 x 1024, and three of
        # 8192 x 28672; 80 layers of a byte each, with two fp32 scales for each of 560 weights. Two
        # tables of 128256 x 8192 and 161 norms of 8192 stay in 16 bit.
        (
            "nvidia/Llama-3.1-70B-Instruct-FP8",
            80 * (2 * 8192**2 + 2 * 8192 * 1024 + 3 * 8192 * 28672)
            + 560 * 8
            + 2 * (2 * 128256 * 8192 + 161 * 8192),
        ),
        # Meta's fp8 of 405B, whose arithmetic is in tests/frontends/test_checkpoints.py.
        ("meta-llama/Llama-3.1-405B-Instruct-FP8", 495_684_976_640),
        # Kimi-K2's experts alone: 60 layers of 384, three of 7168 x 2048, in 4 bits with a 16-bit
        # scale for 32, and the shape of each weight in two 64-bit numbers; all others, 11.7e9 of
        # 1,026,408,209,408 weights, in 16 bit.
        (
            "moonshotai/Kimi-K2-Thinking",
            60 * 384 * 3 * (7168 * 2048 * 4.5 / 8 + 16)
            + 2 * (1_026_408_209_408 - 60 * 384 * 3 * 7168 * 2048),
        ),
        # Qwen's fp8: an fp32 scale for each block of 128 x 128. Qwen3-14B: q, o 5120^2, k, v
        # 5120 x 1024, three of 5120 x 17408; tables 151936 x 5120; norms 2 x (5120 + 128) a layer.
        (
            "Qwen/Qwen3-14B-FP8",
            40 * (2 * 5120**2 + 2 * 5120 * 1024 + 3 * 5120 * 17408)
            + 40 * (2 * 40**2 + 2 * 40 * 8 + 3 * 40 * 136) * 4
            + 2 * (2 * 151936 * 5120 + 40 * (2 * 5120 + 2 * 128) + 5120),
        ),
        # AWQ: 4 bits, and for each 128 inputs of an output a 16-bit scale and a 4-bit zero point.
        (
            "Qwen/Qwen3-14B-AWQ",
            40 * (2 * 5120**2 + 2 * 5120 * 1024 + 3 * 5120 * 17408) * (4 + 20 / 128) / 8
            + 2 * (2 * 151936 * 5120 + 40 * (2 * 5120 + 2 * 128) + 5120),
        ),
    ],
)
def test_weights_of_quantised_twins(name: str, weights: float) -> None:
    assert mw.analyze(name, on="b200-sxm", seq_len=16).footprint.weights == weights


@pytest.mark.parametrize(
    ("name", "first", "never"),
    [
        ("llama-3.1-8b-instrct", "Llama-3.1-8B-Instruct", "granite"),
        ("lama-3.1-8b", "Llama-3.1-8B", "70B"),
        ("qwen3-15b", "Qwen3-1", "Llama"),
        ("deepseek-v3.5", "DeepSeek-V3", "Qwen"),
        ("mixtral-8x7", "Mixtral-8x7B-v0.1", "8x22B"),
        ("phi-5", "phi-", "gpt"),
        ("gpt-os-120b", "gpt-oss-120b", "oss-20b"),
        ("mistral-7b", "Mistral-7B", "Nemo"),
    ],
)
def test_near_names_are_near(name: str, first: str, never: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        mw.model(name)
    hint = caught.value.hint
    assert first in hint.partition("?")[0]
    assert never not in hint.partition("?")[0]


def test_near_names_of_devices_weigh_numbers() -> None:
    known = ["a100-sxm-80gb", "a100-sxm-40gb", "h100-sxm", "h200-sxm", "rtx-4090", "rtx-3090"]
    assert near_names("h100-smx", known)[0] == "h100-sxm"
    assert near_names("rtx4090", known)[0] == "rtx-4090"
    assert near_names("a100-80gb", known)[0] == "a100-sxm-80gb"


def test_names_without_an_answer() -> None:
    # Two shapes have the name without its release, and other owners publish other models.
    for name in ("mistral-7b", "someone/gpt2", "a/b/c", "", "/"):
        assert find_config(name) is None
    assert len(config_names()) == len(list(entries()))


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("kimi-k2.5", "tower of images"),
        ("nvidia/Kimi-K2.5-NVFP4", "tower of images"),
        ("qwen3-omni-30b-a3b", "talker"),
    ],
)
def test_text_parts_say_what_is_left_out(name: str, left_out: str) -> None:
    answer = mw.analyze(name, on="b200-sxm", seq_len=16)
    assert left_out in answer.notes[0] or left_out in answer.notes[1]


def test_text_parts_of_models_that_see_images_are_named() -> None:
    """Kimi-K2.5 sees images; its config in the catalogue is that of the decoder."""
    assert mw.model("kimi-k2.5").text_part
    with pytest.raises(mw.MemoryWallError, match=r"catalogue holds the text part of .* only"):
        mw.analyze("kimi-k2.5", on="h100-sxm", phase="prefill", seq_len=128, images=1)


@pytest.mark.parametrize("name", ["qwen3.6-35b-a3b", "qwen3.5-27b", "llama-4-scout-17b-16e"])
def test_models_that_see_images_have_their_towers(name: str) -> None:
    model = mw.model(name)
    assert model.traits.images is not None
    assert not model.text_part
    words = {"on": "h100-sxm", "phase": "prefill", "seq_len": 1024}
    seeing, reading = (mw.analyze(name, images=n, **words) for n in (1, 0))  # type: ignore[arg-type]
    assert seeing.flops > reading.flops
