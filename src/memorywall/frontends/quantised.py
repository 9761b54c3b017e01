"""The ``quantization_config`` of a checkpoint: which weights are packed, and what lies beside them.

The layouts are those in which each method saves a linear layer of [out, in]; ``Beside`` holds what
``Format`` has no word for. Whatever changes bytes and is not covered is not guessed at: the model
then asks for the format of its weights by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from memorywall.core.errors import near_names, shown
from memorywall.core.formats import Beside, Format, find_format
from memorywall.core.storage import KEPT, Storage, unread
from memorywall.families._config import Config
from memorywall.frontends._kept import kept_layers

_WHOLE = 0  # a whole axis


class _NotCoveredError(Exception):
    """A layout that changes bytes and is not known; the text is a clause."""


def read_quantisation(config: Config, dtype: str, layers: int) -> Storage | None:
    """Return how the weights of a quantised checkpoint lie, or None for one that is not.

    Args:
        config: the whole config, whose faults are noted as it is read.
        dtype: of what is not quantised.
        layers: of the model.
    """
    part = config.part("quantization_config")
    if part is None:
        return None
    method = part.word("quant_method", "bitsandbytes" if _is_bitsandbytes(part) else "")
    reader = _METHODS.get(method)
    if reader is None:
        near = near_names(method, _METHODS) or list(_METHODS)
        return unread(
            f"its weights are quantised by {shown(method)}, which is not known "
            f"(known are {', '.join(near)})"
        )
    rest = find_format(dtype)
    try:
        storage = reader(part, rest)
        kept, notes = kept_layers(part, storage.kept, layers)
    except _NotCoveredError as error:
        return unread(f"its weights are quantised by {method} with {error}, which is not covered")
    except ValueError as error:
        return unread(str(error))
    return replace(storage, kept=kept, notes=(*storage.notes, *notes))


def _is_bitsandbytes(part: Config) -> bool:
    return part.flag("load_in_4bit", False) or part.flag("load_in_8bit", False)


def _gptq(part: Config, rest: Format) -> Storage:
    """Packed weights, and for each group a 16-bit scale and a zero point as wide as a weight.

    One 32-bit group number for every input stands beside, sorted or not.
    """
    _only(part, "checkpoint_format", ("gptq", "gptq_v2"), "gptq")
    _none_of(part, "dynamic", "modules_in_block_to_quantize")
    bits = _choose(part, "bits", (2, 3, 4, 8))
    format_ = _grouped(f"int{bits}", bits, _group(part, "group_size"), 16 + bits)
    order = Beside(32, rows=_WHOLE, columns=1)
    kept = tuple(name for name in KEPT if not (name == "lm_head" and part.flag("lm_head", False)))
    return Storage(f"GPTQ {_title(format_)}", _with(format_, order), rest, kept)


def _awq(part: Config, rest: Format) -> Storage:
    """Packed weights, and for each group a 16-bit scale and a zero point of 4 bits."""
    _only(part, "version", ("gemm", "GEMM"), "gemm")
    bits = _choose(part, "w_bit" if part.has("w_bit") else "bits", (4,))
    group = _group(part, "q_group_size" if part.has("q_group_size") else "group_size")
    format_ = _grouped(f"int{bits}", bits, group, 16 + bits)
    return Storage(f"AWQ {_title(format_)}", format_, rest)


def _bitsandbytes(part: Config, rest: Format) -> Storage:
    """8 bit with an fp32 scale a row; or 4 bit in runs of 64 weights, across rows.

    A run's scale is fp32; or, quantised again, 8 bit with an fp32 scale for 256 of them. Each
    weight keeps the table of its 16 values, and of the 256 values of its scales. The file also
    holds a text of some hundred bytes for each, which is not counted.
    """
    if part.flag("load_in_8bit", False):
        rows = Beside(32, rows=1, columns=_WHOLE)
        # A byte for each weight says how it is packed.
        packing = Beside(8, rows=_WHOLE, columns=_WHOLE)
        return Storage("bitsandbytes int8", _with(Format("int8", 8), rows, packing), rest)
    kind = part.word("bnb_4bit_quant_type", "fp4")
    if kind not in ("nf4", "fp4"):
        raise _NotCoveredError(f"'bnb_4bit_quant_type' {shown(kind)}")
    values = Beside(16 * 32, rows=_WHOLE, columns=_WHOLE)
    if part.flag("bnb_4bit_use_double_quant", False):
        table = Beside(256 * 32, rows=_WHOLE, columns=_WHOLE)
        scales: tuple[Beside, ...] = (Beside(8, run=64), Beside(32, run=64 * 256), table)
    else:
        scales = (Beside(32, run=64),)
    name = f"bitsandbytes {kind}" + (" with double quantisation" if len(scales) > 1 else "")
    note = "bitsandbytes' text on each weight's packing, some hundred bytes, is not counted."
    return Storage(name, _with(Format(kind, 4), *scales, values), rest, notes=(note,))


def _fp8(part: Config, rest: Format) -> Storage:
    """8 bit with an fp32 scale for each block, or for the whole of a weight."""
    rows, columns = _block(part, "weight_block_size")
    scale = Beside(32, rows=rows, columns=columns)
    beside = [scale]
    if part.word("activation_scheme", "dynamic") == "static":
        beside.append(Beside(32, rows=_WHOLE, columns=_WHOLE))
    name = f"fp8 in blocks of {rows} x {columns}" if rows else "fp8"
    return Storage(name, _with(Format("fp8", 8), *beside), rest, notes=(_arithmetic("fp8", rest),))


def _fbgemm(part: Config, rest: Format) -> Storage:  # noqa: ARG001 - as its siblings
    """8 bit with an fp32 scale a row."""
    format_ = _with(Format("fp8", 8), Beside(32, rows=1, columns=_WHOLE))
    return Storage("fp8 with a scale a row", format_, rest, notes=(_arithmetic("fp8", rest),))


def _mxfp4(part: Config, rest: Format) -> Storage:  # noqa: ARG001 - as its siblings
    """Experts only: 32 weights under an 8-bit exponent."""
    return Storage("mxfp4 experts", find_format("mxfp4"), rest, (*KEPT, "attention"))


def _modelopt(part: Config, rest: Format) -> Storage:
    """NVIDIA's: 4 bit with an fp8 scale for 16 weights, or fp8; fp32 scales of weight and input."""
    both = Beside(2 * 32, rows=_WHOLE, columns=_WHOLE)
    algorithm = part.word("quant_algo", "").upper()
    if algorithm == "NVFP4":
        if part.has("group_size") and part.size("group_size") != 16:
            raise _NotCoveredError("groups of other than 16")
        return Storage(
            "nvfp4", _with(find_format("nvfp4"), both), rest, notes=(_arithmetic("fp4", rest),)
        )
    if algorithm == "FP8":
        format_ = _with(Format("fp8", 8), both)
        return Storage("fp8", format_, rest, notes=(_arithmetic("fp8", rest),))
    raise _NotCoveredError(f"'quant_algo' {shown(algorithm)}")


