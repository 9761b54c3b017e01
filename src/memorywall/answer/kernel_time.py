"""The time of one call of a kernel on a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from memorywall.answer.analyze import HardwareSource, load_hardware
from memorywall.catalog.calibrations import table
from memorywall.core.errors import InvalidInputError, UnknownNameError, shown
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Argument, Kernel, KernelTime, Table
from memorywall.core.numbers import LARGEST, Number, as_quantity, plain
from memorywall.cost.kernels import find_kernel
from memorywall.cost.kernels.bounds import bound_of
from memorywall.cost.kernels.facts import attention_cache, attention_dtype, dtype_of

# Points priced at once: a block's arrays, with an axis of candidates, fit the processor's cache.
_BLOCK = 4096
_MOST_POINTS = 2**28
_ENGINES = ("trtllm", "vllm", "sglang", "nccl")
# Arguments for which nothing, 0, has a meaning.
_MAY_BE_NONE = ("window", "tokens", "bytes")


def kernel_time(
    kind: str,
    *,
    on: HardwareSource,
    dtype: str = "bf16",
    engine: str = "",
    **shape: Any,
) -> KernelTime:
    """Return how long one call of a kernel takes on a device, with its interval.

    The call is repeated, as benchmarks do: on GPUs with GDDR memory, operands that fit into the L2
    are read from it. Numbers may be arrays that broadcast.

    Args:
        kind: ``gemm`` (m, n, k), ``attention_prefill`` (batch, heads, kv_heads, head_dim, queries,
            keys, window, kv_cache, causal), ``attention_decode`` (the same without queries),
            ``moe`` (tokens, hidden_size, intermediate_size, experts, experts_per_token, tensor,
            expert, routing), ``all_reduce``, ``all_gather``, ``reduce_scatter`` and
            ``all_to_all`` (bytes, ranks).
        on: a device's name, the path of its TOML, or a ``Hardware``.
        dtype: ``bf16``, ``fp16``, ``fp8``, ``fp8_block``, ``nvfp4``, ``int8``, ``int4`` (the last
            two: weights alone); of attention that of its arithmetic.
        engine: whose kernels: ``trtllm``, ``vllm``, ``sglang``, ``nccl``; "" for any.
        **shape: the arguments of the kind.

    Raises:
        MemoryWallError: a name, an argument or a number that cannot be used; see its hint.
    """
    kernel, hardware = find_kernel(kind), load_hardware(on)
    if kernel.over == "memory":
        dtype_of(dtype)
    if engine not in ("", *_ENGINES):
        raise UnknownNameError("engine", engine, _ENGINES, f"One of {', '.join(_ENGINES)}.")
    if hardware.shapes:
        raise InvalidInputError(
            f"kernel_time requires a device of plain numbers, got {hardware.name} with arrays.",
            "Ask for one device at a time.",
        )
    read = _read(kernel, shape)
    key = dtype if kernel.over == "memory" else ""
    if "kv_cache" in read:
        read["kv_cache"] = shape.get("kv_cache") or attention_cache(dtype)
        key = attention_dtype(dtype, str(read["kv_cache"]))
    found = table(hardware, kind, key, engine)
    seconds, least = _priced(kernel, hardware, key, found, read)
    seconds = np.maximum(seconds, least)
    low, high = np.maximum(seconds * found.low, least), seconds * found.high
    seconds, low, high, least = (
        float(n) if np.ndim(n) == 0 else n for n in (seconds, low, high, least)
    )
    return KernelTime(seconds, low, high, least, found.provenance, found)


def _read(kernel: Kernel, shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call as numbers, arrays and words, with the defaults filled in.

    Raises:
        InvalidInputError: an argument that is missing, or has a value that it cannot have.
        UnknownNameError: an argument that the kernel does not have.
    """
    known = {argument.name: argument for argument in kernel.arguments}
    for name in shape:
        if name not in known:
            raise UnknownNameError(
                "argument", name, known, f"{kernel.name} has {', '.join(known)}."
            )
    read: dict[str, Any] = {}
    for name, argument in known.items():
        value = shape.get(name, argument.default)
        if value is None:
            raise InvalidInputError(
                f"{kernel.name} requires {name}: {argument.meaning[:1].lower()}"
                f"{argument.meaning[1:]}",
                f"Its arguments: {', '.join(known)}.",
            )
        read[name] = _word(argument, value) if argument.choices else _number(argument, value)
    if "queries" in read and np.any(np.asarray(read["queries"]) > np.asarray(read["keys"])):
        raise InvalidInputError(
            "queries must be at most keys, which include them; got more of them."
        )
    return read


