"""Models with scans against transformers' classes, to the last digit."""

from __future__ import annotations

from typing import Any

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

import memorywall as mw
from memorywall.catalog.configs import entries
from tests import oracle
from tests.asking import analyze_alike
from tests.counting import products
from tests.families.state_configs import CLASSES, configs

pytestmark = pytest.mark.sampled(every=4)  # the other models are in the slow tier

PUBLISHED = {
    entry.id: entry.config for entry in entries() if entry.config.get("model_type") in CLASSES
}


def ask(config: dict[str, Any], phase: str, batch: int, length: int) -> mw.Analysis:
    return analyze_alike(
        config, on="h100-sxm", phase=phase, batch_size=batch, seq_len=length, logits="all",
        causal="full", activations="bf16", kv_cache="bf16",
    )  # fmt: skip


@pytest.mark.parametrize("model_type", CLASSES)
@settings(max_examples=6, deadline=None)
@given(st.data())
def test_parameters_and_products_of_a_prefill(model_type: str, data: st.DataObject) -> None:
    config = data.draw(configs(model_type))
    batch, tokens = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 12))
    answer, class_name = ask(config, "prefill", batch, tokens), CLASSES[model_type]
    assert answer.conventions["parameters_of"] == class_name
    assert answer.parameters == oracle.parameters(config, class_name)
    assert products(answer) == oracle.prefill_flops(config, class_name, batch, tokens)


@pytest.mark.parametrize("model_type", CLASSES)
@settings(max_examples=2, deadline=None)
@given(st.data())
def test_products_of_a_step_and_what_is_kept(model_type: str, data: st.DataObject) -> None:
    config, class_name = data.draw(configs(model_type)), CLASSES[model_type]
    for positions in (1, 2, data.draw(st.integers(3, 12))):
        answer = ask(config, "decode", 2, positions)
        assert products(answer) == oracle.decode_flops(config, class_name, 2, positions)
        kept = oracle.kept_bytes(config, class_name, 2, positions)
        assert answer.footprint.kv_cache == kept.kv_cache
        assert answer.footprint.state == kept.windows + kept.states


@pytest.mark.parametrize("name", PUBLISHED)
def test_steps_of_published_models(name: str) -> None:
    config = shallow(PUBLISHED[name])
    class_name = mw.model(config).architecture.class_name
    for positions in (2, 9, 33):
        answer = ask(config, "decode", 2, positions)
        assert products(answer) == oracle.decode_flops(config, class_name, 2, positions)
    kept = oracle.kept_bytes(config, class_name, 2, 33)
    assert answer.footprint.kv_cache == kept.kv_cache > 0 or not has_attention(config)
    assert answer.footprint.state == kept.windows + kept.states > 0


def has_attention(config: dict[str, Any]) -> bool:
    return "num_attention_heads" in config


def shallow(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config with its first layers, which is every kind that it has."""
    cut = {**config, "num_hidden_layers": 8}
    for key in ("layer_types", "layers_block_type"):
        if key in config:
            cut[key] = config[key][:8]
    if "hybrid_override_pattern" in config:
        cut["hybrid_override_pattern"] = config["hybrid_override_pattern"][:15]
    if "attn_layer_indices" in config:  # the first is the tenth of Bamba's layers
        cut["attn_layer_indices"] = [7]
    return cut


@pytest.mark.parametrize("model_type", CLASSES)
def test_defaults_are_those_of_transformers(model_type: str) -> None:
    theirs = transformers.AutoConfig.for_model(model_type)
    needed = ["vocab_size", "hidden_size", "num_hidden_layers"]
    if model_type not in ("mamba", "falcon_mamba", "mamba2"):
        needed += ["num_attention_heads", "intermediate_size"]
    if model_type == "zamba2":  # whose default lists its 54 layers
        needed.append("layers_block_type")
    config = {"model_type": model_type, **{key: getattr(theirs, key) for key in needed}}
    ours: Any = mw.model(config).architecture
    assert mw.model(config).parameters == oracle.parameters(config, CLASSES[model_type])
    assert ours.class_name == CLASSES[model_type]
    assert ours.max_positions == getattr(theirs, "max_position_embeddings", None)
    assert ours.state_dtype == "fp32"
