"""Names of modules in a config, against the modules of transformers' own classes.

Which modules a list of names holds is decided here as the methods do it, on the names that the
class has: transformers' ``should_convert_module``, compressed-tensors' ``match_name``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import transformers

import memorywall as mw

SMALL = {
    "vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 12,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "tie_word_embeddings": False, "dtype": "bfloat16", "pad_token_id": 0,
}  # fmt: skip
TYPES: dict[str, dict[str, Any]] = {
    "llama": {}, "qwen2": {}, "qwen3": {"head_dim": 8}, "phi3": {}, "olmo2": {}, "stablelm": {},
    "starcoder2": {}, "gemma2": {"head_dim": 8, "query_pre_attn_scalar": 8}, "glm": {"head_dim": 8},
    "cohere": {}, "granite": {}, "smollm3": {},
    "gpt_neox": {"num_key_value_heads": None},
    "bloom": {"n_layer": 12, "n_head": 4, "hidden_size": 32},
    "falcon": {"num_kv_heads": 2, "new_decoder_architecture": True, "ffn_hidden_size": 48},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
}  # fmt: skip


def linear_layers(model_type: str) -> tuple[dict[str, Any], dict[str, tuple[int, int]]]:
    """Return a config, and out and in of each linear layer of its class by the layer's name."""
    config = transformers.AutoConfig.for_model(model_type, **{**SMALL, **TYPES[model_type]})
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    data = {**config.to_dict(), "architectures": [type(model).__name__]}
    found = {
        name: (module.out_features, module.in_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    return data, found


def lists_of(names: list[str]) -> Iterator[list[str]]:
    """Yield lists of modules to leave: names, parents, globs and expressions of a class."""
    layers = [name for name in names if re.search(r"\.\d+\.", name)]
    block = re.split(r"\.\d+\.", layers[0])[0]
    leaves = list(dict.fromkeys(name.rpartition(".")[2] for name in layers))
    parents = list(dict.fromkeys(name.rpartition(".")[0] for name in layers))
    yield ["lm_head", "embed_out"]
    yield [f"{block}.0", f"{block}.11"]
    yield [f"{block}.1"]  # and not 10, 11
    yield parents[:3]
    yield layers[::5]
    yield leaves[:1]
    inside = parents[0].removeprefix(f"{block}.0").strip(".")
    yield [f"re:.*{inside}.{leaves[0]}$"] if inside else [f"re:.*{leaves[0]}$"]
    yield [rf"re:.*\.[02468]\..*{leaves[-1]}$"]
    yield [rf"re:{block}\.(0|1|11)\."]
    yield [rf"re:.*({leaves[0]}|{leaves[-1]})$", "re:.*lm_head"]
    yield [r"re:.*\.1\d\..*"]
    yield ["*head", f"{block}.3*", f"*{leaves[-1]}"]


def is_left(name: str, pattern: str) -> bool:
    """Whether a name is held by one entry of a list, as the methods decide it."""
    if pattern.startswith("re:"):  # compressed_tensors/utils/match.py
        return re.match(pattern.removeprefix("re:"), name) is not None
    if "*" in pattern:  # as ModelOpt's and Quark's globs
        from fnmatch import fnmatchcase

        return fnmatchcase(name, pattern)
    # transformers' quantizers_utils.py: from the start to a dot, or the end of the name.
    return name == pattern or name.startswith(f"{pattern}.") or name.endswith(f".{pattern}")


@pytest.mark.parametrize("model_type", TYPES)
def test_names_hold_the_modules_of_the_class(model_type: str) -> None:
    config, layers = linear_layers(model_type)
    whole = mw.analyze(config, on="h100-sxm").footprint.weights
    block = {"quant_method": "compressed-tensors", "format": "float-quantized", "config_groups": {
        "group_0": {"targets": ["Linear"], "weights": {
            "num_bits": 8, "type": "float", "strategy": "channel"}}}}  # fmt: skip
    for names in lists_of(list(layers)):
        # A quantised layer has a byte less for each weight, and a scale of 2 B a row.
        less = sum(
            out * inner - 2 * out
            for name, (out, inner) in layers.items()
            if not any(is_left(name, pattern) for pattern in names)
        )
        quantised = {**config, "quantization_config": {**block, "ignore": names}}
        assert mw.analyze(quantised, on="h100-sxm").footprint.weights == whole - less, names
