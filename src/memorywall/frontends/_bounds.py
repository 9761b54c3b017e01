"""Bounds of configs from which transformers builds a class; beyond them nothing is built.

A family reads only the keys that it knows; a class reads all keys, and a file may come from an
untrusted source.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from memorywall.core.errors import InvalidInputError, shown

MOST_NESTED = 64
LARGEST = 2**31
LARGEST_DEPTH = 1024  # of keys from which a class makes modules; the deepest models have about 200
LARGEST_INNER = 64  # of nested layers, which multiply
LARGEST_LIST = 4096  # entries, or the sum of possible indexes of layers
LARGEST_EXPERTS = 2**14  # some are rows of a table
# Experts of all layers. Some classes make a module for each, in half a millisecond; the largest
# models have 94 layers of 512 experts, which are 48,128.
LARGEST_PRODUCT = 2**16
_ROWS = ("doge",)  # whose experts are rows of a table, in every layer
LARGEST_COUNT = 100_000  # of other things, such as labels
LARGEST_POSITION = 2**24  # the tables of some are computed row by row
LARGEST_IMAGE = 4096  # pixels of a side
LARGEST_PAIRS = 2**24  # of patches in all layers, of classes that list each pair in Python
_PAIRED = ("levit",)
# Switches of tables that are computed in the machine's memory, regardless of the device.
_TABLES = ("use_tpu_fourier_optimizations",)
_DEEP = ("layer", "depth", "block", "stage", "expert", "repeat")
_INNER = ("residual_layers", "predictor_num_blocks")
_WIDE = (
    "size", "sizes", "dim", "dims", "id", "ids", "channels", "width", "widths", "features",
)  # fmt: skip
# Keys that begin like a count, but are a length or a width.
_LENGTHS = ("vocab", "word", "position", "embd", "embed", "ctx", "inner", "token", "param")
_AT_LEAST_ONE = frozenset((
    "n_layer", "n_layers", "num_layers", "num_hidden_layers", "depth", "num_blocks",
    "encoder_layers", "decoder_layers", "num_encoder_blocks", "num_stages",
))  # fmt: skip


def check_bounds(config: Mapping[Any, Any], where: str) -> None:
    """Refuse values from which building takes hours, or all memory of the machine.

    Raises:
        InvalidInputError: the first value that is out of bounds, and its place.
    """
    _check_mapping(config, where, 0)


def check_built(config: Mapping[Any, Any], where: str) -> None:
    """Refuse values whose product is too large, in a config with its class's defaults.

    Raises:
        InvalidInputError: too many experts in all layers, or too many pairs of patches.
    """
    if config.get("model_type") not in _ROWS:
        _check_experts(config, where)
    if config.get("model_type") in _PAIRED:
        _check_grid(config, where)


def _check_experts(config: Mapping[Any, Any], where: str) -> None:
    numbers = list(_numbers(config))
    experts = max((value for key, value in numbers if "expert" in key), default=0)
    depth = max((value for key, value in numbers if "expert" not in key), default=0)
    if depth * experts > LARGEST_PRODUCT:
        raise InvalidInputError(
            f"{where}: {depth} layers of {experts} experts are {depth * experts}; tracing supports "
            f"at most {LARGEST_PRODUCT}."
        )


def _numbers(config: Mapping[Any, Any]) -> Iterator[tuple[str, int]]:
    """Yield the numbers of modules that the keys of a config give, at any depth."""
    for key, value in config.items():
        for part in value if isinstance(value, list | tuple) else (value,):
            if isinstance(part, Mapping):
                yield from _numbers(part)
            elif isinstance(part, int) and not isinstance(part, bool) and _is_depth(str(key)):
                yield str(key), part


def _check_grid(config: Mapping[Any, Any], where: str) -> None:
    size, patch = config.get("image_size"), config.get("patch_size")
    if isinstance(size, int) and isinstance(patch, int) and patch > 0:
        layers = sum(number for key, number in _numbers(config) if key == "depths")
        pairs = layers * (size // patch) ** 4
        what = f"the number of pairs of patches at image_size {size}"
        _check_most(what, pairs, LARGEST_PAIRS, where)


def _check_mapping(config: Mapping[Any, Any], where: str, level: int) -> None:
    _check_level(level, where)
    _check_length(config, where, LARGEST_COUNT)
    for key, value in config.items():
        if key in _TABLES and value:
            raise InvalidInputError(
                f"{where}: {key} is {shown(value)}; tracing does not support its tables.",
                f"Set {key} to false.",
            )
        _check(str(key), value, where, level)


def _check(key: str, value: Any, where: str, level: int) -> None:
    if isinstance(value, Mapping):
        _check_mapping(value, f"{where}: {shown(key)}", level + 1)
    elif isinstance(value, list | tuple):
        _check_list(key, value, where, level + 1)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _check_number(key, value, where)


def _check_list(key: str, values: Any, where: str, level: int) -> None:
    """Check each entry of a list, and the sum of depths."""
    _check_level(level, where)
    texts = all(isinstance(value, str) for value in values)
    _check_length(values, f"{where}: {shown(key)}", LARGEST_COUNT if texts else LARGEST_LIST)
    for value in values:
        _check(key, value, where, level)
    if _is_depth(key):
        whole = sum(value for value in values if isinstance(value, int))
        _check_most(f"the sum of {key}", whole, LARGEST_LIST, where)


def _check_number(key: str, value: int | float, where: str) -> None:  # noqa: PYI041
    if isinstance(value, float):
        if not math.isfinite(value) and not key.endswith("_limit"):  # steps of scans have none
            raise InvalidInputError(f"{where}: {key} must be a finite number, got {value}.")
        return
    _check_most(key, abs(value), LARGEST, where)
    if key == "image_size":
        _check_most(key, value, LARGEST_IMAGE, where)
    if "position" in key:
        _check_most(key, value, LARGEST_POSITION, where)
    if _is_depth(key):
        _check_most(key, value, _most_of(key), where)
    if _is_count(key):
        _check_most(key, value, LARGEST_COUNT, where)
    if key in _AT_LEAST_ONE and value < 1:
        raise InvalidInputError(f"{where}: {key} must be at least 1, got {value}.")


def _most_of(key: str) -> int:
    """Return the largest number of modules allowed for a key."""
    if key.endswith(_INNER):
        return LARGEST_INNER
    return LARGEST_EXPERTS if "expert" in key else LARGEST_DEPTH


def _is_depth(key: str) -> bool:
    """Return whether a key is a number of modules; funnel models call theirs sizes."""
    deep = any(word in key for word in _DEEP) and "vocab" not in key
    return key == "block_sizes" or (deep and key.rpartition("_")[2] not in _WIDE)


def _is_count(key: str) -> bool:
    begins = key.startswith(("num_", "n_"))
    return begins and not any(word in key for word in _LENGTHS)


def _check_most(what: str, value: int, most: int, where: str) -> None:
    if value > most:
        raise InvalidInputError(
            f"{where}: {what} is {shown(value)}; tracing supports at most {most}."
        )


def _check_level(level: int, where: str) -> None:
    if level > MOST_NESTED:
        place = where[:80]
        raise InvalidInputError(f"{place}: the config is nested deeper than {MOST_NESTED} levels.")


def _check_length(values: Any, where: str, most: int) -> None:
    if len(values) > most:
        raise InvalidInputError(
            f"{where} has {len(values)} entries; tracing supports at most {most}."
        )
