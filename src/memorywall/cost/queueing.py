"""A queue before a batch: requests that arrive at random, and places in the batch.

A request holds one of c places for its whole service. With Poisson arrivals the probability of a
wait is Erlang's C, and the wait, if there is one, is close to exponential; services of one length
halve its mean (Allen and Cunneen's approximation of G/G/c: Wq = C / (c mu (1 - rho)) * (ca^2 +
cs^2) / 2, with ca = 1 and cs = 0 here).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

_REGULAR = 0.5  # (ca^2 + cs^2) / 2 of Poisson arrivals and services of one length


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue in its steady state.

    Attributes:
        waits: the probability of a wait.
        rate: of the exponential wait, 1/s.
    """

    waits: float
    rate: float

    @property
    def mean_s(self) -> float:
        """The mean wait."""
        return self.waits / self.rate

    def quantile_s(self, share: float) -> float:
        """Return the wait that a share of requests does not exceed."""
        if 1 - share >= self.waits:
            return 0.0
        return log(self.waits / (1 - share)) / self.rate


def queue(arrivals: float, service_s: float, places: float) -> Queue | None:
    """Return the queue of arrivals (1/s) before some places; None where it grows without end."""
    load = arrivals * service_s
    if load >= places:
        return None
    rate = (places - load) / service_s / _REGULAR
    return Queue(_erlang_c(load, max(1, int(places))), rate)


def _erlang_c(load: float, places: int) -> float:
    """Return the probability of a wait, by the recurrence of Erlang's B."""
    blocked = 1.0
    for place in range(1, min(places, 100_000) + 1):
        blocked = load * blocked / (place + load * blocked)
        if blocked < exp(-600):
            return 0.0
    use = load / places
    return blocked / (1 - use * (1 - blocked)) if use < 1 else 1.0
