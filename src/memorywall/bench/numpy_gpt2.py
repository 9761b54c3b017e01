"""GPT-2's decode in NumPy, one token a step: a real run on a machine without PyTorch.

It computes what transformers' ``GPT2LMHeadModel`` computes in fp32 with a cache of keys and values
(tests/bench/test_numpy_gpt2.py compares the logits). Matrices are stored as GPT-2 stores them,
[inputs, outputs]; the head is the embedding, [vocabulary, hidden]. A cache that grows is joined, as
a framework does it, because that is what the cost model prices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from memorywall.core.errors import UnsupportedError
from memorywall.core.numbers import Array

_ACTIVATION = "gelu_new"


def weight_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight of a GPT-2 config, by transformers' names.

    Raises:
        UnsupportedError: the config asks for another activation than ``gelu_new``.
    """
    activation = config.get("activation_function", _ACTIVATION)
    if activation != _ACTIVATION:
        raise UnsupportedError(
            f"activation_function must be {_ACTIVATION} for the NumPy run, got {activation}."
        )
    hidden = config["n_embd"]
    inner = config.get("n_inner") or 4 * hidden
    layer = {
        "ln_1.weight": (hidden,),
        "ln_1.bias": (hidden,),
        "attn.c_attn.weight": (hidden, 3 * hidden),
        "attn.c_attn.bias": (3 * hidden,),
        "attn.c_proj.weight": (hidden, hidden),
        "attn.c_proj.bias": (hidden,),
        "ln_2.weight": (hidden,),
        "ln_2.bias": (hidden,),
        "mlp.c_fc.weight": (hidden, inner),
        "mlp.c_fc.bias": (inner,),
        "mlp.c_proj.weight": (inner, hidden),
        "mlp.c_proj.bias": (hidden,),
    }
    return {
        "wte.weight": (config["vocab_size"], hidden),
        "wpe.weight": (config["n_positions"], hidden),
        **{
            f"h.{index}.{name}": shape
            for index in range(config["n_layer"])
            for name, shape in layer.items()
        },
        "ln_f.weight": (hidden,),
        "ln_f.bias": (hidden,),
    }


def random_weights(config: Mapping[str, Any], seed: int = 0) -> dict[str, Array]:
    """Return random fp32 weights of a config, uniform within 0.02 of zero.

    The time of a step does not depend on the values, as long as they are not subnormal.
    """
    generator = np.random.default_rng(seed)
    weights: dict[str, Array] = {}
    for name, shape in weight_shapes(config).items():
        values = generator.random(shape, dtype=np.float32)
        values -= 0.5
        values *= 0.04
        weights[name] = values
    return weights


def layer_norm(x: Array, gain: Array, bias: Array, epsilon: float = 1e-5) -> Array:
    """Normalise the last axis to mean 0 and variance 1, then scale by ``gain`` and add ``bias``."""
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred * centred).mean(-1, keepdims=True)
    normed: Array = centred / np.sqrt(variance + epsilon) * gain + bias
    return normed


def gelu_new(x: Array) -> Array:
    """GELU by a hyperbolic tangent, as GPT-2 writes it."""
    inside = math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
    return 0.5 * x * (1.0 + np.tanh(inside))


def attend(query: Array, keys: Array, values: Array) -> Array:
    """Attend from one position: [heads, 1, head_dim] over [heads, positions, head_dim]."""
    scores = query @ keys.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    context: Array = shares @ values
    return context


class NumpyGpt2:
    """A GPT-2 that decodes one token a step, with a cache of keys and values.

    Args:
        config: a published config; see ``weight_shapes``.
        weights: fp32, by transformers' names without ``transformer.``.
    """

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, Array]) -> None:
        self._heads = config["n_head"]
        self._epsilon = config.get("layer_norm_epsilon", 1e-5)
        self._embedding = weights["wte.weight"]
        self._positions = weights["wpe.weight"]
        self._last_norm = weights["ln_f.weight"], weights["ln_f.bias"]
        self._layers = [_of_layer(weights, index) for index in range(config["n_layer"])]
        self._cache: list[tuple[Array, Array]] = []
        self.forget()

    def forget(self) -> None:
        """Empty the cache: the next token is at position 0."""
        head_dim = self._embedding.shape[1] // self._heads
        nothing = np.empty((self._heads, 0, head_dim), dtype=np.float32)
        self._cache = [(nothing, nothing) for _ in self._layers]

    def step(self, token: int) -> Array:
        """Decode one token at the next position; return its logits, [vocabulary]."""
        position = self._cache[0][0].shape[1]
        x = self._embedding[token : token + 1] + self._positions[position : position + 1]
        for index, layer in enumerate(self._layers):
            normed = layer_norm(x, layer["ln_1.weight"], layer["ln_1.bias"], self._epsilon)
            x = x + self._attention(index, layer, normed)
            normed = layer_norm(x, layer["ln_2.weight"], layer["ln_2.bias"], self._epsilon)
            inner = gelu_new(normed @ layer["mlp.c_fc.weight"] + layer["mlp.c_fc.bias"])
            x = x + (inner @ layer["mlp.c_proj.weight"] + layer["mlp.c_proj.bias"])
        x = layer_norm(x, *self._last_norm, self._epsilon)
        logits: Array = (x @ self._embedding.T)[0]
        return logits

    def generate(self, tokens: int) -> int:
        """Generate ``tokens`` tokens from nothing, always the likeliest; return the last one."""
        self.forget()
        token = 0
        for _ in range(tokens):
            token = int(self.step(token).argmax())
        return token

    def _attention(self, index: int, layer: Mapping[str, Array], normed: Array) -> Array:
        joined = normed @ layer["attn.c_attn.weight"] + layer["attn.c_attn.bias"]
        # [1, 3 hidden] to [3, heads, 1, head_dim]
        query, key, value = joined.reshape(3, self._heads, 1, -1)
        keys, values = self._cache[index]
        keys = np.concatenate([keys, key], axis=1)
        values = np.concatenate([values, value], axis=1)
        self._cache[index] = keys, values
        context = attend(query, keys, values).reshape(1, -1)
        out: Array = context @ layer["attn.c_proj.weight"] + layer["attn.c_proj.bias"]
        return out


def _of_layer(weights: Mapping[str, Array], index: int) -> dict[str, Array]:
    """Return one layer's weights by their names within it."""
    prefix = f"h.{index}."
    return {
        name.removeprefix(prefix): values
        for name, values in weights.items()
        if name.startswith(prefix)
    }
