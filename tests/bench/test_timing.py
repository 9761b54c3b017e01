"""The statistics of timing, on samples and a clock that tests make up."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorywall.bench.timing import Measurement, interval, measure
from memorywall.core.records import from_record, to_record


class Clock:
    """A clock that only a call moves on."""

    def __init__(self, costs: list[float]) -> None:
        self.now = 0.0
        self.costs = itertools.cycle(costs)

    def __call__(self) -> float:
        return self.now

    def work(self) -> None:
        self.now += next(self.costs)


def test_loops_are_enough_for_the_clock() -> None:
    clock = Clock([1e-4])
    found = measure("work", clock.work, clock=clock, sample_s=0.01, budget_s=0.1)
    # A hundred calls of 0.1 ms make a sample of 10 ms, ten of those the budget.
    assert found.loops * 1e-4 >= 0.01
    assert found.median_s == pytest.approx(1e-4)
    assert found.spread == pytest.approx(0, abs=1e-9)
    assert found.stable


def test_a_slow_call_is_sampled_three_times() -> None:
    clock = Clock([5.0])
    found = measure("work", clock.work, clock=clock, budget_s=0.1)
    assert found.loops == 1
    assert len(found.seconds) == 3


def test_an_unsteady_call_is_reported() -> None:
    clock = Clock([0.01, 0.01, 0.02])
    found = measure("work", clock.work, clock=clock, sample_s=0.005, budget_s=1)
    assert found.median_s == pytest.approx(0.01)
    assert found.spread > 0.5
    assert not found.stable


def test_synchronize_is_within_the_sample() -> None:
    clock = Clock([0.0])

    def wait() -> None:
        clock.now += 0.02

    found = measure("work", clock.work, clock=clock, synchronize=wait, budget_s=0.1)
    assert found.median_s == pytest.approx(0.02)


def test_rates() -> None:
    found = Measurement("x", (2.0, 1.0, 4.0), flops=8.0, moved_bytes=6.0)
    assert found.median_s == 2
    assert found.flop_per_s == 4
    assert found.byte_per_s == 3


@given(
    st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=30),
    st.dictionaries(st.sampled_from(["dtype", "rows"]), st.integers()),
)
def test_records_come_back(samples: list[float], parameters: dict[str, int]) -> None:
    found = Measurement("x", tuple(samples), 3, 1.0, 2.0, parameters)
    assert from_record(Measurement, to_record(found)) == found


def test_interval() -> None:
    # Eleven values at 0 ... 10: the central 80 % reach from the 1st to the 9th.
    assert interval(list(range(11)), 0.8) == pytest.approx((1, 9))
    assert interval([7.0], 0.8) == (7, 7)
