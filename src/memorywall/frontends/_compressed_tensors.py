"""compressed-tensors: groups of settings for modules by class, name or pattern, in layouts.

Layouts: compressed_tensors/compressors; targets: compressed_tensors/utils/match.py (names before
patterns before classes).
"""

from __future__ import annotations

from collections.abc import Callable

from memorywall.core.errors import shown
from memorywall.core.formats import Beside, Format, find_format
from memorywall.core.storage import KEPT, Storage
from memorywall.frontends._layouts import (
    WHOLE,
    NotCoveredError,
    Plain,
    block_of,
    choose,
    computing_in,
    each_within,
    group_of,
    grouped,
    only,
    scale,
    title_of,
    with_beside,
    words_of,
)
from memorywall.frontends._modules import FormatsByName, Named, read_names
from memorywall.reading.config_values import Config

_FLOAT32 = find_format("fp32")
_LINEAR, _TABLE = "Linear", "Embedding"


def read_compressed_tensors(part: Config, plain: Plain) -> Storage:
    """Return the storage of all groups; what none of them targets is left as it is."""
    _refuse_sparse(part)
    groups = part.within("config_groups")
    if groups is None or not groups.data:
        raise NotCoveredError("0 'config_groups'")
    by_class: dict[str, Format] = {}
    names: list[tuple[Named, Format]] = []
    patterns: list[tuple[Named, Format]] = []
    titles: dict[str, None] = {}
    computes: dict[Format, str] = {}
    for _, group in each_within(groups):
        weights = None if group is None else group.within("weights")
        if group is None or weights is None:
            continue  # of activations or of the cache alone
        title, format_, computes[format_] = _format(part, group, weights, plain)
        titles[title] = None
        targets = words_of(group, "targets")
        by_class |= {
            target: by_class.get(target, format_) for target in targets if _is_class(target)
        }
        others = [target for target in targets if not _is_class(target)]
        for found, is_pattern in ((names, False), (patterns, True)):
            some = [target for target in others if target.startswith("re:") == is_pattern]
            if some:
                found.append((read_names(some, plain.layers), format_))
    strange = set(by_class) - {_LINEAR, _TABLE}
    if strange:
        raise NotCoveredError(f"'targets' {shown(min(strange))}")
    own = (*names, *patterns)
    storage = Storage(
        " and ".join(titles) or plain.rest.name,
        by_class.get(_LINEAR, plain.rest),
        plain.rest,
        # The list of ignored modules has every unquantised linear layer.
        tuple(layer for layer in KEPT if layer != "lm_head"),
        tables=by_class.get(_TABLE),
        by_module=FormatsByName(own) if own else None,
    )
    return computing_in(computes, storage)


def _is_class(target: str) -> bool:
    return target.isidentifier() and target[0].isupper()


def _refuse_sparse(part: Config) -> None:
    sparsity = part.within("sparsity_config")
    if sparsity is not None and sparsity.word("format", "dense") != "dense":
        raise NotCoveredError("sparse weights")


def _format(part: Config, group: Config, weights: Config, plain: Plain) -> tuple[str, Format, str]:
    """Return a group's title, the format of its weights, and its arithmetic, '' for the usual."""
    inputs = group.within("input_activations")
    # "local": scales of groups are made as it runs, the one of the whole is stored.
    is_stored = inputs is not None and inputs.data.get("dynamic") in (None, False, "local")
    usual = part.word("format", "")
    stored = group.word("format", "") or usual
    layout = _LAYOUTS.get(stored)
    if layout is None:
        raise NotCoveredError(f"'format' {shown(stored)}")
    title, format_ = layout(weights, plain.rest, is_stored)
    return title, format_, "" if inputs is None else _arithmetic(inputs)


def _arithmetic(inputs: Config) -> str:
    """Return the arithmetic of a product whose inputs are quantised: fp8, int8, fp4 or int4."""
    kind = "fp" if inputs.word("type", "int") == "float" else "int"
    return f"{kind}{inputs.size('num_bits', 8)}"


def _packed(weights: Config, rest: Format, is_stored: bool) -> tuple[str, Format]:  # noqa: ARG001
    """Integers packed into 32-bit words; the shape of each weight as two 64-bit numbers."""
    only(weights, "type", ("int",), "int")
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
    return title_of(format_), with_beside(format_, *beside)


def _plain(weights: Config, rest: Format, is_stored: bool) -> tuple[str, Format]:
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
    if is_stored:
        beside.append(scale(rest))
    title = f"{name} with a scale a {'row' if strategy == 'channel' else strategy}"
    return title, with_beside(Format(name, 8), *beside)


def _nvfp4(weights: Config, rest: Format, is_stored: bool) -> tuple[str, Format]:  # noqa: ARG001
    """4 bit with an fp8 scale for 16 weights, and an fp32 scale of the weight and of its input."""
    _check_floats(weights, 16, ("tensor_group", "group"))
    choose(weights, "num_bits", (4,))
    both = Beside((32 + 32 if is_stored else 32), rows=WHOLE, columns=WHOLE)
    return "nvfp4", with_beside(find_format("nvfp4"), both)


def _mx(weights: Config, rest: Format, is_stored: bool) -> tuple[str, Format]:  # noqa: ARG001
    """4 or 8 bit, 32 weights under an exponent of 8 bits."""
    _check_floats(weights, 32, ("group",))
    format_ = find_format(f"mxfp{choose(weights, 'num_bits', (4, 8))}")
    return format_.name, with_beside(format_, scale(_FLOAT32)) if is_stored else format_


def _check_floats(weights: Config, group: int, strategies: tuple[str, ...]) -> None:
    """Refuse other settings than those of floating-point numbers in groups."""
    only(weights, "type", ("float",), "float")
    only(weights, "strategy", strategies, strategies[0])
    if weights.size("group_size", group) != group:
        raise NotCoveredError(f"groups of other than {group}")
    if not weights.flag("symmetric", True):
        raise NotCoveredError("zero points")


def _dense(weights: Config, rest: Format, is_stored: bool) -> tuple[str, Format]:  # noqa: ARG001
    """Weights that were rounded, and stored as before."""
    return f"{rest.name} with rounded weights", rest


_LAYOUTS: dict[str, Callable[[Config, Format, bool], tuple[str, Format]]] = {
    "pack-quantized": _packed,
    "float-quantized": _plain,
    "int-quantized": _plain,
    "naive-quantized": _plain,
    "nvfp4-pack-quantized": _nvfp4,
    "mxfp4-pack-quantized": _mx,
    "mxfp8-quantized": _mx,
    "dense": _dense,
}
