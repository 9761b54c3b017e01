"""The ``quantization_config`` of a checkpoint: the packed weights, and the data stored with them.

The layouts are those in which each method saves a linear layer of [out, in]; ``Beside`` holds data
that ``Format`` cannot express. An unsupported setting that changes bytes is never guessed: the
model then requires an explicit format of its weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from memorywall.core.errors import near_names, shown
from memorywall.core.formats import Beside, Format, find_format
from memorywall.core.storage import KEPT, Storage, unread
from memorywall.frontends._compressed_tensors import read_compressed_tensors
from memorywall.frontends._kept import kept_layers
from memorywall.frontends._layouts import (
    WHOLE,
    NotCoveredError,
    block_of,
    choose,
    computes_in,
    group_of,
    grouped,
    none_of,
    only,
    title_of,
    with_beside,
)
from memorywall.reading.config_values import Config


def read_quantisation(config: Config, dtype: str, layers: int) -> Storage | None:
    """Return the formats of the weights of a quantised checkpoint, or None for an unquantised one.

    Args:
        config: the whole config; faults are recorded as it is read.
        dtype: of the unquantised weights.
        layers: of the model.
    """
    part = config.within("quantization_config")
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
    except NotCoveredError as error:
        return unread(f"its weights are quantised by {method} with {error}, which is not supported")
    except ValueError as error:
        return unread(str(error))
    return replace(storage, kept=kept, notes=(*storage.notes, *notes))


def _is_bitsandbytes(part: Config) -> bool:
    return part.flag("load_in_4bit", False) or part.flag("load_in_8bit", False)


def _gptq(part: Config, rest: Format) -> Storage:
    """Packed weights, and for each group a 16-bit scale and a zero point as wide as a weight.

    There is also one 32-bit group number per input, sorted or not.
    """
    only(part, "checkpoint_format", ("gptq", "gptq_v2"), "gptq")
    none_of(part, "dynamic", "modules_in_block_to_quantize")
    bits = choose(part, "bits", (2, 3, 4, 8))
    format_ = grouped(f"int{bits}", bits, group_of(part, "group_size"), 16 + bits)
    order = Beside(32, rows=WHOLE, columns=1)
    kept = tuple(name for name in KEPT if not (name == "lm_head" and part.flag("lm_head", False)))
    return Storage(f"GPTQ {title_of(format_)}", with_beside(format_, order), rest, kept)


def _awq(part: Config, rest: Format) -> Storage:
    """Packed weights, and for each group a 16-bit scale and a zero point of 4 bits."""
    only(part, "version", ("gemm", "GEMM"), "gemm")
    bits = choose(part, "w_bit" if part.has("w_bit") else "bits", (4,))
    group = group_of(part, "q_group_size" if part.has("q_group_size") else "group_size")
    format_ = grouped(f"int{bits}", bits, group, 16 + bits)
    return Storage(f"AWQ {title_of(format_)}", format_, rest)


def _bitsandbytes(part: Config, rest: Format) -> Storage:
    """8 bit with an fp32 scale a row; or 4 bit in runs of 64 weights, across rows.

    A run's scale is fp32; or, quantised again, 8 bit with an fp32 scale for 256 of them. Each
    weight keeps the table of its 16 values, and of the 256 values of its scales. The file also
    holds a text of a few hundred bytes for each, which is not counted.
    """
    if part.flag("load_in_8bit", False):
        rows = Beside(32, rows=1, columns=WHOLE)
        # One byte per weight describes the packing.
        packing = Beside(8, rows=WHOLE, columns=WHOLE)
        return Storage("bitsandbytes int8", with_beside(Format("int8", 8), rows, packing), rest)
    kind = part.word("bnb_4bit_quant_type", "fp4")
    if kind not in ("nf4", "fp4"):
        raise NotCoveredError(f"'bnb_4bit_quant_type' {shown(kind)}")
    values = Beside(16 * 32, rows=WHOLE, columns=WHOLE)
    if part.flag("bnb_4bit_use_double_quant", False):
        table = Beside(256 * 32, rows=WHOLE, columns=WHOLE)
        scales: tuple[Beside, ...] = (Beside(8, run=64), Beside(32, run=64 * 256), table)
    else:
        scales = (Beside(32, run=64),)
    name = f"bitsandbytes {kind}" + (" with double quantisation" if len(scales) > 1 else "")
    note = "bitsandbytes' description of each weight's packing (a few hundred bytes) is left out."
    return Storage(name, with_beside(Format(kind, 4), *scales, values), rest, notes=(note,))


def _fp8(part: Config, rest: Format) -> Storage:
    """8 bit with an fp32 scale for each block, or for the whole of a weight."""
    rows, columns = block_of(part, "weight_block_size")
    scale = Beside(32, rows=rows, columns=columns)
    beside = [scale]
    if part.word("activation_scheme", "dynamic") == "static":
        beside.append(Beside(32, rows=WHOLE, columns=WHOLE))
    name = f"fp8 in blocks of {rows} x {columns}" if rows else "fp8"
    return Storage(
        name, with_beside(Format("fp8", 8), *beside), rest, notes=(computes_in("fp8", rest),)
    )


def _fbgemm(part: Config, rest: Format) -> Storage:  # noqa: ARG001 - as its siblings
    """8 bit with an fp32 scale a row."""
    format_ = with_beside(Format("fp8", 8), Beside(32, rows=1, columns=WHOLE))
    return Storage("fp8 with a scale a row", format_, rest, notes=(computes_in("fp8", rest),))


def _mxfp4(part: Config, rest: Format) -> Storage:  # noqa: ARG001 - as its siblings
    """Experts only: 32 weights under an 8-bit exponent."""
    return Storage("mxfp4 experts", find_format("mxfp4"), rest, (*KEPT, "attention"))


def _modelopt(part: Config, rest: Format) -> Storage:
    """NVIDIA's: 4 bit with an fp8 scale for 16 weights, or fp8; fp32 scales of weight and input."""
    both = Beside(2 * 32, rows=WHOLE, columns=WHOLE)
    algorithm = part.word("quant_algo", "").upper()
    if algorithm == "NVFP4":
        if part.has("group_size") and part.size("group_size") != 16:
            raise NotCoveredError("groups of other than 16")
        return Storage(
            "nvfp4",
            with_beside(find_format("nvfp4"), both),
            rest,
            notes=(computes_in("fp4", rest),),
        )
    if algorithm == "FP8":
        format_ = with_beside(Format("fp8", 8), both)
        return Storage("fp8", format_, rest, notes=(computes_in("fp8", rest),))
    raise NotCoveredError(f"'quant_algo' {shown(algorithm)}")


_METHODS: dict[str, Callable[[Config, Format], Storage]] = {
    "gptq": _gptq,
    "awq": _awq,
    "bitsandbytes": _bitsandbytes,
    "fp8": _fp8,
    "fbgemm_fp8": _fbgemm,
    "mxfp4": _mxfp4,
    "modelopt": _modelopt,
    "compressed-tensors": read_compressed_tensors,
}
