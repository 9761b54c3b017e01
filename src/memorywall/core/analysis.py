"""The answer to one scenario; its numbers are scalars or arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import add
from typing import Any

import numpy as np

from memorywall.core.calibration import Estimate
from memorywall.core.numbers import Array, Number, plain
from memorywall.core.phase import Pass
from memorywall.core.question import Question
from memorywall.core.results import Cost, Footprint, OpCost, bound_words
from memorywall.core.scenario import Scenario

SCHEMA = "memorywall.analysis/1"


@dataclass(frozen=True, eq=False)
class Analysis:
    """The cost of a model on a device.

    Times are seconds, sizes bytes, rates per second. If the question holds arrays, every number is
    an array of their common shape and ``bound`` one of strings; the numbers of ``ops`` have the
    shapes that broadcast to it.

    Attributes:
        scenario: the question as asked.
        question: the same with every parameter decided. passes: its forward passes.
        costs: the cost of each pass, over all of its executions.
        footprint: bytes that must be resident.
    """

    scenario: Scenario
    question: Question
    passes: tuple[Pass, ...]
    costs: tuple[Cost, ...]
    footprint: Footprint
    price_ops: Callable[[], list[OpCost]]
    predict: Callable[[], Estimate | None]
    note: Callable[[], tuple[str, ...]]

    def __repr__(self) -> str:
        latency = plain(self.latency_s) if not self.question.shape else f"{self.question.shape}"
        return f"<Analysis of {self.model} on {self.hardware}: {self.phase}, latency_s {latency}>"

    @cached_property
    def cost(self) -> Cost:
        """FLOPs, bytes and times of the whole."""
        return reduce(add, self.costs)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Caveats on the numbers, the gravest first."""
        return self.note()

    @property
    def model(self) -> str:
        """The model's name."""
        return self.question.model.name

    @property
    def parameters(self) -> int:
        """The number of weights of the model's class."""
        return self.question.model.parameters

    @property
    def active_parameters(self) -> int:
        """The number of weights that a single token uses."""
        return self.question.model.active_parameters

    @property
    def hardware(self) -> str:
        """The device's name."""
        return self.question.hardware.name

    @property
    def phase(self) -> str:
        """The name of the phase."""
        return self.question.phase.name

    @property
    def batch_size(self) -> Number:
        """Sequences."""
        return self._on_grid(self.question.batch_size)

    @property
    def seq_len(self) -> Number:
        """Positions of each sequence."""
        return self._on_grid(self.question.seq_len)

    @property
    def source_len(self) -> Number | None:
        """Positions of each source of an encoder; None without such an encoder."""
        source_len = self.question.source_len
        return None if source_len is None else self._on_grid(source_len)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of every image in pixels; None without images."""
        return self.question.image_size

    @property
    def images(self) -> Number | None:
        """Images of each sequence; None without text, or without images."""
        images = self.question.images
        return None if images is None else self._on_grid(images)

    @property
    def new_tokens(self) -> Number:
        """Tokens generated per sequence: one for a pass, None if no text is generated."""
        return sum(one.emits * one.count for one in self.passes)

    @property
    def steps(self) -> int | None:
        """Denoising steps; None for other models."""
        return self.question.steps

    @property
    def step_s(self) -> Number | None:
        """Seconds of one denoising step; None for other models."""
        return None if self.steps is None else self.latency_s / self.steps

    @property
    def guidance(self) -> str | None:
        """``on`` if each denoising step runs with and without the prompt."""
        return self.question.guidance

    @property
    def flops(self) -> Number:
        """All FLOPs; a fused multiply-add is two."""
        return self.cost.flops

    @property
    def moved_bytes(self) -> Number:
        """Bytes moved to and from the main memory."""
        return self.cost.moved_bytes

    @property
    def arithmetic_intensity(self) -> Number:
        """FLOP per byte moved."""
        return self.flops / self.moved_bytes

    @property
    def ridge_point(self) -> Number:
        """FLOP per byte at which the device's two roofs meet, for this arithmetic."""
        return self._on_grid(self.question.hardware.ridge_point(self.question.arithmetic))

    @property
    def latency_s(self) -> Number:
        """The sum over operators of the longer of arithmetic and traffic."""
        return self.cost.latency_s

    @property
    def overlapped_s(self) -> Number:
        """The time if all operators of a pass overlapped: a lower bound."""
        return self.cost.overlapped_s

    @property
    def serial_s(self) -> Number:
        """The time if arithmetic and traffic never overlapped: an upper bound at these ceilings."""
        return self.cost.serial_s

    @cached_property
    def bound(self) -> str | Array:
        """The bound of most of the time: ``compute_bound`` or ``memory_bound``."""
        return bound_words(self.cost.bound_code)

    @cached_property
    def rates(self) -> dict[str, Number]:
        """Units per second by their name, ``tokens``, ``images`` or ``samples``, the main first."""
        found = self.question.phase.rates(self.question)
        return {rate.unit: rate.count / self.latency_s for rate in found}

    @property
    def tokens_per_s(self) -> Number | None:
        """Tokens of all sequences per second: read in prefill, encode or training, else generated.

        A prefill of an encoder-decoder reads the source and the first tokens of its decoder. None
        for another unit.
        """
        return self.rates.get("tokens")

    @property
    def images_per_s(self) -> Number | None:
        """Images generated per second, or encoded by towers alone; None otherwise."""
        return self.rates.get("images")

    @property
    def samples_per_s(self) -> Number | None:
        """Samples of a traced module per second, if its inputs are not tokens; None otherwise."""
        return self.rates.get("samples")

    @property
    def ttft_s(self) -> Number | None:
        """Time to the first token, of a pass over a prompt; None if there is none."""
        first = self.passes[0]
        return self.costs[0].latency_s if first.emits and not first.step else None

    @property
    def tpot_s(self) -> Number | None:
        """Mean time of a decode step; None if there is none."""
        steps = [i for i, one in enumerate(self.passes) if one.step]
        if not steps:
            return None
        seconds: Number = sum((self.costs[i].latency_s for i in steps), 0.0)
        return seconds / sum(self.passes[i].count for i in steps)

    @cached_property
    def prediction(self) -> Estimate | None:
        """The time by this device's calibration, with an interval; None without a calibration.

        ``latency_s`` stays the roofline's, a bound at the measured ceilings. For a forecast it is
        the roofline's too, with the interval of the forecast devices.
        """
        return self.predict()

    @property
    def predicted_s(self) -> Number | None:
        """Seconds by this device's calibration, or at the roofs of a forecast."""
        return None if self.prediction is None else self.prediction.seconds

    @property
    def low_s(self) -> Number | None:
        """Lower end of the nominal 80 % interval of measured or forecast times."""
        return None if self.prediction is None else self.prediction.seconds * self.prediction.low

    @property
    def high_s(self) -> Number | None:
        """Upper end of that interval."""
        return None if self.prediction is None else self.prediction.seconds * self.prediction.high

    @property
    def mfu(self) -> Number:
        """Share of the peak FLOP/s that the prediction reaches."""
        return self.flops / (self.latency_s * self.question.hardware.peak(self.question.arithmetic))

    @property
    def mbu(self) -> Number:
        """Share of the peak bandwidth that the prediction reaches."""
        return self.moved_bytes / (self.latency_s * self.question.hardware.bandwidth)

    @property
    def fits(self) -> bool | Array:
        """Whether the footprint is within the device's memory."""
        return self.footprint.fits

    @cached_property
    def time_shares(self) -> dict[str, Number]:
        """The use of the time, as shares of the whole.

        ``arithmetic``: operators that are compute-bound. By role of memory: operators that are
        memory-bound, each split by the bytes that it moves.
        """
        shares: dict[str, Number] = {}
        for op in self.ops:
            cost = op.cost
            arithmetic = (cost.latency_s - cost.waiting_s) / self.latency_s
            shares["arithmetic"] = shares.get("arithmetic", 0.0) + arithmetic
            for role, seconds in op.waits.items():
                shares[role] = shares.get(role, 0.0) + seconds / self.latency_s
        return shares

    @cached_property
    def ops(self) -> tuple[OpCost, ...]:
        """Every operator's cost, over all of its executions, in order of execution."""
        return tuple(self.price_ops())

    @property
    def conventions(self) -> dict[str, Any]:
        """The counting conventions, as text."""
        question, counting = self.question, self.question.counting
        formats = question.formats
        weights = formats.weights.name if formats.storage is None else formats.storage.name
        return {
            "weights": weights,
            "activations": formats.activations.name,
            "kv_cache": formats.kv_cache.name,
            "arithmetic": question.hardware.arithmetic(question.arithmetic),
            "traffic": counting.traffic,
            "causal": counting.causal,
            "logits": counting.logits,
            "cache_page": counting.cache_page,
            **self._conventions_of_the_architecture(),
            "flops_per_multiply_add": 2,
            "parameters_of": question.model.architecture.class_name,
            "ceilings": question.hardware.kind,
        }

    def _conventions_of_the_architecture(self) -> dict[str, str]:
        """Return the conventions that apply to some architectures only."""
        traits, counting = self.question.model.traits, self.question.counting
        found: dict[str, str] = {}
        if traits.experts:
            found["routing"] = counting.routing
        if self.guidance is not None:
            found["guidance"] = self.guidance
        if traits.latent:
            found["mla"] = counting.mla
        if traits.state is not None:
            found["state"] = self.question.formats.state.name
        return found

    def _on_grid(self, number: Number) -> Number:
        """Broadcast a number of the question to the shape of the answers."""
        shape = self.question.shape
        return np.broadcast_to(number, shape) if shape else number

    def by_class(self) -> list[OpCost]:
        """Return the costs summed by kind of operator, in order of appearance."""
        classes: dict[str, OpCost] = {}
        for op in self.ops:
            part = replace(op, name=op.kind)
            classes[op.kind] = classes[op.kind] + part if op.kind in classes else part
        return list(classes.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as a record of plain values, with the version of its schema."""
        footprint = self.footprint
        fields = {
            "weights": footprint.weights,
            "kv_cache": footprint.kv_cache,
            "activations": footprint.activations,
            "gradients": footprint.gradients,
            "optimizer_states": footprint.optimizer_states,
            "total": footprint.total,
            "capacity": footprint.capacity,
        }
        seen = _OF_IMAGES if self.image_size is not None else ()
        if self.question.model.traits.state is not None:
            fields["state"] = footprint.state
        seen = (*seen, *_OF_DENOISING) if self.steps is not None else seen
        return {
            "schema": SCHEMA,
            **{name: plain(getattr(self, name)) for name in (*_NUMBERS, *seen)},
            "footprint": {name: plain(value) for name, value in fields.items()},
            "ops": [op.to_dict() for op in self.ops],
            "time_shares": {name: plain(share) for name, share in self.time_shares.items()},
            "conventions": self.conventions,
            "notes": list(self.notes),
        }


_NUMBERS = (
    "model",
    "parameters",
    "active_parameters",
    "hardware",
    "phase",
    "batch_size",
    "seq_len",
    "source_len",
    "new_tokens",
    "flops",
    "moved_bytes",
    "arithmetic_intensity",
    "ridge_point",
    "latency_s",
    "overlapped_s",
    "serial_s",
    "bound",
    "tokens_per_s",
    "ttft_s",
    "tpot_s",
    "predicted_s",
    "low_s",
    "high_s",
    "mfu",
    "mbu",
    "fits",
)
# Fields of answers about images only.
_OF_IMAGES = ("image_size", "images", "images_per_s")
_OF_DENOISING = ("steps", "step_s", "guidance")
