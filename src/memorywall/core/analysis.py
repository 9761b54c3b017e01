"""The answer to one scenario, its numbers scalars or arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from memorywall.core.calibration import Estimate
from memorywall.core.numbers import Array, Number, plain
from memorywall.core.results import Cost, Footprint, OpCost, bound_words
from memorywall.core.scenario import Scenario

SCHEMA = "memorywall.analysis/1"


@dataclass(frozen=True, eq=False)
class Analysis:
    """What a model costs on a device.

    Times are seconds, sizes bytes, rates per second. Where the question holds arrays, every number
    is an array of their common shape and ``bound`` one of words; the numbers of ``ops`` have the
    shapes that broadcast to it.

    Attributes:
        scenario: the question.
        cost: FLOPs, bytes and times of the whole.
        footprint: what must be resident.
        notes: what to know before the numbers are used.
    """

    scenario: Scenario
    cost: Cost
    footprint: Footprint
    notes: tuple[str, ...]
    price_ops: Callable[[], list[OpCost]]
    price_first: Callable[[], Number]
    predict: Callable[[], Estimate | None]

    def __repr__(self) -> str:
        latency = plain(self.latency_s) if not self.scenario.shape else f"{self.scenario.shape}"
        return f"<Analysis of {self.model} on {self.hardware}: {self.phase}, latency_s {latency}>"

    @property
    def model(self) -> str:
        """The model's name."""
        return self.scenario.model.name

    @property
    def parameters(self) -> int:
        """How many weights the model's class has."""
        return self.scenario.model.parameters

    @property
    def active_parameters(self) -> int:
        """How many of them a single token uses."""
        return self.scenario.model.active_parameters

    @property
    def hardware(self) -> str:
        """The device's name."""
        return self.scenario.hardware.name

    @property
    def phase(self) -> str:
        """``prefill``, ``encode``, ``decode``, ``generate``, ``denoise`` or ``train``."""
        return self.scenario.workload.phase

    @property
    def batch_size(self) -> Number:
        """Sequences."""
        return self._on_grid(self.scenario.workload.batch_size)

    @property
    def seq_len(self) -> Number:
        """Positions of each sequence."""
        return self._on_grid(self.scenario.workload.seq_len)

    @property
    def source_len(self) -> Number | None:
        """Positions of each source that an encoder reads; None where there is no such encoder."""
        source_len = self.scenario.workload.source_len
        return None if source_len is None else self._on_grid(source_len)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of every image in pixels; None where there are none."""
        return self.scenario.workload.pixels

    @property
    def images(self) -> Number | None:
        """Images of each sequence; None where no text is read, or no image looked at."""
        images = self.scenario.workload.images
        return None if images is None else self._on_grid(images)

    @property
    def new_tokens(self) -> Number:
        """Tokens that come out for each sequence: one of a pass, none where no text is made."""
        if self.phase == "generate":
            return self.scenario.workload.new_tokens
        return 0 if self.phase in ("encode", "denoise", "train") else 1

    @property
    def steps(self) -> int | None:
        """Denoising steps; None where nothing is denoised."""
        return self.scenario.workload.steps

    @property
    def step_s(self) -> Number | None:
        """Seconds of one denoising step; None where nothing is denoised."""
        return None if self.steps is None else self.latency_s / self.steps

    @property
    def guidance(self) -> str | None:
        """``on`` where each denoising step is taken with what is asked for and without."""
        return self.scenario.workload.guidance

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
        return self._on_grid(self.scenario.hardware.ridge_point(self.scenario.arithmetic))

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
        """What most of the time is spent on: ``compute_bound`` or ``memory_bound``."""
        return bound_words(self.cost.bound_code)

    @property
    def tokens_per_s(self) -> Number:
        """Tokens of all sequences per second: read by a prefill, an encoder or to train, else made.

        A prefill of an encoder-decoder reads the source and what its decoder begins with.
        """
        reads = self.phase in ("prefill", "encode", "train")
        per_sequence = self.seq_len if reads else self.new_tokens
        if self.phase == "prefill" and self.source_len is not None:
            per_sequence = per_sequence + self.source_len
        return self.batch_size * per_sequence / self.latency_s

    @property
    def images_per_s(self) -> Number | None:
        """Images that are made per second, or looked at where nothing else is done."""
        if self.image_size is None or self.phase not in ("encode", "denoise"):
            return None
        return self.batch_size * (1 if self.images is None else self.images) / self.latency_s

    @cached_property
    def ttft_s(self) -> Number | None:
        """Time to the first token: of a prefill, or of the prefill in a generation; else None."""
        if self.phase == "generate":
            return self.price_first()
        return self.latency_s if self.phase == "prefill" else None

    @property
    def tpot_s(self) -> Number | None:
        """Mean time of a decode step; None where there is none."""
        if self.phase == "decode":
            return self.latency_s
        steps = self.scenario.workload.new_tokens - 1
        if self.phase != "generate" or self.ttft_s is None or not steps:
            return None
        return (self.latency_s - self.ttft_s) / steps

    @cached_property
    def prediction(self) -> Estimate | None:
        """What it takes by this device's calibration, with an interval; None where it has none.

        ``latency_s`` stays the roofline's, a bound at the measured ceilings. Of a forecast it is
        the roofline's too, with the interval of the devices that may come.
        """
        return self.predict()

    @property
    def predicted_s(self) -> Number | None:
        """Seconds by this device's calibration, or at the roofs of a forecast."""
        return None if self.prediction is None else self.prediction.seconds

    @property
    def low_s(self) -> Number | None:
        """Lower end of the interval said to hold 80 % of what is measured or foreseen."""
        return None if self.prediction is None else self.prediction.seconds * self.prediction.low

    @property
    def high_s(self) -> Number | None:
        """Upper end of that interval."""
        return None if self.prediction is None else self.prediction.seconds * self.prediction.high

    @property
    def mfu(self) -> Number:
        """Share of the peak FLOP/s that the prediction reaches."""
        return self.flops / (self.latency_s * self.scenario.hardware.peak(self.scenario.arithmetic))

    @property
    def mbu(self) -> Number:
        """Share of the peak bandwidth that the prediction reaches."""
        return self.moved_bytes / (self.latency_s * self.scenario.hardware.bandwidth)

    @property
    def fits(self) -> bool | Array:
        """Whether the footprint is within the device's memory."""
        return self.footprint.fits

    @cached_property
    def time_shares(self) -> dict[str, Number]:
        """What the time is spent on, as shares of the whole.

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
        """How everything was counted, in words."""
        scenario = self.scenario
        formats = {
            name: scenario.precision.format_of(name, scenario.model.dtype).name
            for name in ("weights", "activations", "kv_cache")
        }
        if scenario.storage is not None:
            formats["weights"] = scenario.storage.name
        return {
            **formats,
            "arithmetic": scenario.hardware.arithmetic(self.scenario.arithmetic),
            "traffic": scenario.conventions.traffic,
            "causal": scenario.conventions.causal,
            "logits": scenario.conventions.logits,
            "cache_page": scenario.conventions.cache_page,
            **self._conventions_of_the_architecture(),
            "flops_per_multiply_add": 2,
            "parameters_of": scenario.model.architecture.class_name,
            "ceilings": scenario.hardware.kind,
        }

    def _conventions_of_the_architecture(self) -> dict[str, str]:
        """Return the conventions that only some architectures are counted by."""
        conventions = self.scenario.conventions
        found: dict[str, str] = {}
        if self.active_parameters != self.parameters:
            found["routing"] = conventions.routing
        if self.guidance is not None:
            found["guidance"] = self.guidance
        if getattr(self.scenario.model.architecture, "latent", False):  # few have it
            found["mla"] = conventions.mla
        if self.scenario.model.recurrent:
            found["state"] = self.scenario.state.name
        return found

    def _on_grid(self, number: Number) -> Number:
        """Broadcast a number of the question to the shape of the answers, if that has one."""
        shape = self.scenario.shape
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
        if self.scenario.model.recurrent:
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
# What only answers about images hold.
_OF_IMAGES = ("image_size", "images", "images_per_s")
_OF_DENOISING = ("steps", "step_s", "guidance")
