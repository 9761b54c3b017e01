"""Differences of dense decoders other than their products, derived by hand."""

from __future__ import annotations

from typing import Any

import pytest

import memorywall as mw

# D 4, F 6, N 2, K 1, H 2, V 10; two layers, one of them with a window of 4.
BASE: dict[str, Any] = {
    "vocab_size": 10, "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 2,
    "max_position_embeddings": 64, "sliding_window": 4,
    "layer_types": ["sliding_attention", "full_attention"],
}  # fmt: skip


def flops(config: dict[str, Any], **words: Any) -> dict[str, Any]:
    words = {"batch_size": 3, "seq_len": 10, "logits": "last", "traffic": "unfused", **words}
    return {op.name: op.flops for op in mw.analyze(config, on="h100-sxm", **words).ops}


def test_gemma2_caps_scores_and_logits_and_norms_four_times() -> None:
    found = flops({**BASE, "model_type": "gemma2"})
    # A token a sequence: 3 rows of 4; the embeddings are scaled, one FLOP each.
    assert found["embeddings.scale"] == 12
    # Two heads, three sequences; 10 and 4 keys; divide, tanh and multiply are 3 FLOPs.
    assert found["layers.attention.scores_softcap"] == 3 * 2 * 3 * 10
    assert found["sliding_layers.attention.scores_softcap"] == 3 * 2 * 3 * 4
    assert found["head.logits_softcap"] == 3 * 3 * 10
    norms = [name for name in found if name.startswith("layers.") and name.endswith("norm")]
    assert norms == [
        "layers.attention_norm", "layers.attention_post_norm", "layers.mlp_norm",
        "layers.mlp_post_norm",
    ]  # fmt: skip
    uncapped = {"attn_logit_softcapping": None, "final_logit_softcapping": None}
    plain = flops({**BASE, "model_type": "gemma2", **uncapped})
    assert not [name for name in plain if "softcap" in name]


def test_caps_and_alibi_stay_on_chip_when_fused() -> None:
    for model_type, own in (("gemma2", {}), ("falcon", {"alibi": True})):
        config = {**BASE, "model_type": model_type, **own}
        answer = mw.analyze(config, on="h100-sxm", batch_size=3, seq_len=10)
        riders = [op for op in answer.ops if "scores_" in op.name]
        assert riders
        assert [op.moved_bytes for op in riders] == [0] * len(riders)
        softmax = [op for op in answer.ops if op.kind == "softmax"]
        assert [op.moved_bytes for op in softmax] == [0] * len(softmax)


@pytest.mark.parametrize(
    ("model_type", "rotating"),
    [
        ("cohere2", {"sliding_layers"}),  # where there is no window, there is no rotation
        ("exaone4", {"sliding_layers"}),
        ("olmo3", {"sliding_layers", "layers"}),
    ],
)
def test_which_layers_rotate(model_type: str, rotating: set[str]) -> None:
    found = flops({**BASE, "model_type": model_type})
    rotations = {name.partition(".")[0]: n for name, n in found.items() if "q_rotary" in name}
    # 3 rows of two heads of two, three FLOPs each.
    assert rotations == dict.fromkeys(rotating, 3 * 3 * 4)


def test_every_fourth_layer_of_smollm3_does_not_rotate() -> None:
    config = {k: v for k, v in BASE.items() if k not in ("layer_types", "sliding_window")}
    found = flops({**config, "model_type": "smollm3", "num_hidden_layers": 9})
    assert found["layers.attention.q_rotary"] == 7 * 3 * 3 * 4  # layers 1 to 3, 5 to 7 and 9
    assert "unrotated_layers.attention.q_rotary" not in found
    assert found["unrotated_layers.attention.q_proj"] == 2 * 2 * 3 * 4 * 4  # layers 4 and 8


def test_granite_scales_four_times() -> None:
    config = {k: v for k, v in BASE.items() if k not in ("layer_types", "sliding_window")}
    found = flops({**config, "model_type": "granite"})
    scales = {name: n for name, n in found.items() if n and "scale" in name}
    # 3 rows of 4; in each of two layers twice; 3 rows of 10 logits.
    assert scales == {
        "embeddings.scale": 12, "layers.attention_scale": 24, "layers.mlp_scale": 24,
        "head.logits_scale": 30,
    }  # fmt: skip


