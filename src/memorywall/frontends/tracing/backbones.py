"""Backbones of image models: one that the config describes is built, none is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from memorywall.core.errors import UnsupportedError, shown

_ELSEWHERE = ("backbone", "use_timm_backbone")  # named, not described
_TIMM = ("timm_backbone", "timm_wrapper")


def check_backbones(config: Mapping[Any, Any], where: str) -> None:
    """Refuse backbones that are named and not described, at any depth.

    Raises:
        UnsupportedError: transformers would fetch one, or timm would make it.
    """
    described = config.get("backbone_config")
    if described is not None:
        _check_described(described, where)
    named = [key for key in _ELSEWHERE if config.get(key) is not None]
    if named and described is None:
        raise UnsupportedError(
            f"{where}: {named[0]} is {shown(config[named[0]])}, and what that is made of the "
            "config does not say.",
            "Describe it: backbone_config with the model_type and sizes of a backbone that "
            "transformers has.",
        )
    for key, value in config.items():
        for part in value if isinstance(value, list | tuple) else (value,):
            if isinstance(part, Mapping):
                check_backbones(part, f"{where}: {shown(key)}")


def _check_described(backbone: Any, where: str) -> None:
    name = backbone.get("model_type") if isinstance(backbone, Mapping) else backbone
    known = isinstance(backbone, Mapping) and isinstance(name, str) and name in CONFIG_MAPPING_NAMES
    if not known or name in _TIMM:
        raise UnsupportedError(
            f"{where}: the backbone {shown(name)} is none that transformers itself has.",
            'Describe one in backbone_config, such as "model_type": "swin".',
        )
