"""The study of trends as a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memorywall.core.growth import IntervalCoverage
from memorywall.studies.trends.findings import Refit


def study_record(
    rows: Sequence[Refit], tested: Sequence[IntervalCoverage], peculiar: Sequence[str]
) -> dict[str, Any]:
    """Return the study as plain values."""
    return {
        "fits": [_fit(row) for row in rows],
        "coverage": [row.to_dict() for row in tested],
        "peculiar": list(peculiar),
    }


def _fit(row: Refit) -> dict[str, Any]:
    record = row.growth.to_dict()
    return {
        **record,
        "series": row.series,
        "name": record["series"],
        "source": row.source,
        "data": record["source"],
        "published": row.published,
        "published_20": row.published_20,
    }
