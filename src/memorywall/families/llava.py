"""LLaVA: a tower's patches, through two linear layers, stand in place of a decoder's words.

What enters is what the layers before the tower's last one left; the last is run all the same, as
transformers does, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.core.errors import UncoveredError
from memorywall.core.model import Family
from memorywall.families._config import Config
from memorywall.families._decoder import Decoder
from memorywall.families._heads import Head
from memorywall.families._image_text import ImageText, OneView, lower
from memorywall.families._images import vision_part
from memorywall.families._projector import Projector
from memorywall.families._texts import is_tied, read_text
from memorywall.families._tops import Dense
from memorywall.families._towers import read_seeing
from memorywall.families._vision import resized

_CLASS = "LlavaForConditionalGeneration"


def read(data: Mapping[str, Any], where: str) -> ImageText:
    """Read a config with ``model_type`` llava."""
    config = Config(data, where)
    class_name = config.class_name(_CLASS, (_CLASS,))
    decoder = read_text(config, "llama", tied=is_tied(config, default=False))
    architecture = ImageText(
        class_name=class_name,
        dtype=decoder.dtype,
        decoder=decoder,
        sight=_read_sight(config, decoder),
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _read_sight(config: Config, decoder: Decoder) -> OneView:
    if isinstance(config.data.get("vision_feature_layer"), list):
        raise UncoveredError(
            f"{config.where}: 'vision_feature_layer' lists several: that is not covered."
        )
    seeing = read_seeing(vision_part(config), "clip_vision_model")
    strategy = config.choice("vision_feature_select_strategy", ("default", "full"), "default")
    bias = config.flag("multimodal_projector_bias", True)
    activation = config.activation("projector_hidden_act", "gelu")
    width = decoder.hidden_size
    layers = (
        Dense(Head("linear_1", width, bias=bias), activation),
        Dense(Head("linear_2", width, bias=bias)),
    )
    projector = Projector(layers, dropped=1 if strategy == "default" else 0)
    return OneView(resized(seeing.tower), seeing.top, projector, normed=False)


FAMILY = Family("llava", ("llava",), read, lower)
