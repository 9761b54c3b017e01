"""Mixtures of experts: a router, stacked experts of which each token goes to a few, shared ones.

Resident are all experts. Moved are those that the tokens of a pass are expected to touch: an expert
that a token chooses with probability p is touched by T tokens with probability 1 - (1 - p)^T, if
tokens choose independently. ``uniform`` routing: p = k / E, so E (1 - (1 - k/E)^T) experts, which
is what balanced training aims at. ``skewed``: popularity by rank i after Zipf's law,
p_i ~ i^-0.8, scaled so that the p_i add up to k, and capped at 1; the form and the exponent are the
power-law preset of NVIDIA's TensorRT-LLM MoE benchmark, made to match observed traces
(github.com/NVIDIA/TensorRT-LLM/pull/19148). Limits: the exponent is of no model in particular;
DeepSeek-V3's loads on MMLU Pro fit a log-normal better (github.com/deepseek-ai/DeepEP/pull/393);
tokens of one text choose alike, and then touch fewer experts than either law says; limits on groups
of experts are left out. FLOPs do not depend on it: every token has exactly k rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from memorywall.core.numbers import Number
from memorywall.core.symbols import Call, is_symbolic
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import ACTIVATION_FLOPS, FLOPS_PER_ELEMENT
from memorywall.layers.tape import FeedForward, Tape

ZIPF_EXPONENT = 0.8


@dataclass(frozen=True, slots=True)
class Experts:
    """Shape of a mixture of experts.

    Attributes:
        count, chosen: E, and k of them for each token.
        expert: one of them; its ``bias`` stands on both products.
        shared: width of what every token goes through beside them; 0 for nothing.
        shared_bias: whether that has biases.
        shared_gate: whether a learned gate scales it.
        scoring: what turns the router's logits into weights, ``softmax`` or ``sigmoid``.
        router_bias: whether the router has a bias that is added.
        correction: whether the model keeps one weight an expert to balance the choice.
        latent: width that rows are projected to for the experts, and back from; 0 for none.
        latent_bias: whether these projections have biases.
    """

    count: int
    chosen: int
    expert: FeedForward
    shared: int = 0
    shared_bias: bool = False
    shared_gate: bool = False
    scoring: str = "softmax"
    router_bias: bool = False
    correction: bool = False
    latent: int = 0
    latent_bias: bool = False


def distinct(experts: int, chosen: int, tokens: Number, routing: str) -> Number:
    """Return how many of the experts are expected to be touched by so many tokens."""
    if is_symbolic(tokens):
        return cast("Number", Call(distinct, experts, chosen, tokens, routing))
    touched: Number = 0
    for probability, alike in _popularity(experts, chosen, routing):
        touched = touched + alike * (1 - (1 - probability) ** tokens)
    return touched


@lru_cache(maxsize=256)
def _popularity(experts: int, chosen: int, routing: str) -> tuple[tuple[float, int], ...]:
    """Return the probabilities that a token chooses an expert, and how many experts have each."""
    if routing == "uniform":
        return ((chosen / experts, experts),)
    certain = 0  # so many of the most popular are chosen by every token
    while True:
        weights = [rank**-ZIPF_EXPONENT for rank in range(certain + 1, experts + 1)]
        scale = (chosen - certain) / sum(weights) if weights else 0.0
        if not weights or scale * weights[0] <= 1:
            break
        certain += 1
    return ((1.0, certain), *((scale * weight, 1) for weight in weights))


def record_experts(tape: Tape, x: Tensor, e: Experts, path: str = "mlp") -> Tensor:
    """Route, run the chosen experts and add what is shared: [B T, D] in and out."""
    rows, width = x.shape[0], int(x.shape[-1])
    scores = _route(tape, x, e, path)
    narrow = x
    if e.latent:
        narrow = tape.linear(f"{path}.latent_in", x, e.latent, e.latent_bias)
    expanded = _chosen(tape, narrow, e, f"{path}.experts", rows)
    out = tape.activation(f"{path}.combine", rows, narrow.shape[-1])
    # Times its weight and added, for each of k rows of a token.
    tape.op(
        f"{path}.combine", "elementwise", 2 * expanded.elements, (expanded, scores), out,
        function="add",
    )  # fmt: skip
    if e.latent:
        out = tape.linear(f"{path}.latent_out", out, width, e.latent_bias)
    if not e.shared:
        return out
    shape = FeedForward(e.shared, e.expert.activation, gated=e.expert.gated, bias=e.shared_bias)
    shared = tape.feed_forward(x, shape, f"{path}.shared_experts")
    if e.shared_gate:
        shared = _gate(tape, x, shared, f"{path}.shared_gate")
    return tape.add(f"{path}.shared_add", out, shared)


def _route(tape: Tape, x: Tensor, e: Experts, path: str) -> Tensor:
    """Score every expert for every token, and keep the scores of the k best."""
    rows = x.shape[0]
    reads: tuple[Tensor, ...] = (tape.linear(f"{path}.router", x, e.count, e.router_bias),)
    if e.correction:
        reads = (*reads, tape.weight(f"{path}.router.correction", e.count))
    softmax = e.scoring == "softmax"
    cost = FLOPS_PER_ELEMENT["softmax"] if softmax else ACTIVATION_FLOPS["sigmoid"]
    flops = (cost + FLOPS_PER_ELEMENT["top_k"]) * rows * e.count
    scores = tape.activation(f"{path}.scores", rows, e.chosen)
    tape.op(f"{path}.scores", "elementwise", flops, reads, scores, function=e.scoring)
    return scores


def _chosen(tape: Tape, x: Tensor, e: Experts, path: str, rows: Number) -> Tensor:
    """Run k experts on every row: [B T, D] in, [B T k, D] out."""
    width, inner = int(x.shape[-1]), e.expert.width
    routed = rows * e.chosen
    touched = distinct(e.count, e.chosen, rows, tape.forward.routing)
    gathered = Tensor(x.name, x.shape, x.format, x.role, (routed, width))
    if e.expert.gated:
        up = _stacked(tape, f"{path}.gate_up_proj", gathered, e, touched, (width, 2 * inner))
        active = tape.activation(f"{path}.activation", routed, inner)
        cost = ACTIVATION_FLOPS[e.expert.activation] + FLOPS_PER_ELEMENT["gated"]
        tape.op(
            f"{path}.activation", "elementwise", cost * active.elements, (up,), active,
            function=f"{e.expert.activation} gated",
        )  # fmt: skip
    else:
        up = _stacked(tape, f"{path}.up_proj", gathered, e, touched, (width, inner))
        active = tape.apply(f"{path}.activation", e.expert.activation, up)
    return _stacked(tape, f"{path}.down_proj", active, e, touched, (inner, width))


def _stacked(
    tape: Tape, name: str, x: Tensor, e: Experts, touched: Number, sizes: tuple[int, int]
) -> Tensor:
    """Multiply each routed row by its expert's weight: 2 in out FLOPs a row."""
    inner, width = sizes
    routed = (x.touched or x.shape)[0]
    out = tape.activation(name, routed, width)
    weight = tape.weight(f"{name}.weight", e.count, width, inner, touched=(touched, width, inner))
    reads: tuple[Tensor, ...] = (x, weight)
    if e.expert.bias:
        bias = tape.weight(f"{name}.bias", e.count, width, touched=(touched, width))
        reads = (*reads, bias)
    tape.op(name, "gemm", 2 * inner * width * routed, reads, out, function="experts")
    return out


def _gate(tape: Tape, x: Tensor, shared: Tensor, name: str) -> Tensor:
    """Scale each row by the sigmoid of one product."""
    gate = tape.linear(name, x, 1)
    out = tape.activation(f"{name}_scale", *shared.shape)
    flops = ACTIVATION_FLOPS["sigmoid"] * gate.elements + shared.elements
    tape.op(f"{name}_scale", "elementwise", flops, (gate, shared), out, function="sigmoid")
    return out
