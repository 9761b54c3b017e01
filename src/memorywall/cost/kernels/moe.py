"""The experts of a feed-forward layer, as one rank of a group runs them.

Two grouped products run one after the other over the rows that each local expert receives, n_e of
expert e: the first makes both halves of the gate, the second goes back to the hidden size.

    tiles    T   = sum over experts of ceil(n_e / bm) * ceil(columns / 128)
    product  t_i = max(T / units, 1) * (2 bm 128 k / (peak_share P / units) + tile_s)
    on chip  t_c = min over bm of  t_1 + t_2
    memory   t_m = (active * matrices * hidden * inner * e_w + rows (2 hidden + 3 inner) e_a)
                   / (bandwidth_share BW)
    time     t   = launch_s + (t_c^overlap + t_m^overlap)^(1 / overlap)
                   + 4 tokens experts_per_token hidden / (permute_share BW)

The last term brings rows into the order of experts and back. Routing is that of public benchmarks:
``balanced`` spreads rows evenly; ``power_law_a`` draws the loads of experts from a power law of
exponent a, and takes the rank with the largest sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from memorywall.core.errors import InvalidInputError
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Argument, Constant, Kernel, Shape
from memorywall.core.numbers import Array, Number
from memorywall.cost.kernels.facts import dtype_of, kernel_peak, units_of

CONSTANTS = (
    Constant("peak_share", "", "Share of the peak with operands at hand.", 0.02, 1.0, 0.5),
    Constant("bandwidth_share", "", "Share of the memory bandwidth.", 0.05, 1.0, 0.8),
    Constant("tile_s", "s", "Prologue and epilogue of a wave of tiles.", 1e-9, 3e-5, 2e-6),
    Constant("overlap", "", "Overlap of on-chip work and traffic; 1: none.", 1.0, 40.0, 1.7),
    Constant("launch_s", "s", "Launch of the kernels of a layer.", 1e-7, 5e-4, 2e-5),
    Constant("permute_share", "", "Share of the bandwidth in permuting rows.", 0.05, 50.0, 1.0),
)
_ROUTINGS = ("balanced", "power_law_1.01", "power_law_1.2")
_ROWS = (16, 32, 64, 128)  # of tiles
_COLUMNS = 128
_UNGATED = (22, 512)  # experts per token, and experts, of Nemotron 3: without a gate
_COUNTED = ("experts", "experts_per_token", "tensor", "expert")
_MOST_EXPERTS = 2**16  # of a layer; loads of each are drawn
_DRAWS = 3
_GRID = 2.0 ** np.arange(0, 21.5, 0.5)  # tokens at which loads are drawn


@dataclass(frozen=True, slots=True, eq=False)
class _Loads:
    """The rows of the local experts, over tokens.

    Attributes:
        active: the logarithm of the number of experts with rows, at ``_GRID``.
        rows: that of their rows together.
        tiles: that of the tiles that they take, for each of ``_ROWS``.
    """

    active: Array
    rows: Array
    tiles: Array

    def at(self, tokens: Any) -> tuple[Array, Array, list[Array]]:
        """Return active experts, rows and tiles at numbers of tokens."""
        place = np.log(np.maximum(tokens, 1.0))
        grid = np.log(_GRID)

        def along(logs: Array) -> Array:
            found: Array = np.exp(np.interp(place, grid, logs))
            return found

        return along(self.active), along(self.rows), [along(each) for each in self.tiles]


@lru_cache(maxsize=1024)
def _loads(experts: int, chosen: int, groups: int, routing: str) -> _Loads:
    """Return the loads of the rank with the most rows, of ``groups`` ranks."""
    exponent = float(routing.rpartition("_")[2]) if routing != "balanced" else 0.0
    draws = [_drawn(experts, chosen, groups, exponent, seed) for seed in range(_DRAWS)]
    if routing == "balanced":
        draws = draws[:1]
    active = np.mean([[(n > 0).sum() for n in draw] for draw in draws], axis=0)
    rows = np.mean([[n.sum() for n in draw] for draw in draws], axis=0)
    tiles = np.mean(
        [[[np.ceil(n / size).sum() for n in draw] for size in _ROWS] for draw in draws], axis=0
    )
    return _Loads(*(np.log(np.maximum(each, 1e-9)) for each in (active, rows, tiles)))


def _drawn(experts: int, chosen: int, groups: int, exponent: float, seed: int) -> list[Array]:
    """Return the rows of every expert of the fullest rank, at each number of tokens."""
    uniform = np.random.default_rng(seed).random(experts)
    found = []
    for tokens in _GRID:
        total = tokens * chosen
        if exponent == 0.0:
            each = np.full(experts, total / experts)
            if total < experts:
                each = (np.arange(experts) % max(1, experts // max(1, round(total))) == 0) * 1.0
        else:
            low, high = (1.0, max(1.01, 0.8 * tokens)) if total > experts else (0.01, 2.0)
            power = 1 - exponent
            loads = (low**power + uniform * (high**power - low**power)) ** (1 / power)
            each = np.minimum(np.round(loads / loads.sum() * total), tokens)
        local = each[: experts // groups * groups].reshape(groups, -1)
        found.append(local[local.sum(axis=1).argmax()])
    return found


def _prepare(
    shape: Shape, hardware: Hardware, dtype: str, constants: Mapping[str, float]
) -> Callable[..., Number]:
    layers = _layers(shape)
    if len(layers) > 1:
        return _prepare_many(layers, hardware, dtype, constants, shape)
    facts = dtype_of(dtype)
    ((experts, chosen, tensor, groups, routing, gated), _) = layers[0]
    hidden, inner = shape["hidden_size"], shape["intermediate_size"] / tensor
    halves = 2 if gated else 1
    loads = _loads(experts, chosen, groups, routing)
    units, bandwidth = units_of(hardware), hardware.bandwidth
    weight_bytes = shape.get("weight_bytes", facts.weight_bytes)
    peak = kernel_peak(hardware, shape.get("arithmetic") or facts.arithmetic)
    peak = peak * constants["peak_share"] / units
    rate = constants["bandwidth_share"] * bandwidth
    products = (
        (np.ceil(halves * inner / _COLUMNS), hidden), (np.ceil(hidden / _COLUMNS), inner)
    )  # fmt: skip
    expert_s = (halves + 1) * hidden * inner * weight_bytes / rate
    row_s = (2 * hidden + 3 * inner) * facts.input_bytes / rate
    permuted_s = 4 * chosen * hidden / (constants["permute_share"] * bandwidth)
    overlap, launch_s, tile_s = (constants[name] for name in ("overlap", "launch_s", "tile_s"))

    def seconds(tokens: Any) -> Any:
        active, rows, tiles = loads.at(tokens)
        on_chip = None
        for size, count in zip(_ROWS, tiles, strict=True):
            both = 0.0
            for columns, length in products:
                one = 2 * size * _COLUMNS * length / peak + tile_s
                both = both + np.maximum(count * columns / units, 1.0) * one
            on_chip = both if on_chip is None else np.minimum(on_chip, both)
        assert on_chip is not None
        traffic = active * expert_s + rows * row_s
        joined = (on_chip**overlap + traffic**overlap) ** (1 / overlap)
        return launch_s + joined + permuted_s * tokens

    return seconds


_Layer: TypeAlias = tuple[int, int, int, int, str, bool]


def _layers(shape: Shape) -> list[tuple[_Layer, Array | None]]:
    """Return the different layers of a shape, each with the mask of its points; None for all."""
    names = ("experts", "experts_per_token", "tensor", "expert", "routing")
    values = [np.asarray(shape.get(name, _DEFAULTS.get(name))) for name in names]
    gated = shape.get("gated", "auto")
    if all(value.ndim == 0 for value in values):
        return [(_layer([value.item() for value in values], gated), None)]
    spread = np.broadcast_arrays(*values)
    keys = np.array(
        ["\0".join(map(str, row)) for row in zip(*(v.ravel() for v in spread), strict=True)]
    )
    found, inverse = np.unique(keys, return_inverse=True)
    return [
        (
            _layer([*map(float, key.split("\0")[:4]), key.split("\0")[4]], gated),
            (inverse == index).reshape(spread[0].shape),
        )
        for index, key in enumerate(found)
    ]


_DEFAULTS = {"tensor": 1, "expert": 1, "routing": "balanced"}


def _layer(values: list[Any], gated: Any) -> _Layer:
    experts, chosen, tensor, groups = (int(value) for value in values[:4])
    for name, value in zip(_COUNTED, values[:4], strict=True):
        if value != int(value) or not 1 <= value <= _MOST_EXPERTS:
            raise InvalidInputError(
                f"{name} must be a whole number up to {_MOST_EXPERTS:,}, got {value:g}."
            )
    if chosen > experts or groups > experts:
        raise InvalidInputError(
            f"experts_per_token and expert must be at most experts, got {chosen} and {groups} of "
            f"{experts}."
        )
    if gated == "auto":
        gated = (chosen, experts) != _UNGATED
    return experts, chosen, tensor, groups, str(values[4]), gated in (True, "yes")


def _prepare_many(
    layers: list[tuple[_Layer, Array | None]],
    hardware: Hardware,
    dtype: str,
    constants: Mapping[str, float],
    shape: Shape,
) -> Callable[..., Number]:
    """Return the formula of points of different layers."""

    def seconds(tokens: Any) -> Any:
        full = np.broadcast_shapes(
            np.shape(tokens), *(np.shape(True if m is None else m) for _, m in layers)
        )
        found = np.empty(full)
        sizes = {
            name: np.broadcast_to(shape[name], full)
            for name in ("hidden_size", "intermediate_size")
        }
        spread = np.broadcast_to(tokens, full)
        for (experts, chosen, tensor, groups, routing, gated), mask in layers:
            here = np.broadcast_to(True if mask is None else mask, full)
            one = {
                **shape, "experts": experts, "experts_per_token": chosen, "tensor": tensor,
                "expert": groups, "routing": routing, "gated": gated,
                **{name: size[here] for name, size in sizes.items()},
            }  # fmt: skip
            found[here] = _prepare(one, hardware, dtype, constants)(spread[here])
        return found

    return seconds


def _work(shape: Shape, _hardware: Hardware, dtype: str) -> tuple[Number, Number]:
    """Return the work of the rank with the most rows."""
    facts = dtype_of(dtype)
    full = np.broadcast_shapes(*(np.shape(v) for v in shape.values() if not isinstance(v, str)))
    flops, moved = np.zeros(full), np.zeros(full)
    hidden, inner, tokens = (
        np.broadcast_to(shape[name], full)
        for name in ("hidden_size", "intermediate_size", "tokens")
    )
    for (experts, chosen, tensor, groups, routing, gated), mask in _layers(shape):
        here = np.broadcast_to(True if mask is None else mask, full)
        active, rows, _ = _loads(experts, chosen, groups, routing).at(tokens[here])
        size = (3 if gated else 2) * hidden[here] * inner[here] / tensor
        flops[here] = 2 * rows * size
        moved[here] = active * size * facts.weight_bytes + 2 * rows * hidden[here]
    return flops, moved


KERNEL = Kernel(
    name="moe",
    help="The experts of one layer on one rank, between the permutations of its rows.",
    arguments=(
        Argument("tokens", "Tokens of all ranks."),
        Argument("hidden_size", "Width of the model."),
        Argument("intermediate_size", "Width inside an expert."),
        Argument("experts", "Experts of the layer."),
        Argument("experts_per_token", "Experts that a token chooses."),
        Argument("tensor", "Ranks that share each expert.", 1),
        Argument("expert", "Ranks among which the experts are divided.", 1),
        Argument("routing", "How tokens choose experts.", "balanced", _ROUTINGS),
        Argument(
            "gated", "Whether the first product has a gate; auto: all but the shape of Nemotron 3.",
            "auto", ("auto", "yes", "no"),
        ),
    ),
    constants=CONSTANTS,
    prepare=_prepare,
    varying=("tokens",),
    work=_work,
)  # fmt: skip
