"""Recipes by hand: which weight has which format, and what that takes."""

from __future__ import annotations

import pytest

import memorywall as mw
from memorywall.core.formats import find_format
from memorywall.core.recipes import FORMAT_READERS, RECIPES, Recipe, find_weights

_BLOCK_K = {"q4_k": 144, "q5_k": 176, "q6_k": 210}  # bytes for 256 weights


def _weights(model: object, name: str) -> int:
    return int(mw.analyze(model, on="h200-sxm", weights=name).footprint.weights)  # type: ignore[arg-type]


def test_llama_2_70b_in_q4_k_m() -> None:
    # 80 layers: the first 10 and the last 10 have more bits, and of the 60 between every third:
    # 10 + 10 + 20 = 40. attn_v [1024, 8192] is Q6_K in those, else Q5_K for eight heads on one
    # (70B); ffn_down [8192, 28672] is Q6_K in those, else Q4_K; the head is Q6_K; norms fp32.
    k = 8192 // 256
    q, v, ffn = 8192 * k, 1024 * k, 28672 * k
    in_q4 = 80 * (q + q + v + 2 * ffn) + 40 * ffn + 32000 * k  # q, o, k, gate, up; down; embeddings
    in_q5 = 40 * v
    in_q6 = 40 * v + 40 * ffn + 32000 * k
    norms = 4 * 8192 * (2 * 80 + 1)
    expected = 144 * in_q4 + 176 * in_q5 + 210 * in_q6 + norms
    assert expected == 41_422_143_488  # TheBloke/Llama-2-70B-GGUF: 41.42 GB
    assert _weights("llama-2-70b-hf", "q4_k_M") == expected
    assert _weights("llama-2-70b-hf", "Q4_K") == expected  # llama-quantize's short name


def test_layers_that_differ_are_priced_as_they_are() -> None:
    answer = mw.analyze("llama-2-70b-hf", on="h200-sxm", weights="Q4_K_M")
    downs = {op.name: op for op in answer.ops if op.name.endswith("mlp.down_proj")}
    # 40 layers of 28,672 x 8192 in Q6_K and 40 in Q4_K.
    assert sorted(op.traffic["weight"] for op in downs.values()) == [
        40 * 28672 * 32 * 144,
        40 * 28672 * 32 * 210,
    ]


def test_rows_that_blocks_do_not_divide_fall_back() -> None:
    # Qwen2.5-0.5B: hidden 896 = 3.5 blocks of 256, so Q4_K falls back to Q5_0 (22 B for 32) and
    # Q6_K to Q8_0 (34 B for 32); ffn_down's rows are 4864 = 19 x 256. Tied: the table is Q8_0.
    # 24 layers, of which 3 + 3 + 6 = 12 have more bits; q, o [896, 896]; k, v [128, 896].
    rows = 896 // 32
    q5 = 24 * (2 * 896 + 128 + 2 * 4864) + 12 * 128  # q, o, k, gate, up; v of the others
    q8 = 12 * 128 + 151936
    down = 896 * 19 * 12 * (144 + 210)
    small = 4 * (896 * 49 + 24 * (896 + 2 * 128))  # norms and biases in fp32
    expected = 22 * rows * q5 + 34 * rows * q8 + down + small
    assert _weights("qwen2.5-0.5b", "Q4_K_M") == expected
    # gpt2's rows of 768 are whole blocks; a toy's rows of 40 are not even those of 32: fp16.
    toy = {
        "model_type": "llama", "vocab_size": 100, "hidden_size": 40, "intermediate_size": 64,
        "num_hidden_layers": 1, "num_attention_heads": 2, "tie_word_embeddings": False,
    }  # fmt: skip
    # Rows of 40: q, k, v, o, gate, up, embeddings, head in fp16; down's rows of 64 are two blocks.
    fp16 = 2 * 40 * (4 * 40 + 2 * 64 + 2 * 100)
    assert _weights(toy, "Q8_0") == fp16 + 40 * 2 * 34 + 4 * 3 * 40


def test_eight_experts_have_their_own_rules() -> None:
    # Mixtral-8x7B in Q4_K_M: attn_k and attn_v Q8_0, attn_output Q5_K, experts' down projection
    # Q6_K in 4 + 4 + 8 of 32 layers, the router [8, 4096] fp32 as norms are.
    k = 4096 // 256
    ffn = 8 * 14336 * k
    q4 = 32 * (4096 * k + 2 * ffn) + 16 * ffn + 32000 * k
    q5, q6 = 32 * 4096 * k, 16 * ffn + 32000 * k
    q8 = 32 * 2 * 1024 * 4096 // 32 * 34
    single = 4 * 4096 * (32 * (2 + 8) + 1)
    expected = 144 * q4 + 176 * q5 + 210 * q6 + q8 + single
    assert _weights("mixtral-8x7b-v0.1", "Q4_K_M") == expected


