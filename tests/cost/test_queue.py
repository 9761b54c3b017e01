"""Waiting in a queue, against closed forms."""

from __future__ import annotations

from math import log

import pytest

from memorywall.cost.queue import mean_wait_s, wait_s


def test_one_server_waits_as_pollaczek_and_khinchine_say() -> None:
    # M/D/1: rho s / (2 (1 - rho)), which Kingman's formula is equal to.
    assert mean_wait_s(0.5, 2.0) == pytest.approx(0.5 * 2.0 / (2 * 0.5))


def test_many_servers_wait_less() -> None:
    waits = [mean_wait_s(0.8, 1.0, servers) for servers in (1, 2, 8, 64)]
    assert waits == sorted(waits, reverse=True)
    assert waits[-1] < 0.01


def test_quantiles_of_an_exponential_tail() -> None:
    # Half of the arrivals wait, on the mean 1 s each: P(wait > t) = 0.5 exp(-t / 1).
    assert wait_s(0.5, 0.5, 0.95) == pytest.approx(log(10))
    assert wait_s(0.5, 0.5, 0.4) == 0.0
