"""ViT and similar models: an image cut into patches, and layers that attend to all of them.

The model types differ in the tokens that stand before the patches, in how positions enter, in
layers scaled by learned vectors, and in what is read of the last hidden states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from memorywall.core.forward import Forward
from memorywall.core.model import Family
from memorywall.core.program import Program
from memorywall.core.traits import Traits
from memorywall.layers.encoder_heads import Dense
from memorywall.layers.image_pooling import Pooling, lower_pooling
from memorywall.layers.output_head import Head
from memorywall.layers.tape import FeedForward
from memorywall.layers.vision_tower import Patches, Tower, VisionLayers, lower_tower
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.encoders import LABELS
from memorywall.reading.vision import read_heads, read_mlp, read_patches

_POOLER, _PIXELS = -1, -2  # widths with separate keys in the config


@dataclass(frozen=True, slots=True)
class ImageEncoder:
    """An encoder of images as its config describes it."""

    class_name: str
    dtype: str
    tower: Tower
    top: Pooling
    notes: tuple[str, ...] = ()
    max_positions: int | None = None

    @property
    def traits(self) -> Traits:
        """An encoder of images."""
        return Traits(images=self.tower.seen(), head=bool(self.top.layers))


@dataclass(frozen=True, slots=True)
class _Top:
    """The head of a class on a tower, before the config's sizes are filled in.

    Attributes:
        rows: as in ``Pooling``; ``pooled`` and ``unpooled`` as the config says.
        beside: as in ``Pooling``.
        widths: of its linear layers: LABELS, _POOLER with its activation, or _PIXELS of a patch,
            whose class has a token for what is masked.
    """

    rows: str = "first"
    widths: tuple[int, ...] = ()
    beside: bool = False


@dataclass(frozen=True, slots=True)
class _Dialect:
    """The differences of one model type; defaults of keys are those of its transformers config.

    Attributes:
        prefix: of its transformers classes.
        tops: its classes, by what follows the prefix.
        tower: reads its tower, given the patches.
        patch: ``patch_size`` of configs that leave the key out.
    """

    prefix: str
    tops: Mapping[str, _Top]
    tower: Callable[[Config, Patches], Tower]
    patch: int = 16


def _read_stack(config: Config) -> VisionLayers:
    """Read ViT's layers."""
    return VisionLayers(
        config.size("hidden_size", 768),
        config.size("num_hidden_layers", 12, most=LARGEST_DEPTH),
        read_heads(config, bias=config.flag("qkv_bias", True)),
        read_mlp(config, "gelu", 3072),
    )


def _plain(tokens: int) -> Callable[[Config, Patches], Tower]:
    """Return a reader of ViT's tower, with a number of learned tokens before the patches."""
    return lambda config, patches: Tower(patches, _read_stack(config), tokens, placed=tokens)


