"""Types of operands that PyTorch's kernels refuse, and shapes alone do not.

On the meta device an operator computes shapes; the checks of its kernels on types do not run. A
trace that ran them not would count modules that no device runs.
"""

from __future__ import annotations

from typing import Any

import torch

from memorywall.frontends.tracing.interpret.calls import tensors

_ATEN = torch.ops.aten
# Products, all of whose operands have one type.
_PRODUCTS = frozenset(
    (
        _ATEN.mm.default, _ATEN.bmm.default, _ATEN.addmm.default, _ATEN.baddbmm.default,
        _ATEN.addmv.default, _ATEN.mv.default, _ATEN.dot.default, _ATEN.linear.default,
        _ATEN.convolution.default, _ATEN._scaled_dot_product_flash_attention.default,  # noqa: SLF001
    )
)  # fmt: skip
# Functions without a kernel for whole numbers.
_OF_FRACTIONS = frozenset(
    (
        _ATEN.gelu.default, _ATEN.silu.default, _ATEN.mish.default, _ATEN.softplus.default,
        _ATEN.elu.default, _ATEN.leaky_relu.default, _ATEN._softmax.default,  # noqa: SLF001
        _ATEN._log_softmax.default, _ATEN.native_layer_norm.default,  # noqa: SLF001
        _ATEN.native_group_norm.default,
    )
)  # fmt: skip


def check_types(func: Any, args: tuple[Any, ...]) -> None:
    """Refuse operands that the kernels of an operator refuse.

    Raises:
        RuntimeError: as PyTorch raises it on real tensors.
    """
    if func in _PRODUCTS:
        types = {tensor.dtype for tensor in tensors(args)}
        if len(types) > 1:
            names = " and ".join(sorted(str(dtype).removeprefix("torch.") for dtype in types))
            raise RuntimeError(
                f"the operands of {_name(func)} must have the same dtype, got {names}"
            )
    elif func in _OF_FRACTIONS:
        dtype = args[0].dtype
        if not dtype.is_floating_point and not dtype.is_complex:
            raise RuntimeError(
                f"{_name(func)} requires numbers with a fraction, got "
                f"{str(dtype).removeprefix('torch.')}"
            )


def _name(func: Any) -> str:
    name: str = func.name()
    return name.removeprefix("aten::")
