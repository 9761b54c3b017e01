"""Configs of model types that the catalogue has no model of: transformers' own defaults."""

from __future__ import annotations

import functools
from typing import Any

import transformers

transformers.logging.set_verbosity_error()

# Keys without a default in transformers.
_REQUIRED: dict[str, dict[str, Any]] = {
    "dots1": {"n_routed_experts": 128, "num_experts_per_tok": 6, "n_shared_experts": 2},
}


@functools.cache
def default_config(model_type: str) -> dict[str, Any]:
    """Return the config of a model type as transformers fills it when no key is given."""
    config = transformers.AutoConfig.for_model(model_type, **_REQUIRED.get(model_type, {}))
    values = {key: value for key, value in config.to_dict().items() if value is not None}
    return {**values, "model_type": model_type}
