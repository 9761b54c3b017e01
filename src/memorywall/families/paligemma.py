"""PaliGemma: SigLIP's patches, through one linear layer, in place of a Gemma's words.

All tokens of a prefill attend to one another in both directions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.core.model import Family
from memorywall.families.llava import read_text
from memorywall.layers.encoder_heads import Dense
from memorywall.layers.image_text import ImageText, OneView, lower
from memorywall.layers.output_head import Head
from memorywall.layers.projector import Projector
from memorywall.layers.vision_tower import resized
from memorywall.reading.config_values import Config
from memorywall.reading.vision import vision_part
from memorywall.reading.vision_towers import read_seeing

_CLASS = "PaliGemmaForConditionalGeneration"
_AHEAD = "use_bidirectional_attention"
# Of the decoder where the config has no part for it.
_DECODER = {
    "vocab_size": 257_152,
    "hidden_size": 2048,
    "intermediate_size": 16_384,
    "num_hidden_layers": 18,
    "num_attention_heads": 8,
    "num_key_value_heads": 1,
}


def read(data: Mapping[str, Any], where: str) -> ImageText:
    """Read a config with ``model_type`` paligemma."""
    config = Config(data, where)
    class_name = config.class_name(_CLASS, (_CLASS,))
    tied = config.flag("tie_word_embeddings", True)
    more = {} if config.has("text_config") else _DECODER
    decoder = read_text(config, "gemma", tied=tied, more=more, without=(_AHEAD,))
    seeing = read_seeing(vision_part(config), "siglip_vision_model")
    width = config.size("projection_dim", 2048)
    if width != decoder.hidden_size:
        config.fault("projection_dim", f"'projection_dim' ({width}) is not the decoder's width")
    architecture = ImageText(
        class_name=class_name,
        dtype=decoder.dtype,
        decoder=decoder,
        sight=OneView(
            resized(seeing.tower),
            seeing.top,
            Projector((Dense(Head("linear", width, bias=True)),)),
        ),
        ahead="prefix" if _looks_ahead(config) else "",
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _looks_ahead(config: Config) -> bool:
    """Return whether prefill attention is bidirectional, the default of the config."""
    part = config.within("text_config")
    return part is None or part.flag(_AHEAD, True)


FAMILY = Family("paligemma", ("paligemma",), read, lower)
