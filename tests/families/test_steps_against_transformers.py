"""Decode steps of every published decoder against transformers' class, to the last digit.

Six layers of each, which is every kind that it has: the whole depth is held by the prefill's test.
Models with state have separate tests.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers.cache_utils import DynamicIndexedLayer

import memorywall as mw
from memorywall.catalog.configs import entries
from tests import oracle
from tests.asking import analyze_alike
from tests.counting import products
from tests.oracle.beside_attention import beside_attention

pytestmark = pytest.mark.sampled(every=4)  # the other models are in the slow tier

BATCH, CONTEXTS = 2, (2, 9, 33)
DECODERS = {
    entry.id: entry
    for entry in entries()
    if mw.model(entry.id).causal
    and mw.model(entry.id).traits.source is None
    and mw.model(entry.id).traits.state is None
    and mw.model(entry.id).traits.images is None  # test_images_against_transformers.py
    # DBRX asks which experts were chosen, which no array without content says: small ones of it are
    # run elsewhere.
    and entry.config.get("model_type") != "dbrx"
}


@pytest.mark.parametrize("name", DECODERS)
def test_steps_at_three_contexts(name: str) -> None:
    config = shallow(DECODERS[name].config)
    class_name = mw.model(name).architecture.class_name
    theirs = steps(config, class_name)
    for context in CONTEXTS:
        answer = analyze_alike(
            config, on="h100-sxm", phase="decode", batch_size=BATCH, seq_len=context, causal="full",
            kv_cache="bf16", mla="reexpanded",  # as transformers steps, where there are latents
        )  # fmt: skip
        flops, elements = theirs[context]
        assert products(answer) == flops
        # transformers keeps Falcon's grouped keys once for every query head: tests/families holds
        # the two apart by hand.
        if config.get("new_decoder_architecture") is not True:
            assert answer.footprint.kv_cache == 2 * elements


def shallow(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config with its first six layers only, where it says so in plain keys."""
    if "attention_types" in config:  # GPT-Neo's pattern of layers must fit their number
        return config
    cut: dict[str, Any] = {
        key: min(6, config[key])
        for key in ("num_hidden_layers", "n_layer", "n_layers")
        if key in config
    }
    lists = ("layer_types", "no_rope_layers", "mlp_layer_types", "indexer_types")
    return {**config, **cut, **{key: config[key][:6] for key in lists if config.get(key)}}


def steps(config: dict[str, Any], class_name: str) -> dict[int, tuple[int, int]]:
    """Return the products of one token at each context, and the elements of the cache after it."""
    model = oracle.build(config, class_name)
    found = {}
    for context in CONTEXTS:
        past = transformers.DynamicCache(config=model.config)
        with torch.no_grad():
            model(input_ids=_ids(context - 1), past_key_values=past, use_cache=True)
            with FlopCounterMode(display=False) as counter:
                model(input_ids=_ids(1), past_key_values=past, use_cache=True)
        held = sum(_elements(layer) for layer in past.layers)
        idle = oracle.idle_flops(config, BATCH)
        idle += beside_attention(model.config, BATCH, 1, context)
        found[context] = int(counter.get_total_flops()) - idle, held
    return found


def _elements(layer: Any) -> int:
    """Return the elements that a layer's cache holds: keys, values, and an indexer's keys."""
    held: int = layer.keys.numel() + layer.values.numel()
    indexed = isinstance(layer, DynamicIndexedLayer) and layer.is_indexer_initialized
    return held + int(layer.indexer_keys.numel() if indexed else 0)


def _ids(tokens: int) -> torch.Tensor:
    return torch.ones(BATCH, tokens, dtype=torch.long, device="meta")
