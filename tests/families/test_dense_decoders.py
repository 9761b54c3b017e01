"""Dense decoders against transformers' classes, to the last digit."""

from __future__ import annotations

from typing import Any

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

import memorywall as mw
from tests import oracle
from tests.asking import analyze_alike
from tests.counting import products
from tests.families.dense_configs import CLASSES, NAMES, class_of, configs

pytestmark = pytest.mark.sampled(every=4)  # the other models are in the slow tier


@pytest.mark.parametrize("model_type", CLASSES)
@settings(max_examples=3, deadline=None)
@given(st.data())
def test_parameters_and_products_of_a_prefill(model_type: str, data: st.DataObject) -> None:
    config = data.draw(configs(model_type))
    batch, tokens = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 12))
    class_name = config["architectures"][0]
    answer = analyze_alike(
        config, on="h100-sxm", phase="prefill", batch_size=batch, seq_len=tokens, logits="all",
        causal="full",
    )  # fmt: skip
    assert answer.conventions["parameters_of"] == class_name
    assert answer.parameters == oracle.parameters(config, class_name)
    assert products(answer) == oracle.prefill_flops(config, class_name, batch, tokens)


@pytest.mark.parametrize("model_type", CLASSES)
@settings(max_examples=1, deadline=None)
@given(st.data())
def test_products_and_cache_of_a_decode_step(model_type: str, data: st.DataObject) -> None:
    config = data.draw(configs(model_type))
    class_name = class_of(model_type)
    config["architectures"] = [class_name]
    for positions in (1, 2, data.draw(st.integers(3, 12))):
        answer = analyze_alike(
            config, on="h100-sxm", phase="decode", batch_size=2, seq_len=positions, causal="full",
            kv_cache="bf16",
        )  # fmt: skip
        assert products(answer) == oracle.decode_flops(config, class_name, 2, positions)
    # Falcon's new architecture keeps one key and value a query head, though groups of them are
    # equal: transformers stores N where K would do.
    copies = 1
    if config.get("new_decoder_architecture"):
        copies = config["num_attention_heads"] // config["num_kv_heads"]
    stored = oracle.cache_elements(config, class_name, 2, positions)
    assert answer.footprint.kv_cache * copies == 2 * stored


@pytest.mark.parametrize("model_type", CLASSES)
def test_defaults_are_those_of_transformers(model_type: str) -> None:
    theirs = transformers.AutoConfig.for_model(model_type)
    own, class_name = NAMES.get(model_type, {}), class_of(model_type)
    # Required keys, as in transformers; MPT and BLOOM have no separate width.
    needed = ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"]
    if model_type not in ("bloom", "mpt"):
        needed.append("intermediate_size")
    names = {key: own.get(key, key) for key in needed}
    bare = {name: getattr(theirs, name) for name in names.values()}
    config = {"model_type": model_type, **{k: v for k, v in bare.items() if v is not None}}
    if model_type != "gpt_neo":  # whose default lists 24 layers
        config[names["num_hidden_layers"]] = 4
    # Three classes cannot be built from their own defaults.
    if model_type == "nemotron":
        config["num_key_value_heads"] = theirs.num_attention_heads
    if model_type in ("ministral", "hunyuan_v1_dense"):
        config["head_dim"] = theirs.hidden_size // theirs.num_attention_heads
    ours: Any = mw.model(config).architecture
    assert mw.model(config).parameters == oracle.parameters(config, class_name)
    assert ours.class_name == class_name
    if model_type != "bloom":  # it has no limit
        key = own.get("max_position_embeddings", "max_position_embeddings")
        assert ours.max_positions == getattr(theirs, key)
    window = getattr(theirs, "window_size" if model_type == "gpt_neo" else "sliding_window", None)
    flagged = getattr(theirs, "use_sliding_window", True)
    assert ours.traits.windows == ((window,) if window and flagged else ())
