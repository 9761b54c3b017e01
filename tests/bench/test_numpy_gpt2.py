"""GPT-2 in NumPy beside transformers' class, and the kernels that predict its time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers

import memorywall as mw
from memorywall.bench import numpy_kernels
from memorywall.bench.numpy_gpt2 import NumpyGpt2, random_weights, weight_shapes

SMALL = {
    "model_type": "gpt2", "n_embd": 32, "n_layer": 3, "n_head": 4, "vocab_size": 61,
    "n_positions": 16, "n_inner": 80, "layer_norm_epsilon": 1e-3,
}  # fmt: skip


@pytest.fixture
def transformers_gpt2() -> Any:
    torch.manual_seed(0)
    values = {key: value for key, value in SMALL.items() if key != "model_type"}
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**values)).eval()
    # As made, biases are 0 and gains 1: a fault in either would not be seen.
    for parameter in model.parameters():
        parameter.data.normal_(0.0, 0.3)
    return model


def test_logits_are_those_of_transformers(transformers_gpt2: Any) -> None:
    # The state includes masks of old versions; a tied head has no separate name.
    state = {
        name.removeprefix("transformer."): values.numpy()
        for name, values in transformers_gpt2.state_dict().items()
        if name.startswith("transformer.")
    }
    weights = {name: state[name] for name in weight_shapes(SMALL)}
    tokens = [5, 60, 0, 17, 17, 3]
    with torch.inference_mode():
        theirs = transformers_gpt2(torch.tensor([tokens])).logits[0].numpy()
    ours = NumpyGpt2(SMALL, weights)
    for _ in range(2):  # the second time with a cache that was emptied
        ours.forget()
        logits = np.stack([ours.step(token) for token in tokens])
        assert logits.shape == theirs.shape == (6, 61)
        np.testing.assert_allclose(logits, theirs, atol=1e-4)


def test_weights_are_the_models() -> None:
    # GPT-2's published config: the parameters that its family counts, 124,439,808.
    config = mw.model("gpt2").config
    sizes = [int(np.prod(shape)) for shape in weight_shapes(config).values()]
    assert sum(sizes) == mw.model("gpt2").parameters == 124_439_808
    weights = random_weights(SMALL)
    assert {name: values.shape for name, values in weights.items()} == weight_shapes(SMALL)
    assert all(values.dtype == np.float32 for values in weights.values())
    assert all(0 < abs(values).max() <= 0.02 for values in weights.values())
    again = random_weights(SMALL)
    assert all((weights[name] == again[name]).all() for name in weights)


def test_a_generation_is_its_steps() -> None:
    model = NumpyGpt2(SMALL, random_weights(SMALL))
    last = model.generate(4)
    model.forget()
    token = 0
    for _ in range(4):
        token = int(model.step(token).argmax())
    assert last == token
    assert model.generate(4) == last  # each generation begins with an empty cache


def test_another_activation_is_refused() -> None:
    with pytest.raises(mw.MemoryWallError, match="activation_function must be gelu_new"):
        weight_shapes({**SMALL, "activation_function": "relu"})


@pytest.mark.parametrize(
    ("name", "parameters", "flops", "moved"),
    [
        # m n k 16 x 8 x 4: 2 x 512 FLOP; (16 x 4 + 4 x 8 + 16 x 8) x 4 bytes
        ("gemm", {"dtype": "fp32", "m": 16, "n": 8, "k": 4}, 1024, 896),
        # 1 row, 8 wide, 4 inner: 2 x 32 FLOP; (4 + 32 + 8) x 4 bytes
        ("linear", {"dtype": "fp32", "rows": 1, "width": 8, "inner": 4}, 64, 176),
        ("conv1d", {"dtype": "fp32", "rows": 1, "width": 8, "inner": 4}, 64, 176),
        # 2 heads of 4 over 3 positions: Q K^T and P V, 2 x 2 x 2 x 4 x 3 FLOP; a query and an
        # answer of 2 x 4, keys and values of 2 x 3 x 4 each, 4 bytes
        ("attention", {"dtype": "fp32", "batch": 1, "heads": 2, "kv_heads": 2, "tokens": 1,
                       "context": 3, "head_dim": 4, "causal": False}, 96, 256),
        ("elementwise", {"dtype": "fp32", "function": "add", "rows": 2, "width": 3}, 0, 72),
        ("elementwise", {"dtype": "fp32", "function": "layernorm", "rows": 2, "width": 3}, 0, 48),
    ],
)  # fmt: skip
def test_counts_of_kernels_by_hand(
    name: str, parameters: dict[str, Any], flops: float, moved: float
) -> None:
    kernel = numpy_kernels.make(name, **parameters)
    assert (kernel.flops, kernel.moved_bytes) == (flops, moved)
    out: Any = kernel.call()
    assert np.isfinite(out).all()


def test_the_pool_is_past_the_caches() -> None:
    kernel = numpy_kernels.make("stream", function="read")
    assert kernel.moved_bytes >= 256 * 2**20
    assert kernel.flops == 2 * kernel.moved_bytes / 4  # a product and a sum an element of 4 bytes


@pytest.mark.parametrize("dtype", ["bf16", "int8"])
def test_kernels_of_other_formats_do_not_exist(dtype: str) -> None:
    with pytest.raises(KeyError, match=dtype):
        numpy_kernels.make("gemm", dtype=dtype, m=1, n=1, k=1)
