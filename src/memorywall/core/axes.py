"""Named lengths: the names of axes of arrays, and of the work of operators.

The names are one table. A sharding pass finds the axes to split by these names, not by names of
tensors or operators. An axis that follows another is split with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from memorywall.core.numbers import Number

Axis: TypeAlias = tuple[str, Number]
Axes: TypeAlias = tuple[Axis, ...]

UNNAMED = ""  # an axis of which only the length is known, as in most traced arrays
JOINED = "joined"  # an axis of several parts side by side, see ``Tensor.parts``


@dataclass(frozen=True, slots=True)
class Follower:
    """An axis that is split together with another.

    Attributes:
        leader: the other axis.
        floor: the least local length; 1: a part of each that remains whole is copied, as the heads
            of keys and values are where there are more devices than such heads. 0: none.
    """

    leader: str
    floor: int = 0


# Name of each axis, and its length as text. Letters as on the notation page.
AXES = {
    "batch": "B: sequences, or images",
    "tokens": "T: new tokens of one sequence; positions of a source, patches of an image",
    "keys": "S: positions that new tokens attend to",
    "pairs": "(query, key) pairs of one sequence and head; masks change this length only",
    "hidden": "D: the residual stream, and widths that are contracted into it",
    "heads": "N: query heads",
    "kv_heads": "K: heads of keys and values",
    "head_dim": "H: elements of a head",
    "index_heads": "heads of an indexer, which every device needs whole",
    "rotary": "P: rotated elements of a head",
    "ffn": "F: width of a dense or shared feed-forward",
    "experts": "E: stacked experts",
    "expert_ffn": "F: width of one expert",
    "router": "E: scores of a router, which every device needs whole",
    "chosen": "k: scores of a token, where the token is",
    "routed": "k: rows of a token, where its experts are",
    "latent": "R or R + P: latents of keys and values, with rotated keys",
    "q_latent": "rank of the queries",
    "vocab": "V: words",
    "streams": "residual streams side by side, mixed by hyper-connections",
    "positions": "rows of a table of positions, of distances or of kinds of tokens",
    "labels": "outputs of a classifier",
    "ssm_heads": "heads, or channels, of a recurrence",
    "ssm_head_dim": "channels of a head of a recurrence",
    "groups": "heads of a recurrence's B and C, which several heads share",
    "state": "numbers of state of a channel",
    "rank": "rank of a time step, of a decay or of an adapter",
    "kernel": "taps of a convolution",
    "chunks": "chunks of one sequence's tokens, which a scan takes one at a time",
    "inverses": "FLOPs of inverting the triangular matrices of a sequence's chunks",
    "pixels": "numbers of a patch, channels times its sides",
    "channels": "input channels of a convolution",
    "sides": "sides of a map or of a window; parts of an image",
    "layers": "layers whose own inputs lie side by side in one array",
    "per_layer": "width of the input that each layer takes beside the hidden states",
    "gate_up": "2: gate and up of one stacked array",
    "query_gate": "2: queries and their gate of one array",
    "parts": "equal arrays side by side: shifts, scales and gates; numbers kept of a channel",
    "condition": "width of the conditioning: a prompt's positions, a step's sines",
    JOINED: "unequal parts side by side, each with separate axes",
    UNNAMED: "not known by name",
}

FOLLOWERS = {
    "kv_heads": Follower("heads", floor=1),
    "groups": Follower("ssm_heads", floor=1),
    "routed": Follower("experts"),
    "pairs": Follower("tokens"),
    "chunks": Follower("tokens"),
    "inverses": Follower("tokens"),
    "keys": Follower("tokens"),  # of stored arrays; the input of an attention is gathered
}


def named(**lengths: Number) -> Axes:
    """Return axes of these names and lengths, in the order given."""
    return tuple(lengths.items())


def unnamed(*lengths: Number) -> Axes:
    """Return axes of which only the lengths are known."""
    return tuple([(UNNAMED, length) for length in lengths])


def size(axes: Axes, times: Number = 1) -> Number:
    """Multiply the lengths, and ``times``.

    The last axes first: they are whole numbers, so that the array in front is passed over once.
    """
    result = times
    for _, length in reversed(axes):
        result = length * result
    return result


def names(axes: Axes) -> tuple[str, ...]:
    """Return the names in order."""
    return tuple([name for name, _ in axes])


def length(axes: Axes, name: str) -> Number:
    """Return the length of the first axis of a name; 1 if there is none."""
    for known, found in axes:
        if known == name:
            return found
    return 1


def resized(axes: Axes, **lengths: Number) -> Axes:
    """Return axes of which those named have other lengths."""
    return tuple([(name, lengths.get(name, known)) for name, known in axes])