def _compressed_tensors(part: Config, rest: Format) -> Storage:
    """One group of settings for all linear layers."""
    groups = part.part("config_groups")
    names = [] if groups is None else [str(name) for name in groups.data]
    if groups is None or len(names) != 1:
        raise _NotCoveredError(f"{len(names)} 'config_groups'")
    group = groups.part(names[0])
    weights = None if group is None else group.part("weights")
    if group is None or weights is None:
        raise _NotCoveredError("no settings of weights")
    if group.data.get("targets") != ["Linear"]:
        raise _NotCoveredError(f"'targets' {shown(group.data.get('targets'))}")
    sparsity = part.part("sparsity_config")
    if sparsity is not None and sparsity.word("format", "dense") != "dense":
        raise _NotCoveredError("sparse weights")
    inputs = group.part("input_activations")
    is_static = inputs is not None and not inputs.flag("dynamic", False)
    stored = part.word("format", group.word("format", ""))
    layout = _LAYOUTS.get(stored)
    if layout is None:
        raise _NotCoveredError(f"'format' {shown(stored)}")
    storage = layout(weights, rest, is_static)
    return storage if inputs is None else _computed(storage, rest)


def _computed(storage: Storage, rest: Format) -> Storage:
    """Note that the method also quantises the activations that linear layers read."""
    note = _arithmetic(storage.linear.arithmetic or storage.linear.name, rest)
    return replace(storage, notes=(note,))


def _packed(weights: Config, rest: Format, is_static: bool) -> Storage:  # noqa: ARG001
    """Integers packed in words of 32 bits; the shape of each weight as two 64-bit numbers."""
    bits = _choose(weights, "num_bits", (2, 4, 8))
    zero = 0 if weights.flag("symmetric", True) else bits
    strategy = weights.word("strategy", "group" if weights.has("group_size") else "channel")
    if strategy not in ("group", "channel"):
        raise _NotCoveredError(f"'strategy' {shown(strategy)}")
    group = _group(weights, "group_size") if strategy == "group" else 0
    format_ = _grouped(f"int{bits}", bits, group, rest.bits + zero)
    beside = [Beside(2 * 64, rows=_WHOLE, columns=_WHOLE)]
    if weights.data.get("actorder") in ("group", True):
        beside.append(Beside(32, rows=_WHOLE, columns=1))
    return Storage(_title(format_), _with(format_, *beside), rest)


