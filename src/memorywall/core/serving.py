"""The times of a serving engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Serving:
    """How an engine serves requests.

    Attributes:
        in_flight: requests in the batch, over all devices.
        most_in_flight: whole requests that the memory holds, over all devices; None if its size is
            not known.
        requests_per_s: requests that are served.
        ttft_s, tpot_s: mean time to the first token, waiting included, and of a further one.
        waiting_s: mean wait of a request for a place in the batch, and for prompts before its own.
        ttft_p50_s, ttft_p95_s, tpot_p50_s, tpot_p95_s: times that half of the requests, and 95 % of
            them, stay below, where requests arrive at random; else None.
        tokens_per_s: output tokens, over all devices.
    """

    in_flight: int
    most_in_flight: int | None
    requests_per_s: float
    ttft_s: float
    tpot_s: float
    waiting_s: float
    ttft_p50_s: float | None
    ttft_p95_s: float | None
    tpot_p50_s: float | None
    tpot_p95_s: float | None
    tokens_per_s: float
