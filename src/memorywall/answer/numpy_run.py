"""GPT-2's decode run in NumPy on this machine: predicted first, then measured, then compared.

It needs no PyTorch. The prediction is that of ``analyze`` by the calibration of a brief
measurement: operator by operator, the counted bytes and FLOPs at the rates that NumPy's BLAS
reached, and the floor of every call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.answer.analyze import analyze
from memorywall.bench.pipe import Case
from memorywall.bench.runner import answers
from memorywall.bench.timing import Measurement
from memorywall.core.errors import MemoryWallError, UnsupportedError
from memorywall.core.hardware import Hardware
from memorywall.frontends.hf import load_model

MODEL = "gpt2"
_TOKENS = 32
_BUDGET_S = 4.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predicted time per generated token in NumPy on a measured machine.

    Attributes:
        model: its name.
        config: what runs.
        tokens: tokens that are generated, from nothing; every time is the mean of one of them.
        seconds, low_s, high_s: of one token, with the interval that is expected to hold 80 % of
            measurements.
        flops, moved_bytes: of one token.
        roofline_s: the bound at the measured ceilings.
    """

    model: str
    config: Mapping[str, Any]
    tokens: int
    seconds: float
    low_s: float
    high_s: float
    flops: float
    moved_bytes: float
    roofline_s: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A prediction beside its measurement.

    Attributes:
        prediction: made before the run.
        measurement: every run of the generation, in seconds of the whole.
    """

    prediction: Prediction
    measurement: Measurement

    @property
    def measured_s(self) -> float:
        """Seconds of one token: the median of the runs."""
        return self.measurement.median_s / self.prediction.tokens

    @property
    def error(self) -> float:
        """How far the prediction lies above (or below) the measurement, as a share of it."""
        return self.prediction.seconds / self.measured_s - 1

    @property
    def inside(self) -> bool:
        """Whether the measurement lies in the predicted interval."""
        return self.prediction.low_s <= self.measured_s <= self.prediction.high_s


def predict_decode(
    hardware: Hardware, model: str | Mapping[str, Any] = MODEL, tokens: int = _TOKENS
) -> Prediction:
    """Predict what a token of GPT-2 takes in NumPy, in fp32, when ``tokens`` are generated.

    Args:
        hardware: what ``to_hardware`` makes of ``measure_briefly``.
        model: a GPT-2, by name or as its config.
        tokens: how many are generated, one at a time, from nothing.

    Raises:
        UnsupportedError: a device without a calibration, or a model other than GPT-2.
    """
    loaded = load_model(model)
    if loaded.config.get("model_type") != "gpt2":
        raise UnsupportedError(f"The NumPy run requires a GPT-2, got {loaded.name}.")
    if hardware.calibration is None:
        raise UnsupportedError(
            f"{hardware.name} has no calibration.", "Measure: memorywall measure --brief"
        )
    answer = analyze(
        loaded, on=hardware, phase="generate", seq_len=0, new_tokens=tokens, weights="fp32",
        activations="fp32", kv_cache="fp32",
    )  # fmt: skip
    estimate = answer.prediction
    assert estimate is not None
    each = float(estimate.seconds) / tokens
    return Prediction(
        model=loaded.name,
        config=dict(loaded.config),
        tokens=tokens,
        seconds=each,
        low_s=each * float(estimate.low),
        high_s=each * float(estimate.high),
        flops=float(answer.flops) / tokens,
        moved_bytes=float(answer.moved_bytes) / tokens,
        roofline_s=float(answer.bound_s) / tokens,
    )


def run_decode(prediction: Prediction, budget_s: float = _BUDGET_S) -> Comparison:
    """Run what was predicted, with random weights and one thread; return both.

    Raises:
        MemoryWallError: it did not run, such as for want of memory.
    """
    parameters = {"config": dict(prediction.config), "new_tokens": prediction.tokens}
    ((_, answer),) = answers([Case("numpy_gpt2", budget_s, parameters)], 1, "cpu")
    if answer.measurement is None:
        raise MemoryWallError(f"{prediction.model} did not run in NumPy: {answer.error}")
    return Comparison(prediction, answer.measurement)