def _read_dino(config: Config, patches: Patches) -> Tower:
    """Read DINOv2's: scaled halves, a width by ratio, a feed-forward that may be gated."""
    hidden = config.size("hidden_size", 768)
    width = hidden * config.size("mlp_ratio", 4)
    if config.flag("use_swiglu_ffn", False):
        mlp = FeedForward((width * 2 // 3 + 7) // 8 * 8, "silu", gated=True, bias=True)
    else:
        mlp = FeedForward(width, config.activation("hidden_act", "gelu"), bias=True)
    attention = read_heads(config, bias=config.flag("qkv_bias", True))
    depth = config.size("num_hidden_layers", 12, most=LARGEST_DEPTH)
    stack = VisionLayers(hidden, depth, attention, mlp, scaled=True)
    unread = hidden if config.flag("use_mask_token", True) else 0
    return Tower(patches, stack, tokens=1, placed=1, unread=unread)


def _read_registers(config: Config, patches: Patches) -> Tower:
    """Read DINOv2's with registers, which have no positions; a token that masks is always there."""
    tower = _read_dino(config, patches)
    tokens = 1 + config.count("num_register_tokens", 4)
    return replace(tower, tokens=tokens, unread=tower.stack.hidden_size)


def _read_dino3(config: Config, patches: Patches) -> Tower:
    """Read DINOv3's, which rotates in place of learned positions.

    It does so to patches alone; the few tokens before them are counted as if rotated too.
    """
    config.leave("query_bias", (False,), "queries without a bias are")
    config.leave("value_bias", (False,), "values without a bias are")
    hidden = config.size("hidden_size", 384)
    attention = read_heads(
        config, 6, hidden=384, key_bias=config.flag("key_bias", False),
        out_bias=config.flag("proj_bias", True), rotary=True,
    )  # fmt: skip
    mlp = FeedForward(
        config.size("intermediate_size", 1536),
        config.activation("hidden_act", "gelu"),
        gated=config.flag("use_gated_mlp", False),
        bias=config.flag("mlp_bias", True),
    )
    depth = config.size("num_hidden_layers", 12, most=LARGEST_DEPTH)
    tokens = 1 + config.count("num_register_tokens", 0)
    stack = VisionLayers(hidden, depth, attention, mlp, scaled=True)
    return Tower(patches, stack, tokens=tokens, positions=False, unread=hidden)


def _read_beit(config: Config, patches: Patches) -> Tower:
    """Read BEiT's: keys without a bias, and tables of relative positions in place of positions."""
    shared = config.flag("use_shared_relative_position_bias", False)
    own = config.flag("use_relative_position_bias", False)
    if shared:
        what = "a table in each layer in addition to a shared one is"
        config.leave("use_relative_position_bias", (True,), what)
    rows, columns = patches.grid(*patches.image_size)
    stack = VisionLayers(
        config.size("hidden_size", 768),
        config.size("num_hidden_layers", 12, most=LARGEST_DEPTH),
        read_heads(config, key_bias=False),
        read_mlp(config, "gelu", 3072),
        scaled=config.data.get("layer_scale_init_value") != 0,
        # Of every pair of patches, and three for the token of a class: to, from and with itself.
        distances=(2 * rows - 1) * (2 * columns - 1) + 3 if shared or own else 0,
        shared_distances=shared,
    )
    return Tower(
        patches,
        stack,
        tokens=1,
        placed=1,
        positions=config.flag("use_absolute_position_embeddings", False),
        unread=stack.hidden_size if config.flag("use_mask_token", False) else 0,
    )


_CLASSIFIER = _Top(widths=(LABELS,))
_VIT_TOPS = {
    "Model": _Top(widths=(_POOLER,)),
    "ForImageClassification": _CLASSIFIER,
    "ForMaskedImageModeling": _Top("patches", (_PIXELS,)),
}
_DINO_TOPS = {"Model": _Top(), "ForImageClassification": _Top("both", (LABELS,))}
_BEIT_TOPS = {"Model": _Top("pooled"), "ForImageClassification": _Top("pooled", (LABELS,))}
_DIALECTS = {
    "vit": _Dialect("ViT", _VIT_TOPS, _plain(1)),
    "deit": _Dialect(
        "DeiT",
        {
            **_VIT_TOPS,
            "ForImageClassificationWithTeacher": _Top(widths=(LABELS, LABELS), beside=True),
        },
        _plain(2),
    ),
    "vit_msn": _Dialect(
        "ViTMSN", {"Model": _Top(), "ForImageClassification": _CLASSIFIER}, _plain(1)
    ),
    "ijepa": _Dialect(
        "IJepa", {"Model": _Top(), "ForImageClassification": _Top("mean", (LABELS,))}, _plain(0)
    ),
    "dinov2": _Dialect("Dinov2", _DINO_TOPS, _read_dino, patch=14),
    "dinov2_with_registers": _Dialect("Dinov2WithRegisters", _DINO_TOPS, _read_registers),
    "dinov3_vit": _Dialect("DINOv3ViT", {"Model": _Top()}, _read_dino3),
    "beit": _Dialect("Beit", _BEIT_TOPS, _read_beit),
    "data2vec-vision": _Dialect(
        "Data2VecVision", {**_BEIT_TOPS, "Model": _Top("unpooled")}, _read_beit
    ),
}


def read(data: Mapping[str, Any], where: str) -> ImageEncoder:
    """Read a config of one of the model types in ``_DIALECTS``."""
    config, dialect = Config(data, where), _DIALECTS[str(data["model_type"])]
    known = tuple(dialect.prefix + suffix for suffix in dialect.tops)
    class_name = config.class_name(known[0], known)
    top = dialect.tops[class_name.removeprefix(dialect.prefix)]
    tower = dialect.tower(config, read_patches(config, 224, dialect.patch))
    if _PIXELS in top.widths:
        tower = replace(tower, unread=tower.stack.hidden_size)
    architecture = ImageEncoder(
        class_name=class_name,
        dtype=config.dtype(),
        tower=tower,
        top=_read_top(config, top, tower),
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _read_top(config: Config, top: _Top, tower: Tower) -> Pooling:
    """Return what a class puts on its tower, with the config's sizes."""
    rows, norm = top.rows, "each"
    if rows == "unpooled":  # Data2Vec's leaves that to the class on top
        rows, norm = "first", "" if config.flag("use_mean_pooling", True) else norm
    if rows == "pooled":  # BEiT normalises the mean of its patches, or else all rows
        rows, norm = (
            ("mean", "pooled") if config.flag("use_mean_pooling", True) else ("first", norm)
        )
    layers = [_layer(config, width, tower) for width in top.widths]
    if top.beside:  # one reads the token of the class, one that of the teacher
        named = zip(("cls_classifier", "distillation_classifier"), layers, strict=True)
        layers = [replace(layer, head=replace(layer.head, name=name)) for name, layer in named]
    return Pooling(norm, rows, tuple(layers), top.beside)


def _layer(config: Config, width: int, tower: Tower) -> Dense:
    """Return one linear layer of a top."""
    if width == _POOLER:
        pooled = config.size("pooler_output_size", tower.stack.hidden_size)
        return Dense(Head("pooler", pooled, bias=True), config.activation("pooler_act", "tanh"))
    if width == _PIXELS:
        numbers = config.size("encoder_stride", 16) ** 2 * tower.patches.channels
        return Dense(Head("decoder", numbers, bias=True, axis="pixels"))
    return Dense(Head("classifier", config.labels(), bias=True, axis="labels"))


def lower(model: ImageEncoder, forward: Forward) -> Program:
    """Return the operators of one forward pass over images."""
    blocks, hidden = lower_tower(model.tower, forward)
    top, _ = lower_pooling(model.top, model.tower.stack, forward, hidden, before=model.tower.tokens)
    return Program((*blocks, top))


FAMILY = Family("vit", tuple(_DIALECTS), read, lower)
