"""FLOPs of PyTorch's operators with a formula other than a count per element.

Letters: M, N, K rows, columns and inner length of a product; B batch; T queries; S keys; H head
dim.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from memorywall.core.axes import unnamed
from memorywall.core.geometry import Attention, Conv, Gemm, Space
from memorywall.frontends.tracing.interpret.formulas import Formula, argument, into, schema_of

ATEN: dict[str, Formula] = {}
_aten = into(ATEN)


@_aten("mm", "bmm", "_int_mm", "_scaled_mm", "mv", "dot",
         "vdot", kind="gemm")  # fmt: skip
def product(call: Any) -> Gemm:
    """[M, K] by [K, N], B times: 2 B M K N."""
    return _gemm(call.inputs[0].shape, call.inputs[1].shape)


def _gemm(left: Sequence[int], right: Sequence[int]) -> Gemm:
    """Return the product of [B, M, K] by [B, K, N]; a vector is one row, or one column."""
    columns = right[-1] if len(right) > 1 else 1
    batch = left[:-2] if len(left) > 2 else ()
    rows = left[-2] if len(left) > 1 else 1
    return Gemm(unnamed(rows), unnamed(left[-1]), (unnamed(columns),), unnamed(*batch))


@_aten("addmm", "baddbmm", "addmv", "addbmm", kind="gemm")
def product_and_sum(call: Any) -> Gemm:
    """As ``product``; what is added is the bias, which is not counted."""
    return _gemm(call.inputs[1].shape, call.inputs[2].shape)


@_aten("linear", "_weight_int8pack_mm", kind="gemm")
def linear(call: Any) -> Gemm:
    """[..., K] by [N, K]: 2 K for every element that comes out."""
    return _linear(call)


def _linear(call: Any) -> Gemm:
    *rows, inner = call.inputs[0].shape
    return Gemm(unnamed(*rows), unnamed(inner), (unnamed(call.outputs[0].shape[-1]),))


@_aten("_weight_int4pack_mm", "_weight_int4pack_mm_for_cpu", kind="gemm")
def packed_product(call: Any) -> Gemm:
    """[M, K] by a packed [N, K]: 2 M K N."""
    return _linear(call)


def _experts_touched(call: Any) -> tuple[int | None, ...]:
    """Of the experts' weights [E, K, N], those of at most as many experts as rows."""
    rows, weights = call.inputs[0], call.inputs[1]
    if weights.dim() < 3:
        return (None, None)
    experts = min(weights.shape[0], rows.shape[0])
    return (None, experts * weights.shape[1] * weights.shape[2])


@_aten("_grouped_mm", "_scaled_grouped_mm", "transformers::grouped_mm_fallback",
         kind="gemm", touched=_experts_touched)  # fmt: skip
def grouped_product(call: Any) -> int:
    """[M, K] by E matrices [K, N], every row by one of them: 2 M K N."""
    left, right = call.inputs[0].shape, call.inputs[1].shape
    return int(2 * prod(left) * right[-1])


@_aten("convolution", "_convolution", "mkldnn_convolution",
         "cudnn_convolution", "miopen_convolution", kind="conv")  # fmt: skip
def convolution(call: Any) -> Conv:
    """2 for every element out (transposed: in) and every weight of its filter."""
    weight = call.inputs[1].shape
    counted = call.inputs[0] if argument(call, "transposed", default=False) else call.outputs[0]
    return Conv((Space(2, unnamed(*counted.shape, *weight[1:])),), prod(weight[2:]))


@_aten("scaled_dot_product_attention", "_scaled_dot_product_flash_attention",
         "_scaled_dot_product_flash_attention_for_cpu",
         "_scaled_dot_product_efficient_attention",
         "_scaled_dot_product_cudnn_attention",
         "_scaled_dot_product_fused_attention_overrideable",
         "_scaled_dot_product_attention_math_for_mps", kind="attention")  # fmt: skip
def attention(call: Any) -> Attention:
    """Q K^T and P V, [B, N, T, H] by [B, N, S, H]: 2 H FLOPs for every pair, each."""
    shapes = [argument(call, name).shape for name in ("query", "key", "value")]
    query, key, value = shapes
    *batch, heads = leading(*shapes) or (1,)
    causal = argument(call, "is_causal", default=False)
    return Attention(
        "both", prod(batch), heads, _heads(key), unnamed(query[-1]), query[-2], key[-2],
        _pairs(call, query[-2], key[-2]), "causal" if causal else "full",
        value_dim=unnamed(value[-1]),
    )  # fmt: skip


def _heads(shape: Sequence[int]) -> int:
    return shape[-3] if len(shape) > 2 else 1


def score_pairs(call: Any) -> int:
    """Count the pairs of a query and a key, of all heads."""
    shapes = [argument(call, name).shape for name in ("query", "key", "value")]
    return int(prod(leading(*shapes)) * _pairs(call, shapes[0][-2], shapes[1][-2]))


