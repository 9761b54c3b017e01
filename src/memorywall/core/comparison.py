"""A published number beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

# How a comparison ends, best first.
AGREES = "agrees"  # to half a unit of the last printed digit
WITHIN = "within tolerance"
EXPLAINED = "exception"  # outside, and the reason is known
UNDEFINED = "not defined"  # the source does not say what it counted
DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One printed number, ours, and how the two compare.

    Attributes:
        table: where it is printed.
        model, seq_len, operator, quantity: what it is of; quantities carry their unit.
        published: as printed, digits and all.
        ours: in the same unit.
        verdict: one of the words above.
        reason: why it is an exception, is not defined, or is what it is.
    """

    table: str
    model: str
    seq_len: int
    operator: str
    quantity: str
    published: str
    ours: float
    verdict: str
    reason: str = ""
    ours_as_configured: float | None = None  # where ours repeats a slip of the source's

    @property
    def deviation(self) -> float:
        """Ours over the published number, less one."""
        return self.ours / float(self.published) - 1

    def to_dict(self) -> dict[str, Any]:
        """Return its record."""
        return {
            "table": self.table,
            "model": self.model,
            "seq_len": self.seq_len,
            "operator": self.operator,
            "quantity": self.quantity,
            "published": float(self.published),
            "ours": self.ours,
            "deviation": self.deviation,
            "verdict": self.verdict,
            "reason": self.reason,
            "ours_as_configured": self.ours_as_configured,
        }


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity of one model over sequence lengths: ours, published, and measured here.

    Of an experiment, ours and measured are of the first lengths only.
    """

    model: str
    quantity: str
    lengths: tuple[int, ...]
    ours: tuple[float, ...]
    published: tuple[float, ...]
    measured: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Latency:
    """One run of the case study here, in times BERT-Base at the first length, and in seconds.

    Attributes:
        model, seq_len, batch_size: what ran.
        predicted, measured, published: relative; None where it did not run or is not printed.
        predicted_s, measured_s: of one run.
    """

    model: str
    seq_len: int
    batch_size: int
    predicted: float
    measured: float | None
    published: float | None
    predicted_s: float
    measured_s: float | None


@dataclass(frozen=True, slots=True)
class Roof:
    """Decode on one device: how it waits on memory at each batch size, and where that ends.

    Attributes:
        device, dtype, seq_len: on what, in which format, at which context.
        batch_sizes: those asked for.
        waiting: for each, the share of the time in memory-bound operators.
        leaves_at: the smallest batch that is compute-bound at this context; None for none.
        longest_leaving: the longest of the contexts looked at where a batch is compute-bound, or 0.
    """

    device: str
    dtype: str
    seq_len: int
    batch_sizes: tuple[int, ...]
    waiting: tuple[float, ...]
    leaves_at: int | None
    longest_leaving: int


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


def half_unit(printed: str) -> float:
    """Return half a unit of the last digit of a number as printed: 0.005 for ``7.25``."""
    exponent = Decimal(printed).as_tuple().exponent
    return 0.5 * 10.0 ** int(exponent)


def judge(printed: str, ours: float, tolerance: float) -> str:
    """Return whether ours agrees with a printed number, is within a share of it, or differs."""
    published = float(printed)
    if abs(ours - published) <= half_unit(printed) * (1 + 1e-9):
        return AGREES
    return WITHIN if abs(ours / published - 1) <= tolerance else DIFFERS
