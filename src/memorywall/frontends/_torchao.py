"""torchao: the name of a configuration with its values, for all linear layers or by module.

Layouts: torchao/quantization/quantize_/workflows (Int4Tensor, Int8Tensor, Float8Tensor).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from memorywall.core.errors import shown
from memorywall.core.formats import Format, find_format
from memorywall.core.storage import KEPT, Storage
from memorywall.frontends._layouts import (
    WHOLE,
    NotCoveredError,
    Plain,
    by_name,
    computing_in,
    each_within,
    grouped,
    none_of,
    scale,
    title_of,
    with_beside,
)
from memorywall.reading.config_values import Config

# Names of before there were configurations, and theirs.
_OLD = {
    "int4_weight_only": "Int4WeightOnlyConfig",
    "int8_weight_only": "Int8WeightOnlyConfig",
    "int8_dynamic_activation_int8_weight": "Int8DynamicActivationInt8WeightConfig",
    "float8_weight_only": "Float8WeightOnlyConfig",
    "float8_dynamic_activation_float8_weight": "Float8DynamicActivationFloat8WeightConfig",
}
_FLOAT32 = find_format("fp32")
# Where activations are quantised as well.
_ARITHMETIC = {
    "Int8DynamicActivationInt8WeightConfig": "int8",
    "Float8DynamicActivationFloat8WeightConfig": "fp8",
}


def read_torchao(part: Config, plain: Plain) -> Storage:
    """Return the storage of a configuration, or of those of single modules."""
    none_of(part, "untie_embedding_weights")
    name, values = _named(part)
    if name in ("FqnToConfig", "ModuleFqnToConfig"):
        return _by_module(values, plain)
    format_ = _format(name, values, plain)
    storage = computing_in(
        {format_: _ARITHMETIC.get(name, "")},
        Storage(f"torchao {_title(format_)}", format_, plain.rest),
    )
    if part.flag("include_input_output_embeddings", False):
        kept = tuple(layer for layer in KEPT if layer != "lm_head")
        return replace(storage, tables=format_, kept=kept)
    return storage


def _named(part: Config) -> tuple[str, Config]:
    """Return the name of a configuration, and its values."""
    value = part.data.get("quant_type")
    if isinstance(value, str):
        kwargs = part.within("quant_type_kwargs")
        return _OLD.get(value, value), kwargs or Config({}, part.where)
    kind = part.within("quant_type")
    usual = None if kind is None else kind.within("default")
    if usual is None:
        raise NotCoveredError(f"'quant_type' {shown(value)}")
    return _inside(usual)


def _inside(settings: Config) -> tuple[str, Config]:
    return settings.word("_type", ""), settings.within("_data") or Config({}, settings.where)


def _by_module(values: Config, plain: Plain) -> Storage:
    modules = values.within("fqn_to_config") or values.within("module_fqn_to_config")
    own: dict[str, Format] = {}
    usual = plain.rest
    for path, settings in each_within(modules):
        format_ = plain.rest if settings is None else _format(*_inside(settings), plain)
        if path == "_default":
            usual = format_
        else:
            own[path] = format_
    titles = dict.fromkeys(_title(format_) for format_ in (*own.values(), usual))
    return Storage(
        f"torchao {', '.join(titles)}", usual, plain.rest, by_module=by_name(own, plain.layers)
    )


def _format(name: str, values: Config, plain: Plain) -> Format:
    if name == "Int4WeightOnlyConfig":
        return grouped("int4", 4, values.size("group_size", 128), 2 * plain.rest.bits)
    if name in ("Int8WeightOnlyConfig", "Int8DynamicActivationInt8WeightConfig"):
        none_of(values, "group_size")
        return with_beside(Format("int8", 8), scale(plain.rest, rows=_rows(values, usual=1)))
    if name == "Float8WeightOnlyConfig":
        return with_beside(Format("fp8", 8), scale(_FLOAT32, rows=_rows(values, usual=1)))
    if name == "Float8DynamicActivationFloat8WeightConfig":
        return with_beside(Format("fp8", 8), scale(_FLOAT32, rows=_rows(values, usual=WHOLE)))
    raise NotCoveredError(f"'quant_type' {shown(name)}")


def _rows(values: Config, usual: int) -> int:
    """Return the rows with one scale: 1, or all."""
    value: Any = values.data.get("granularity")
    if isinstance(value, list) and value:
        value = value[-1]  # of activations, and of weights
    if value is None:
        return usual
    kind = value.get("_type") if isinstance(value, Mapping) else value
    known = {"PerRow": 1, "PerTensor": WHOLE}
    if not isinstance(kind, str) or kind not in known:
        raise NotCoveredError(f"'granularity' {shown(value)}")
    return known[kind]


def _title(format_: Format) -> str:
    return title_of(format_) if format_.group else format_.name
