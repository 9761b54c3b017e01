"""Out of sample: shares by hand, and the reasons where they are off."""

from __future__ import annotations

import numpy as np
import pytest

from memorywall.trends.coverage import chow, coverage, within
from memorywall.trends.fit import Line
from tests.trends.known import series


def test_shares_by_hand() -> None:
    # Ten points on a line with errors of a tenth; of four later points two lie on the line and two
    # a thousand times above it: a half is inside.
    years = [*range(10), 11, 12, 13, 14]
    errors = np.random.default_rng(6).normal(0, 0.1, 10)
    logs = [*(0.1 * np.arange(10) + errors), 1.1, 1.2, 1.3 + 3, 1.4 + 3]
    (row,) = coverage(series(years, [10**y for y in logs]), [2009])
    assert (row.fitted, row.later) == (10, 4)
    assert row.covered == {0.8: 0.5, 0.95: 0.5}
    assert "4 later points" in row.reason


def test_a_break_is_named() -> None:
    years = np.arange(0, 24, 0.5)
    logs = 0.1 * years + 0.25 * np.maximum(0, years - 12)
    noise = np.random.default_rng(7).normal(0, 0.05, len(years))
    (row,) = coverage(series(years, 10 ** (logs + noise)), [2011])
    assert not within(row)
    assert "a break: growth changed from 1.5" in row.reason
    assert row.after is not None
    assert row.after > 2 * row.before


def test_steady_growth_is_covered() -> None:
    rng = np.random.default_rng(8)
    years = np.arange(0, 30, 0.1)
    (row,) = coverage(series(years, 10 ** (0.1 * years + rng.normal(0, 0.3, 300))), [2019])
    assert within(row)
    assert row.reason == ""


def test_years_without_points_are_left_out() -> None:
    known = series(range(10), [10.0**n for n in range(10)])
    assert coverage(known, [2001, 2030]) == []


def test_chow_by_hand() -> None:
    # y = 0, 0.1, 0, 0.1 and 1, 1.1, 1, 1.1 at steps of four years, which are whole days. By hand
    # each half rises 0.02 a step and leaves 0.01 - 0.02^2 x 5 = 0.008; together by numpy.
    logs = [0, 0.1, 0, 0.1, 1, 1.1, 1, 1.1]
    halves = [series(range(4 * s, 4 * s + 16, 4), [10**y for y in logs[s : s + 4]]) for s in (0, 4)]
    before, after = (Line(half) for half in halves)
    assert before.result.ssr == pytest.approx(0.008, rel=1e-9)
    at = np.array([*halves[0].years, *halves[1].years])
    left = float(np.polyfit(at - 2000, logs, 1, full=True)[1][0])
    statistic = (left - 0.016) / 2 / (0.016 / 4)
    # The upper tail of an F of (2, 4) is (1 + 2 x / 4) to the power -2.
    assert chow(before, after) == pytest.approx((1 + statistic / 2) ** -2, rel=1e-9)
