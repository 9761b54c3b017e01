"""The two tiers of tests: which cases of a test are in the fast one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiers import FAST, sampled_indices


@given(st.text(max_size=30), st.integers(1, 200), st.integers(1, 20))
def test_one_case_in_each_few_is_fast(name: str, count: int, every: int) -> None:
    fast = sampled_indices(name, count, every)
    assert len(fast) >= 1
    assert abs(len(fast) - count / every) < 1
    assert fast.step == every
    assert set(fast) <= set(range(count))
    assert sampled_indices(name, count, every) == fast


def test_two_tests_of_the_same_models_sample_different_ones() -> None:
    firsts = {sampled_indices(f"test_{number}", 100, 5)[0] for number in range(40)}
    assert firsts == {0, 1, 2, 3, 4}


def test_each_file_has_a_fast_test(request: pytest.FixtureRequest) -> None:
    fast = request.config.stash[FAST]
    assert [str(path) for path, has in fast.items() if not has] == []
