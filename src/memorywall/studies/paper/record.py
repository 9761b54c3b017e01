"""The case study as a record: cells, curves, batches, and latencies measured here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from memorywall.studies.comparison import Comparison
from memorywall.studies.paper.findings import Latency, LengthCurve, Roof


def comparisons_record(
    cells: Sequence[Comparison], curves: Sequence[LengthCurve], roofs: Sequence[Roof]
) -> dict[str, Any]:
    """Return the record of a study."""
    return {
        "cells": [cell.to_dict() for cell in cells],
        "curves": [
            {
                "model": curve.model,
                "quantity": curve.quantity,
                "seq_len": list(curve.lengths),
                "ours": list(curve.ours),
                "published": list(curve.published),
                "measured": list(curve.measured),
            }
            for curve in curves
        ],
        "batch": [
            {
                "hardware": roof.device,
                "dtype": roof.dtype,
                "seq_len": roof.seq_len,
                "batch_size": list(roof.batch_sizes),
                "memory_bound_share": list(roof.waiting),
                "compute_bound_from_batch": roof.leaves_at,
                "longest_compute_bound_seq_len": roof.longest_leaving,
            }
            for roof in roofs
        ],
    }


def latencies_record(rows: Sequence[Latency]) -> list[dict[str, Any]]:
    """Return the rows as records."""
    return [asdict(row) for row in rows]
