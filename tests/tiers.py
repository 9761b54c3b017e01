"""Two tiers: tests marked ``slow`` run in ``make test-all``, all others in ``make test``.

A test that repeats one comparison for many models is marked ``sampled(every=k)``: the fast tier
runs one in k of its cases, so that a change that breaks a family is found in minutes, and the slow
tier the others, so that every case runs once in the two together.

The sample is a fixed one, by the place of a case among those of its test: what failed on one
machine is run on another. It starts at a place that the test's name determines, so that two tests
of the same models sample different ones.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

# Whether each collected file has a test of the fast tier.
FAST = pytest.StashKey[dict[Path, bool]]()


def sampled_indices(name: str, count: int, every: int) -> range:
    """Return which of a test's cases are in the fast tier: one in ``every``, at least one."""
    return range(zlib.crc32(name.encode()) % min(every, count), count, every)


def mark_beyond_the_sample(items: Sequence[pytest.Item]) -> None:
    """Mark those cases ``slow`` that the tests marked ``sampled`` leave to the slow tier."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("sampled"):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for name, group in cases.items():
        mark = group[0].get_closest_marker("sampled")
        assert mark is not None
        fast = sampled_indices(name, len(group), mark.kwargs["every"])
        for index, case in enumerate(group):
            if index not in fast:
                case.add_marker(pytest.mark.slow)


def files_with_fast_tests(items: Sequence[pytest.Item]) -> dict[Path, bool]:
    """Return for each file of the tests whether one of them is fast."""
    found: dict[Path, bool] = {}
    for item in items:
        found[item.path] = found.get(item.path, False) or not item.get_closest_marker("slow")
    return found
