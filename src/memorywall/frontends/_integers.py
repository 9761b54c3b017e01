"""Methods whose weights are packed integers; arithmetic is in the activations' format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from memorywall.core.errors import shown
from memorywall.core.formats import Beside, Format, find_format
from memorywall.core.storage import KEPT, MeanFormat, Storage
from memorywall.frontends._layouts import (
    WHOLE,
    NotCoveredError,
    Plain,
    by_name,
    choose,
    each_within,
    group_of,
    grouped,
    none_of,
    only,
    scale,
    title_of,
    with_beside,
    words_of,
)
from memorywall.frontends._modules import FormatsByName, read_names
from memorywall.reading.config_values import Config

_SCALE = find_format("fp16")  # of GPTQ, AWQ and their like, for every dtype of the model
HEAD = "lm_head"


def read_gptq(part: Config, plain: Plain) -> Storage:
    """Packed weights, and for each group a 16-bit scale and a zero point as wide as a weight.

    There is also one 32-bit group number per input, sorted or not.
    """
    only(part, "checkpoint_format", ("gptq", "gptq_v2"), "gptq")
    only(part, "format", ("gptq", "gptq_v2"), "gptq")
    format_ = _gptq_format(part, in_order=False)
    kept = tuple(name for name in KEPT if not (name == HEAD and part.flag(HEAD, False)))
    storage = Storage(f"GPTQ {title_of(format_)}", format_, plain.rest, kept)
    rules = part.within("dynamic")
    if rules is not None:
        storage = replace(storage, by_module=_gptqmodel_rules(rules, format_, plain))
    inside = part.data.get("modules_in_block_to_quantize")
    if inside:
        storage = _only_inside(part, storage, plain, inside)
    return storage


def _gptq_format(part: Config, *, in_order: bool) -> Format:
    bits = choose(part, "bits", (2, 3, 4, 8))
    format_ = grouped(f"int{bits}", bits, group_of(part, "group_size"), _SCALE.bits + bits)
    return format_ if in_order else with_beside(format_, Beside(32, rows=WHOLE, columns=1))


def _gptqmodel_rules(rules: Config, usual: Format, plain: Plain) -> FormatsByName:
    """Return the formats of modules by pattern: ``-:`` leaves out, ``+:`` or nothing changes.

    GPTQModel (docs of ``QuantizeConfig.dynamic``): the first pattern that matches counts.
    """
    groups = []
    for name, settings in each_within(rules):
        pattern = name.removeprefix("+:").removeprefix("-:")
        if name.startswith("-:") or settings is None:
            format_ = plain.rest
        else:
            merged = Config(
                {"bits": usual.bits, "group_size": usual.group or -1, **settings.data}, rules.where
            )
            merged.faults = rules.faults
            format_ = _gptq_format(merged, in_order=False)
        groups.append((read_names([f"re:{pattern}"], plain.layers), format_))
    return FormatsByName(tuple(groups))


def _only_inside(part: Config, storage: Storage, plain: Plain, listed: object) -> Storage:
    """Quantise the modules of a list of lists alone."""
    lists = listed if isinstance(listed, list) else [listed]
    names = [name for one in lists for name in (one if isinstance(one, list) else [one])]
    flat = Config({"modules_in_block_to_quantize": names}, part.where)
    flat.faults = part.faults
    named = read_names(words_of(flat, "modules_in_block_to_quantize"), plain.layers)
    return replace(storage, linear=plain.rest, by_module=FormatsByName(((named, storage.linear),)))


def read_awq(part: Config, plain: Plain) -> Storage:
    """Packed weights, and for each group a 16-bit scale and a zero point of 4 bits."""
    version = part.word("version", "gemm")
    if version.lower() != "gemm":
        raise NotCoveredError(f"'version' {shown(version)}")
    format_ = _awq_format(part)
    return Storage(f"AWQ {title_of(format_)}", format_, plain.rest)


def _awq_format(part: Config) -> Format:
    bits = choose(part, "w_bit" if part.has("w_bit") else "bits", (4,))
    group = group_of(part, "q_group_size" if part.has("q_group_size") else "group_size")
    return grouped(f"int{bits}", bits, group, _SCALE.bits + bits)


def read_auto_round(part: Config, plain: Plain) -> Storage:
    """GPTQ's or AWQ's packing without an order of the inputs; settings of single modules.

    Intel's AutoRound, auto_round_extension/torch/qlinear_torch.py and export_to_awq/utils.py.
    """
    packing = part.word("packing_format", "auto_round").removeprefix("auto_round:")
    if packing not in ("auto_round", "auto_gptq", "gptq", "gptqmodel", "auto_awq", "awq"):
        raise NotCoveredError(f"'packing_format' {shown(packing)}")
    only(part, "data_type", ("int", "int_sym", "int_asym"), "int")
    is_awq = packing.endswith("awq")

    def format_of(settings: Config) -> Format:
        return _awq_format(settings) if is_awq else _gptq_format(settings, in_order=True)

    format_ = format_of(part)
    own = {}
    usual = {"bits": part.data.get("bits"), "group_size": part.data.get("group_size")}
    for name, settings in each_within(part.within("extra_config")):
        if settings is not None:
            merged = Config({**usual, **_present(settings.data)}, part.where)
            merged.faults = part.faults
            is_left = merged.size("bits", 4) >= 16
            own[name] = plain.rest if is_left else format_of(merged)
    is_head = any(name.endswith(HEAD) and f != plain.rest for name, f in own.items())
    kept = tuple(name for name in KEPT if name != HEAD or not is_head)
    return Storage(
        f"AutoRound {title_of(format_)}", format_, plain.rest, kept,
        by_module=by_name(own, plain.layers) if own else None,
    )  # fmt: skip


def _present(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in data.items() if value is not None}


def read_hqq(part: Config, plain: Plain) -> Storage:
    """Packed weights, and for each group a scale and a zero point in the model's dtype.

    ``quant_config`` holds the settings, or settings by the name of a layer (transformers'
    HqqConfig); layers without any are left.
    """
    settings = part.within("quant_config")
    if settings is None:
        raise NotCoveredError("no 'quant_config'")
    if settings.data.get("weight_quant_params") is not None:
        format_ = _hqq_format(settings, plain)
        return Storage(f"HQQ {title_of(format_)}", format_, plain.rest, notes=(_HQQ_NOTE,))
    own = {tag: _hqq_format(one, plain) for tag, one in each_within(settings) if one is not None}
    if not own:
        raise NotCoveredError("no 'weight_quant_params'")
    titles = dict.fromkeys(title_of(format_) for format_ in own.values())
    return Storage(
        f"HQQ {', '.join(titles)}", plain.rest, plain.rest,
        by_module=by_name(own, plain.layers), notes=(_HQQ_NOTE,),
    )  # fmt: skip


_HQQ_NOTE = "HQQ's description of each weight (some dozen bytes) is left out."


def _hqq_format(settings: Config, plain: Plain) -> Format:
    none_of(settings, "scale_quant_params", "zero_quant_params")
    weights = settings.within("weight_quant_params")
    if weights is None:
        raise NotCoveredError("no 'weight_quant_params'")
    bits = choose(weights, "nbits", (1, 2, 3, 4, 8))
    group = weights.size("group_size", 64) if weights.has("group_size") else 0
    both = 2 * plain.rest.bits
    if bits == 3:  # ten rows of groups in a row of words
        if not group:
            raise NotCoveredError("'nbits' 3 by rows")
        return Format(
            "int3", 0, beside=(Beside(32 * group, run=10 * group), Beside(both, run=group))
        )
    if not group:
        return grouped(f"int{bits}", bits, 0, both)
    return Format(f"int{bits}", bits, beside=(Beside(both, run=group),))


def read_quanto(part: Config, plain: Plain) -> Storage:
    """8 bits with a scale a row, or fewer in groups of 128; two scales of what flows through.

    optimum-quanto, nn/qmodule.py: scales and shifts are in the model's dtype.
    """
    weights = part.word("weights", "int8")
    flow = (scale(plain.rest), scale(plain.rest))
    if weights in ("int8", "float8"):
        name = "fp8" if weights == "float8" else "int8"
        format_ = with_beside(Format(name, 8), scale(plain.rest, rows=1), *flow)
        return Storage(f"Quanto {name} by rows", format_, plain.rest)
    bits = {"int4": 4, "int2": 2}.get(weights)
    if bits is None:
        raise NotCoveredError(f"'weights' {shown(weights)}")
    format_ = with_beside(grouped(weights, bits, 128, 2 * plain.rest.bits), *flow)
    return Storage(f"Quanto {title_of(format_)}", format_, plain.rest)


def read_eetq(part: Config, plain: Plain) -> Storage:
    """8 bits with a 16-bit scale a row (transformers' EetqLinear)."""
    only(part, "weights", ("int8",), "int8")
    format_ = with_beside(Format("int8", 8), scale(_SCALE, rows=1))
    return Storage("EETQ int8 by rows", format_, plain.rest)


def read_metal(part: Config, plain: Plain) -> Storage:
    """Packed weights, and for each group a scale and a bias (transformers' MetalLinear)."""
    bits = choose(part, "bits", (2, 4, 8))
    format_ = grouped(f"int{bits}", bits, part.size("group_size", 64), 2 * plain.rest.bits)
    return Storage(f"Metal {title_of(format_)}", format_, plain.rest)


def read_bitnet(part: Config, plain: Plain) -> Storage:
    """Ternary weights in 2 bits with one scale (transformers' BitLinear), if not in training."""
    if part.flag("use_rms_norm", False):
        raise NotCoveredError("'use_rms_norm'")
    only(part, "linear_class", ("bitlinear", "autobitlinear"), "bitlinear")
    mode = part.word("quantization_mode", "offline")
    if mode == "online":
        return Storage(f"BitNet, {plain.rest.name} until it is loaded", plain.rest, plain.rest)
    if mode != "offline":
        raise NotCoveredError(f"'quantization_mode' {shown(mode)}")
    return Storage("BitNet", with_beside(Format("int2", 2), scale(plain.rest)), plain.rest)


def read_bitsandbytes(part: Config, plain: Plain) -> Storage:
    """8 bit with an fp32 scale a row; or 4 bit in runs of 64 weights, across rows.

    A run's scale is fp32; or, quantised again, 8 bit with an fp32 scale for 256 of them. Each
    weight keeps the table of its 16 values, and of the 256 values of its scales. The file also
    holds a text of a few hundred bytes for each, which is not counted.
    """
    if part.flag("load_in_8bit", False):
        rows = Beside(32, rows=1, columns=WHOLE)
        # One byte per weight describes the packing.
        packing = Beside(8, rows=WHOLE, columns=WHOLE)
        return Storage(
            "bitsandbytes int8", with_beside(Format("int8", 8), rows, packing), plain.rest
        )
    if not part.flag("load_in_4bit", True):
        raise NotCoveredError("neither 'load_in_4bit' nor 'load_in_8bit'")
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
    return Storage(name, with_beside(Format(kind, 4), *scales, values), plain.rest, notes=(note,))


def read_exl(part: Config, plain: Plain) -> Storage:
    """ExLlama's: the mean of bits per weight that was asked for, and the head's."""
    name = part.word("quant_method", "exl2")
    mean = _mean_bits(part, "bits", name)
    own = {HEAD: _mean_bits(part, "head_bits", name)} if part.has("head_bits") else {HEAD: mean}
    note = f"{name} chooses the bits of each layer: the mean that its config states is counted."
    return Storage(
        f"{name} of {mean.bits_per_element:g} bits", mean, plain.rest,
        by_module=by_name(own, plain.layers), notes=(note,),
    )  # fmt: skip


def _mean_bits(part: Config, key: str, name: str) -> Format:
    bits = part.bound(key)
    if bits is None or bits > 16:
        raise NotCoveredError(f"{key!r} {shown(part.data.get(key))}")
    return MeanFormat(
        f"{name} {bits:g}", round(bits), stored_bytes=round(bits * 1000), stored_elements=8000
    )
