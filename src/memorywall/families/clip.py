"""CLIP and SigLIP: a tower for images beside one for texts, and how like each pair of them is.

The halves are separate model types as well. CLIP's text looks back only, but generates nothing and
keeps nothing; SigLIP's looks both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from memorywall.core.axes import named, size, unnamed
from memorywall.core.forward import Forward
from memorywall.core.geometry import Elementwise, Gemm, Space
from memorywall.core.model import Family
from memorywall.core.program import Block, Program
from memorywall.core.tensors import Tensor
from memorywall.core.traits import Traits
from memorywall.layers.encoder_decoder import halves
from memorywall.layers.encoder_heads import Dense
from memorywall.layers.image_pooling import Pooling, lower_pooling
from memorywall.layers.output_head import Head
from memorywall.layers.tape import Tape, normalised
from memorywall.layers.vision_tower import (
    VisionLayers,
    looking,
    lower_stack,
    lower_tower,
    of_images,
)
from memorywall.reading.config_values import Config
from memorywall.reading.vision_towers import Seeing, projected, read_seeing, read_stack


@dataclass(frozen=True, slots=True)
class TextTower:
    """A tower for texts: words and positions, layers, one row of each text, linear layers."""

    vocab_size: int
    positions: int
    stack: VisionLayers
    top: Pooling


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """The half that reads, alone."""

    class_name: str
    dtype: str
    text: TextTower
    notes: tuple[str, ...] = ()

    @property
    def max_positions(self) -> int:
        """Positions that it was made for."""
        return self.text.positions

    @property
    def traits(self) -> Traits:
        """An encoder of text."""
        return Traits(masks=self.text.stack.attention.causal)


@dataclass(frozen=True, slots=True)
class ImageTextEncoder:
    """The half that sees, with the one that reads or alone.

    ``learned`` numbers scale and shift how like images and texts are.
    """

    class_name: str
    dtype: str
    image: Seeing
    text: TextTower | None = None
    learned: int = 0
    notes: tuple[str, ...] = ()

    @property
    def max_positions(self) -> int | None:
        """Positions of a text that it was made for."""
        return None if self.text is None else self.text.positions

    @property
    def traits(self) -> Traits:
        """An encoder of images, and of texts where it reads them as well."""
        text = self.text
        return Traits(
            images=self.image.tower.seen(with_text=text is not None),
            masks=text is not None and text.stack.attention.causal,
        )


@dataclass(frozen=True, slots=True)
class _Dialect:
    """The differences of one model; defaults of keys are those of its transformers config.

    Attributes:
        prefix: of its transformers classes.
        vision: its tower, by its name in ``vision_towers``.
        projects: whether classes end in layers to a common width; else the text has a separate one.
        hidden, words, positions, activation: of a text's config without the keys.
        learned: numbers that scale and shift the similarity of images and texts.
    """

    prefix: str
    vision: str
    projects: bool = False
    hidden: int = 768
    words: int = 32_000
    positions: int = 64
    activation: str = "gelu_pytorch_tanh"
    learned: int = 2


_DIALECTS = {
    "clip": _Dialect(
        "CLIP", "clip_vision_model", projects=True, hidden=512, words=49_408, positions=77,
        activation="quick_gelu", learned=1,
    ),
    "siglip": _Dialect("Siglip", "siglip_vision_model"),
    "siglip2": _Dialect("Siglip2", "siglip2_vision_model"),
}  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> TextEncoder | ImageTextEncoder:
    """Read a config of two towers, or of one of them."""
    config, model_type = Config(data, where), str(data["model_type"])
    name = model_type.partition("_")[0]
    read_half = _HALVES[model_type.removeprefix(name)]
    architecture = read_half(config, _DIALECTS[name])
    config.check()
    return architecture


def _read_text(config: Config, dialect: _Dialect) -> TextEncoder:
    class_name = _class_of(config, dialect, "TextModel")
    text = _reading(config, dialect)
    if class_name.endswith("WithProjection"):
        text = _with_projection(text, config.size("projection_dim", 512))
    return TextEncoder(class_name, config.dtype(), text, config.all_notes())


def _read_image(config: Config, dialect: _Dialect) -> ImageTextEncoder:
    class_name = _class_of(config, dialect, "VisionModel")
    image = read_seeing(config, dialect.vision)
    if class_name.endswith("WithProjection"):
        image = projected(image, "visual_projection", config.size("projection_dim", 512))
    return ImageTextEncoder(class_name, config.dtype(), image, notes=config.all_notes())


def _read_both(config: Config, dialect: _Dialect) -> ImageTextEncoder:
    class_name = config.class_name(f"{dialect.prefix}Model", (f"{dialect.prefix}Model",))
    text = _reading(_part(config, "text_config"), dialect)
    image = read_seeing(_part(config, "vision_config"), dialect.vision)
    if dialect.projects:
        width = config.size("projection_dim", 512)
        text, image = _with_projection(text, width), projected(image, "visual_projection", width)
    elif not image.top.probed:
        config.fault("vision_use_head", "'vision_use_head' must be true beside a text")
    return ImageTextEncoder(
        class_name, config.dtype(), image, text, dialect.learned, config.all_notes()
    )


def _class_of(config: Config, dialect: _Dialect, kind: str) -> str:
    name = dialect.prefix + kind
    known = (name, f"{name}WithProjection") if dialect.projects else (name,)
    return config.class_name(name, known)


def _part(config: Config, key: str) -> Config:
    """Return a section of a config; old configs name it ..._dict."""
    return config.within(f"{key}_dict") or config.within(key) or Config({}, config.where)


def _reading(config: Config, dialect: _Dialect) -> TextTower:
    stack = read_stack(config, dialect.activation, dialect.hidden)
    top = Pooling()
    if dialect.projects:
        stack = replace(stack, attention=replace(stack.attention, causal=True, kept=False))
    else:
        width = config.size("projection_size", stack.hidden_size)
        top = replace(top, layers=(Dense(Head("projection", width, bias=True)),))
    words = config.size("vocab_size", dialect.words)
    return TextTower(words, config.size("max_position_embeddings", dialect.positions), stack, top)


def _with_projection(text: TextTower, width: int) -> TextTower:
    top = replace(text.top, layers=(Dense(Head("text_projection", width)),))
    return replace(text, top=top)


_HALVES: dict[str, Callable[[Config, _Dialect], TextEncoder | ImageTextEncoder]] = {
    "_text_model": _read_text,
    "_vision_model": _read_image,
    "": _read_both,
}
_TYPES = tuple(name + half for name in _DIALECTS for half in _HALVES)


def lower(model: TextEncoder | ImageTextEncoder, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    if isinstance(model, TextEncoder):
        return Program(tuple(_read_in(model.text, forward)[0]))
    if model.text is None:
        return Program(tuple(_look(model.image, forward)[0]))
    seen, images = _look(model.image, of_images(forward, model.image.tower), "vision.")
    blocks, texts = _read_in(model.text, forward, "text.")
    blocks.append(_compare(model, forward, texts, images))
    # The model only encodes: neither half has a separate phase.
    return halves(looking(replace(forward, stacks="both")), seen, blocks)


def _look(image: Seeing, forward: Forward, prefix: str = "") -> tuple[list[Block], Tensor]:
    """Return the blocks of the tower for images, and what it makes of each."""
    blocks, hidden = lower_tower(image.tower, forward, prefix)
    top, out = lower_pooling(
        image.top, image.tower.stack, forward, hidden, prefix, before=image.tower.tokens
    )
    return [*blocks, top], out


def _read_in(text: TextTower, forward: Forward, prefix: str = "") -> tuple[list[Block], Tensor]:
    """Return the blocks of the tower for texts, and what it makes of each."""
    width = named(hidden=text.stack.hidden_size)
    hidden = Tensor(f"{prefix}hidden", forward.row_axes + width, forward.activations)
    tape = Tape(forward, f"{prefix}embeddings")
    words = ("words", ("vocab", text.vocab_size), forward.rows)
    positions = ("positions", ("positions", text.positions), forward.tokens)
    tape.embed("words", hidden, words, positions)
    layers = lower_stack(text.stack, forward, hidden, prefix)
    top, out = lower_pooling(text.top, text.stack, forward, hidden, prefix)
    return [tape.close(), layers, top], out


def _compare(model: ImageTextEncoder, forward: Forward, texts: Tensor, images: Tensor) -> Block:
    """Note how like every text is to every image: a product of unit vectors, scaled."""
    tape = Tape(forward, "likeness")
    text, image = _unit(tape, "texts", texts), _unit(tape, "images", images)
    columns = unnamed(size(image.rows_axes))
    axes = text.rows_axes + columns
    pairs = tape.activation("pairs", axes, len(axes))
    geometry = Gemm(text.rows_axes, text.row_axes, (columns,))
    tape.op("pairs", geometry, (text, image), pairs)
    reads = (pairs, tape.weight("learned", unnamed(model.learned)))
    scale = Elementwise((Space(model.learned, axes),), "scale")
    tape.op("logits", scale, reads, tape.like("logits", pairs))
    return tape.close()


def _unit(tape: Tape, name: str, x: Tensor) -> Tensor:
    """Divide the row [P] of each text or image by its length."""
    out = tape.like(name, x)
    tape.op(name, normalised("l2norm", x.axes, x.row_axes), (x,), out)
    return out


FAMILY = Family("clip", _TYPES, read, lower)
