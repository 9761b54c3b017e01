"""The question of a trace: example inputs, tensors or texts such as ``int64[1,512]``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

import torch

from memorywall.core.errors import InvalidInputError, shown
from memorywall.core.numbers import LARGEST
from memorywall.frontends.tracing.capture.modes import META
from memorywall.frontends.tracing.interpret.arrays import format_of
from memorywall.frontends.tracing.interpret.calls import tensors

Given: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]  # positional and keyword arguments

_WORD = re.compile(r"\s*(\w+)\s*\[\s*([\d\s,_]*)\]\s*")
_SHORT = {
    "fp64": "float64", "fp32": "float32", "float": "float32", "bf16": "bfloat16",
    "fp16": "float16", "half": "float16", "long": "int64", "int": "int64",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """The parameters of a trace; ``answer.trace.trace`` documents each."""

    inputs: tuple[Any, ...]
    named: Mapping[str, Any] = field(default_factory=dict)
    phase: str | None = None
    seq_len: int | None = None
    cache: str | tuple[str, ...] = "dynamic"
    dtype: str | None = None
    full: bool = False


def on_meta(value: Any) -> Any:
    """Return an example input without memory: text is read, tensors keep shape, dtype and strides.

    Lists, tuples and dicts are traversed; any other value is passed unchanged.

    Raises:
        InvalidInputError: a text that does not describe a tensor.
    """
    if isinstance(value, str):
        return parse(value)
    if isinstance(value, torch.Tensor):
        return value if value.device.type == "meta" else value.detach().to(META)
    if isinstance(value, dict):
        return {name: on_meta(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(on_meta(part) for part in value)
    return value


def parse(text: str) -> torch.Tensor:
    """Read ``float32[1,3,224,224]`` as a tensor without memory.

    Raises:
        InvalidInputError: the form, dtype or size is invalid.
    """
    found = _WORD.fullmatch(text)
    dtype = _dtype(found[1]) if found else None
    if found is None or dtype is None:
        raise InvalidInputError(
            f"an input must be a dtype and sizes, got {shown(text)}",
            "For example: 'int64[1,512]' or 'float32[8,3,224,224]'. Set numbers and flags in the "
            "factory.",
        )
    sizes = [int(size) for size in found[2].replace("_", "").split(",") if size.strip()]
    if prod(sizes) > LARGEST:
        raise InvalidInputError(
            f"an input must have at most 2^40 elements, got {shown(text)}.", "Use a smaller shape."
        )
    return torch.empty(sizes, dtype=dtype, device=META)


def _dtype(name: str) -> torch.dtype | None:
    folded = name.casefold()
    dtype = getattr(torch, _SHORT.get(folded, folded), None)
    return dtype if isinstance(dtype, torch.dtype) else None


def describe(value: Any) -> str:
    """Return a tensor as a text that is valid as an input; any other value as it prints."""
    if not isinstance(value, torch.Tensor):
        return shown(value)
    sizes = ",".join(str(size) for size in value.shape)
    return f"{str(value.dtype).removeprefix('torch.')}[{sizes}]"


def words_of(given: Given) -> tuple[str, ...]:
    """Return inputs as text, keyword inputs with their names."""
    inputs, named = given
    said = [describe(value) for value in inputs]
    plain = {k: v for k, v in named.items() if isinstance(v, torch.Tensor | str | int | float)}
    return (*said, *(f"{name} {describe(value)}" for name, value in plain.items()))


def lengths_of(given: Given) -> tuple[int, int]:
    """Return the batch and the positions of the first input of indices."""
    found = list(tensors((*given[0], *given[1].values())))
    ids = next((t for t in found if t.dim() > 1 and not t.dtype.is_floating_point), None)
    first = next((t for t in found if t.dim()), None) if ids is None else ids
    return 1 if first is None else int(first.shape[0]), 1 if ids is None else int(ids.shape[1])


def unit_of(given: Given) -> str:
    """Return the unit of a row of the inputs: ``tokens`` for indices, else ``samples``."""
    found = tensors((*given[0], *given[1].values()))
    reads = any(t.dim() > 1 and not t.dtype.is_floating_point for t in found)
    return "tokens" if reads else "samples"


def main_dtype(parameters: Mapping[str, torch.Tensor]) -> str:
    """Return the format of most parameters."""
    sizes: dict[str, int] = {}
    for tensor in parameters.values():
        name = format_of(tensor.dtype).name
        sizes[name] = sizes.get(name, 0) + tensor.numel()
    return max(sizes, key=lambda name: sizes[name], default="fp32")
