"""LLaVA: a tower's patches, through two linear layers, replace a decoder's words.

The input is the output of the tower's second to last layer; the last layer runs too, as in
transformers, and is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.errors import UncoveredError
from memorywall.core.model import Family
from memorywall.families import gated_delta, gemma, llama, moe
from memorywall.layers.decoder import Decoder
from memorywall.layers.encoder_heads import Dense
from memorywall.layers.image_text import ImageText, OneView, lower
from memorywall.layers.output_head import Head
from memorywall.layers.projector import Projector
from memorywall.layers.vision_tower import resized
from memorywall.reading.config_values import Config
from memorywall.reading.vision import vision_part
from memorywall.reading.vision_towers import read_seeing
from memorywall.reading.watched import Watched

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
            f"{config.where}: 'vision_feature_layer' lists several: that is not supported."
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


@dataclass(frozen=True, slots=True)
class _Text:
    """A decoder's reader, the ``model_type`` that it knows it by, and its class's sizes."""

    read: Callable[[Mapping[str, Any], str], Decoder]
    model_type: str
    sizes: tuple[int, int, int, int, int]  # V, D, F, layers, N; K and H the reader knows

    @property
    def defaults(self) -> dict[str, int]:
        """Values of absent keys of a config."""
        return dict(zip(_KEYS, self.sizes, strict=True))


_KEYS = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
)  # fmt: skip
_TEXTS = {
    "llama": _Text(llama.read, "llama", (32_000, 4096, 11_008, 32, 32)),
    "mistral": _Text(llama.read, "mistral", (32_000, 4096, 14_336, 32, 32)),
    "qwen2": _Text(llama.read, "qwen2", (151_936, 4096, 22_016, 32, 32)),
    "qwen3": _Text(llama.read, "qwen3", (151_936, 4096, 22_016, 32, 32)),
    "gemma": _Text(gemma.read, "gemma", (256_000, 3072, 24_576, 28, 16)),
    "gemma2": _Text(gemma.read, "gemma2", (256_000, 2304, 9216, 26, 8)),
    "gemma3_text": _Text(gemma.read, "gemma3_text", (262_208, 2304, 9216, 26, 8)),
    "gemma4_text": _Text(gemma.read, "gemma4_text", (262_144, 2304, 9216, 30, 8)),
    "llama4_text": _Text(llama.read, "llama4_text", (202_048, 5120, 8192, 48, 40)),
    "qwen2_vl_text": _Text(llama.read, "qwen2", (152_064, 8192, 29_568, 80, 64)),
    "qwen2_5_vl_text": _Text(llama.read, "qwen2", (152_064, 8192, 29_568, 80, 64)),
    "qwen3_vl_text": _Text(llama.read, "qwen3", (151_936, 4096, 22_016, 32, 32)),
    "qwen3_vl_moe_text": _Text(moe.read, "qwen3_moe", (151_936, 2048, 5632, 24, 16)),
    "qwen3_5_text": _Text(gated_delta.read, "qwen3_5_text", (248_320, 4096, 12_288, 32, 16)),
    "qwen3_5_moe_text": _Text(gated_delta.read, "qwen3_5_moe_text", (248_320, 2048, 512, 40, 16)),
}


def read_text(
    config: Config,
    default: str,
    *,
    tied: bool,
    more: Mapping[str, Any] | None = None,
    flat: bool = False,
    without: tuple[str, ...] = (),
) -> Decoder:
    """Read the decoder of a config, in its ``text_config`` or ``flat`` in the config itself.

    Args:
        config: of the whole.
        default: its ``model_type`` if absent.
        tied: whether its head is its table of words.
        more: values of absent keys that the class does not give.
        flat: whether there is no separate section.
        without: keys that the outer model reads instead of the decoder.

    Raises:
        UnsupportedError: a decoder that is not supported under images.
    """
    part = config if flat else config.within("text_config") or Config({}, config.where)
    config.check()
    model_type = default if flat else part.word("model_type", default)
    if model_type not in _TEXTS:
        part.leave("model_type", (model_type,), "this decoder under images is")
    text = _TEXTS[model_type]
    assumed = {**text.defaults, **(more or {})}
    values = Watched({**assumed, **part.data, "model_type": text.model_type})
    dtype = (config if any(map(config.has, ("dtype", "torch_dtype"))) else part).dtype()
    values.update(architectures=None, tie_word_embeddings=tied, dtype=dtype)
    values.update(dict.fromkeys(without))
    decoder = text.read(values, config.where)
    _note_reading(values, part, assumed)
    return decoder


def _note_reading(values: Watched, part: Config, assumed: Mapping[str, Any]) -> None:
    """Note in a config's part what was looked for in the values that it was filled up to."""
    for key in values.asked:
        if key in part.data:
            part.data.get(key)
        elif key in assumed:
            part.default(key, assumed[key])
    for key, value in values.defaults.items():
        if key not in part.data and key not in ("architectures", "dtype"):
            part.default(key, value)


def is_tied(config: Config, *, default: bool) -> bool:
    """Return whether the head is the table of words; old configs say so in the decoder's part."""
    part = config.within("text_config")
    inner = part is not None and part.flag("tie_word_embeddings", False)
    return config.flag("tie_word_embeddings", default) or inner
