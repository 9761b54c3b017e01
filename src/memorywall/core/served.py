"""The times of a serving engine: of a request, and of many that arrive at random."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ranged:
    """A predicted number with its 80 % interval."""

    value: float
    low: float
    high: float

    def map(self, times: float) -> Ranged:
        """Return a multiple of it."""
        return Ranged(self.value * times, self.low * times, self.high * times)

    def inverse(self, times: float) -> Ranged:
        """Return a number over it."""
        return Ranged(times / self.value, times / self.high, times / self.low)


@dataclass(frozen=True, slots=True)
class Served:
    """The prediction of a serving engine.

    Attributes:
        ttft_s: time to the first token, the time in the queue included.
        tpot_s: time of every further token.
        waiting_s: seconds in the queue, for want of memory for the cache or of free places.
        in_flight: requests in the batch, of all devices.
        most_in_flight: requests whose cache fits the devices' memory.
        requests_per_s, tokens_per_s_per_device: output of all devices, and of one.
        ttft_p50_s, ttft_p95_s, tpot_p50_s, tpot_p95_s: percentiles under Poisson arrivals; None
            without a rate of requests.
    """

    ttft_s: Ranged
    tpot_s: Ranged
    waiting_s: float
    in_flight: float
    most_in_flight: float
    requests_per_s: Ranged
    tokens_per_s_per_device: Ranged
    ttft_p50_s: Ranged | None = None
    ttft_p95_s: Ranged | None = None
    tpot_p50_s: Ranged | None = None
    tpot_p95_s: Ranged | None = None
