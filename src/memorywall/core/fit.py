"""Whether a model fits a device in use: what it needs, what an engine adds, what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from memorywall.core.numbers import Array, Number, is_array
from memorywall.core.records import recorded, to_record

Answer: TypeAlias = Literal["yes", "tight", "no"]


@dataclass(frozen=True, slots=True)
class Reserve:
    """The memory that an inference engine keeps beside a model.

    Attributes:
        utilisation: the share of the usable memory that it takes; the rest is left for its graphs,
            fragmentation, and other processes.
        runtime: byte, of the driver's context and of libraries, within that share.
        source: of both numbers.
    """

    utilisation: float
    runtime: int
    source: str


@dataclass(frozen=True, slots=True)
class Fit:
    """How a footprint compares with the memory of a device.

    Attributes:
        need: byte, the footprint as asked: a lower bound.
        in_use: byte, with the engine's prefill, which filled the cache, and with its runtime.
        budget: byte, the part of the memory that the engine takes.
        capacity: byte, the usable memory.
        prefill: byte, the least activations of the prefill of one sequence, in pieces of ``chunk``.
        engine_prefill: byte, the same in an engine, which keeps the halves of a feed-forward apart.
        chunk: positions of a piece; None for the whole sequence at once.
        reserve: the engine's.
    """

    need: Number
    in_use: Number
    budget: Number
    capacity: Number
    prefill: Number
    engine_prefill: Number
    chunk: int | None
    reserve: Reserve

    @property
    def answer(self) -> Answer | Array:
        """``yes``; ``tight``: it fits without all that an engine adds; ``no``: it does not at all.

        An array of those words where a number is an array.
        """
        parts = (self.need, self.in_use, self.budget, self.capacity)
        if any(is_array(part) for part in parts):
            import numpy as np  # noqa: PLC0415 - there are arrays

            tight = np.where(self.need <= self.capacity, "tight", "no")
            return np.where(self.in_use <= self.budget, "yes", tight)
        if self.in_use <= self.budget:
            return "yes"
        return "tight" if self.need <= self.capacity else "no"


@dataclass(frozen=True, slots=True)
class FormatFit:
    """A model with one format of weights on a device in use.

    Attributes:
        weights, kv_cache: the formats, by name; no format of a cache where there is none.
        weight_bytes: of all weights.
        in_use_bytes: at the asked batch and context.
        answer: there.
        longest_context: positions of each sequence that fit at the asked batch; 0 for none, None
            without a cache.
        largest_batch: sequences that fit at the asked context.
        cache_tokens: positions of cache that fit, of all sequences together, as engines print it;
            None without a cache that grows.
    """

    weights: str
    kv_cache: str
    weight_bytes: int
    in_use_bytes: int
    answer: Answer
    longest_context: int | None
    largest_batch: int
    cache_tokens: int | None


@recorded("memorywall.fit/1")
@dataclass(frozen=True, slots=True)
class Fits:
    """The fit of a model on a device in use, format by format.

    Attributes:
        model, hardware: their names.
        phase: the work that the memory is for.
        batch_size: sequences, or images.
        seq_len: positions of each sequence; None for models without text.
        max_positions: positions that the model was made for; None where it states none.
        capacity_bytes: usable memory.
        budget_bytes: the part of it that the engine takes.
        utilisation: the same as a share.
        runtime_bytes: of the driver's context and of libraries, within the budget.
        chunk: positions that a prefill takes at once.
        formats: the asked formats, or those of the checkpoint and some common ones, in order.
        notes: what is left out, and caveats.
    """

    model: str
    hardware: str
    phase: str
    batch_size: int
    seq_len: int | None
    max_positions: int | None
    capacity_bytes: int
    budget_bytes: int
    utilisation: float
    runtime_bytes: int
    chunk: int
    formats: tuple[FormatFit, ...]
    notes: tuple[str, ...]

    @property
    def best(self) -> FormatFit | None:
        """The first of the formats that fits; None if none does."""
        return next((one for one in self.formats if one.answer == "yes"), None)

    def to_dict(self) -> dict[str, Any]:
        """Return its record."""
        return to_record(self)
