"""Read experts from configs: number, width, layers, and shared experts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from memorywall.layers.experts import Experts
from memorywall.layers.tape import FeedForward
from memorywall.reading.config_values import Config
from memorywall.reading.predictors import note_predictors

# Returns for each layer whether it has experts.
Placing: TypeAlias = Callable[[Config, int], list[bool]]

NUM_LOCAL_EXPERTS = "num_local_experts"
NUM_EXPERTS = "num_experts"


def in_every_layer(_: Config, layers: int) -> list[bool]:
    """Put experts into every layer."""
    return [True] * layers


def after_the_first(default: int) -> Placing:
    """Return a reader with ``first_k_dense_replace`` dense layers before those with experts."""

    def read(config: Config, layers: int) -> list[bool]:
        config.only("moe_layer_freq", 1, "transformers' class has experts in all later layers")
        first = config.count("first_k_dense_replace", default)
        return [layer >= first for layer in range(layers)]

    return read


def listed_or_after(default: int) -> Placing:
    """Return a reader of ``mlp_layer_types``, or without it of the number of dense layers."""
    known = ("dense", "sparse")

    def read(config: Config, layers: int) -> list[bool]:
        kinds = config.data.get("mlp_layer_types")
        if kinds is None:
            return after_the_first(default)(config, layers)
        good = isinstance(kinds, list) and len(kinds) == layers
        if not good or any(kind not in known for kind in kinds):
            text = f"'mlp_layer_types' must list dense or sparse for each of {layers} layers"
            config.fault("mlp_layer_types", text)
            return [False] * layers
        return [kind == "sparse" for kind in kinds]

    return read


def by_steps(config: Config, layers: int) -> list[bool]:
    """Read one layer of ``decoder_sparse_step``, except those in ``mlp_only_layers``."""
    step = config.size("decoder_sparse_step", 1)
    dense = config.layer_list("mlp_only_layers", layers)
    if config.data.get(NUM_EXPERTS) == 0:
        return [False] * layers
    return [layer not in dense and (layer + 1) % step == 0 for layer in range(layers)]


def by_interval(config: Config, layers: int) -> list[bool]:
    """Read one layer of ``moe_layer_interval`` between two bounds, of which -1 is the last."""
    first = config.count("moe_layer_start_index", 1)
    end = layers - 1
    if not config.has("moe_layer_end_index"):
        config.default("moe_layer_end_index", -1)
    elif config.data["moe_layer_end_index"] != -1:
        end = config.count("moe_layer_end_index", end)
    every = config.size("moe_layer_interval", 1)
    return [first <= layer <= end and (layer + 1) % every == 0 for layer in range(layers)]


@dataclass(frozen=True, slots=True)
class Mixture:
    """The keys of experts of one model type; defaults as in ``Dialect``.

    Attributes:
        count, chosen, width: keys of E, k and an expert's width, each with its default.
        shared_width: key of the width of the shared expert, through which every token goes.
        shared_number: key of that width in experts' widths.
        shared_gate, scoring, router_bias, correction: as in ``Experts``.
        bias: whether experts have biases.
        normed: as in ``Experts``.
        layers: reads which layers have experts.
    """

    count: tuple[str, int | None]
    chosen: tuple[str, int | None]
    width: tuple[str, int | None] = ("intermediate_size", None)
    shared_width: tuple[str, int | None] | None = None
    shared_number: tuple[str, int | None] | None = None
    shared_gate: bool = False
    scoring: str = "softmax"
    router_bias: bool = False
    correction: bool = False
    bias: bool = False
    normed: bool = False
    layers: Placing = in_every_layer


def read_experts(config: Config, mixture: Mixture, activation: str, *, bias: bool) -> Experts:
    """Read the experts of a layer; ``bias`` is that of the shared expert."""
    count = config.same_size(*mixture.count)
    width = config.same_size(*mixture.width)
    note_predictors(config)
    return Experts(
        count,
        config.same_size(*mixture.chosen, most=max(1, count)),
        FeedForward(width, activation, gated=True, bias=mixture.bias),
        shared=_read_shared(config, mixture, width),
        shared_bias=bias,
        shared_gate=mixture.shared_gate,
        scoring=mixture.scoring,
        router_bias=mixture.router_bias,
        correction=mixture.correction,
        normed=mixture.normed,
    )


def _read_shared(config: Config, mixture: Mixture, width: int) -> int:
    """Return the width of the shared expert; 0 if there is none."""
    if mixture.shared_width is not None:
        return config.size(*mixture.shared_width)
    if mixture.shared_number is None:
        return 0
    key, default = mixture.shared_number
    return width * (0 if config.data.get(key) == 0 else config.size(key, default))