def _plain(weights: Config, rest: Format, is_static: bool) -> Storage:
    """8 bit as they are, with scales in the model's dtype for a weight, a row or a block."""
    if weights.size("num_bits", 8) != 8:
        raise _NotCoveredError(f"'num_bits' {shown(weights.data.get('num_bits'))}")
    name = "fp8" if weights.word("type", "int") == "float" else "int8"
    strategy = weights.word("strategy", "tensor")
    blocks = {"tensor": (_WHOLE, _WHOLE), "channel": (1, _WHOLE)}
    if strategy == "block":
        blocks["block"] = _block(weights, "block_structure")
    if strategy not in blocks:
        raise _NotCoveredError(f"'strategy' {shown(strategy)}")
    rows, columns = blocks[strategy]
    zero = 0 if weights.flag("symmetric", True) else 8
    beside = [Beside(rest.bits + zero, rows=rows, columns=columns)]
    if is_static:
        beside.append(Beside(rest.bits, rows=_WHOLE, columns=_WHOLE))
    title = f"{name} with a scale a {'row' if strategy == 'channel' else strategy}"
    return Storage(title, _with(Format(name, 8), *beside), rest)


def _packed_nvfp4(weights: Config, rest: Format, is_static: bool) -> Storage:
    """4 bit with an fp8 scale for 16 weights, and an fp32 scale of the weight and of its input."""
    if weights.size("group_size", 16) != 16:
        raise _NotCoveredError("groups of other than 16")
    both = Beside((32 + 32 if is_static else 32), rows=_WHOLE, columns=_WHOLE)
    return Storage("nvfp4", _with(find_format("nvfp4"), both), rest)


_METHODS: dict[str, Callable[[Config, Format], Storage]] = {
    "gptq": _gptq,
    "awq": _awq,
    "bitsandbytes": _bitsandbytes,
    "fp8": _fp8,
    "fbgemm_fp8": _fbgemm,
    "mxfp4": _mxfp4,
    "modelopt": _modelopt,
    "compressed-tensors": _compressed_tensors,
}
_LAYOUTS: dict[str, Callable[[Config, Format, bool], Storage]] = {
    "pack-quantized": _packed,
    "float-quantized": _plain,
    "int-quantized": _plain,
    "naive-quantized": _plain,
    "nvfp4-pack-quantized": _packed_nvfp4,
}


def _grouped(name: str, bits: int, group: int, scale_bits: int) -> Format:
    """Return weights with a scale for each group, or for a row where ``group`` is 0."""
    if group:
        return Format(name, bits, group, scale_bits)
    return Format(name, bits, beside=(Beside(scale_bits, rows=1, columns=_WHOLE),))


def _with(format_: Format, *beside: Beside) -> Format:
    return replace(format_, beside=(*format_.beside, *beside))


def _title(format_: Format) -> str:
    by = f"in groups of {format_.group}" if format_.group else "by rows"
    return f"{format_.name} {by}"


def _arithmetic(name: str, rest: Format) -> str:
    return (
        f"Linear layers of this checkpoint compute in {name}; arithmetic is priced in "
        f"{rest.name} unless activations are named."
    )


def _choose(part: Config, key: str, known: tuple[int, ...]) -> int:
    value = part.size(key, 4)
    if value not in known:
        raise _NotCoveredError(f"{key!r} {value}")
    return value


def _group(part: Config, key: str) -> int:
    """Return how many weights share a scale; 0 for a row, which files write as -1."""
    if part.data.get(key) == -1:
        return 0
    return part.size(key, 128)


def _block(part: Config, key: str) -> tuple[int, int]:
    """Return rows and columns under one scale, whole axes where the key is absent or null."""
    value = part.data.get(key)
    if value is None:
        part.default(key, None)
        return _WHOLE, _WHOLE
    good = isinstance(value, list) and len(value) == 2
    if not good or not all(type(n) is int and 0 < n <= 2**20 for n in value):
        part.fault(key, f"{key!r} must be two whole numbers above 0, got {shown(value)}")
        return _WHOLE, _WHOLE
    return value[0], value[1]


def _only(part: Config, key: str, known: tuple[str, ...], default: str) -> None:
    value = part.word(key, default)
    if value not in known:
        raise _NotCoveredError(f"{key!r} {shown(value)}")


def _none_of(part: Config, *keys: str) -> None:
    for key in keys:
        if part.data.get(key):
            raise _NotCoveredError(f"{key!r}")
