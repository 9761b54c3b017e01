"""Latency of memory, and the rate of a pin for comparison: the latency side of the memory wall."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from memorywall.catalog.trends import datasets, read
from memorywall.core.growth import Point, Series
from memorywall.trends.selection import Selection


def tables() -> dict[str, Callable[[Selection], Series]]:
    """Return every series of latency by its name."""
    return {
        "dram-latency": lambda _: _series(
            "dram", "cycle_ns", 1e-9, "dram-latency", "row cycle of DRAM", "s",
            "least time between two rows of a bank (tRC), SDR to DDR5",
        ),
        "dram-pin": lambda _: _series(
            "dram", "rate_mt_s", 1e6, "dram-pin", "rate of a DRAM pin", "transfer/s",
            "transfers per second of each pin, of the same chips as dram-latency",
        ),
        "processor-latency": lambda _: _series(
            "processors", "dram_ns", 1e-9, "processor-latency", "DRAM latency of processors", "s",
            "from a load to its data, as measured on one socket",
        ),
    }  # fmt: skip


def _series(
    dataset: str, column: str, unit_size: float, name: str, title: str, unit: str, definition: str
) -> Series:
    points = tuple(
        Point(date.fromisoformat(row["date"]), unit_size * float(row[column]), row["name"])
        for row in read(dataset)
    )
    return Series(name, title, unit, definition, datasets()[dataset].source, points)
