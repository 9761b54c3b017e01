"""Swin, and its second version: attention within windows of a map, and maps that grow smaller.

Every other layer shifts its windows by half of their side, which rolls the map around and changes
no count; a map that windows do not divide is padded. The scores are given a bias by the distance of
two pixels, which, as T5's, every softmax reads as it would read a mask.

The first version looks the bias up in a table. The second makes it by a small network from the
distances themselves, compares directions (queries and keys are normalised, and each head scales
what comes out), and normalises after each sublayer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from memorywall.core.axes import named
from memorywall.core.errors import InvalidInputError
from memorywall.core.forward import Forward
from memorywall.core.images import written
from memorywall.core.model import Family
from memorywall.core.program import Block, Program
from memorywall.core.traits import Images, Traits
from memorywall.layers.image_stages import FeatureMap, StageTape, stage_map
from memorywall.layers.shifted_windows import Stage, WindowTape, whole_windows
from memorywall.layers.tape import Attention, FeedForward
from memorywall.reading.config_values import Config
from memorywall.reading.vision import read_classifier, read_depths, read_sides

_PREFIXES = {"swin": "Swin", "swinv2": "Swinv2"}


@dataclass(frozen=True, slots=True)
class Swin:
    """A Swin as its config describes it; ``second``: in its second version."""

    class_name: str
    dtype: str
    image_size: tuple[int, int]
    image_channels: int
    patch: int
    stages: tuple[Stage, ...]
    second: bool
    labels: int | None
    notes: tuple[str, ...] = ()
    max_positions: int | None = None

    def sides(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return the sides of every stage's map; what does not divide is padded."""
        sides = [(-(-height // self.patch), -(-width // self.patch))]
        for _ in self.stages[1:]:
            sides.append((-(-sides[-1][0] // 2), -(-sides[-1][1] // 2)))
        return sides

    def image_tokens(self, height: int, width: int) -> int:
        """Count the pixels of the last stage's map."""
        sides = self.sides(height, width)
        for side, stage in zip(sides, self.stages, strict=True):
            if not self.second and min(side) < stage.window:
                raise InvalidInputError(
                    f"image_size is {written((height, width))}, of which {self.class_name} makes a "
                    f"map of {written(side)}: smaller than its windows of {stage.window}.",
                    "Give a larger image_size.",
                )
        return sides[-1][0] * sides[-1][1]

    @property
    def traits(self) -> Traits:
        """An encoder of images."""
        images = Images(self.image_size, self.image_tokens, notes=self.image_notes)
        return Traits(images=images, head=self.labels is not None)

    def image_notes(self, height: int, width: int) -> tuple[str, ...]:
        """Say so where windows do not divide a map."""
        padded = [
            written(side)
            for side, stage in zip(self.sides(height, width), self.stages, strict=True)
            if whole_windows(side, stage.window) != side
        ]
        maps = ", ".join(padded)
        return (f"Maps of {maps} are padded to whole windows.",) if padded else ()


def read(data: Mapping[str, Any], where: str) -> Swin:
    """Read a config of one of the model types in ``_PREFIXES``."""
    config = Config(data, where)
    config.leave("use_absolute_embeddings", (True,), "positions by place are")
    class_name, labels = read_classifier(config, _PREFIXES[str(data["model_type"])])
    second = data["model_type"] == "swinv2"
    size, patch = read_sides(config, "image_size", 224), config.size("patch_size", 4)
    architecture = Swin(
        class_name=class_name,
        dtype=config.dtype(),
        image_size=size,
        image_channels=config.size("num_channels", 3),
        patch=patch,
        stages=_read_stages(config, second, size[0] // patch),
        second=second,
        labels=labels,
        notes=config.all_notes(),
    )
    config.check()
    architecture.image_tokens(*size)
    return architecture


def _read_stages(config: Config, second: bool, side: int) -> tuple[Stage, ...]:
    """Read the stages; ``side`` is that of the first map of the size that it was made for."""
    depths = read_depths(config, (2, 2, 6, 2))
    heads = config.sizes("num_heads", (3, 6, 12, 24))
    width, window = config.size("embed_dim", 96), config.size("window_size", 7)
    ratio, bias = config.bound("mlp_ratio", 4.0) or 4.0, config.flag("qkv_bias", True)
    activation = config.activation("hidden_act", "gelu")
    if len(depths) != len(heads):
        config.fault("num_heads", "'num_heads' must list as many numbers as 'depths'")
    stages = []
    for index, (depth, count) in enumerate(zip(depths, heads, strict=False)):
        channels = width * 2**index
        if channels % count:
            config.fault("num_heads", f"'num_heads' ({count}) does not divide {channels} channels")
        # The second version takes windows as small as the maps that it was made for.
        own = min(window, side >> index) if second else window
        if not own:
            config.fault("image_size", "'image_size' is too small for the number of stages")
        mlp = FeedForward(max(1, int(ratio * channels)), activation, bias=True)
        stages.append(Stage(depth, _attention(count, channels, bias, second), mlp, max(1, own)))
    return tuple(stages)


def _attention(heads: int, channels: int, bias: bool, second: bool) -> Attention:
    return Attention(
        heads,
        heads,
        max(1, channels // heads),
        qkv_bias=bias,
        out_bias=True,
        key_bias=not second,
        causal=False,
        qk_norm="head" if second else "",
        qk_norm_kind="l2norm",
    )


def lower(model: Swin, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    sides = model.sides(*forward.image_size)
    tape = StageTape(forward, "embeddings")
    height, width = (side * model.patch for side in sides[0])  # padded to whole patches
    image = tape.image(height, width, model.image_channels)
    first = model.stages[0].channels
    cut = tape.conv("patches", image, first, model.patch, stride=model.patch)
    x = stage_map(forward, 1, *sides[0], first)
    tape.norm("norm", cut.pixels, "layernorm", out=x.pixels)
    blocks = [tape.close()]
    for index, stage in enumerate(model.stages, start=1):
        if index > 1:
            out = stage_map(forward, index, *sides[index - 1], stage.channels)
            blocks.append(_merge(model, forward, index, x, out))
            x = out
        blocks.append(_layers(model, forward, index, stage, x))
    top = StageTape(forward, "head")
    normed = FeatureMap(top.norm("norm", x.pixels, "layernorm"), x.height, x.width)
    top.classifier(top.mean("pool", normed), model.labels)
    return Program((*blocks, top.close()))


def _merge(model: Swin, forward: Forward, index: int, x: FeatureMap, out: FeatureMap) -> Block:
    """Note how four pixels become one of twice the channels, before a stage."""
    tape, width = StageTape(forward, f"stage{index}.merge"), out.pixels.row_axes
    axes = out.pixels.rows_axes + named(parts=4) + x.pixels.row_axes
    four = tape.copy("gather", x.pixels, axes, 2)
    if model.second:
        reduced = tape.linear("reduction", four, width)
        tape.norm("norm", reduced, "layernorm", out=out.pixels)
    else:
        normed = tape.norm("norm", four, "layernorm")
        tape.linear("reduction", normed, width, out=out.pixels)
    return tape.close()


def _layers(model: Swin, forward: Forward, index: int, stage: Stage, x: FeatureMap) -> Block:
    """Record one layer of a stage; each window is a separate sequence."""
    height, width = whole_windows((x.height, x.width), stage.window)
    area = stage.window**2
    windows = replace(forward, batch=forward.batch * (height * width // area), tokens=area, past=0)
    tape = WindowTape(windows, f"stage{index}.layers")
    bias = tape.network_bias(stage) if model.second else tape.table_bias(stage)
    middle = tape.like("middle", x.pixels)
    if model.second:
        y = tape.norm("attention_norm", tape.attend(x, stage, bias), "layernorm")
        tape.add("attention_add", x.pixels, y, out=middle)
        y = tape.norm("mlp_norm", tape.feed_forward(middle, stage.mlp), "layernorm")
    else:
        normed = FeatureMap(tape.norm("attention_norm", x.pixels, "layernorm"), x.height, x.width)
        tape.add("attention_add", x.pixels, tape.attend(normed, stage, bias), out=middle)
        y = tape.feed_forward(tape.norm("mlp_norm", middle, "layernorm"), stage.mlp)
    tape.add("mlp_add", middle, y, out=x.pixels)
    before = sum(earlier.depth for earlier in model.stages[: index - 1])
    return tape.close(stage.depth, layers=tuple(range(before, before + stage.depth)))


FAMILY = Family("swin", tuple(_PREFIXES), read, lower)
