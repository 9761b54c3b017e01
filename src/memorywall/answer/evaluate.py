"""From a question to its cost: one sum over its passes, each priced by a template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial, reduce
from math import prod
from operator import mul
from typing import NamedTuple

from memorywall.answer.programs import divided, joined, rewrite_of
from memorywall.core.errors import InvalidInputError
from memorywall.core.hardware import Hardware
from memorywall.core.numbers import maximum
from memorywall.core.phase import Pass
from memorywall.core.question import Question
from memorywall.core.results import Cost, Footprint, OpCost
from memorywall.cost.template import Point, Template, template_of
from memorywall.passes.fuse import fuse_attention

# Past it the arrays of an answer would not fit the memory.
MOST_POINTS = 2**28


class Evaluation(NamedTuple):
    """The cost of the passes of a question, and the resident memory.

    Attributes:
        passes: the passes, in order.
        costs: the cost of each, over all of its executions.
        footprint: bytes that must be resident at once.
    """

    passes: tuple[Pass, ...]
    costs: tuple[Cost, ...]
    footprint: Footprint


def evaluate(question: Question) -> Evaluation:
    """Return costs and footprint; for a question with arrays, arrays of their common shape.

    Raises:
        InvalidInputError: more than 2^28 points.
    """
    check_points(question)
    if question.model.traits.traced:
        from memorywall.answer.lowered import evaluate_lowered  # noqa: PLC0415 - NumPy, PyTorch

        return Evaluation(question.passes, *evaluate_lowered(question))
    costs = price_passes(question, question.hardware)
    return Evaluation(question.passes, costs, resident(question))


def check_points(question: Question) -> None:
    """Refuse a question with more points than an answer can hold.

    Raises:
        InvalidInputError: more than 2^28 points.
    """
    shape = question.shape
    if shape and prod(shape) > MOST_POINTS:
        raise InvalidInputError(
            f"The question has {prod(shape):,} points; at most {MOST_POINTS:,} are answered at "
            "once.",
            "Ask for fewer batch sizes or lengths, or for parts of the grid.",
        )


def price_passes(question: Question, hardware: Hardware) -> tuple[Cost, ...]:
    """Return the cost of each pass of a question on a device, over all of its executions.

    Raises:
        UnsupportedError: the device has no peak for the program's arithmetic or a wider one.
    """
    if question.model.traits.traced:
        from memorywall.answer.lowered import evaluate_lowered  # noqa: PLC0415 - NumPy, PyTorch

        return evaluate_lowered(replace(question, hardware=hardware))[0]
    many = bool(question.shape)
    costs = []
    for one in question.passes:
        template, point = template_of_pass(question, one)
        if one.grows and many:
            cost = template.price_run_many(point, one.count, hardware)
        elif one.grows:
            cost = template.price_run(point, one.count, hardware)
        else:
            cost = (template.price_many if many else template.price)(point, hardware)
            cost = cost if one.count == 1 else cost.map(partial(mul, one.count))
        costs.append(cost)
    return tuple(costs)


def footprint_of_pass(question: Question, one: Pass, *, in_engine: bool = False) -> Footprint:
    """Return the memory that a pass of a question needs, without its cost.

    ``in_engine``: elementwise operators run apart, unlike in a price: see ``fuse_attention``.
    """
    template, point = template_of_pass(question, one, in_engine=in_engine)
    if question.shape:
        return template.footprint_many(point, question.hardware)
    return template.footprint(point, question.hardware)


def resident(question: Question) -> Footprint:
    """Return the bytes that must be resident at once for all passes of a question."""
    if question.model.traits.traced:
        return evaluate(question).footprint
    hardware, many, residents = question.hardware, bool(question.shape), []
    for one in question.passes:
        template, point = template_of_pass(question, one)
        last = point._replace(length=one.last) if one.grows else point
        residents.append((template.footprint_many if many else template.footprint)(last, hardware))
    return _together(residents)


# Templates of the last questions, by the identity of what `settle` keeps for all of their lengths.
_KNOWN: dict[tuple[object, ...], tuple[Template, Question]] = {}
_MOST_KNOWN = 512


def template_of_pass(
    question: Question, one: Pass, *, in_engine: bool = False
) -> tuple[Template, Point]:
    """Return the template of a pass, which is the same at all lengths, and the point to ask."""
    key = (
        id(question.model), id(question.formats), id(question.counting), question.guidance,
        question.image_size, type(question.images) is int and question.images == 0,
        one.step, one.stacks, in_engine, question.layout,
    )  # fmt: skip
    known = _KNOWN.get(key)
    if known is None:
        forward = question.forward(one, positions=1)
        whole = rewrite_of(question)
        rewrite = divided(fuse_attention, question.layout) if in_engine else whole
        known = template_of(question.model, forward, rewrite), question
        if len(_KNOWN) >= _MOST_KNOWN:
            del _KNOWN[next(iter(_KNOWN))]
        _KNOWN[key] = known  # the question keeps alive what is known by its identity
    source, images = question.source_len, question.images
    point = Point(
        question.rows,
        one.positions,
        1 if source is None else source,
        1 if images is None else images,
    )
    return known[0], point


def _together(residents: Sequence[Footprint]) -> Footprint:
    """Return the footprint of passes in a row: the cache is reserved whole from the start."""
    if len(residents) == 1:
        return residents[0]
    last = residents[-1]
    most = reduce(maximum, [resident.activations for resident in residents])
    return Footprint(last.weights, last.kv_cache, most, last.capacity, last.state)


def evaluate_ops(question: Question) -> Sequence[OpCost]:
    """Return every operator's cost over all of its executions, whole grids at once.

    Those of a grid of one execution are priced when they are read: all at once take gigabytes.
    """
    if question.model.traits.traced:
        from memorywall.answer.lowered import evaluate_lowered_ops  # noqa: PLC0415 - as above

        return evaluate_lowered_ops(question)
    first, *others = question.passes
    if question.shape and not others and first.count == 1:
        template, point = template_of_pass(question, first)
        return template.price_ops_many(point, question.hardware)
    costs: list[OpCost] = []
    for one in question.passes:
        costs = joined(costs, ops_of_pass(question, one))
    return costs


def ops_of_pass(question: Question, one: Pass) -> list[OpCost]:
    """Return the cost of every operator of one pass, over all of its executions."""
    template, point = template_of_pass(question, one)
    if one.grows:
        return template.price_run_ops(point, one.count, question.hardware)
    part = template.price_ops(point, question.hardware)
    if one.count > 1:
        part = [op.map(partial(mul, one.count), one.count) for op in part]
    return part
