"""A change of growth is found where there is one, and seldom where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from memorywall.trends.fit import fit
from tests.trends.known import series


def test_a_bend_is_found() -> None:
    # 0.1 a year to year 10 and 0.3 after it: 10^0.2 = 1.585x and 10^0.6 = 3.981x in two years.
    years = np.arange(0, 20, 0.5)
    logs = 0.1 * years + 0.2 * np.maximum(0, years - 10)
    noise = np.random.default_rng(3).normal(0, 0.02, len(years))
    growth = fit(series(years, 10 ** (logs + noise)))
    assert growth.changed
    assert growth.change is not None
    assert growth.change.year == pytest.approx(2010, abs=0.6)
    assert growth.change.before == pytest.approx(1.585, rel=0.03)
    assert growth.change.after == pytest.approx(3.981, rel=0.03)


def test_straight_lines_are_seldom_bent() -> None:
    rng = np.random.default_rng(4)
    years = np.arange(30.0)
    bent = sum(
        fit(series(years, 10 ** (0.2 * years + rng.normal(0, 0.3, 30)))).changed for _ in range(60)
    )
    assert bent <= 6  # one in ten


def test_evidence_is_schwarzs_difference() -> None:
    # n ln(RSS) + k ln n, with k = 2 for the line and 4 for two pieces (the knot is one).
    rng = np.random.default_rng(5)
    years = np.arange(14.0)
    values = 10 ** (0.1 * years + rng.normal(0, 0.2, 14))
    known = series(years, values)
    change = fit(known).change
    assert change is not None
    at, logs = np.array(known.years), np.log10(known.values)

    def left(*columns: np.ndarray) -> float:
        matrix = np.column_stack([np.ones(14), at - 2000, *columns])
        fitted, *_ = np.linalg.lstsq(matrix, logs, rcond=None)
        return float(np.sum((logs - matrix @ fitted) ** 2))

    two = left(np.maximum(0, at - change.year))
    wanted = 14 * np.log(left() / two) - 2 * np.log(14)
    assert change.evidence == pytest.approx(wanted, rel=1e-9)
