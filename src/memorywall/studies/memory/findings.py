"""The findings of the study of training memory: one model's parts, ours and published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.records import recorded, to_record


@recorded(
    names={
        "published": "printed_gib",
        "ours": "ours_gib",
        "gradients": "gradients_gib",
        "peak": "peak_gib",
        "limit": "limit_gib",
    },
    derived={"published_gib": "values", "deviation": "deviations"},
)
@dataclass(frozen=True, slots=True)
class Bar:
    """One model of a figure of training memory: each part in GiB, ours and published.

    Attributes:
        model, setting, optimizer: the model, its batch and input, its optimizer.
        published: as printed, by part: parameters, optimizer, features.
        ours: of the same parts.
        verdicts: of the comparison, by part.
        reason: of an exception.
        gradients, peak: not in the figure: the gradients, and the peak of live bytes over two
            steps.
        parameters: their number.
        limit: the memory of the GPUs of its year, as the figure draws it.
    """

    model: str
    setting: str
    optimizer: str
    published: Mapping[str, str]
    ours: Mapping[str, float]
    verdicts: Mapping[str, str]
    reason: str
    gradients: float
    peak: float
    parameters: int
    limit: float

    @property
    def values(self) -> dict[str, float]:
        """The published numbers, GiB by part."""
        return {part: float(printed) for part, printed in self.published.items()}

    @property
    def deviations(self) -> dict[str, float]:
        """Ours over the published number, less one, by part."""
        return {part: self.ours[part] / value - 1 for part, value in self.values.items()}


@recorded("memorywall.study.memory/2", names={"bars": "models"})
@dataclass(frozen=True, slots=True)
class TrainingBars:
    """The figure: eight models, trained with one kernel of attention.

    Attributes:
        attention: ``sdpa`` or ``eager``.
        bars: in the order of the figure.
    """

    attention: str
    bars: tuple[Bar, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return its record."""
        return to_record(self)