def test_local_layers_of_gpt_neo_keep_a_window_only() -> None:
    # D 4, N 2, H 2; a global and a local layer. transformers keeps all positions of both and masks:
    # what is counted here is what the architecture needs.
    config = {
        "model_type": "gpt_neo", "vocab_size": 9, "hidden_size": 4, "num_heads": 2, "num_layers": 2,
        "attention_types": [[["global", "local"], 1]], "window_size": 4,
        "max_position_embeddings": 64,
    }  # fmt: skip
    answer = mw.analyze(config, on="h100-sxm", seq_len=10, kv_cache="bf16")
    # Keys and values of two heads of two, 2 bytes each: 10 positions and 4, not 10 twice.
    assert answer.footprint.kv_cache == 2 * 2 * 2 * 2 * (10 + 4)
    scores = {op.name: op.flops for op in answer.ops if op.name.endswith("scores")}
    assert scores == {
        "layers.attention.scores": 2 * 2 * 2 * 10,
        "sliding_layers.attention.scores": 2 * 2 * 2 * 4,
    }


def test_opt_350m_projects_its_embeddings_and_norms_after_the_sums() -> None:
    config = {
        "model_type": "opt", "vocab_size": 9, "hidden_size": 4, "ffn_dim": 6,
        "num_attention_heads": 2, "num_hidden_layers": 1, "max_position_embeddings": 8,
        "word_embed_proj_dim": 3, "do_layer_norm_before": False,
    }  # fmt: skip
    found = flops(config)
    # 3 rows from 3 to 4 and back; then the tied table of 9 words of 3.
    assert found["embeddings.project_in"] == found["head.project_out"] == 2 * 3 * 3 * 4
    assert found["head.lm_head"] == 2 * 3 * 3 * 9
    assert "head.norm" not in found
    # Words 9 x 3, positions (8 + 2) x 4, projections 2 x 12; four projections of 4 x 4 + 4, the
    # feed-forward 2 x 24 + 6 + 4, two norms of 8.
    assert mw.model(config).parameters == 27 + 40 + 24 + 4 * 20 + 58 + 16


def test_xielu_learns_two_numbers_a_layer() -> None:
    config = {k: v for k, v in BASE.items() if k not in ("layer_types", "sliding_window")}
    counts = [
        mw.model({**config, "model_type": "apertus", "hidden_act": act}).parameters
        for act in ("xielu", "relu2")
    ]
    assert counts[0] - counts[1] == 2 * 2


@pytest.mark.parametrize(
    ("model_type", "change", "message"),
    [
        ("bloom", {"apply_residual_connection_post_layernorm": True}, "normed residuals"),
        ("bloom", {"slow_but_exact": True}, "products in slices"),
        ("mpt", {"no_bias": False}, "no biases"),
        ("mpt", {"expansion_ratio": 2}, "expands by 4"),
        ("mpt", {"attn_config": {"attn_type": "multiquery_attention"}}, "no shared heads"),
        ("mpt", {"attn_config": {"qk_ln": True}}, "no norms of queries"),
        ("mpt", {"attn_config": {"alibi": False}}, "always adds ALiBi"),
        ("falcon", {"num_ln_in_parallel_attn": 2}, "one norm"),
        ("falcon", {"new_decoder_architecture": True, "parallel_attn": False}, "side by side"),
        ("gemma3_text", {"use_bidirectional_attention": True}, "look ahead"),
        ("xglm", {"add_cross_attention": True}, "reads an encoder"),
        ("gpt_neo", {"attention_types": [[["global"], 3]]}, "must make 2 layers"),
        ("smollm3", {"no_rope_layers": [1, 2]}, "2 times 0 or 1"),
        ("gptj", {"rotary_dim": 5}, "'rotary_dim' must be a whole number from 1 to 2"),
        ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 3}, "not a multiple"),
        ("gpt_neox", {"rope_parameters": {"partial_rotary_factor": 2}}, "'partial_rotary_factor'"),
    ],
)
def test_what_is_not_covered_is_refused(
    model_type: str, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(mw.MemoryWallError, match=message):
        mw.model({**BASE, "model_type": model_type, **change})


def test_faults_are_named_as_the_config_names_them() -> None:
    with pytest.raises(mw.MemoryWallError) as error:
        mw.model({"model_type": "gptj", "vocab_size": 9, "n_layer": 0, "n_head": 3, "n_embd": 7})
    assert "'n_layer' must be" in str(error.value)
    assert "'n_embd' (7) is not a multiple of 'n_head' (3)" in str(error.value)
    with pytest.raises(mw.MemoryWallError, match="'n_embd' is missing"):
        mw.model({"model_type": "gptj", "vocab_size": 9, "n_layer": 1, "n_head": 1})
