"""The findings of the study of long contexts: a model's decode and prefill over the context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from memorywall.core.numbers import Array
from memorywall.core.records import recorded, to_record

# The roles of memory that a decode step moves, as the study distinguishes them.
ROLES = ("weight", "kv_cache", "state", "activation")


class Span(NamedTuple):
    """Contexts from ``first`` to ``last``, in tokens; None for no end within the study."""

    first: int
    last: int | None


@recorded(
    names={
        "batch": "batch_size",
        "seconds": "tpot_s",
        "cache": "resident_cache",
        "state": "resident_state",
        "activations": "resident_activations",
    },
    derived=("moved_bytes", "cache_share", "tokens_per_s"),
)
@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Decode steps, one for each context.

    Attributes:
        batch: sequences of each step; 0 where not even one fits.
        weight_bytes, kv_cache_bytes, state_bytes, activation_bytes: bytes that a token of one
            sequence moves, by role.
        seconds: of a step, which is the time a token of each sequence.
        arithmetic_intensity: FLOP per byte of the whole step.
        compute_bound: whether the step as a whole does more FLOPs per byte than the ridge point.
        cache, state, activations: resident bytes of all sequences.
        resident: those and the weights.
        fits: whether that is within the device's memory.
    """

    batch: Array
    weight_bytes: Array
    kv_cache_bytes: Array
    state_bytes: Array
    activation_bytes: Array
    seconds: Array
    arithmetic_intensity: Array
    compute_bound: Array
    cache: Array
    state: Array
    activations: Array
    resident: Array
    fits: Array

    @property
    def moved(self) -> dict[str, Array]:
        """Bytes a token by role, see ``ROLES``."""
        sizes = (self.weight_bytes, self.kv_cache_bytes, self.state_bytes, self.activation_bytes)
        return dict(zip(ROLES, sizes, strict=True))

    @property
    def moved_bytes(self) -> Array:
        """Bytes a token, all roles together."""
        total: Array = sum(self.moved.values())  # type: ignore[assignment]
        return total

    @property
    def cache_share(self) -> Array:
        """The share of cache and state in the bytes."""
        share: Array = (self.kv_cache_bytes + self.state_bytes) / self.moved_bytes
        return share

    @property
    def tokens_per_s(self) -> Array:
        """Of all sequences together."""
        rate: Array = self.batch / self.seconds
        return rate


@recorded(names={"seconds": "ttft_s"})
@dataclass(frozen=True, slots=True, eq=False)
class Prefills:
    """Prefills of one sequence, one for each context.

    Attributes:
        seconds: to the first token.
        attention_share: of the FLOPs of products and scans, what attention's products are.
        compute_bound: as of decode.
    """

    seconds: Array
    attention_share: Array
    compute_bound: Array


@dataclass(frozen=True, slots=True)
class Limit:
    """The cost per token and sequence in an infinite batch, in which weights have no cost.

    Attributes:
        context: positions of the sequence.
        arithmetic_s: seconds of arithmetic.
        cache_s, state_s, other_s: seconds of traffic of cache, state and what else.
    """

    context: int
    arithmetic_s: float
    cache_s: float
    state_s: float
    other_s: float


@recorded(names={"steps": "decode", "filled": "decode_filled", "prefills": "prefill"})
@dataclass(frozen=True, slots=True, eq=False)
class LongContext:
    """One model over the contexts of the study.

    Attributes:
        model, kind: its name, and how it looks back, as its operators show.
        parameters, active_parameters: all, and those that one token uses.
        max_positions: what it was made for; None if not known.
        weights: resident bytes.
        cache_per_token: bytes that the cache grows by with the first positions.
        cache_growth: the same at the longest context, past all windows; 0 where it has stopped.
        cache_intensity, state_intensity: FLOP per byte of cache that attention does, and of state
            that a scan does; None without.
        steps: decode at the requested batch.
        filled: decode at the largest batch that fits at each context.
        prefills: of one sequence.
        cache_passes: first context at which a step moves more cache and state than weights.
        memory_full: first context that does not fit the memory.
        attention_passes: first context at which attention's products in a prefill exceed all other
            FLOPs.
        leaves: contexts at which decode is compute-bound, at the requested batch.
        leaves_filled: the same at the largest batch that fits.
        leaves_ever: the same in an infinite batch, for which no memory is large enough.
        limit: the cost per token in such a batch, at the first context.
        verdict: the context at which it leaves the memory roof, and the reason, in a sentence.
    """

    model: str
    kind: str
    parameters: int
    active_parameters: int
    max_positions: int | None
    weights: float
    cache_per_token: float
    cache_growth: float
    cache_intensity: float | None
    state_intensity: float | None
    steps: Steps
    filled: Steps
    prefills: Prefills
    cache_passes: int | None
    memory_full: int | None
    attention_passes: int | None
    leaves: Span | None
    leaves_filled: Span | None
    leaves_ever: Span | None
    limit: Limit
    verdict: str = ""


@recorded("memorywall.study.long-context/1")
@dataclass(frozen=True, slots=True, eq=False)
class LongContexts:
    """The study: a device, what was asked of it, and one model after the other.

    Attributes:
        hardware: the device's name.
        ridge_point: FLOP per byte at which its roofs meet.
        capacity, bandwidth: of its memory.
        batch_size, contexts: what was asked.
        models: one after the other.
        conventions: how all models were counted.
        verdict: which models leave the memory roof, in a sentence.
        notes: what is left out.
    """

    hardware: str
    ridge_point: float
    capacity: float
    bandwidth: float
    batch_size: int
    contexts: tuple[int, ...]
    models: tuple[LongContext, ...]
    conventions: Mapping[str, str]
    verdict: str = ""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return its record."""
        return to_record(self)
