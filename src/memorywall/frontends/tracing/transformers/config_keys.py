"""Which keys of a config transformers' config class has: those that its class may read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from memorywall.frontends.traced_class import is_handed_on

_READ_HERE = ("model_type", "dtype", "torch_dtype", "architectures", "quantization_config")


def look_up_known(config: Mapping[str, Any], model_type: str) -> None:
    """Look up, in a config that is watched, each key that the config class of a type has."""
    for key in _READ_HERE:
        config.get(key)
    try:
        usual = CONFIG_MAPPING[model_type]().to_dict()
    except Exception:  # noqa: BLE001 - some are made of nothing in no way, and then none is known
        return
    _look_up(config, usual)


def _look_up(config: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """Look up keys by those of a config as it is made of nothing, which has no keys of others."""
    for key in list(config):
        if not is_handed_on(key) or key not in usual:
            continue
        value, below = config.get(key), usual[key]
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            _look_up(value, below)