def test_bitsandbytes_by_name_as_by_checkpoint() -> None:
    config = dict(mw.model("llama-3.1-8b").config)
    for name, double in (("nf4", False), ("NF4-double", True), ("nf4-dq", True)):
        block = {
            "quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": double,
        }  # fmt: skip
        packed = mw.analyze({**config, "quantization_config": block}, on="h100-sxm")
        assert _weights("llama-3.1-8b", name) == packed.footprint.weights


def test_exl2_by_bits_a_weight() -> None:
    # 4.65 bits for the weights of the linear layers, 6 for the head, 16 for embeddings and norms.
    linear = 32 * (2 * 4096 * 4096 + 2 * 1024 * 4096 + 3 * 14336 * 4096)
    table = 128256 * 4096
    expected = linear * 465 // 800 + table * 6 // 8 + 2 * (table + 65 * 4096)
    found = _weights("llama-3.1-8b", "EXL2-4.65bpw")
    assert expected <= found <= expected + 32 * 7  # a byte for each linear layer
    assert _weights("llama-3.1-8b", "exl3-4.65") == found


def test_caches_of_blocks() -> None:
    # 64 layers x keys and values x 8 heads x 128 x 32,768 positions, 34 B for 32: 4352 MiB.
    words = {"on": "h100-sxm", "seq_len": 32768}
    expected = 64 * 2 * 8 * 128 * 32768 // 32 * 34
    assert expected == 4352 * 2**20
    for name in ("q8_0", "Q8_0"):
        answer = mw.analyze("qwen2.5-32b", kv_cache=name, **words)  # type: ignore[arg-type]
        assert answer.footprint.kv_cache == expected
    for name, nbytes in (("q4_0", 18), ("q4_1", 20), ("q5_0", 22), ("q5_1", 24), ("iq4_nl", 18)):
        answer = mw.analyze("qwen2.5-32b", kv_cache=name, **words)  # type: ignore[arg-type]
        assert answer.footprint.kv_cache == expected // 34 * nbytes, name
        # 64 positions and those of seven of the eight new tokens: the last one is not read again.
        generated = mw.analyze(
            "qwen2.5-32b", on="h100-sxm", phase="generate", seq_len=64, new_tokens=8, kv_cache=name
        )
        assert generated.footprint.kv_cache == 64 * 2 * 8 * 128 * 71 // 32 * nbytes


_KINDS = ("gpt2", "bert-base-uncased", "t5-small", "resnet-18", "deepseek-v2-lite",
          "mamba-130m-hf", "gemma-3-4b-it")  # fmt: skip


@pytest.mark.parametrize("model", _KINDS)
def test_every_recipe_answers_for_models_of_every_kind(model: str) -> None:
    whole = _weights(model, "fp32")
    for name in (*RECIPES, "exl2-3bpw"):
        assert 0 < _weights(model, name) <= whole, name


def test_names_of_every_spelling() -> None:
    for name in ("Q4_K_M", "q4_k_m", "Q4_k_M"):
        found = find_weights(name)
        assert isinstance(found, Recipe)
        assert found.name == "Q4_K_M"
    assert find_weights("INT4").name == "int4"
    assert find_format("int4-g32").bits_per_element == 4.5
    assert find_format("fp8_block-1x128").nbytes((2, 256)) == 2 * 256 + 2 * 2 * 4
    assert find_format("F16").name == "fp16"
    for word, read in FORMAT_READERS.items():
        assert read("BF16").name == "bf16", word


@pytest.mark.parametrize(
    ("model", "published"),
    [
        # unsloth/gpt-oss-20b-GGUF and gpt-oss-120b-GGUF: experts stay in mxfp4.
        ("gpt-oss-20b", 11_624_759_488),
        ("gpt-oss-120b", 58.46 * 2**30),
        # A file of the decoder (2.49, 7.30 and 4.68e9), and an mmproj file in fp16.
        ("gemma-3-4b-it", 2.49e9 + 0.85e9),
        ("gemma-3-12b-it", 7.30e9 + 0.85e9),
        ("qwen2.5-vl-7b-instruct", 4.68e9 + 1.35e9),
    ],
)
def test_published_files_of_packed_experts_and_towers(model: str, published: float) -> None:
    weights = mw.analyze(model, on="h100-sxm", weights="Q4_K_M").footprint.weights
    assert weights == pytest.approx(published, rel=0.003)


@pytest.mark.parametrize("weights", ["Q8_0", "Q4_K_M", "nf4", "int4", "fp8"])
@pytest.mark.parametrize("model", ["t5-small", "whisper-tiny", "gemma-3-4b-it", "bart-base"])
def test_a_half_that_does_not_run_is_stored_alike(model: str, weights: str) -> None:
    words = {"on": "h100-sxm", "weights": weights, "batch_size": 1}
    sizes = {
        mw.analyze(model, phase=phase, **words).footprint.weights  # type: ignore[arg-type]
        for phase in ("prefill", "decode")
    }
    assert len(sizes) == 1
