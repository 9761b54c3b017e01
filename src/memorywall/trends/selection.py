"""The selection of points of a series."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from memorywall.core.errors import InvalidInputError, UnknownNameError
from memorywall.core.growth import Series

Segment: TypeAlias = Literal["data-centre", "inference", "workstation", "consumer", "all"]
SEGMENTS: tuple[str, ...] = get_args(Segment)
DTYPES = ("fp32", "fp16", "fp8", "fp4", "int8")


@dataclass(frozen=True, slots=True)
class Selection:
    """The selected part of the data.

    Attributes:
        since, until: first and last year, both whole; None for all.
        only: segment of devices; ``all`` for every segment.
        dtype: of peaks and quantities derived from them.
    """

    since: int | None = None
    until: int | None = None
    only: str = "data-centre"
    dtype: str = "fp16"

    def __post_init__(self) -> None:
        if self.only not in SEGMENTS:
            raise UnknownNameError("segment", self.only, SEGMENTS, f"One of {', '.join(SEGMENTS)}.")
        if self.dtype not in DTYPES:
            raise UnknownNameError("dtype", self.dtype, DTYPES, f"One of {', '.join(DTYPES)}.")
        if self.since is not None and self.until is not None and self.since > self.until:
            raise InvalidInputError(
                f"the years {self.since} to {self.until} are in the wrong order.",
                "Swap --from and --to.",
            )

    def of_years(self, series: Series) -> Series:
        """Return a series with the points of the selected years."""
        first, last = self.since or 0, self.until or 9999
        return replace(
            series,
            points=tuple(point for point in series.points if first <= point.date.year <= last),
        )
