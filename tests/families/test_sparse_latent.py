"""Latent attention to selected tokens: by hand, and against transformers' classes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memorywall as mw
from memorywall.core.errors import InvalidInputError
from tests import oracle
from tests.asking import analyze_alike
from tests.counting import products

V3, V32 = "deepseek-ai/DeepSeek-V3", "deepseek-ai/DeepSeek-V3.2"
GLM5, GLM52 = "zai-org/GLM-5", "zai-org/GLM-5.2"

# An indexer of V3.2: 64 heads of 128 from latents of 1536, one key of 128 and 64 weights from 7168,
# a norm with gain and offset.
INDEXER = 1536 * 64 * 128 + 7168 * 128 + 2 * 128 + 7168 * 64
# The same of GLM-5: 32 heads, latents of 2048, D 6144.
GLM_INDEXER = 2048 * 32 * 128 + 6144 * 128 + 2 * 128 + 6144 * 32


def test_parameters() -> None:
    assert INDEXER == 13_959_424
    # V3's, and an indexer in each of 61 layers; the makers count 671B without the MTP layer.
    assert mw.model(V32).parameters == mw.model(V3).parameters + 61 * INDEXER == 671_877_929_216
    # GLM-5 by hand: 78 layers of q 6144 x 2048 + 2048 x 64 x 256, latent 6144 x 576, keys and
    # values 512 x 64 x (192 + 256), o 64 x 256 x 6144, norms 2 x 6144 + 2048 + 512, an indexer;
    # 3 dense layers of 3 x 6144 x 12288, 75 of 257 experts of 3 x 6144 x 2048 and a router of 256;
    # two tables of 154880 x 6144 and a norm. The makers count 744B.
    attention = 6144 * 2048 + 2048 * 64 * 256 + 6144 * 576 + 512 * 64 * 448 + 64 * 256 * 6144
    norms, expert, router = 2 * 6144 + 2048 + 512, 3 * 6144 * 2048, 256 * 6144
    layers = 78 * (attention + norms) + 3 * 3 * 6144 * 12_288 + 75 * (257 * expert + router)
    every = layers + 2 * 154_880 * 6144 + 6144
    assert mw.model(GLM5).parameters == every + 78 * GLM_INDEXER == 743_911_199_232
    # GLM-5.2 has indexers in layers 0, 1, 2, 6, 10, ..., 74: 2 + 19 of 78.
    assert mw.model(GLM52).parameters == every + 21 * GLM_INDEXER == 743_377_000_704


@pytest.mark.parametrize(
    ("name", "kv_cache", "per_token"),
    [
        # 61 layers of a latent of 512, a rotated key of 64 and an indexer's key of 128, 2 B each.
        (V32, "bf16", 61 * (512 + 64 + 128) * 2),
        # In 8 bit an indexer's key has an fp32 scale: 128 + 4 B, as published engines keep it.
        (V32, "fp8", 61 * (512 + 64 + 132)),
        (GLM5, "bf16", 78 * (512 + 64 + 128) * 2),
        # Layers that share a choice keep no keys of an indexer.
        (GLM52, "bf16", 78 * (512 + 64) * 2 + 21 * 128 * 2),
    ],
)
@pytest.mark.parametrize("phase", ["prefill", "decode", "generate"])
def test_cache_of_a_token(name: str, kv_cache: str, per_token: int, phase: str) -> None:
    words: dict[str, Any] = {"new_tokens": 1} if phase == "generate" else {}
    answer = mw.analyze(
        name, on="h200-sxm", phase=phase, batch_size=3, seq_len=5000, kv_cache=kv_cache, **words
    )
    assert answer.footprint.kv_cache == 3 * 5000 * per_token


def test_decode_at_65536() -> None:
    """V3's step, but of 2048 latents; and an indexer over 65536 keys."""
    words: dict[str, Any] = {
        "on": "h200-sxm", "phase": "decode", "seq_len": 65_536, "weights": "bf16",
    }  # fmt: skip
    dense, sparse = mw.analyze(V3, **words), mw.analyze(V32, **words)
    # FLOPs: 2 (576 + 512) for each of 128 heads of 63488 pairs less; of an indexer 2 for each
    # weight but the norm's, and 2 x 128 for each of 64 heads of 65536 pairs; 61 layers.
    fewer = 128 * 2 * (576 + 512) * (65_536 - 2048)
    indexed = 2 * (INDEXER - 256) + 64 * 2 * 128 * 65_536
    assert products(sparse) == products(dense) + 61 * (indexed - fewer)
    # Bytes of the cache: 2048 latents of 576 in place of 65536, and 65536 keys of 128 are read; one
    # of each is written.
    cache = sum(op.traffic.get("kv_cache", 0) for op in sparse.ops)
    assert cache == 61 * 2 * (2048 * 576 + 576 + 65_536 * 128 + 128)
    assert sparse.footprint.kv_cache == 61 * 2 * 704 * 65_536 == 5_628_755_968
    # V3 reads 61 x 65536 x 576 x 2 B for its scores, 4.6 GB at 4.8 TB/s: 0.96 ms; sums values of
    # 512 in 61 x 128 x 2 x 512 x 65536 FLOPs, 524 GFLOP at 989.4 TFLOP/s: 0.53 ms. Of both V3.2 has
    # 1 / 32; and keys of 1.02 GB, 0.21 ms, and an indexer's weights of 1.70 GB, 0.35 ms. In all
    # 1.49 x 31 / 32 - 0.57 = 0.88 ms less.
    assert dense.bound_s * 1e3 == pytest.approx(16.8, abs=0.05)
    assert (dense.bound_s - sparse.bound_s) * 1e3 == pytest.approx(0.88, abs=0.01)