def _pairs(call: Any, tokens: int, keys: int) -> int:
    """Count the pairs of one sequence and head.

    Under ``is_causal`` the i-th query attends to the first i keys. The values of a mask tensor are
    not known: every pair is counted.
    """
    if argument(call, "is_causal", default=False) and not call.full:
        growing = min(tokens, keys)
        return growing * (growing + 1) // 2 + (tokens - growing) * keys
    return tokens * keys


def leading(query: Sequence[int], key: Sequence[int], value: Sequence[int]) -> tuple[int, ...]:
    """Return the axes of an attention before its positions: sequences broadcast, and heads.

    Heads are the queries' if several share a key; an axis of size 1 is broadcast.
    """
    ours, *theirs = [tuple(shape[:-2]) for shape in (query, key, value)]
    if ours and ours[-1] > 1:
        theirs = [(*shape[:-1], 1) if shape else shape for shape in theirs]
    return tuple(torch.broadcast_shapes(ours, *theirs))


def _rows_touched(call: Any) -> tuple[int | None, ...]:
    """Of a table, the rows that are looked up: at most the number of indices."""
    return (min(call.outputs[0].numel(), call.inputs[0].numel()),)


@_aten("embedding", kind="embedding", touched=_rows_touched)
def embedding(_call: Any) -> int:
    """Rows are copied."""
    return 0


@_aten("index_select", "gather", "index", "take", touched=_rows_touched)
def lookup(_call: Any) -> int:
    """Elements are copied."""
    return 0


@_aten("_embedding_bag", "_embedding_bag_forward_only", kind="embedding",
         touched=lambda call: (call.inputs[1].numel() * call.inputs[0].shape[-1],))  # fmt: skip
def embedding_bag(call: Any) -> int:
    """Rows are summed: one addition per element looked up."""
    return int(call.inputs[1].numel() * call.inputs[0].shape[-1])


@_aten("native_layer_norm", "native_group_norm", kind="norm")
def layer_norm(call: Any) -> int:
    """Sum, subtract, square, sum, times 1/sigma: 5 per element; one each for gamma and beta."""
    learned = sum(tensor.dim() == 1 for tensor in call.inputs[1:])
    return int((5 + learned) * call.inputs[0].numel())


@_aten("_fused_rms_norm", kind="norm")
def rms_norm(call: Any) -> int:
    """Square, sum, times 1/rms, times gamma."""
    return int((3 + (len(call.inputs) > 1)) * call.inputs[0].numel())


@_aten("native_batch_norm", "_native_batch_norm_legit", "batch_norm",
         "_native_batch_norm_legit_no_training", "_batch_norm_with_update",
         "cudnn_batch_norm", "_batch_norm_no_update", kind="norm")  # fmt: skip
def batch_norm(call: Any) -> int:
    """Times a gain, plus an offset: mean and variance are folded into both.

    In training they come from the batch: sum, subtract, square, sum, times 1/sigma, gamma, beta.
    """
    training = argument(call, "training", default="no_" not in schema_of(call.op).name)
    return int((7 if training else 2) * call.inputs[0].numel())


@_aten("_softmax", "_log_softmax", "_safe_softmax", kind="softmax")
def softmax(call: Any) -> int:
    """Maximum, subtract, exponential, sum, divide; the scale is a separate operator."""
    return int(5 * call.inputs[0].numel())


@_aten("max_pool2d_with_indices", "avg_pool2d", "max_pool3d_with_indices",
         "avg_pool3d", "avg_pool1d")  # fmt: skip
def pooling(call: Any) -> int:
    """One per element of every window."""
    return int(call.outputs[0].numel() * prod(argument(call, "kernel_size")))


_NEIGHBOURS = {
    "upsample_linear1d": 2, "upsample_bilinear2d": 4, "_upsample_bilinear2d_aa": 4,
    "grid_sampler_2d": 4, "upsample_trilinear3d": 8, "grid_sampler_3d": 8,
    "upsample_bicubic2d": 16, "_upsample_bicubic2d_aa": 16,
}  # fmt: skip


@_aten(*_NEIGHBOURS)
def interpolation(call: Any) -> int:
    """Weigh each neighbour and add it: 2."""
    neighbours = _NEIGHBOURS[schema_of(call.op).name.removeprefix("aten::")]
    return int(2 * neighbours * call.outputs[0].numel())


@_aten("_weight_norm_interface", "_weight_norm")
def weight_norm(call: Any) -> int:
    """Square and add; then times the target norm over the norm: 3 per weight."""
    return int(3 * call.inputs[0].numel())


@_aten("_euclidean_dist", "_cdist_forward")
def distances(call: Any) -> int:
    """Subtract, square, add: 3 for every pair [..., M, N] and every one of K axes."""
    return int(3 * call.outputs[0].numel() * call.inputs[0].shape[-1])
