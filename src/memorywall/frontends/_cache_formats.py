"""The format that a checkpoint states for its cache of keys and values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from memorywall.core.errors import shown
from memorywall.core.formats import Format, find_format
from memorywall.reading.config_values import Config

# By type and bits, as compressed-tensors writes them.
_BY_BITS = {("float", 8): "fp8", ("int", 8): "int8", ("float", 4): "nvfp4"}
# By name: of modelopt, Quark, AutoFP8 (which knows fp8 alone, with static scales).
_BY_NAME = {
    "fp8": "fp8", "fp8_e4m3": "fp8", "fp8_e5m2": "fp8", "float8_e4m3fn": "fp8", "static": "fp8",
    "int8": "int8", "nvfp4": "nvfp4", "nvfp4_affine": "nvfp4", "mxfp4": "mxfp4", "mxfp8": "mxfp8",
}  # fmt: skip
_KEYS = ("kv_cache_scheme", "kv_cache_quant_algo", "kv_cache_dtype", "kv_cache_quant_config")


def cache_format(part: Config) -> tuple[Format | None, tuple[str, ...]]:
    """Return the format of the cache, None for no statement, and notes."""
    for value in _statements(part):
        name = _name_of(value)
        if name:
            return find_format(name), ()
        unknown = (
            f"The checkpoint states a cache of {shown(value)}, which is not known: the cache is "
            "counted in the model's dtype, unless --kv-cache names a format."
        )
        return None, (unknown,)
    return None, ()


def _statements(part: Config) -> Iterator[Any]:
    for key in _KEYS:
        value = part.data.get(key)
        if value not in (None, "auto", "none", "None", {}):
            yield value
    # Quark: modules whose outputs are cached, and their formats among those of single layers.
    export = part.data.get("export")
    if isinstance(export, Mapping) and export.get("kv_cache_group"):
        layers = part.data.get("layer_quant_config")
        yield layers if isinstance(layers, Mapping) and layers else "fp8"


def _name_of(value: Any) -> str:
    """Return our name of a format, or nothing."""
    if isinstance(value, str):
        return _BY_NAME.get(value.lower(), "")
    if not isinstance(value, Mapping):
        return ""
    kind, bits = value.get("type", "int"), value.get("num_bits")
    if isinstance(kind, str) and isinstance(bits, int):
        return _BY_BITS.get((kind, bits), "")
    return _of_outputs(value)


def _of_outputs(layers: Mapping[str, Any]) -> str:
    """Return the format of the outputs of the layers that make keys and values, as Quark writes."""
    for settings in layers.values():
        outputs = settings.get("output_tensors") if isinstance(settings, Mapping) else None
        if isinstance(outputs, Mapping) and isinstance(outputs.get("dtype"), str):
            return _BY_NAME.get(outputs["dtype"].lower(), "")
    return ""
