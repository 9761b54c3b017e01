"""How a footprint fits the memory of a device in use: the prefill before it, the engine beside."""

from __future__ import annotations

from dataclasses import replace

from memorywall.answer.evaluate import footprint_of_pass
from memorywall.catalog.reserves import reserve_of
from memorywall.core.fit import Fit, Reserve
from memorywall.core.numbers import Number, maximum, minimum
from memorywall.core.question import Question
from memorywall.core.results import Footprint
from memorywall.phases import find_phase


def judge(
    question: Question,
    footprint: Footprint,
    reserve: Reserve | None = None,
    chunk: int | None = None,
) -> Fit | None:
    """Return how a footprint fits; None where the capacity is not known.

    Args:
        question: settled.
        footprint: of the question.
        reserve: of the engine; None for that of the device's class.
        chunk: positions that a prefill takes at once; None for all.
    """
    if footprint.capacity is None:
        return None
    kept = reserve_of(question.hardware.device_class) if reserve is None else reserve
    prefill, engine = (_prefill(question, chunk, in_engine=one) for one in (False, True))
    beyond = maximum(engine - footprint.activations, 0)
    return Fit(
        need=footprint.total,
        in_use=footprint.total + beyond + kept.runtime,
        budget=kept.utilisation * footprint.capacity,
        capacity=footprint.capacity,
        prefill=prefill,
        engine_prefill=engine,
        chunk=chunk,
        reserve=kept,
    )


def _prefill(question: Question, chunk: int | None, *, in_engine: bool) -> Number:
    """Return the activations of the prefill that filled the cache of a step, sequence by sequence.

    0 where the question has a pass over a prompt itself, or no cache; a traced class is not traced
    a second time.
    """
    traits = question.model.traits
    steps_only = all(one.step for one in question.passes)
    if not steps_only or not traits.causal or traits.traced or traits.source is not None:
        return 0
    length = question.seq_len if chunk is None else minimum(question.seq_len, chunk)
    prompt = replace(question, phase=find_phase("prefill"), batch_size=1, seq_len=length)
    (one,) = prompt.passes
    alone = replace(one, stacks="decoder")
    return footprint_of_pass(prompt, alone, in_engine=in_engine).activations
