"""Scans and states of linear and recurrent attention, by hand, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

import memorywall as mw

BATCH = 2


def test_states_by_hand() -> None:
    # Qwen3-Next: 36 layers of 32 heads of 128 x 128 in fp32, and windows of 4 tokens of 2 x 16 x
    # 128 + 32 x 128 channels in bf16.
    assert state_of("Qwen/Qwen3-Next-80B-A3B-Instruct") == 36 * (32 * 128 * 128 * 4 + 4 * 8192 * 2)
    # RecurrentGemma: 18 layers of 2560 channels in fp32, and windows of the 3 tokens before.
    assert state_of("google/recurrentgemma-2b") == 18 * (2560 * 4 + 3 * 2560 * 2)
    # RWKV: 24 layers of three numbers a channel, and two inputs; the config's format is fp32.
    assert state_of("RWKV/rwkv-4-430m-pile") == 24 * 1024 * (3 * 4 + 2 * 4)
    # Kimi: 20 layers of 32 heads of 128 x 128, and windows of 4 of queries, keys and values.
    kimi = 20 * (32 * 128 * 128 * 4 + 4 * 3 * 4096 * 2)
    assert state_of("moonshotai/Kimi-Linear-48B-A3B-Instruct") == kimi
    # MiniMax: 70 layers of 64 heads of 128 x 128 in fp32; half in bf16, as transformers has it.
    minimax = 70 * 64 * 128 * 128 * 4
    assert state_of("MiniMaxAI/MiniMax-Text-01-hf") == minimax
    assert state_of("MiniMaxAI/MiniMax-Text-01-hf", state="bf16") == minimax / 2
    # LFM2: 10 layers of windows alone, of 3 tokens.
    assert state_of("LiquidAI/LFM2-1.2B") == 10 * 3 * 2048 * 2


def state_of(name: str, **words: Any) -> Any:
    """Return the state of one sequence, which is as large at any length."""
    here, there = (mw.analyze(name, on="h100-sxm", seq_len=n, **words) for n in (2, 5000))
    assert here.footprint.state == there.footprint.state
    return here.footprint.state


def scan(config: dict[str, Any], phase: Any, tokens: int, **words: Any) -> Any:
    words = {"on": "h100-sxm", "traffic": "unfused", "batch_size": BATCH, **words}
    answer = mw.analyze(config, phase=phase, seq_len=tokens, **words)
    (only,) = [op for op in answer.ops if op.kind == "scan"]
    return only


TOY: dict[str, Any] = {
    "vocab_size": 9, "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 2, "torch_dtype": "bfloat16",
}  # fmt: skip
DELTA_TOY = {
    **TOY, "model_type": "qwen3_5_text", "linear_num_key_heads": 1, "linear_key_head_dim": 3,
    "linear_num_value_heads": 2, "linear_value_head_dim": 5,
}  # fmt: skip


def test_gated_delta_by_hand() -> None:
    # K 3, V 5, one key head, two value heads. Before the recurrence a token has: a query and a key
    # divided by their length 3 x 3 each, the query scaled 3: 21. A sigmoid 3 and a decay 6 a head.
    before = 21 + 2 * (3 + 6)
    # A step of a head: decay 15, the state's answer to the key 30, the difference times beta 10,
    # the update 30, the output 30.
    after = scan(DELTA_TOY, "decode", 7)
    assert after.cost.flops == BATCH * (before + 2 * (15 + 30 + 10 + 30 + 30))
    # 66 tokens are chunks of 64 and of 2: 64 x 65 / 2 + 3 pairs. A pair: K K^T and Q K^T 6 each,
    # the inverse's products 6 + 10, with the new values 10, decays 4: 42. A token: three products
    # with the state 30 each, b K and the decays of it, Q and K 12, V's 15, its own decays 4: 121. A
    # chunk: the inverse 64 x 63 x 62 / 3 or 0, the state 30.
    pairs, tokens = 64 * 65 // 2 + 3, 66
    head = 42 * pairs + 121 * tokens + 64 * 63 * 62 // 3 + 2 * 30
    prefill = scan(DELTA_TOY, "prefill", 66)
    assert prefill.cost.flops == BATCH * (tokens * before + 2 * head)
    full = scan(DELTA_TOY, "prefill", 66, causal="full")
    assert full.cost.flops - prefill.cost.flops == BATCH * 2 * 42 * (64**2 + 2**2 - pairs)


def test_gated_delta_moves_its_state_once() -> None:
    # In: queries, keys and values 3 + 3 + 10, beta and decay 2 each, and two weights of 2, bf16.
    # Out: 10. The state is 2 x 3 x 5 in fp32: a step reads and writes it, a prefill writes it.
    state = BATCH * 2 * 3 * 5 * 4
    after, prefill = scan(DELTA_TOY, "decode", 7), scan(DELTA_TOY, "prefill", 7)
    assert after.cost.moved_bytes == BATCH * 2 * (16 + 4 + 10) + 2 * (2 + 2) + 2 * state
    assert prefill.cost.moved_bytes == 7 * BATCH * 2 * (16 + 4 + 10) + 2 * (2 + 2) + state


def test_kimi_delta_by_hand() -> None:
    config = {
        **TOY, "model_type": "kimi_linear", "linear_num_heads": 2, "linear_head_dim": 3,
        "num_hidden_layers": 1, "kv_lora_rank": 2, "qk_nope_head_dim": 2, "qk_rope_head_dim": 2,
        "v_head_dim": 2, "first_k_dense_replace": 1,
    }  # fmt: skip
    # H 3. A token of a head: query and key 21, decays 6 x 3, a sigmoid 3.
    before = 21 + 18 + 3
    assert scan(config, "decode", 7).cost.flops == BATCH * 2 * (before + 9 + 18 + 6 + 18 + 18)
    # Seven tokens, 28 pairs. A pair: 6 x 3 and 4 x 3. A token: 54, 10 x 3, 3 x 3. A chunk: the
    # inverse 7 x 6 x 5 / 3, the state 18.
    head = 28 * (18 + 12) + 7 * (54 + 30 + 9) + 70 + 18
    assert scan(config, "prefill", 7).cost.flops == BATCH * 2 * (7 * before + head)


def test_lightning_by_hand() -> None:
    config = {
        **TOY, "model_type": "minimax", "layer_types": ["linear_attention"], "head_dim": 3,
        "num_local_experts": 3, "block_size": 4,
    }  # fmt: skip
    # H 3. A step of a head: decay 9, update 18, output 18.
    assert scan(config, "decode", 7).cost.flops == BATCH * 2 * 45
    # Seven tokens are chunks of 4 and 3: 10 + 6 pairs of 4 x 3 + 1; a token 4 x 9 + 3 x 3; a chunk
    # 18.
    head = 16 * 13 + 7 * 45 + 2 * 18
    assert scan(config, "prefill", 7).cost.flops == BATCH * 2 * head


def test_recurrences_by_hand() -> None:
    rwkv = {**TOY, "model_type": "rwkv"}
    # An output of 12 FLOPs and a state of 11 for each of 8 channels of a token.
    assert scan(rwkv, "prefill", 7).cost.flops == BATCH * 7 * 8 * 23
    assert scan(rwkv, "decode", 7).cost.flops == BATCH * 8 * 23
    gemma = {**TOY, "model_type": "recurrent_gemma", "lru_width": 6}
    # Two sigmoids 6, the decay 2, the root of 1 - a^2 3, the input 2, the recurrence 2.
    assert scan(gemma, "prefill", 7).cost.flops == BATCH * 7 * 6 * 15


def test_kimi_has_as_many_parameters_as_its_files() -> None:
    # The files hold 49,122,681,728 numbers; 256 in each of 26 layers balance the choice of experts,
    # which transformers keeps apart from parameters.
    assert mw.model("moonshotai/Kimi-Linear-48B-A3B-Instruct").parameters == (
        49_122_681_728 - 26 * 256
    )


def test_olmo_hybrid_rotates_only_where_it_says_so() -> None:
    config = {**TOY, "model_type": "olmo_hybrid", "num_hidden_layers": 4}
    plain, rotating = (
        [op.name for op in step({**config, **rope}).ops if "rotary" in op.name]
        for rope in ({}, {"rope_parameters": {"rope_theta": 1e4, "rope_type": "default"}})
    )
    assert not plain
    assert len(rotating) == 2


def step(config: dict[str, Any]) -> mw.Analysis:
    return mw.analyze(config, on="h100-sxm", phase="decode", seq_len=3)


def test_what_is_not_covered_is_refused() -> None:
    with pytest.raises(mw.MemoryWallError, match="attn_output_gate"):
        mw.model({**DELTA_TOY, "attn_output_gate": False})
    lists = {"linear_attn_config": {"full_attn_layers": [1], "kda_layers": []}}
    with pytest.raises(mw.MemoryWallError, match="each layer once"):
        mw.model({**TOY, "model_type": "kimi_linear", "num_hidden_layers": 2, **lists})
    with pytest.raises(mw.MemoryWallError, match="shared_intermediate_size"):
        mw.model({**TOY, "model_type": "minimax", "shared_intermediate_size": 4})
    with pytest.raises(mw.MemoryWallError, match="block_types"):
        mw.model({**TOY, "model_type": "recurrent_gemma", "block_types": ["mamba"]})
    with pytest.raises(mw.MemoryWallError, match="layer_types"):
        mw.model({**TOY, "model_type": "lfm2_moe"})
    with pytest.raises(mw.MemoryWallError, match="mlp_layer_types"):
        mw.model({**TOY, "model_type": "kimi_linear", "mlp_layer_types": ["dense", "x"]})
    with pytest.raises(mw.MemoryWallError, match="tie_word_embeddings"):
        mw.model({**TOY, "model_type": "kimi_linear", "tie_word_embeddings": True})
