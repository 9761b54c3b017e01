"""The quantisation that a config states: the packed weights, the data beside them, and the cache.

The layouts are those in which each method saves a linear layer of [out, in]; ``Beside`` holds data
that ``Format`` cannot express. An unsupported setting that changes bytes is never guessed: the
model then requires an explicit format of its weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from memorywall.core.errors import near_names, shown
from memorywall.core.formats import Format, find_format
from memorywall.core.storage import Storage, unread
from memorywall.frontends._cache_formats import cache_format
from memorywall.frontends._compressed_tensors import read_compressed_tensors
from memorywall.frontends._floats import (
    read_fbgemm,
    read_fp8,
    read_fp_quant,
    read_gemma,
    read_modelopt,
    read_mxfp4,
    read_mxfp8,
    read_quark,
    unwrapped,
)
from memorywall.frontends._integers import (
    read_auto_round,
    read_awq,
    read_bitnet,
    read_bitsandbytes,
    read_eetq,
    read_exl,
    read_gptq,
    read_hqq,
    read_metal,
    read_quanto,
)
from memorywall.frontends._kept import kept_modules
from memorywall.frontends._layouts import NotCoveredError, Plain, Reader
from memorywall.frontends._mlx import is_mlx, read_mlx
from memorywall.frontends._modules import FormatsByName, Named, read_names
from memorywall.frontends._torchao import read_torchao
from memorywall.frontends._vectors import read_aqlm, read_higgs, read_vptq
from memorywall.reading.config_values import Config

# Where tools write it. MLX writes its block twice, and beside what a converted checkpoint had.
BLOCKS = (
    "quantization", "quantization_config", "compression_config", "quant_config", "quantize_config",
)  # fmt: skip
# Other keys that name a quantisation, and such keys of I-BERT, codecs and forecasters that do not.
_NAMES_ONE = re.compile(r"load_in_\dbit|w_?bits?|quant(?!ile|izer)\w*")
_SOMETHING_ELSE = ("quant_mode", "quantization_dim", "quantization_levels")


def read_quantisation(config: Config, dtype: str, layers: int) -> Storage | None:
    """Return the formats of the weights of a quantised checkpoint, or None for an unquantised one.

    Args:
        config: the whole config; faults are recorded as it is read.
        dtype: of the unquantised weights.
        layers: of the model.
    """
    experts = config.word("expert_dtype", "") if config.has("expert_dtype") else ""
    plain = Plain(find_format(dtype), layers, experts)
    part, is_text_only = _block(config), False
    if part is None:
        text = config.within("text_config") if _is_mapping(config, "text_config") else None
        part, is_text_only = (None if text is None else _block(text)), True
    if part is None:
        name = _unread_key(config)
        return None if name is None else unread(f"its config has {name!r}, which is not known")
    storage = _read(part, plain)
    return _of_text(storage, plain) if is_text_only and not storage.reason else storage


def states_quantisation(config: Mapping[str, Any]) -> bool:
    """Whether a config states a quantisation, at its top or for its text."""
    whole = Config(config, "config")
    text = config.get("text_config")
    parts = (config, text if isinstance(text, Mapping) else {})
    has_block = any(part.get(key) is not None for part in parts for key in BLOCKS)
    return has_block or _unread_key(whole) is not None


def _block(config: Config) -> Config | None:
    """Return the block that states the quantisation; MLX's before the one that it replaced."""
    blocks = [config.within(key) for key in BLOCKS if config.has(key)]
    found = [block for block in blocks if block is not None]
    of_mlx = [block for block in found if is_mlx(block.data)]
    best = (of_mlx or [block for block in found if block.data] or found)[:1]
    if not best:
        return None
    is_wrapped = unwrapped(best[0].data) is not best[0].data
    return best[0].within("quantization") if is_wrapped else best[0]


