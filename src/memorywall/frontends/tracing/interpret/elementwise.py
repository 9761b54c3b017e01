"""Operators with constant FLOPs per element, and those that only move, make or order elements.

The coefficients of activation functions are those of ``layers/element_costs.py``: the counts from a
config and from a trace agree; every other pointwise operator counts one FLOP per element.
"""

from __future__ import annotations

from typing import Any

from memorywall.core.axes import unnamed
from memorywall.core.geometry import Space
from memorywall.frontends.tracing.interpret.formulas import Count, Formula

# FLOPs per output element.
_PER_OUTPUT = {
    "gelu": 9, "silu": 4, "sigmoid": 3, "tanh": 1, "relu": 1, "mish": 6, "softplus": 3, "elu": 3,
    "hardswish": 4, "hardsigmoid": 3, "leaky_relu": 2, "celu": 3, "selu": 3, "log_sigmoid": 3,
    "log_sigmoid_forward": 3, "polar": 3, "addcmul": 3, "addcdiv": 3, "lerp": 3, "add": 1,
    "sub": 1, "mul": 1, "div": 1, "pow": 1, "floor_divide": 1, "clamp": 2, "logaddexp": 4,
    "native_dropout": 2,
    "_adaptive_avg_pool2d": 1, "_adaptive_avg_pool3d": 1,
}  # fmt: skip

# FLOPs per input element.
_PER_INPUT = {
    "mean": 1, "sum": 1, "amax": 1, "amin": 1, "max": 1, "min": 1, "prod": 1, "cumsum": 1,
    "cumprod": 1, "var": 4, "std": 4, "var_mean": 4, "std_mean": 4, "linalg_vector_norm": 2,
    "norm": 2, "logsumexp": 4, "logcumsumexp": 4, "any": 1, "all": 1,
    "_adaptive_avg_pool2d_backward": 1, "histc": 2, "bincount": 1, "nll_loss_forward": 1,
}  # fmt: skip

# No arithmetic on stored values: copies, casts, fills, comparisons of order, choices.
COPIES = {
    "clone": "copy", "copy": "copy", "_to_copy": "cast", "cat": "join", "stack": "join",
    "repeat": "repeat", "contiguous": "copy", "expand_copy": "repeat", "lift_fresh_copy": "copy",
    "lift_fresh": "copy",
    "repeat_interleave": "repeat", "_reshape_copy": "copy", "view_copy": "copy",
}  # fmt: skip
_MOVES = (
    "constant_pad_nd", "pad", "reflection_pad1d", "reflection_pad2d", "replication_pad1d",
    "replication_pad2d", "roll", "flip", "rot90", "tril", "triu", "masked_fill", "masked_scatter",
    "where", "index_copy", "index_put", "_unsafe_index_put", "index_fill", "index_add", "scatter",
    "scatter_add", "scatter_reduce", "as_strided", "slice_scatter", "select_scatter",
    "slice_backward", "im2col", "col2im", "pixel_shuffle", "pixel_unshuffle",
    "native_channel_shuffle", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d",
    "_unsafe_index", "diagonal_copy", "glu_jvp",
)  # fmt: skip
_FILLS = (
    "zeros", "ones", "full", "arange", "zeros_like", "ones_like", "full_like", "fill", "zero",
    "new_zeros", "new_ones", "new_full", "linspace", "eye", "scalar_tensor", "tril_indices",
    "triu_indices", "rand", "randn", "rand_like", "randn_like", "randint", "normal", "uniform",
    "bernoulli", "randperm", "one_hot", "exponential",
)  # fmt: skip
_ORDERS = (
    "topk", "sort", "argsort", "argmax", "argmin", "searchsorted", "bucketize", "kthvalue",
    "median", "mode", "cummax", "cummin",
)  # fmt: skip


def per_element(name: str) -> int:
    """Return the FLOPs per element of an operator, by its name without a namespace."""
    if name in COPIES or name in (*_MOVES, *_FILLS, *_ORDERS):
        return 0
    return _PER_OUTPUT.get(name, _PER_INPUT.get(name, 1))


def _per_output(coefficient: int) -> Count:
    return lambda call: Space(coefficient, unnamed(call.outputs[0].numel()))


def _per_input(coefficient: int) -> Count:
    return lambda call: Space(coefficient, unnamed(call.inputs[0].numel()))


def _glu(call: Any) -> int:
    """Half of it times the sigmoid of the other half."""
    return int(4 * call.outputs[0].numel())


def _table() -> dict[str, Formula]:
    counts: dict[str, Count] = {name: _per_output(n) for name, n in _PER_OUTPUT.items()}
    counts |= {name: _per_input(n) for name, n in _PER_INPUT.items()}
    counts |= dict.fromkeys((*COPIES, *_MOVES, *_FILLS, *_ORDERS), _per_output(0))
    counts["glu"] = _glu
    return {f"aten::{name}": Formula("elementwise", count) for name, count in counts.items()}


TABLE = _table()
POINTWISE = Formula("elementwise", _per_output(1))  # every operator with torch's tag
REDUCTION = Formula("elementwise", _per_input(1))
REDUCTIONS = frozenset(_PER_INPUT)
FILLS = frozenset(_FILLS)
