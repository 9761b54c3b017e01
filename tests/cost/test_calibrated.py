"""Prices by a machine's calibration."""

from __future__ import annotations

import dataclasses

import pytest

import memorywall as mw
from memorywall.catalog.configs import config_names
from memorywall.core.calibration import Calibration, Curve
from memorywall.core.errors import UnsupportedError
from memorywall.core.formats import FORMATS
from memorywall.core.forward import Forward
from memorywall.cost.calibrated import estimate

# As a quick measurement: an element, a FLOP or a byte takes a second, `copy` two.
QUICK = (
    "linear", "conv1d", "attention causal", "attention full", "attention decode",
    "attention decode grouped", "add", "layernorm", "rmsnorm", "gelu", "gelu_new", "silu gated",
    "tanh", "rotary",
)  # fmt: skip
CURVES = {(name, "bf16"): Curve(name, "bf16", (1.0,), (1.0,)) for name in QUICK}
CURVES["copy", "bf16"] = Curve("copy", "bf16", (1.0,), (2.0,))
BF16 = FORMATS["bf16"]


@pytest.mark.parametrize("name", config_names())
def test_a_quick_measurement_prices_every_model(name: str) -> None:
    model = mw.model(name)
    past = 0 if not model.causal else 7
    forward = Forward(2, 1, past, BF16, BF16, BF16)
    if model.traits.images is not None:
        stacks = "decoder" if model.causal else "both"
        forward = dataclasses.replace(forward, stacks=stacks, image_size=model.traits.images.size)
    program = model.lower(forward)
    convolves = [op for _, op, _ in program.walk() if op.kind == "conv" and op.runs]
    if any(op.function != "depthwise" for op in convolves):
        with pytest.raises(UnsupportedError, match="was not measured"):
            estimate(program, Calibration(CURVES))
        return
    assert estimate(program, Calibration(CURVES)).seconds > 0


def test_what_was_not_measured_uses_its_replacement() -> None:
    config = {
        "model_type": "gemma", "vocab_size": 9, "hidden_size": 4, "intermediate_size": 6,
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 2,
    }  # fmt: skip
    program = mw.model(config).lower(Forward(3, 1, 0, BF16, BF16, BF16))
    by_class = estimate(program, Calibration(CURVES)).by_class
    # Two sums of 3 x 4 and the gate's 3 x 6 at a second each, rotations of 3 x 4 twice; the scaled
    # embeddings of 3 x 4 as a copy, at two.
    assert by_class["elementwise"] == 2 * 12 + 18 + 2 * 12 + 2 * 12
