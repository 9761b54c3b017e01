"""Models of linear and recurrent attention against transformers' classes, to the last digit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.minimax.modeling_minimax import MiniMaxCache

import memorywall as mw
from memorywall.catalog.configs import Entry, entries
from tests import oracle
from tests.asking import analyze_alike
from tests.counting import products
from tests.families.linear_configs import CASES, drawn

pytestmark = pytest.mark.sampled(every=4)  # the other models are in the slow tier


def ask(config: dict[str, Any], phase: Any, batch: int, tokens: int, **words: Any) -> mw.Analysis:
    # Latents are projected again in every step, as transformers does.
    return analyze_alike(
        config, on="h100-sxm", phase=phase, batch_size=batch, seq_len=tokens, causal="full",
        logits="all", mla="reexpanded", **words,
    )  # fmt: skip


@pytest.mark.parametrize("model_type", CASES)
@settings(max_examples=6, deadline=None)
@given(st.data(), st.integers(1, 3), st.sampled_from([1, 2, 3, 9, 70]))
def test_random_configs(model_type: str, data: Any, batch: int, tokens: int) -> None:
    config = data.draw(st.composite(drawn)(model_type))
    class_name = config["architectures"][0]
    if model_type == "rwkv":  # which transformers runs token by token, at any length alike
        tokens = min(tokens, 9)
    # RecurrentGemma takes a prompt of one token for a step, and fails where the widths differ.
    tokens += 2 * (model_type == "recurrent_gemma")
    prefill = ask(config, "prefill", batch, tokens)
    assert prefill.parameters == oracle.parameters(config, class_name)
    assert products(prefill) == oracle.prefill_flops(config, class_name, batch, tokens)
    decode = ask(config, "decode", batch, tokens)
    assert products(decode) == oracle.decode_flops(config, class_name, batch, tokens)


BATCH, DEPTH = 2, 8
_LISTS = ("full_attn_layers", "kda_layers")  # of layers by their numbers from 1
PUBLISHED = [entry for entry in entries() if entry.config.get("model_type") in CASES]


@pytest.mark.parametrize("positions", [3, 9, 33])
@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.id)
def test_steps_of_published_models(entry: Entry, positions: int) -> None:
    config = shallow(entry.config)
    class_name = mw.model(entry.id).architecture.class_name
    answer = ask(config, "decode", BATCH, positions)
    assert products(answer) == oracle.decode_flops(config, class_name, BATCH, positions)


def shallow(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config with its first layers only, which are every kind that it has."""
    cut = {**config, "num_hidden_layers": min(DEPTH, config["num_hidden_layers"])}
    if "layer_types" in config:
        cut["layer_types"] = config["layer_types"][:DEPTH]
    if "full_attn_idxs" in config:
        cut["full_attn_idxs"] = [layer for layer in config["full_attn_idxs"] if layer < DEPTH]
    if "linear_attn_config" in config:
        nested = config["linear_attn_config"]
        lists = {key: [n for n in nested[key] if n <= DEPTH] for key in _LISTS}
        cut["linear_attn_config"] = {**nested, **lists}
    return cut


def kept(config: dict[str, Any], positions: int) -> tuple[int, int]:
    """Return the bytes of keys and values, and of state, that transformers keeps in bf16."""
    class_name = config["architectures"][0]
    kinds = ("minimax", "recurrent_gemma", "rwkv")
    if config["model_type"] not in kinds:
        found = oracle.kept_bytes(config, class_name, BATCH, positions)
        return found.kv_cache, found.windows + found.states
    model = oracle.build(config, class_name).to(torch.bfloat16)
    ids = torch.ones(BATCH, positions, dtype=torch.long, device="meta")
    with torch.no_grad():
        if config["model_type"] == "rwkv":
            return 0, nbytes(model(input_ids=ids, use_cache=True).state)
        past = oracle.new_cache(model)
        model(input_ids=ids, past_key_values=past, use_cache=True)
    layers = [layer for layer in past.layers if getattr(layer, "is_initialized", False)]
    cached = sum(nbytes([layer.keys, layer.values]) for layer in layers)
    if isinstance(past, MiniMaxCache):
        return cached, nbytes([state for state in past.linear_cache if len(state)])
    blocks = [layer.temporal_block for layer in model.model.layers]
    mixing = [block for block in blocks if hasattr(block, "rg_lru")]
    states = [state for b in mixing for state in (b.conv1d_state, b.rg_lru.recurrent_states)]
    return cached, nbytes(states)


def nbytes(tensors: list[Any]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


CACHED: dict[str, dict[str, Any]] = {
    "qwen3_next": {
        "full_attention_interval": 2,
        "num_experts": 3,
        "num_experts_per_tok": 1,
        "head_dim": 8,
    },
    "olmo_hybrid": {},
    "lfm2": {"full_attn_idxs": [1]},
    "minimax": {"num_local_experts": 3, "head_dim": 8},
    "kimi_linear": {"num_key_value_heads": 4, "num_experts": 3, "num_experts_per_token": 1},
    "recurrent_gemma": {"attention_window_size": 64},
    "rwkv": {},
}


@pytest.mark.parametrize("positions", [2, 9, 33])
@pytest.mark.parametrize("model_type", CACHED)
def test_cache_and_state_are_those_of_the_cache_objects(model_type: str, positions: int) -> None:
    config = {
        "model_type": model_type, "architectures": [CASES[model_type][0]], "vocab_size": 9,
        "hidden_size": 32, "intermediate_size": 12, "num_hidden_layers": 5, "pad_token_id": 0,
        "num_attention_heads": 4, "num_key_value_heads": 2, **CACHED[model_type],
    }  # fmt: skip
    # MiniMax's kernels keep states in fp32, transformers in the activations' format.
    state = "bf16" if model_type == "minimax" else None
    answer = ask(config, "decode", BATCH, positions, state=state)
    cached, states = kept(config, positions)
    if model_type == "rwkv":
        assert answer.footprint.kv_cache == 0
    assert answer.footprint.kv_cache == cached
    assert answer.footprint.state == states > 0


@pytest.mark.parametrize("model_type", [kind for kind in CASES if kind != "lfm2_moe"])
def test_defaults_are_those_of_transformers(model_type: str) -> None:
    class_name = CASES[model_type][0]
    config = {
        "model_type": model_type, "architectures": [class_name], "vocab_size": 7,
        "hidden_size": 192, "intermediate_size": 6, "num_hidden_layers": 5, "pad_token_id": 0,
    }  # fmt: skip
    if model_type != "rwkv":
        config["num_attention_heads"] = 96
    if model_type == "kimi_linear":
        config["num_key_value_heads"] = 96
    ours, theirs = mw.model(config), oracle.build(config, class_name)
    assert ours.parameters == sum(p.numel() for p in theirs.parameters())
    if model_type != "recurrent_gemma":  # which sets no limit
        assert ours.architecture.max_positions == theirs.config.max_position_embeddings