def test_a_prompt_pairs_with_selected_tokens() -> None:
    """The 3000th token of a prompt pairs with 2048 tokens, and scores 3000."""
    short, long = (
        products(mw.analyze(V32, on="h200-sxm", phase="prefill", seq_len=n, logits="none"))
        for n in (2999, 3000)
    )
    # The last token: 2 FLOPs a weight that it meets, 2048 pairs and 3000 scores a layer.
    pair, score = 128 * 2 * (576 + 512), 64 * 2 * 128
    model = mw.model(V32)
    unused = 129_280 * 7168 + 61 * (2 * 7168 + 1536 + 512 + 256) + 7168  # the head, and norms
    token = 2 * (model.active_parameters - unused)
    assert long - short == token + 61 * (2048 * pair + 3000 * score)


SMALL: dict[str, Any] = {
    "vocab_size": 9, "hidden_size": 8, "intermediate_size": 5, "num_hidden_layers": 3,
    "num_attention_heads": 2, "num_key_value_heads": 2, "q_lora_rank": 3, "kv_lora_rank": 6,
    "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 3, "n_routed_experts": 4,
    "n_group": 1, "topk_group": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 5,
    "first_k_dense_replace": 1, "max_position_embeddings": 64, "index_head_dim": 6,
    "index_n_heads": 3, "index_topk": 4,
}  # fmt: skip
TYPES = {"deepseek_v32": "DeepseekV32", "glm_moe_dsa": "GlmMoeDsa"}


@st.composite
def configs(draw: st.DrawFn, model_type: str) -> dict[str, Any]:
    layers = draw(st.integers(1, 4))
    config = {
        **SMALL,
        "model_type": model_type,
        "num_hidden_layers": layers,
        "first_k_dense_replace": draw(st.integers(0, 2)),
        "index_topk": draw(st.integers(1, 12)),
        "index_n_heads": draw(st.integers(1, 4)),
        "n_shared_experts": draw(st.integers(1, 2)),
        "attention_bias": draw(st.booleans()),
        "architectures": [TYPES[model_type] + draw(st.sampled_from(["Model", "ForCausalLM"]))],
    }
    if model_type == "glm_moe_dsa":
        rest = draw(st.lists(st.sampled_from(["full", "shared"]), min_size=layers, max_size=layers))
        ways: list[dict[str, Any]] = [
            {},
            {"indexer_types": ["full", *rest[1:]]},
            {"index_topk_pattern": "".join(k[0].upper() for k in ["full", *rest[1:]])},
            {"index_topk_freq": draw(st.integers(1, 3)), "index_skip_topk_offset": 1},
        ]
        config |= draw(st.sampled_from(ways))
    return config


@pytest.mark.parametrize("model_type", TYPES)
@settings(max_examples=10, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(1, 9))
def test_random_configs(model_type: str, data: Any, batch: int, tokens: int) -> None:
    """Parameters, and the products of all pairs under a mask, as transformers computes them."""
    config = data.draw(configs(model_type))
    class_name = config["architectures"][0]
    words: dict[str, Any] = {
        "on": "h100-sxm", "batch_size": batch, "seq_len": tokens, "causal": "full",
        "logits": "all", "mla": "reexpanded",
    }  # fmt: skip
    prefill = analyze_alike(config, phase="prefill", **words)
    assert prefill.parameters == oracle.parameters(config, class_name)
    assert products(prefill) == oracle.prefill_flops(config, class_name, batch, tokens)
    decode = analyze_alike(config, phase="decode", **words)
    assert products(decode) == oracle.decode_flops(config, class_name, batch, tokens)


@pytest.mark.parametrize("model_type", TYPES)
def test_generation_is_a_prefill_and_steps(model_type: str) -> None:
    """Past the 4 selected tokens, of scalars and of arrays."""
    config = {**SMALL, "model_type": model_type, "index_topk_freq": 2}
    words: dict[str, Any] = {"on": "h100-sxm", "batch_size": 2}
    whole = mw.analyze(config, phase="generate", seq_len=2, new_tokens=8, **words)
    parts = [mw.analyze(config, phase="prefill", seq_len=2, **words)]
    parts += [mw.analyze(config, phase="decode", seq_len=2 + n, **words) for n in range(1, 8)]
    assert whole.flops == sum(part.flops for part in parts)
    assert whole.moved_bytes == pytest.approx(sum(part.moved_bytes for part in parts), rel=1e-12)
    assert whole.latency_s == pytest.approx(sum(part.latency_s for part in parts), rel=1e-12)


@pytest.mark.parametrize(
    "keys",
    [
        {"indexer_types": ["shared", "full", "full"]},
        {"indexer_types": ["full", "full"]},
        {"indexer_types": ["full", "full", "half"]},
        {"indexer_types": [["full"], {}, 1]},
        {"index_topk_pattern": "FSX"},
        {"index_topk_pattern": 7},
        {"index_head_dim": 2},
    ],
)
def test_bad_types_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(keys))):
        mw.model({**SMALL, "model_type": "glm_moe_dsa", **keys})
