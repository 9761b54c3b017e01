"""Quantisation blocks spoilt at random: an answer, or an error that names the config; quick."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import memorywall as mw
from tests.frontends.blocks import PUBLISHED
from tests.frontends.files import LLAMA
from tests.frontends.test_checkpoint_layouts import METHODS, MIXTRAL
from tests.frontends.test_checkpoints import CT, FP8_CACHE, MLX, QUARK, two_groups

BLOCKS: list[dict[str, Any]] = [
    *PUBLISHED,
    *(block for block, _ in METHODS.values()),
    two_groups(["re:.*self_attn.*"], ["Linear"]),
    {**CT, "kv_cache_scheme": FP8_CACHE},
    {**QUARK, "layer_quant_config": {"*down_proj": {"weight": None}}, "export": {
        "kv_cache_group": ["*k_proj"]}},
    {**MLX, "model.layers.0.mlp.down_proj": {"bits": 8, "group_size": 64}, "lm_head": False},
    {"quant_algo": "MIXED_PRECISION", "quantized_layers": {
        "model.layers.0.self_attn.q_proj": {"quant_algo": "FP8"}}},
    {"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": {"-:.*q_proj": {}},
     "modules_in_block_to_quantize": [["mlp.up_proj"]]},
    {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "llm_int8_skip_modules": ["lm_head"]},
    {"quant_method": "fp8", "weight_block_size": [128, 128], "expert_dtype": "fp4",
     "scale_fmt": "ue8m0", "modules_to_not_convert": ["model.layers.*.self_attn"]},
    {"quant_method": "exl2", "bits": 4.25, "head_bits": 6},
    {"quant_method": "auto-round", "extra_config": {"lm_head": {"bits": 8}}},
]  # fmt: skip

_NAMES = st.one_of(
    st.sampled_from([
        "lm_head", "model.layers.0", "re:.*gate$", "*", "re:(a+)+b", "re:.*.*.*.*x", "re:[", "re:(",
        "model.layers.99999999999", "re:.{1,999}x", "re:(?!a).*", "visual", "", ".", "re:", "model",
        "re:.*e.*e.*e.*Z$", "**", "a*b*c*d*e", "\x00", "re:\\", "experts.0.w1", "layers.-1",
    ]),
    st.text(max_size=30),
    st.text("re:.*+?()[]{}|\\dw$^0", max_size=20).map("re:".__add__),
)  # fmt: skip
_LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.sampled_from([0, -1, 1, 3, 2**31, 2**64]),
    st.floats(), _NAMES, st.sampled_from(["fp8", "int8", "float", "local", "group", "channel"]),
)  # fmt: skip
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(_NAMES, inner, max_size=3)
    ),
    max_leaves=8,
)


def spots(value: object) -> list[tuple[Any, Any]]:
    """Return every place within a value that holds another: its container and key."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        found += [(value, key) for key in value]
    elif isinstance(value, list):
        found += [(value, at) for at in range(len(value))]
    return found + [spot for container, key in found[:] for spot in spots(container[key])]


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    block: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(BLOCKS)))
    for _ in range(draw(st.integers(1, 3))):
        places = spots(block)
        if not places:
            break
        container, key = draw(st.sampled_from(places))
        action = draw(st.sampled_from(["change", "drop", "add", "names"]))
        if action == "drop":
            del container[key]
        elif action == "change":
            container[key] = draw(_VALUES)
        elif action == "names":
            block[draw(st.sampled_from(["ignore", "modules_to_not_convert", "exclude"]))] = draw(
                st.lists(_NAMES, max_size=5)
            )
        else:
            block[draw(_NAMES)] = draw(_VALUES)
    return block


def answered(config: dict[str, Any]) -> None:
    """Ask for the weights of a config; an error has a message."""
    start = time.process_time()
    message = "answered"
    try:
        assert mw.analyze(config, on="h100-sxm", seq_len=8).footprint.weights > 0
    except mw.MemoryWallError as error:
        message = error.message
    assert message
    assert time.process_time() - start < 1


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(spoilt(), st.sampled_from(["quantization_config", "quantization", "compression_config"]))
def test_spoilt_blocks(block: dict[str, Any], key: str) -> None:
    answered({**LLAMA, key: block})


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(spoilt(), st.sampled_from([LLAMA, MIXTRAL]), _VALUES)
def test_spoilt_blocks_at_length(
    block: dict[str, Any], config: dict[str, Any], other: object
) -> None:
    answered({**config, "quantization_config": block})
    answered({**config, "quantization_config": other})
    answered({**config, "text_config": {"quantization_config": block}})


@pytest.mark.parametrize(
    "names",
    [
        ["re:.*e.*e.*" + "e" * 50],
        ["re:" + "(a|b)" * 300 + "$"],
        [f"re:.*layers\\.{n}\\..*j" for n in range(64)],
        [f"re:.*layers\\.{n}\\..*j" for n in range(65)],
        ["model.layers.0." + "a." * 100] * 1000,
        ["mlp." * 60],
        [f"model.layers.{n}.self_attn.q_proj" for n in range(100_000)],
        ["q_proj.k_proj.v_proj.qkv_proj.c_attn.Wqkv.qkv.gate_up_proj." * 5],
    ],
)
@pytest.mark.parametrize("layers", [2, 126, 65_536])
def test_long_lists_of_names(names: list[str], layers: int) -> None:
    block = {"quant_method": "fp8", "modules_to_not_convert": names}
    answered({**LLAMA, "num_hidden_layers": layers, "quantization_config": block})
