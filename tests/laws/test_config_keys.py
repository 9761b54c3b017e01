"""Every key of a config is read, listed as without effect with a reason, noted, or refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

import memorywall as mw
from memorywall.catalog.configs import entries, known_names
from memorywall.core.errors import MemoryWallError
from memorywall.core.model import Model
from memorywall.families import families
from memorywall.reading.ignored_keys import bearing, is_known

TYPES = sorted(
    {one for family in families() for one in family.model_types if one in CONFIG_MAPPING}
    - {entry.config.get("model_type") for entry in entries()}
)
PUBLISHED = sorted(
    {
        str(entry.config["model_type"])
        for entry in entries()
        if entry.config.get("model_type") in CONFIG_MAPPING
    }
)
# Configs of transformers that describe no model: a size is null, or sizes do not fit.
WITHOUT_SIZES = {
    "deepseek_v2", "dots1", "esm", "gemma3", "gemma4", "glm4_moe", "idefics3", "lfm2_moe",
    "llama4", "qwen2_5_vl", "qwen2_moe", "qwen2_vl", "qwen3_5", "qwen3_5_moe", "qwen3_vl",
    "qwen3_vl_moe", "smolvlm",
}  # fmt: skip


def silent(model: Model) -> list[str]:
    """Return the keys that were not read, without a reason; a null is left out."""
    reading = model.reading
    return [key for key, value in reading.unused if not is_known(key, value, reading.model_type)]


def test_every_key_of_the_catalogue_has_a_reason() -> None:
    assert {name: keys for name in known_names() if (keys := silent(mw.model(name)))} == {}


@pytest.mark.sampled(every=8)
@pytest.mark.parametrize("model_type", [*TYPES, *PUBLISHED])
def test_every_key_of_the_default_configs_has_a_reason(model_type: str) -> None:
    config = CONFIG_MAPPING[model_type]().to_dict()
    if model_type in WITHOUT_SIZES:
        with pytest.raises(MemoryWallError):
            mw.model(config)
        return
    model = mw.model(config)
    assert silent(model) == []
    assert not any("not read" in note for note in model.reading.notes)


def test_at_least_sixty_other_types() -> None:
    assert len({*TYPES, *PUBLISHED} - WITHOUT_SIZES) >= 120


@pytest.mark.parametrize("name", ["gpt2", "llava-hf/llava-1.5-7b-hf", "Qwen/Qwen3-14B-FP8"])
def test_an_unknown_key_is_noted(name: str) -> None:
    """At the top and within each mapping of a config."""
    config = dict(mw.model(name).config)
    places: list[dict[str, Any]] = [{}]
    for key, value in config.items():
        if isinstance(value, dict) and key in ("text_config", "vision_config"):
            places.append({key: {**copy.deepcopy(value), "twisted": 7}})
    for place in places:
        changed = {**config, **place} if place else {**config, "twisted": 7}
        wanted = "twisted" if not place else f"{next(iter(place))}.twisted"
        notes = " ".join(mw.model(changed).reading.notes)
        assert f"unknown effect: {wanted}." in notes


def test_reasons_by_type() -> None:
    assert bearing("num_kv_heads", 1, "falcon") != "not known"
    assert bearing("num_kv_heads", 1, "llama") == "not known"
    assert bearing("vision_config.num_hidden_layers", 1, "llava") == "not known"
