"""The year in which decode becomes N times memory-bound, by the trend of the ridge point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memorywall.answer.analyze import ModelSource, analyze
from memorywall.answer.fit_trends import ridge_line
from memorywall.core.errors import InvalidInputError, shown
from memorywall.core.growth import Crossing
from memorywall.core.numbers import as_quantity
from memorywall.trends.crossing import crossing


@dataclass(frozen=True, slots=True)
class MemoryBoundYear:
    """The year in which traffic takes a multiple of the time of arithmetic.

    Attributes:
        times: how many.
        arithmetic_intensity: FLOP per byte of one decode step.
        dtype: of the arithmetic, whose ridge point is followed.
        crossing: the year in which the ridge point passes ``times`` x intensity.
        latest: the same ratio at the last device of the trend, by the line.
        latest_year: of that device.
    """

    times: float
    arithmetic_intensity: float
    dtype: str
    crossing: Crossing
    latest: float
    latest_year: float


def memory_bound_year(
    model: ModelSource, *, times: float, batch_size: int = 1, seq_len: int = 2048, **words: Any
) -> MemoryBoundYear:
    """Return in which year one decode step waits ``times`` as long on memory as on arithmetic.

    A step moves bytes and does FLOPs; their times are as ridge point over intensity. The intensity
    is the model's, the ridge point grows with the years: its line over data-centre devices is
    followed to where it passes ``times`` x intensity.

    Args:
        model, batch_size, seq_len, words: as of ``analyze``.
        times: how many times memory-bound.

    Raises:
        InvalidInputError: ``times`` is not a positive number.
        MissingDependencyError: statsmodels is not installed.
    """
    wanted = as_quantity(times, "times")
    if not isinstance(wanted, int | float):
        raise InvalidInputError(f"times must be one number, got {shown(times)}")
    answer = analyze(
        model, on="h100-sxm", phase="decode", batch_size=batch_size, seq_len=seq_len, **words
    )
    if answer.question.shape:
        raise InvalidInputError("batch_size and seq_len must be one number of each.")
    dtype = {"bf16": "fp16"}.get(answer.question.arithmetic, answer.question.arithmetic)
    line = ridge_line(dtype)
    intensity = float(answer.arithmetic_intensity)
    latest = max(line.series.years)
    return MemoryBoundYear(
        times=float(wanted),
        arithmetic_intensity=intensity,
        dtype=dtype,
        crossing=crossing(line, float(wanted) * intensity),
        latest=line.predict([latest], 0.8)[0].middle / intensity,
        latest_year=latest,
    )
