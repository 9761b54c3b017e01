"""The keys of transformers' config classes: those that a class may read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from memorywall.frontends.traced_class import is_handed_on

_READ_HERE = ("model_type", "dtype", "torch_dtype", "architectures", "quantization_config")


def look_up_known(config: Mapping[str, Any], model_type: str) -> None:
    """Read, in a watched config, each key of the config class of a type."""
    for key in _READ_HERE:
        config.get(key)
    try:
        usual = CONFIG_MAPPING[model_type]().to_dict()
    except Exception:  # noqa: BLE001 - some cannot be built without values; then no key is known
        return
    _look_up(config, usual)


def _look_up(config: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """Read keys by those of a default config, which has no keys of other types."""
    for key in list(config):
        if not is_handed_on(key) or key not in usual:
            continue
        value, below = config.get(key), usual[key]
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            _look_up(value, below)
