"""Backbones of image models: described ones are built, none is fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from memorywall.core.errors import UnsupportedError, shown

_ELSEWHERE = ("backbone", "use_timm_backbone")  # named, not described
# timm builds these from a name, which may refer to a hub or a file.
_TIMM = ("timm_backbone", "timm_wrapper")


def check_backbones(config: Mapping[Any, Any], where: str) -> None:
    """Refuse backbones that are named but not described, at any depth.

    Raises:
        UnsupportedError: transformers would fetch one, or timm would build it.
    """
    described = config.get("backbone_config")
    if described is not None:
        _check_described(described, where)
    named = [key for key in _ELSEWHERE if config.get(key) is not None]
    if named and described is None:
        raise UnsupportedError(
            f"{where}: {named[0]} is {shown(config[named[0]])}, which the config does not "
            "describe.",
            "Describe it: backbone_config with the model_type and sizes of a backbone that "
            "transformers has.",
        )
    for key, part in _parts(config):
        check_backbones(part, f"{where}: {shown(key)}")


def check_timm(config: Mapping[Any, Any], where: str) -> None:
    """Refuse what timm would make, at any depth; some classes have towers of timm's by default.

    Raises:
        UnsupportedError: the type is one of timm's, or its tower's name is a location.
    """
    name, architecture = config.get("model_type"), config.get("architecture")
    if name in _TIMM:
        raise UnsupportedError(
            f"{where}: models of type {shown(name)} are built by timm; transformers has no class "
            "for them.",
            "Trace it as a module: memorywall trace FILE.py:make, where make returns "
            "timm.create_model(...).",
        )
    if isinstance(architecture, str) and {*architecture} & {*":/\\"}:
        raise UnsupportedError(
            f"{where}: architecture must be a name, got the location {shown(architecture)}.",
            "Use the name of an architecture, such as mobilenetv5_300m_enc.",
        )
    for key, part in _parts(config):
        check_timm(part, f"{where}: {shown(key)}")


def _parts(config: Mapping[Any, Any]) -> Iterator[tuple[Any, Mapping[Any, Any]]]:
    """Yield the mappings in a config, and in its lists, with their keys."""
    for key, value in config.items():
        for part in _flat(value):
            yield key, part


def _flat(value: Any) -> Iterator[Mapping[Any, Any]]:
    if isinstance(value, Mapping):
        yield value
    for part in value if isinstance(value, list | tuple) else ():
        yield from _flat(part)


def _check_described(backbone: Any, where: str) -> None:
    name = backbone.get("model_type") if isinstance(backbone, Mapping) else backbone
    known = isinstance(backbone, Mapping) and isinstance(name, str) and name in CONFIG_MAPPING_NAMES
    if not known or name in _TIMM:
        raise UnsupportedError(
            f"{where}: transformers has no backbone {shown(name)}.",
            'Describe one in backbone_config, such as "model_type": "swin".',
        )
