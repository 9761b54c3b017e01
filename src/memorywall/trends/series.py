"""Every series by its name, and names of groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from memorywall.core.errors import UnknownNameError
from memorywall.core.growth import Series
from memorywall.trends import device_series, latency, model_series, paper_series
from memorywall.trends.selection import Selection

GROUPS = {
    "today": (
        "peak", "bandwidth", "capacity", "link", "lane-rate", "power", "price",
        "training-compute", "parameters",
    ),
    "derived": (
        "ridge", "bytes-per-flop", "read-all", "bandwidth-per-dollar", "bandwidth-per-watt",
        "largest-model", "largest-fit", "devices-to-hold",
    ),
    "latency": ("dram-latency", "dram-pin", "processor-latency"),
    "paper": tuple(name for name in paper_series.PRINTED if name.startswith("paper-")),
    "blog": tuple(name for name in paper_series.PRINTED if name.startswith("blog-")),
}  # fmt: skip


@lru_cache(maxsize=1)
def _tables() -> dict[str, Callable[[Selection], Series]]:
    return {
        **device_series.tables(),
        **model_series.tables(),
        **latency.tables(),
        **paper_series.tables(),
    }


def series_names() -> list[str]:
    """Return the names of all series, sorted."""
    return sorted(_tables())


def expand(names: Sequence[str]) -> list[str]:
    """Return the names of series with groups expanded, each once, in order."""
    parts = [GROUPS.get(name, (name,)) for name in names]
    return list(dict.fromkeys(name for part in parts for name in part))


def find_series(name: str, selection: Selection) -> Series:
    """Return a series with the selected points.

    Raises:
        UnknownNameError: no series has that name.
    """
    build = _tables().get(name)
    if build is None:
        raise UnknownNameError(
            "series", name, [*_tables(), *GROUPS], f"Several at once: {', '.join(GROUPS)}."
        )
    return selection.of_years(build(selection))