def _word(argument: Argument, value: Any) -> str:
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if isinstance(value, str) and value in argument.choices:
        return value
    if isinstance(value, str):
        raise UnknownNameError(argument.name, value, argument.choices)
    raise InvalidInputError(
        f"{argument.name} must be one of {', '.join(argument.choices)}, got {shown(plain(value))}."
    )


def _number(argument: Argument, value: Any) -> Number:
    """Return a positive number or array, or 0 where nothing has a meaning."""
    may_be_none = argument.name in _MAY_BE_NONE
    if may_be_none and isinstance(value, int | float) and value == 0:
        return 0.0
    if may_be_none and np.any(np.asarray(value) == 0):
        value = np.where(np.asarray(value) == 0, 1e-300, value)
    number = as_quantity(value, argument.name)
    if np.any(np.asarray(number) > LARGEST):
        raise InvalidInputError(
            f"{argument.name} must be at most 2^40, got {shown(plain(np.max(number)))}."
        )
    return number


def _priced(
    kernel: Kernel, hardware: Hardware, dtype: str, found: Table, shape: Mapping[str, Any]
) -> tuple[Any, Any]:
    """Return seconds and the bound of calls, of many in blocks.

    Raises:
        InvalidInputError: arrays that do not broadcast, or too many points.
    """
    sizes = [np.shape(value) for value in shape.values() if not isinstance(value, str)]
    try:
        full = np.broadcast_shapes(*sizes)
    except ValueError:
        raise InvalidInputError(
            f"The arrays of {kernel.name} do not broadcast: "
            f"{', '.join(str(size) for size in sizes if size)}.",
            "Use shapes that NumPy broadcasts, such as (8, 1) and (1, 16).",
        ) from None
    if prod(full) > _MOST_POINTS:
        raise InvalidInputError(f"At most 2^28 calls are priced at once, got {prod(full):,}.")
    price = _of_shape(kernel, hardware, dtype, found)
    if not full:
        seconds, least = price(shape)
        return float(seconds), float(least)
    seconds, least = np.empty(prod(full)), np.empty(prod(full))
    for part, place in _blocks(shape, full):
        seconds[place], least[place] = price(part)
    return seconds.reshape(full), least.reshape(full)


def _of_shape(
    kernel: Kernel, hardware: Hardware, dtype: str, found: Table
) -> Callable[[Mapping[str, Any]], tuple[Any, Any]]:
    def price(shape: Mapping[str, Any]) -> tuple[Any, Any]:
        fixed = {name: value for name, value in shape.items() if name not in kernel.varying}
        seconds = kernel.prepare(fixed, hardware, dtype, found.constants)
        varying = [shape[name] for name in kernel.varying]
        return seconds(*varying), bound_of(kernel, shape, hardware, dtype)

    return price


def _blocks(
    shape: Mapping[str, Any], full: tuple[int, ...]
) -> Iterator[tuple[dict[str, Any], slice]]:
    """Yield parts of a shape's arrays, flattened, with their places."""
    flat = {
        name: np.broadcast_to(value, full).reshape(-1) if np.ndim(value) else value
        for name, value in shape.items()
    }
    for start in range(0, prod(full), _BLOCK):
        place = slice(start, start + _BLOCK)
        yield {n: v[place] if np.ndim(v) else v for n, v in flat.items()}, place
