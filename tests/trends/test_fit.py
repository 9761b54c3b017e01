"""Lines, intervals and influence against certified and published answers; what has no trend."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest

from memorywall.core.errors import InvalidInputError
from memorywall.core.growth import Point, Series
from memorywall.trends.fit import Line, fit
from tests.trends.known import DAYS, DISTANCE, NORRIS, SPEED, days, series

# log10 of the values is y / 10, and the dates are 10 x days after 2000 (x has one decimal), so a
# slope of y on x is 10 x DAYS / 10 of the slope a year, and an intercept of y ten of ours.
NORRIS_SERIES = days([10 * x for _, x in NORRIS], [10 ** (y / 10) for y, _ in NORRIS])
CARS = days(SPEED, [10 ** (distance / 10) for distance in DISTANCE])


def test_norris_of_nist() -> None:
    # Certified: b0 -0.262323073774029, b1 1.00211681802045, residual deviation 0.884796396144373,
    # R squared 0.999993745883712, standard deviation of b1 0.429796848199937E-03.
    line = Line(NORRIS_SERIES)
    intercept, slope = line.result.params
    assert 10 * intercept == pytest.approx(-0.262323073774029, rel=1e-9)
    assert slope * 10 * 10 / DAYS == pytest.approx(1.00211681802045, rel=1e-12)
    assert line.result.bse[1] * 10 * 10 / DAYS == pytest.approx(0.429796848199937e-3, rel=1e-9)
    assert 10 * math.sqrt(line.result.mse_resid) == pytest.approx(0.884796396144373, rel=1e-9)
    assert line.result.rsquared == pytest.approx(0.999993745883712, rel=1e-12)


def test_intervals_of_r() -> None:
    # R 4: predict(lm(dist ~ speed, cars), data.frame(speed = 10), interval = ...) prints
    # 21.74499 with 15.46192 to 28.02807 for "confidence" and -9.809601 to 53.29959 for
    # "prediction"; confint gives the slope 3.096964 to 4.767853.
    line = Line(CARS)
    at = [2000 + 10 / DAYS]
    for new, low, high in ((False, 15.46192, 28.02807), (True, -9.809601, 53.29959)):
        (interval,) = line.predict(at, 0.95, new=new)
        got = [10 * math.log10(end) for end in (interval.middle, interval.low, interval.high)]
        assert got == pytest.approx([21.74499, low, high], abs=5e-6)
    low, high = line.result.conf_int()[1]
    assert [low * 10 / DAYS, high * 10 / DAYS] == pytest.approx([3.096964, 4.767853], abs=1e-6)


def test_days_make_no_trend_of_years() -> None:
    with pytest.raises(InvalidInputError, match="too close together"):
        fit(CARS)


def test_growth_by_hand() -> None:
    # Values 1, 2, 4, 8 at years 0, 2, 4, 6 double every two years to the digit: 2x in 2 years,
    # 2^10 = 1024x in 20, no spread. The dates are whole days: 731 in place of 730.5 is 7e-4 off.
    growth = fit(series([0, 2, 4, 6], [1, 2, 4, 8]))
    assert growth.per_2_years.middle == pytest.approx(2, rel=1e-3)
    assert growth.per_20_years.middle == pytest.approx(1024, rel=1e-2)
    assert growth.doubling_years == pytest.approx(2, rel=1e-3)
    assert growth.spread == pytest.approx(1, abs=1e-3)
    assert growth.change is None  # too few points to ask


def test_each_point_left_out_is_a_fit_without_it() -> None:
    rng = np.random.default_rng(1)
    values = (10 ** (0.1 * np.arange(12) + rng.normal(0, 0.2, 12))).tolist()
    known = series(range(12), values)
    growth = fit(known)
    for index, rate in enumerate(growth.without):
        rest = known.points[:index] + known.points[index + 1 :]
        alone = Line(Series("rest", "", "", "", "", rest)).result.params[1]
        assert rate == pytest.approx(10 ** (2 * alone), rel=1e-9)
    point, rate = growth.most_influential
    assert abs(math.log(rate / growth.per_2_years.middle)) == max(
        abs(math.log(other / growth.per_2_years.middle)) for other in growth.without
    )
    assert point in known.points


def test_intervals_hold_as_many_as_they_say() -> None:
    # 400 series of 20 points of one line with normal errors, and one new point of each: 80 % of
    # them, give or take 4 % (two deviations of a binomial of 400).
    rng = np.random.default_rng(2)
    years = np.arange(20.0)
    held = 0
    for _ in range(400):
        noisy = 10 ** (0.2 * years + rng.normal(0, 0.3, 20))
        (interval,) = Line(series(years, noisy)).predict([2025], 0.8)
        held += interval.low <= 10 ** (0.2 * 25 + rng.normal(0, 0.3)) <= interval.high
    assert held / 400 == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([("2020-01-01", 1.0), ("2021-01-01", 2.0)], "2 points; a trend with an error requires"),
        ([], "0 points"),
        ([("2020-01-01", 1.0)] * 4, "all points are of one date, 2020-01-01"),
        (
            [("2020-01-01", 1.0), ("2021-01-01", 0.0), ("2022-01-01", 3.0)],
            "of 2021-01-01 is 0, which has no logarithm",
        ),
        (
            [("2020-01-01", 1.0), ("2021-01-01", -2.0), ("2022-01-01", 3.0)],
            "of 2021-01-01 is -2, which has no logarithm",
        ),
        (
            [("2020-01-01", 1.0), ("2021-01-01", math.nan), ("2022-01-01", 3.0)],
            "of 2021-01-01 is missing",
        ),
        (
            [("2020-01-01", 1.0), ("2021-01-01", math.inf), ("2022-01-01", 3.0)],
            "of 2021-01-01 is inf",
        ),
    ],
)
def test_what_has_no_trend_says_why(points: list[tuple[str, float]], said: str) -> None:
    made = tuple(Point(date.fromisoformat(day), value) for day, value in points)
    with pytest.raises(InvalidInputError, match="has no trend") as caught:
        fit(Series("mine", "", "", "", "", made))
    assert said in caught.value.message


def test_every_fault_is_named_at_once() -> None:
    made = tuple(Point(date(2020, 1, 1), value) for value in (0.0, -1.0))
    with pytest.raises(InvalidInputError) as caught:
        fit(Series("mine", "", "", "", "", made))
    assert caught.value.message.count("no logarithm") == 2
    assert "2 points" in caught.value.message
