"""Read image models from configs: sizes, patches, layers with bidirectional attention."""

from __future__ import annotations

from memorywall.layers.tape import Attention, FeedForward
from memorywall.layers.vision_tower import Patches
from memorywall.reading.config_values import LARGEST_DEPTH, Config

# Far above any image or patch in use, so that the number of patches stays bounded.
LARGEST_SIDE = 2**16


def read_sides(config: Config, key: str, default: int | None = None) -> tuple[int, int]:
    """Return a height and width, which a config gives as one number or two."""
    value = config.data.get(key)
    if not isinstance(value, list | tuple):
        side = config.size(key, default, most=LARGEST_SIDE)
        return side, side
    sides = [side for side in value if isinstance(side, int) and not isinstance(side, bool)]
    if len(value) != 2 or len(sides) != 2 or not all(1 <= s <= LARGEST_SIDE for s in sides):
        config.fault(key, f"{key!r} must be a whole number or two of them")
        return 1, 1
    return sides[0], sides[1]


def read_patches(
    config: Config, image: int | None, patch: int | None, *, bias: bool = True, linear: bool = False
) -> Patches:
    """Read the sizes of images and patches, with the defaults of a model type."""
    sides, size = read_sides(config, "image_size", image), read_sides(config, "patch_size", patch)
    if sides[0] < size[0] or sides[1] < size[1]:
        config.fault("patch_size", f"'patch_size' ({size}) is more than 'image_size' ({sides})")
        size = (1, 1)
    return Patches(sides, size, config.size("num_channels", 3), bias=bias, linear=linear)


def read_heads(
    config: Config,
    default: int | None = 12,
    *,
    hidden: int | None = 768,
    bias: bool = True,
    key_bias: bool = True,
    out_bias: bool = True,
    rotary: bool = False,
) -> Attention:
    """Read heads of equal size with bidirectional attention; ``rotary`` rotates whole heads."""
    heads, width = config.size("num_attention_heads", default), config.size("hidden_size", hidden)
    config.divides("num_attention_heads", heads, "hidden_size", width)
    head_dim = max(1, width // heads)
    return Attention(
        heads, heads, head_dim, qkv_bias=bias, out_bias=out_bias, key_bias=key_bias,
        rotary=head_dim if rotary else 0, causal=False,
    )  # fmt: skip


def read_mlp(config: Config, activation: str, width: int | None = None) -> FeedForward:
    """Read a plain feed-forward with biases."""
    return FeedForward(
        config.size("intermediate_size", width),
        config.activation("hidden_act", activation),
        bias=True,
    )


def vision_part(config: Config) -> Config:
    """Return the section of a config for the tower; its absence is a fault."""
    part = config.within("vision_config")
    if part is None:
        config.faults.setdefault("vision_config", "'vision_config' is missing")
        config.check()
        return Config({}, config.where)
    return part


def read_depths(config: Config, default: tuple[int, ...]) -> tuple[int, ...]:
    """Return the number of layers of every stage."""
    depths = config.sizes("depths", default)
    if sum(depths) > LARGEST_DEPTH:
        config.fault(
            "depths", f"'depths' must be at most {LARGEST_DEPTH} layers, got {sum(depths)}"
        )
    return depths


def read_classifier(config: Config, prefix: str) -> tuple[str, int | None]:
    """Return the class that a config names, the bare model by default, and its labels, if any."""
    classifier = f"{prefix}ForImageClassification"
    name = config.class_name(f"{prefix}Model", (f"{prefix}Model", classifier))
    return name, config.labels() if name == classifier else None
