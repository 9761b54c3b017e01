"""Modes of a trace: one device without memory, and attention as one operator.

On the meta device tensors have shapes and no elements. PyTorch decomposes attention there into
products and a softmax whose scores no kernel stores; these modes keep it as one operator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

from memorywall.frontends.tracing.interpret.arrays import address_of
from memorywall.frontends.tracing.interpret.aten import leading

META = torch.device("meta")


class OneDevice(TorchFunctionMode):  # type: ignore[misc]
    """Makes every tensor on the meta device, regardless of the requested device.

    Tensors made on the CPU explicitly stay there, so that a module may read their values.

    Args:
        attend: called with the arguments of every attention and its output.
    """

    def __init__(self, attend: Callable[[tuple[Any, ...], dict[str, Any], Any], object]) -> None:
        super().__init__()
        self.attend = attend
        self.asked: set[str] = set()  # devices requested by name
        self._makers = _device_constructors()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is scaled_dot_product_attention and not is_functorch_wrapped_tensor(args[0]):
            return self._attention(*args, **kwargs)
        if func in _MOVES:
            return self._move(func, args, kwargs)
        if kwargs.get("device") is not None:
            kwargs = {**kwargs, "device": self._settle(kwargs["device"])}
        elif func in self._makers:
            kwargs = {**kwargs, "device": META}
        return func(*args, **kwargs)

    def _settle(self, device: Any) -> torch.device:
        """Return the device used instead of the requested one."""
        wanted = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
        if wanted.type in ("meta", "cpu"):
            return wanted
        self.asked.add(str(wanted))
        return META

    def _move(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Change a tensor's dtype if ``to`` requests it; it stays on its device."""
        tensor, *rest = args
        device = kwargs.get("device")
        if rest and isinstance(rest[0], str | int | torch.device):
            device = rest.pop(0)
        elif rest and isinstance(rest[0], torch.Tensor):
            rest[0] = rest[0].dtype
        elif func is torch.Tensor.cuda:
            device = "cuda"
        if device is not None:
            self._settle(device)
        kwargs = {name: value for name, value in kwargs.items() if name != "device"}
        changes = func is torch.Tensor.to and (rest or kwargs)
        return func(tensor, *rest, **kwargs) if changes else tensor

    def _attention(
        self, query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
        is_causal: bool = False, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Return the output of attention, [B, N, T, H]; as in kernels, with the heads innermost."""
        before = leading(query.shape, key.shape, value.shape)
        lying = query.new_empty(
            *before[:-1], query.shape[-2], *before[-1:], value.shape[-1], device=META
        )
        out = lying.transpose(-2, -3) if before else lying
        words = {"dropout_p": dropout_p, "is_causal": is_causal, **kwargs}
        self.attend((query, key, value, attn_mask), words, out)
        return out


class Fills(TorchFunctionMode):  # type: ignore[misc]
    """Records the storages of buffers filled with one value, while a factory runs."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, Any] = {}  # kept, so that no other storage gets the address

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in (torch.zeros, torch.ones, torch.full):
            self.made[address_of(out)] = out
        return out


_MOVES = frozenset((torch.Tensor.to, torch.Tensor.cuda, torch.Tensor.cpu, torch.Tensor.pin_memory))
