"""Which experts a pass is expected to touch.

Resident are all experts. Moved are those that the tokens of a pass are expected to touch: an expert
that a token chooses with probability p is touched by T tokens with probability 1 - (1 - p)^T, if
tokens choose independently. ``uniform`` routing: p = k / E, so E (1 - (1 - k/E)^T) experts, which
is what balanced training aims at. ``skewed``: popularity by rank i after Zipf's law, p_i ~ i^-0.8,
scaled so that the p_i add up to k, and capped at 1; the form and the exponent are the power-law
preset of NVIDIA's TensorRT-LLM MoE benchmark, made to match observed traces
(github.com/NVIDIA/TensorRT-LLM/pull/19148). Limits: the exponent is of no model in particular;
DeepSeek-V3's loads on MMLU Pro fit a log-normal better (github.com/deepseek-ai/DeepEP/pull/393);
tokens of one text choose similar experts, and touch fewer than either law predicts; limits on
groups of experts are not modelled. FLOPs do not depend on it: every token has exactly k rows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import cast

from memorywall.core.numbers import Number
from memorywall.core.symbols import Call, is_symbolic

ZIPF_EXPONENT = 0.8


def distinct(experts: int, chosen: int, tokens: Number, routing: str) -> Number:
    """Return the expected number of experts that a number of tokens touches."""
    if is_symbolic(tokens):
        return cast("Number", Call(distinct, experts, chosen, tokens, routing))
    touched: Number = 0
    for probability, alike in _popularity(experts, chosen, routing):
        touched = touched + alike * (1 - (1 - probability) ** tokens)
    return touched


@lru_cache(maxsize=256)
def _popularity(experts: int, chosen: int, routing: str) -> tuple[tuple[float, int], ...]:
    """Return the probabilities that a token chooses an expert, and the experts with each."""
    if routing == "uniform":
        return ((chosen / experts, experts),)
    certain = 0  # every token chooses this number of the most popular
    while True:
        weights = [rank**-ZIPF_EXPONENT for rank in range(certain + 1, experts + 1)]
        scale = (chosen - certain) / sum(weights) if weights else 0.0
        if not weights or scale * weights[0] <= 1:
            break
        certain += 1
    return ((1.0, certain), *((scale * weight, 1) for weight in weights))
