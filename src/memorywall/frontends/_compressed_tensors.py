"""compressed-tensors: one group of settings for all linear layers, in one of several layouts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from memorywall.core.errors import shown
from memorywall.core.formats import Beside, Format, find_format
from memorywall.core.storage import Storage
from memorywall.frontends._layouts import (
    WHOLE,
    NotCoveredError,
    block_of,
    choose,
    computes_in,
    group_of,
    grouped,
    title_of,
    with_beside,
)
from memorywall.reading.config_values import Config


def read_compressed_tensors(part: Config, rest: Format) -> Storage:
    """One group of settings for all linear layers."""
    groups = part.within("config_groups")
    names = [] if groups is None else [str(name) for name in groups.data]
    if groups is None or len(names) != 1:
        raise NotCoveredError(f"{len(names)} 'config_groups'")
    group = groups.within(names[0])
    weights = None if group is None else group.within("weights")
    if group is None or weights is None:
        raise NotCoveredError("no settings of weights")
    if group.data.get("targets") != ["Linear"]:
        raise NotCoveredError(f"'targets' {shown(group.data.get('targets'))}")
    sparsity = part.within("sparsity_config")
    if sparsity is not None and sparsity.word("format", "dense") != "dense":
        raise NotCoveredError("sparse weights")
    inputs = group.within("input_activations")
    is_static = inputs is not None and not inputs.flag("dynamic", False)
    stored = part.word("format", group.word("format", ""))
    layout = _LAYOUTS.get(stored)
    if layout is None:
        raise NotCoveredError(f"'format' {shown(stored)}")
    storage = layout(weights, rest, is_static)
    return storage if inputs is None else _computed(storage, rest)


def _computed(storage: Storage, rest: Format) -> Storage:
    """Add a note that the method also quantises the activations that linear layers read."""
    note = computes_in(storage.linear.arithmetic or storage.linear.name, rest)
    return replace(storage, notes=(note,))


def _packed(weights: Config, rest: Format, is_static: bool) -> Storage:  # noqa: ARG001
    """Integers packed into 32-bit words; the shape of each weight as two 64-bit numbers."""
    bits = choose(weights, "num_bits", (2, 4, 8))
    zero = 0 if weights.flag("symmetric", True) else bits
    strategy = weights.word("strategy", "group" if weights.has("group_size") else "channel")
    if strategy not in ("group", "channel"):
        raise NotCoveredError(f"'strategy' {shown(strategy)}")
    group = group_of(weights, "group_size") if strategy == "group" else 0
    format_ = grouped(f"int{bits}", bits, group, rest.bits + zero)
    beside = [Beside(2 * 64, rows=WHOLE, columns=WHOLE)]
    if weights.data.get("actorder") in ("group", True):
        beside.append(Beside(32, rows=WHOLE, columns=1))
    return Storage(title_of(format_), with_beside(format_, *beside), rest)


def _plain(weights: Config, rest: Format, is_static: bool) -> Storage:
    """8 bit values, with scales in the model's dtype per weight, row or block."""
    if weights.size("num_bits", 8) != 8:
        raise NotCoveredError(f"'num_bits' {shown(weights.data.get('num_bits'))}")
    name = "fp8" if weights.word("type", "int") == "float" else "int8"
    strategy = weights.word("strategy", "tensor")
    blocks = {"tensor": (WHOLE, WHOLE), "channel": (1, WHOLE)}
    if strategy == "block":
        blocks["block"] = block_of(weights, "block_structure")
    if strategy not in blocks:
        raise NotCoveredError(f"'strategy' {shown(strategy)}")
    rows, columns = blocks[strategy]
    zero = 0 if weights.flag("symmetric", True) else 8
    beside = [Beside(rest.bits + zero, rows=rows, columns=columns)]
    if is_static:
        beside.append(Beside(rest.bits, rows=WHOLE, columns=WHOLE))
    title = f"{name} with a scale a {'row' if strategy == 'channel' else strategy}"
    return Storage(title, with_beside(Format(name, 8), *beside), rest)


def _packed_nvfp4(weights: Config, rest: Format, is_static: bool) -> Storage:
    """4 bit with an fp8 scale for 16 weights, and an fp32 scale of the weight and of its input."""
    if weights.size("group_size", 16) != 16:
        raise NotCoveredError("groups of other than 16")
    both = Beside((32 + 32 if is_static else 32), rows=WHOLE, columns=WHOLE)
    return Storage("nvfp4", with_beside(find_format("nvfp4"), both), rest)


_LAYOUTS: dict[str, Callable[[Config, Format, bool], Storage]] = {
    "pack-quantized": _packed,
    "float-quantized": _plain,
    "int-quantized": _plain,
    "naive-quantized": _plain,
    "nvfp4-pack-quantized": _packed_nvfp4,
}
