"""FLOPs of backward operators and of optimizers' kernels.

The backward pass of a linear layer is two products, which PyTorch runs as such; this module has the
operators with separate names. Letters as in ``aten``.
"""

from __future__ import annotations

from math import prod
from typing import Any

from memorywall.frontends.tracing.interpret.aten import score_pairs
from memorywall.frontends.tracing.interpret.elementwise import per_element
from memorywall.frontends.tracing.interpret.formulas import Count, Formula, argument, into

BACKWARD: dict[str, Formula] = {}
_backward = into(BACKWARD)

# FLOPs per output element, of the gradient.
_PER_ELEMENT = {
    "threshold_backward": 1, "leaky_relu_backward": 2, "tanh_backward": 3, "sigmoid_backward": 3,
    # dy s (1 + x (1 - s)) for a sigmoid s of 3
    "silu_backward": 8,
    # Inner polynomial 5, its tanh, two factors 3, their derivatives 5, the rest 4; the error
    # function takes the same.
    "gelu_backward": 18,
    "native_dropout_backward": 2, "mse_loss_backward": 3, "hardswish_backward": 4,
    "hardsigmoid_backward": 2, "elu_backward": 3, "softplus_backward": 4, "mish_backward": 10,
    "log_sigmoid_backward": 4, "smooth_l1_loss_backward": 3, "huber_loss_backward": 3,
    "_adaptive_avg_pool3d_backward": 1,
    # y (dy - sum of dy y), and dy - exp(y) sum of dy
    "_softmax_backward_data": 4, "_log_softmax_backward_data": 4,
    "glu_backward": 4,
}  # fmt: skip
_SOFTMAX = ("_softmax_backward_data", "_log_softmax_backward_data")
_NO_ARITHMETIC = (
    "upsample_nearest1d_backward", "upsample_nearest2d_backward", "upsample_nearest3d_backward",
    "reflection_pad1d_backward", "reflection_pad2d_backward", "select_backward",
    "replication_pad1d_backward", "replication_pad2d_backward", "diagonal_backward",
    "value_selecting_reduction_backward",
)  # fmt: skip


@_backward("convolution_backward", "cudnn_convolution_backward", kind="conv")
def convolution(call: Any) -> int:
    """The forward FLOPs for the input's gradient, if needed, and again for the weight's."""
    grad, values, weight = call.inputs[:3]
    counted = values if argument(call, "transposed", default=False) else grad
    products = sum(argument(call, "output_mask")[:2])
    return int(products * 2 * counted.numel() * prod(weight.shape[1:]))


@_backward("_scaled_dot_product_flash_attention_backward",
           "_scaled_dot_product_flash_attention_for_cpu_backward",
           "_scaled_dot_product_efficient_attention_backward",
           "_scaled_dot_product_cudnn_attention_backward",
           "_scaled_dot_product_fused_attention_overrideable_backward",
           kind="attention")  # fmt: skip
def attention(call: Any) -> int:
    """Five products: Q K^T again, dO V^T, P^T dO, dS K and dS^T Q."""
    keys, values = argument(call, "key").shape[-1], argument(call, "value").shape[-1]
    return int(2 * score_pairs(call) * (3 * keys + 2 * values))


@_backward("embedding_dense_backward", "_embedding_bag_dense_backward", kind="embedding")
def embedding(call: Any) -> int:
    """Rows are added to a table of zeros, as large as the table."""
    return int(call.inputs[0].numel())


@_backward("native_layer_norm_backward", "native_group_norm_backward", kind="norm")
def layer_norm(call: Any) -> int:
    """Per element: the normalised value 2, two sums 3, the subtraction 4; gamma and beta 4."""
    learned = len(call.outputs) > 1
    return int((9 + 4 * learned) * call.inputs[0].numel())


@_backward("_fused_rms_norm_backward", kind="norm")
def rms_norm(call: Any) -> int:
    """Per element: the normalised value 1, a sum 2, the subtraction 3; gamma 3."""
    learned = len(call.outputs) > 1
    return int((6 + 3 * learned) * call.inputs[0].numel())


@_backward("native_batch_norm_backward", "cudnn_batch_norm_backward", "batch_norm_backward",
           kind="norm")  # fmt: skip
def batch_norm(call: Any) -> int:
    """As a layer norm's in training; else times gamma over sigma, and their sums."""
    training = argument(call, "train", argument(call, "update", default=True))
    return int((13 if training else 7) * call.inputs[0].numel())


@_backward("avg_pool2d_backward", "avg_pool3d_backward")
def average_pool(call: Any) -> int:
    """One per element of every window."""
    return int(call.inputs[0].numel() * prod(argument(call, "kernel_size")))


@_backward("max_pool2d_with_indices_backward", "max_pool3d_with_indices_backward",
           "nll_loss_backward", "nll_loss2d_backward", "index_select_backward",
           "_grid_sampler_2d_cpu_fallback_backward")  # fmt: skip
def scattered(call: Any) -> int:
    """Each input element is added to one output element."""
    return int(call.inputs[0].numel())


@_backward("upsample_bilinear2d_backward", "_upsample_bilinear2d_aa_backward")
def interpolation(call: Any) -> int:
    """Weigh for 4 neighbours and add: 2 each."""
    return int(8 * call.inputs[0].numel())


@_backward("_fused_adam", "_fused_adamw", kind="optimizer")
def fused_adam(call: Any) -> int:
    """As the loop of torch.optim: decay 1; lerp 3, factor 1, addcmul 3, root, division, sum, 3."""
    each = 13 + bool(argument(call, "weight_decay"))
    return int(each * sum(weight.numel() for weight in call.args[0]))


@_backward("_fused_sgd", kind="optimizer")
def fused_sgd(call: Any) -> int:
    """As the loop: the update 1; with momentum a factor and a sum, with decay a sum."""
    each = 1 + 2 * bool(argument(call, "momentum")) + bool(argument(call, "weight_decay"))
    return int(each * sum(weight.numel() for weight in call.args[0]))


def find(name: str) -> Formula | None:
    """Return the formula of an operator by its full name; for a list of tensors, of each."""
    short = name.removeprefix("aten::")
    if short.startswith("_foreach_"):
        each = per_element(short.removeprefix("_foreach_"))
        return Formula("elementwise", _of_list(each))
    return BACKWARD.get(name)


def _of_list(coefficient: int) -> Count:
    return lambda call: int(coefficient * sum(tensor.numel() for tensor in call.args[0]))


def _per_output(coefficient: int) -> Count:
    return lambda call: int(coefficient * call.outputs[0].numel())


def _table() -> None:
    for name, coefficient in _PER_ELEMENT.items():
        kind: Any = "softmax" if name in _SOFTMAX else "elementwise"
        BACKWARD[f"aten::{name}"] = Formula(kind, _per_output(coefficient))
    for name in _NO_ARITHMETIC:
        BACKWARD[f"aten::{name}"] = Formula("elementwise", _per_output(0))


_table()
