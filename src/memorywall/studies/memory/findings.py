"""What the study of training memory holds: one model's parts, ours and published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Bar:
    """One model of a figure of training memory: each part in GiB, ours and published.

    Attributes:
        model, setting, optimizer: which, at which batch and input, trained by what.
        published: as printed, by part: parameters, optimizer, features.
        ours: of the same parts.
        verdicts: how they compare, by part.
        reason: why a part is an exception.
        gradients, peak: what the figure leaves out: the gradients, and the most that stands at once
            over two steps.
        parameters: how many.
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

    def deviation(self, part: str) -> float:
        """Return ours over the published number of a part, less one."""
        return self.ours[part] / float(self.published[part]) - 1

    def to_dict(self) -> dict[str, Any]:
        """Return its record."""
        return {
            "model": self.model,
            "setting": self.setting,
            "optimizer": self.optimizer,
            "parameters": self.parameters,
            "published_gib": {part: float(printed) for part, printed in self.published.items()},
            "ours_gib": dict(self.ours),
            "deviation": {part: self.deviation(part) for part in self.published},
            "verdicts": dict(self.verdicts),
            "reason": self.reason,
            "gradients_gib": self.gradients,
            "peak_gib": self.peak,
        }
