"""The size of a checkpoint's layers of multi-token prediction, which its class leaves out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from memorywall.core.formats import Format
from memorywall.core.numbers import Number
from memorywall.core.program import Block, Program
from memorywall.core.question import Question
from memorywall.reading.predictors import count_predictors


@dataclass(frozen=True, slots=True)
class Predictors:
    """Layers that predict further tokens, each like the last layer of the stack.

    DeepSeek-V3's report (arXiv:2412.19437, section 2.2): a layer has a projection of the hidden
    state and an embedding, [D, 2 D], a block of the stack, and norms; it shares embedding and head
    with the model.

    Attributes:
        count: layers.
        parameters: of all of them; an embedding and a head are shared.
        weight_bytes: of those.
        cache_bytes: of all sequences, at the lengths of the question.
    """

    count: int
    parameters: int
    weight_bytes: int
    cache_bytes: Number


def predictors_of(question: Question) -> Predictors | None:
    """Return the size of the layers of multi-token prediction; None without any.

    A traced class, whose layers have no positions, has none.
    """
    model = question.model
    count = 0 if model.traits.traced else count_predictors(model.config)
    if not count:
        return None
    program = model.lower(question.forward(question.passes[-1]))
    stack = [block for block in program.blocks if block.layers]
    if not stack:
        return None
    last = max(stack, key=lambda block: max(block.layers))
    layer = Program((replace(last, repeat=1, layers=(max(last.layers),)),))
    kept = layer.resident_bytes()
    hidden = _hidden(last)
    beside = (hidden, 2 * hidden), (3, hidden)  # the projection; norms of its halves and the head
    rest = _rest(question)
    return Predictors(
        count,
        count * (layer.parameters + sum(prod(shape) for shape in beside)),
        count * int(kept["weight"] + sum(rest.nbytes(shape) for shape in beside)),
        count * kept.get("kv_cache", 0),
    )


def _hidden(block: Block) -> int:
    """Return the width of the hidden state that a layer reads."""
    lengths = dict(block.ops[0].reads[0].axes)
    return int(lengths["hidden"])


def _rest(question: Question) -> Format:
    storage = question.formats.storage
    return question.formats.weights if storage is None else storage.rest