def _unread_key(config: Config) -> str | None:
    """Return a key outside the blocks that names a quantisation; of a part, with the part's."""
    for key, value in config.data.items():
        if _names_one(key, value) and key not in BLOCKS:
            return str(key)
        if str(key).endswith("_config") and isinstance(value, Mapping) and key not in BLOCKS:
            known = BLOCKS if key == "text_config" else ()
            # Items are not recorded as read.
            inner = next(
                (
                    name
                    for name, one in value.items()
                    if _names_one(name, one) and name not in known
                ),
                None,
            )
            if inner is not None:
                return f"{key}.{inner}"
    return None


def _names_one(key: object, value: object) -> bool:
    is_name = isinstance(key, str) and _NAMES_ONE.fullmatch(key) is not None
    is_stated = bool(value) and value not in ("none", "None")
    return is_name and key not in _SOMETHING_ELSE and is_stated


def _is_mapping(config: Config, key: str) -> bool:
    return isinstance(config.data.get(key), Mapping)


def _read(part: Config, plain: Plain) -> Storage:
    method = _method_of(part)
    reader = _METHODS.get(method)
    if reader is None:
        near = near_names(method, _METHODS) or list(_METHODS)
        return unread(
            f"its weights are quantised by {shown(method)}, which is not known "
            f"(known are {', '.join(near)})"
        )
    try:
        storage = reader(part, plain)
        kept, notes = kept_modules(part, plain.layers)
    except NotCoveredError as error:
        return unread(f"its weights are quantised by {method} with {error}, which is not supported")
    except ValueError as error:
        return unread(str(error))
    cache, cache_notes = cache_format(part)
    return replace(
        _with_first(storage, kept, plain.rest),
        kv_cache=cache,
        notes=(*storage.notes, *notes, *cache_notes),
    )


def _with_first(storage: Storage, named: Named, format_: Format) -> Storage:
    """Return a storage in which some modules have a format, before all other statements."""
    if not named.places and not named.patterns:
        return storage
    groups = storage.by_module.groups if isinstance(storage.by_module, FormatsByName) else ()
    return replace(storage, by_module=FormatsByName(((named, format_), *groups)))


def _of_text(storage: Storage, plain: Plain) -> Storage:
    """Return the storage of a model whose text alone is quantised."""
    towers = read_names(["vision_tower", "multi_modal_projector"], plain.layers)
    return _with_first(storage, towers, plain.rest)


def _method_of(part: Config) -> str:
    """Return the method of a block: by its name, else by the keys that only it has."""
    named = part.word("quant_method", "")
    if named:
        return named.lower()
    if is_mlx(part.data):
        return "mlx"
    for key, method in _KEYS:
        if part.has(key):
            return method
    return ""


# Keys that a method's block has and no other's.
_KEYS = (
    ("load_in_4bit", "bitsandbytes"),
    ("load_in_8bit", "bitsandbytes"),
    ("quant_algo", "modelopt"),
    ("config_groups", "compressed-tensors"),
    ("weight_block_size", "fp8"),
    ("packing_format", "auto-round"),
    ("global_quant_config", "quark"),
    ("w_bit", "awq"),
    ("desc_act", "gptq"),
    ("damp_percent", "gptq"),
    ("zero_point", "awq"),
)

_METHODS: dict[str, Reader] = {
    "gptq": read_gptq,
    "awq": read_awq,
    "auto-round": read_auto_round,
    "intel/auto-round": read_auto_round,
    "bitsandbytes": read_bitsandbytes,
    "fp8": read_fp8,
    "mxfp8": read_mxfp8,
    "fbgemm_fp8": read_fbgemm,
    "mxfp4": read_mxfp4,
    "modelopt": read_modelopt,
    "modelopt_fp4": read_modelopt,
    "modelopt_mixed": read_modelopt,
    "compressed-tensors": read_compressed_tensors,
    "quark": read_quark,
    "fp_quant": read_fp_quant,
    "torchao": read_torchao,
    "hqq": read_hqq,
    "quanto": read_quanto,
    "eetq": read_eetq,
    "bitnet": read_bitnet,
    "metal": read_metal,
    "gemma": read_gemma,
    "aqlm": read_aqlm,
    "higgs": read_higgs,
    "vptq": read_vptq,
    "exl2": read_exl,
    "exl3": read_exl,
    "mlx": read_mlx,
}
