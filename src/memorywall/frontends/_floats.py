"""Methods whose weights are narrow floating-point numbers; in most of them products run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.core.errors import shown
from memorywall.core.formats import Beside, Format, find_format
from memorywall.core.storage import KEPT, Storage
from memorywall.frontends._layouts import (
    WHOLE,
    NotCoveredError,
    Plain,
    block_of,
    by_name,
    computing_in,
    each_within,
    grouped,
    none_of,
    only,
    scale,
    title_of,
    with_beside,
    words_of,
)
from memorywall.frontends._modules import FormatsByName, Named, read_names
from memorywall.reading.config_values import Config

_FLOAT32 = find_format("fp32")
_EXPONENT = Format("e8m0", 8)


def read_fp8(part: Config, plain: Plain) -> Storage:
    """8 bit with a scale for each block, or for the whole of a weight.

    Scales are fp32; of DeepSeek-V4, whose experts may be fp4, exponents of 8 bits (transformers'
    FineGrainedFP8Config, integrations/finegrained_fp8.py).
    """
    none_of(part, "modules_to_convert")
    rows, columns = block_of(part, "weight_block_size")
    experts = part.word("expert_dtype", plain.experts)
    if experts not in ("", "fp8", "fp4"):
        raise NotCoveredError(f"'expert_dtype' {shown(experts)}")
    is_short = bool(experts) and part.word("scale_fmt", "float") == "ue8m0"
    beside = [scale(_EXPONENT if is_short else _FLOAT32, rows, columns)]
    if part.word("activation_scheme", "dynamic") == "static":
        beside.append(scale(_FLOAT32))
    name = f"fp8 in blocks of {rows} x {columns}" if rows else "fp8"
    format_ = with_beside(Format("fp8", 8), *beside)
    own = None
    if experts == "fp4":
        narrow = find_format("mxfp4") if is_short else grouped("fp4", 4, 32, _FLOAT32.bits)
        name = f"{name}, experts {narrow.name}"
        own = FormatsByName(((read_names(["experts"], plain.layers), narrow),))
    return computing_in({format_: "fp8"}, Storage(name, format_, plain.rest, by_module=own))


def read_mxfp8(part: Config, plain: Plain) -> Storage:
    """8 bit, 32 weights under an 8-bit exponent (the same class, in blocks of 1 x 32)."""
    none_of(part, "modules_to_convert")
    format_ = find_format("mxfp8")
    return computing_in({format_: "fp8"}, Storage("mxfp8", format_, plain.rest))


def read_fbgemm(part: Config, plain: Plain) -> Storage:  # noqa: ARG001 - as its siblings
    """8 bit with an fp32 scale a row."""
    format_ = with_beside(Format("fp8", 8), scale(_FLOAT32, rows=1))
    return computing_in({format_: "fp8"}, Storage("fp8 with a scale a row", format_, plain.rest))


def read_mxfp4(part: Config, plain: Plain) -> Storage:  # noqa: ARG001 - as its siblings
    """Experts only: 32 weights under an 8-bit exponent."""
    return Storage("mxfp4 experts", find_format("mxfp4"), plain.rest, (*KEPT, "attention"))


def read_fp_quant(part: Config, plain: Plain) -> Storage:
    """4 bit, two scales of the whole, and the two matrices that rotate what is multiplied.

    FP-Quant, inference_lib/src/fp_quant/module/linear.py.
    """
    if part.flag("pseudoquantization", False) or part.flag("store_master_weights", False):
        raise NotCoveredError("weights that are kept in the model's dtype")
    name = part.word("forward_dtype", "nvfp4")
    if name not in ("nvfp4", "mxfp4"):
        raise NotCoveredError(f"'forward_dtype' {shown(name)}")
    side = part.size("hadamard_group_size", 16 if name == "nvfp4" else 32)
    whole = Beside((2 + 2 * side * side) * plain.rest.bits, rows=WHOLE, columns=WHOLE)
    format_ = with_beside(find_format(name), whole)
    return computing_in({format_: "fp4"}, Storage(f"FP-Quant {name}", format_, plain.rest))


def read_gemma(part: Config, plain: Plain) -> Storage:
    """Packed integers, an fp32 scale a row, two fp32 scales of what flows through.

    transformers' integrations/gemma_quant.py; modules by pattern may have other bits.
    """

    def format_of(settings: Config) -> Format:
        bits = settings.size("num_bits", part.size("num_bits", 4))
        if bits not in (2, 4, 8):
            raise NotCoveredError(f"'num_bits' {bits}")
        flow = Beside(2 * 32, rows=WHOLE, columns=WHOLE)
        return with_beside(Format(f"int{bits}", bits), scale(_FLOAT32, rows=1), flow)

    if part.flag("quantize_embeddings", False):
        raise NotCoveredError("'quantize_embeddings'")
    format_ = format_of(part)
    groups = []
    for name, settings in each_within(part.within("module_quant_configs")):
        if settings is not None:
            # They are searched for, which a match from the start does after anything.
            named = read_names([f"re:.*{name.removeprefix('^')}"], plain.layers)
            groups.append((named, format_of(settings)))
    own = FormatsByName(tuple(groups)) if groups else None
    return Storage(f"int{format_.bits} by rows", format_, plain.rest, by_module=own)


def read_modelopt(part: Config, plain: Plain) -> Storage:
    """NVIDIA's: one algorithm for all linear layers, or one for each (MIXED_PRECISION).

    NVIDIA ModelOpt, torch/export/quant_utils.py and convert_hf_config.py.
    """
    none_of(part, "pre_quant_scale", "has_zero_point")
    algorithm = part.word("quant_algo", "").upper()
    if algorithm == "MIXED_PRECISION":
        return _mixed(part, plain)
    if algorithm or not part.has("config_groups"):
        format_, computes = _modelopt_format(algorithm, part)
    else:
        format_, computes = _of_groups(part)
    storage = Storage(_modelopt_title(format_), format_, plain.rest)
    return computing_in({format_: computes}, storage)


def _of_groups(part: Config) -> tuple[Format, str]:
    """Return what a block of groups alone states, as compressed-tensors writes them."""
    groups = [group for _, group in each_within(part.within("config_groups"))]
    weights = groups[0].within("weights") if len(groups) == 1 and groups[0] is not None else None
    if weights is None or groups[0] is None or words_of(groups[0], "targets") != ("Linear",):
        raise NotCoveredError(f"{len(groups)} 'config_groups'")
    only(weights, "type", ("float",), "float")
    return _modelopt_format({8: "FP8", 4: "NVFP4"}.get(weights.size("num_bits", 8), ""), weights)


def _mixed(part: Config, plain: Plain) -> Storage:
    own: dict[str, Format] = {}
    computes: dict[Format, str] = {}
    known: dict[str, Format] = {}  # every expert is listed, by the ten thousand
    for name, settings in each_within(part.within("quantized_layers")):
        if settings is None:
            continue
        content = f"{settings.data.get('quant_algo')} {settings.data.get('group_size')}"
        if content not in known:
            algorithm = settings.word("quant_algo", "").upper()
            known[content], arithmetic = _modelopt_format(algorithm, settings)
            computes[known[content]] = arithmetic
        own[name] = known[content]
    if not own:
        raise NotCoveredError("no 'quantized_layers'")
    titles = dict.fromkeys(_modelopt_title(format_) for format_ in own.values())
    storage = Storage(
        " and ".join(titles), plain.rest, plain.rest, by_module=by_name(own, plain.layers)
    )
    return computing_in(computes, storage)


def _modelopt_title(format_: Format) -> str:
    return title_of(format_) if format_.group and format_.name == "int4" else format_.name


def _modelopt_format(algorithm: str, part: Config) -> tuple[Format, str]:
    """Return the format of an algorithm, and the arithmetic where it is not the activations'.

    An fp32 scale of the weight, and one of its input where that is quantised by a stored scale.
    """
    one, two = scale(_FLOAT32), Beside(2 * 32, rows=WHOLE, columns=WHOLE)
    fp8 = Format("fp8", 8)
    if algorithm in ("NVFP4", "W4A16_NVFP4", "W4A8_NVFP4_FP8"):
        if part.has("group_size") and part.size("group_size") != 16:
            raise NotCoveredError("groups of other than 16")
        is_weight_only = algorithm == "W4A16_NVFP4"
        computes = {"NVFP4": "fp4", "W4A8_NVFP4_FP8": "fp8"}.get(algorithm, "")
        return with_beside(find_format("nvfp4"), one if is_weight_only else two), computes
    if algorithm == "FP8":
        return with_beside(fp8, two), "fp8"
    if algorithm == "FP8_PER_CHANNEL_PER_TOKEN":
        return with_beside(fp8, scale(_FLOAT32, rows=1)), "fp8"
    if algorithm in ("FP8_PB_WO", "FP8_PB_REAL"):
        computes = "fp8" if algorithm == "FP8_PB_REAL" else ""
        return with_beside(fp8, scale(_FLOAT32, 128, 128)), computes
    if algorithm == "MXFP8":
        return find_format("mxfp8"), "fp8"
    raise NotCoveredError(f"'quant_algo' {shown(algorithm)}")


def read_quark(part: Config, plain: Plain) -> Storage:
    """AMD's: one setting for all linear layers, and those of layers by glob.

    AMD Quark, export of Hugging Face checkpoints; int8 and fp8 have fp32 scales.
    """
    none_of(part, "layer_type_quant_config")
    usual = part.within("global_quant_config")
    format_, arithmetic = _quark_format(usual, plain)
    computes = {format_: arithmetic}
    groups: list[tuple[Named, Format]] = []
    for name, settings in each_within(part.within("layer_quant_config")):
        if settings is not None and "weight" in settings.data:
            own, arithmetic = _quark_format(settings, plain)
            computes.setdefault(own, arithmetic)
            groups.append((read_names([name], plain.layers), own))
    by_module = FormatsByName(tuple(groups)) if groups else None
    storage = Storage(f"Quark {format_.name}", format_, plain.rest, by_module=by_module)
    return computing_in(computes, storage)


def _quark_format(settings: Config | None, plain: Plain) -> tuple[Format, str]:
    weight = None if settings is None else settings.within("weight")
    if settings is None or weight is None:
        return plain.rest, ""
    dtype, scheme = weight.word("dtype", ""), weight.word("qscheme", "per_tensor")
    inputs = settings.within("input_tensors")
    is_static = inputs is not None and not inputs.flag("is_dynamic", False)
    beside = [scale(_FLOAT32)] if is_static else []
    if dtype == "fp4" and scheme == "per_group":
        only(weight, "scale_format", ("e8m0",), "e8m0")
        if weight.size("group_size", 32) != 32:
            raise NotCoveredError("groups of other than 32")
        return find_format("mxfp4"), "fp4" if inputs is not None else ""
    name = {"fp8_e4m3": "fp8", "fp8_e5m2": "fp8", "int8": "int8"}.get(dtype)
    if name is not None and scheme in ("per_tensor", "per_channel"):
        rows = WHOLE if scheme == "per_tensor" else 1
        format_ = with_beside(Format(name, 8), scale(_FLOAT32, rows=rows), *beside)
        return format_, name if inputs is not None else ""
    if dtype in ("int4", "uint4") and scheme == "per_group":
        zero = 0 if weight.flag("symmetric", dtype == "int4") else 4
        return grouped("int4", 4, weight.size("group_size", 128), plain.rest.bits + zero), ""
    raise NotCoveredError(f"weights of {shown(dtype)} {scheme}")


def unwrapped(block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return modelopt's settings, which its own file holds under ``quantization``."""
    inner = block.get("quantization")
    return inner if isinstance(inner, Mapping) and "producer" in block else block
