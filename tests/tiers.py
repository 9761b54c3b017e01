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
from collections.abc import Iterable
from itertools import groupby

import pytest


def sampled_indices(name: str, count: int, every: int) -> range:
    """Return which of a test's cases are in the fast tier: one in ``every``, at least one."""
    return range(zlib.crc32(name.encode()) % min(every, count), count, every)


def mark_beyond_the_sample(items: Iterable[pytest.Item]) -> None:
    """Mark those cases ``slow`` that the tests marked ``sampled`` leave to the slow tier.

    The cases of one test stand side by side, as pytest collects them.
    """
    for name, group in groupby(items, key=lambda item: item.nodeid.partition("[")[0]):
        cases = list(group)
        mark = cases[0].get_closest_marker("sampled")
        if mark is None:
            continue
        fast = sampled_indices(name, len(cases), mark.kwargs["every"])
        for index, case in enumerate(cases):
            if index not in fast:
                case.add_marker(pytest.mark.slow)
