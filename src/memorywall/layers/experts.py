"""Mixtures of experts: a router, stacked experts of which each token goes to a few, shared ones.

Resident are all experts; moved are those that the tokens of a pass are expected to touch, see
``core/routing.py``. FLOPs do not depend on it: every token has exactly k rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.axes import Axes, named, size
from memorywall.core.geometry import Elementwise, Space
from memorywall.core.geometry import Experts as ExpertsProduct
from memorywall.core.numbers import Number
from memorywall.core.routing import distinct
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import ACTIVATION_FLOPS, FLOPS_PER_ELEMENT
from memorywall.layers.tape import FeedForward, Tape


@dataclass(frozen=True, slots=True)
class Experts:
    """Shape of a mixture of experts.

    Attributes:
        count, chosen: E, and k of them for each token.
        expert: one of them; its ``bias`` stands on both products.
        shared: width of what every token goes through beside them; 0 for nothing.
        shared_bias: whether that has biases.
        shared_gate: whether a learned gate scales it.
        scoring: what turns the router's logits into weights: ``softmax``, or a function of each,
            ``sigmoid`` or ``sqrtsoftplus``.
        hashed: whether a table chooses the experts of each word, and the router weighs them alone.
        normed: whether a norm follows the sum of all experts.
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
    hashed: bool = False
    normed: bool = False


@dataclass(frozen=True, slots=True)
class BesideExperts:
    """A feed-forward and experts that read the same hidden states, each between separate norms.

    Their outputs are added. The router reads the hidden states through a third norm.
    """

    dense: FeedForward
    experts: Experts


def record_beside(tape: Tape, x: Tensor, before: Tensor, b: BesideExperts, norm: str) -> Tensor:
    """Note both on [B T, D]: the feed-forward of normed ``x``, the experts of ``before`` it."""
    dense = tape.norm("mlp.dense_norm", tape.feed_forward(x, b.dense), norm)
    routed = tape.norm("experts.router_norm", before, norm)
    read = tape.norm("experts.norm", before, norm)
    expert = record_experts(tape, read, b.experts, routed=routed)
    expert = tape.norm("experts.post_norm", expert, norm)
    return tape.add("mlp.halves_add", dense, expert)


def record_experts(
    tape: Tape, x: Tensor, e: Experts, path: str = "mlp", *, routed: Tensor | None = None
) -> Tensor:
    """Route, run the chosen experts and add what is shared: [B T, D] in and out.

    The router reads ``routed`` where that is not x.
    """
    width = x.row_axes
    scores = _route(tape, x if routed is None else routed, e, path)
    narrow = x
    if e.latent:
        narrow = tape.linear(f"{path}.latent_in", x, named(hidden=e.latent), e.latent_bias)
    expanded = _chosen(tape, narrow, e, f"{path}.experts")
    out = tape.like(f"{path}.combine", narrow)
    # Times its weight and added, for each of k rows of a token.
    geometry = Elementwise((Space(2, expanded.axes),), "add", (0,), ("routed",))
    tape.op(f"{path}.combine", geometry, (expanded, scores), out)
    if e.latent:
        out = tape.linear(f"{path}.latent_out", out, width, e.latent_bias)
    if e.shared:
        out = tape.add(f"{path}.shared_add", out, _shared(tape, x, e, path))
    return tape.norm(f"{path}.norm", out, "rmsnorm") if e.normed else out


def _shared(tape: Tape, x: Tensor, e: Experts, path: str) -> Tensor:
    """Note what every token goes through, and its gate."""
    shape = FeedForward(e.shared, e.expert.activation, gated=e.expert.gated, bias=e.shared_bias)
    shared = tape.feed_forward(x, shape, f"{path}.shared_experts")
    return _gate(tape, x, shared, f"{path}.shared_gate") if e.shared_gate else shared


def _route(tape: Tape, x: Tensor, e: Experts, path: str) -> Tensor:
    """Score every expert for every token, and keep the scores of the k best."""
    router = named(router=e.count)
    logits = tape.linear(f"{path}.router", x, router, e.router_bias)
    reads: tuple[Tensor, ...] = (logits,)
    if e.correction:
        reads = (*reads, tape.weight(f"{path}.router.correction", router))
    softmax = e.scoring == "softmax"
    cost = FLOPS_PER_ELEMENT["softmax"] if softmax else ACTIVATION_FLOPS[e.scoring]
    space = Space(cost if e.hashed else cost + FLOPS_PER_ELEMENT["top_k"], logits.axes)
    scores = tape.activation(f"{path}.scores", x.rows_axes + named(chosen=e.chosen))
    tape.op(f"{path}.scores", Elementwise((space,), e.scoring), reads, scores)
    return scores


def _chosen(tape: Tape, x: Tensor, e: Experts, path: str) -> Tensor:
    """Run k experts on every row: [B T, D] in, [B T k, D] out."""
    width, inner = x.row_axes, named(expert_ffn=e.expert.width)
    rows, activation = x.rows_axes, e.expert.activation
    gathered = x.part((*rows, ("routed", e.chosen), *width))
    # Worked out once for all products of the layer: over arrays it takes a power for each.
    touched = distinct(e.count, e.chosen, size(rows), tape.forward.routing)
    if e.expert.gated:
        both = (("gate_up", 2), *inner)
        up = _stacked(tape, f"{path}.gate_up_proj", gathered, e, touched, (width, both))
        active = tape.activation(f"{path}.activation", up.rows_axes + inner)
        cost = ACTIVATION_FLOPS[activation] + FLOPS_PER_ELEMENT["gated"]
        geometry = Elementwise((Space(cost, active.axes),), activation, gated=True)
        tape.op(f"{path}.activation", geometry, (up,), active)
    else:
        up = _stacked(tape, f"{path}.up_proj", gathered, e, touched, (width, inner))
        active = tape.apply(f"{path}.activation", activation, up)
    return _stacked(tape, f"{path}.down_proj", active, e, touched, (inner, width))


def _stacked(
    tape: Tape, name: str, x: Tensor, e: Experts, touched: Number, sizes: tuple[Axes, Axes]
) -> Tensor:
    """Multiply each routed row by its expert's weight: 2 in out FLOPs a row."""
    inner, width = sizes
    routed = (x.touched or x.axes)[: -x.row]
    geometry = ExpertsProduct(routed[:-1], inner, width, e.count, e.chosen, tape.forward.routing)
    out = tape.activation(name, routed + width, len(width))
    every, some = (("experts", e.count),), (("experts", touched),)
    # Checkpoints hold the two halves of a gated product as two weights, each with its own scales.
    column = sum(axis != "gate_up" for axis, _ in width)
    weight = tape.weight(
        f"{name}.weight", every + width + inner, len(inner), column=column,
        touched=some + width + inner,
    )  # fmt: skip
    reads: tuple[Tensor, ...] = (x, weight)
    if e.expert.bias:
        bias = tape.weight(f"{name}.bias", every + width, len(width), touched=some + width)
        reads = (*reads, bias)
    tape.op(name, geometry, reads, out)
    return out


def _gate(tape: Tape, x: Tensor, shared: Tensor, name: str) -> Tensor:
    """Scale each row by the sigmoid of one product."""
    gate = tape.linear(name, x, named(parts=1))
    out = tape.like(f"{name}_scale", shared)
    work = (Space(ACTIVATION_FLOPS["sigmoid"], gate.axes), Space(1, shared.axes))
    tape.op(f"{name}_scale", Elementwise(work, "sigmoid", (1,)), (gate, shared), out)
    return out
