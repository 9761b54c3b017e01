"""Layers of multi-token prediction, which checkpoints hold and transformers' classes leave out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.reading.config_values import Config

KEYS = ("num_nextn_predict_layers", "num_mtp_modules", "mtp_num_hidden_layers")


def note_predictors(config: Config) -> None:
    """Add a note on the layers of multi-token prediction, if the checkpoint has some."""
    for key in KEYS:
        if key in config.data and config.count(key, 0):
            config.notes.append(
                f"The multi-token prediction layers ({key}) are not part of the class and not "
                "counted."
            )


def count_predictors(config: Mapping[str, Any]) -> int:
    """Return the number of such layers of a config that was read; 0 for none."""
    text = config.get("text_config")
    for part in (config, text if isinstance(text, Mapping) else {}):
        for key in KEYS:
            count = part.get(key)
            if isinstance(count, int) and count > 0:
                return int(count)
    return 0
