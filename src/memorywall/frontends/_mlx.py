"""MLX: packed weights of linear layers and embeddings alike, in groups along a row.

``mlx_lm.convert`` writes the block under ``quantization``, and again under
``quantization_config`` (mlx-lm, mlx_lm/utils.py, quantize_model); it also holds
the settings of single modules by path, false for one that is left unquantised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.core.errors import shown
from memorywall.core.formats import Format
from memorywall.core.storage import Storage
from memorywall.frontends._layouts import NotCoveredError, Plain, by_name, grouped, title_of
from memorywall.reading.config_values import Config

# Group and bits of each mode (mlx_lm/utils.py, defaults_for_mode), and bits beside a group: affine
# keeps a scale and a bias in the model's dtype, the others one scale of 8 bits.
_MODES = {"affine": (64, 4), "mxfp4": (32, 4), "nvfp4": (16, 4), "mxfp8": (32, 8)}
_SCALE_BITS = 8
_BITS = (2, 3, 4, 5, 6, 8)
_SETTINGS = ("group_size", "bits", "mode")


def is_mlx(block: Mapping[str, Any]) -> bool:
    """Whether a block is MLX's: its settings, and modules by path."""
    others = [value for key, value in block.items() if key not in _SETTINGS]
    of_modules = all(isinstance(value, Mapping | bool) for value in others)
    return any(block.get(key) is not None for key in _SETTINGS) and of_modules


def read_mlx(part: Config, plain: Plain) -> Storage:
    """One setting for all linear layers and embeddings, and those of single modules."""
    name, format_ = _format(part, plain)
    own = {}
    for path, value in part.data.items():
        if path in _SETTINGS:
            continue
        if not isinstance(value, bool):
            settings = part.within(path)
            own[path] = format_ if settings is None else _format(settings, plain)[1]
        elif not part.flag(path, True):
            own[path] = plain.rest
    # A head is a linear layer as any other; routers are most often no layer of MLX's.
    kept = ("router", "gate")
    return Storage(
        f"MLX {name}",
        format_,
        plain.rest,
        kept,
        tables=format_,
        by_module=by_name(own, plain.layers) if own else None,
    )


def _format(settings: Config, plain: Plain) -> tuple[str, Format]:
    mode = settings.word("mode", "affine")
    if mode not in _MODES:
        raise NotCoveredError(f"'mode' {shown(mode)}")
    usual_group, usual_bits = _MODES[mode]
    group, bits = settings.size("group_size", usual_group), settings.size("bits", usual_bits)
    if mode != "affine" and (group, bits) != (usual_group, usual_bits):
        raise NotCoveredError(f"'mode' {mode} of {bits} bits in groups of {group}")
    if bits not in _BITS:
        raise NotCoveredError(f"'bits' {bits}")
    if mode != "affine":
        return mode, Format(mode, bits, group, _SCALE_BITS)
    format_ = grouped(f"int{bits}", bits, group, 2 * plain.rest.bits)
    return title_of(format_), format_
