"""Trace one pass of a PyTorch module without memory into a program."""

from __future__ import annotations

import sys
from fnmatch import fnmatch
from itertools import chain
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from memorywall.core.errors import InvalidInputError, shown
from memorywall.core.traced import Traced
from memorywall.frontends.tracing.capture.caches import (
    GROWN,
    KINDS,
    Kept,
    argument_of,
    cached,
    generates,
    make_cache,
    mark,
    mark_constants,
)
from memorywall.frontends.tracing.capture.inputs import (
    Given,
    TraceRequest,
    lengths_of,
    main_dtype,
    on_meta,
    unit_of,
    words_of,
)
from memorywall.frontends.tracing.capture.meta_device import Bare, build, unchanged
from memorywall.frontends.tracing.capture.modes import META
from memorywall.frontends.tracing.capture.tracer import Tracer
from memorywall.frontends.tracing.fold.assembly import coverage_of, program_of
from memorywall.frontends.tracing.fold.repeats import fold
from memorywall.frontends.tracing.interpret.calls import tensors

_NAME_THEM = (
    "Name the buffers that hold keys and values: cache=('*.k_cache', '*.v_cache'), or "
    "--cache '*.k_cache' --cache '*.v_cache'."
)
PHASES = ("prefill", "decode", "encode")


def trace_module(source: Any, question: TraceRequest) -> Traced:
    """Return the program of one pass of a module, or of the module from a factory.

    Raises:
        MemoryWallError: not a module, an invalid input, or a module that cannot be traced.
    """
    module = build(source, question.dtype)
    with unchanged(module.module):
        return _trace(module, question)


def _trace(module: Bare, question: TraceRequest) -> Traced:
    given = on_meta(question.inputs), on_meta(dict(question.named))
    phase = _phase(module.module, question)
    batch, positions = lengths_of(given)
    lengths = batch, positions if question.seq_len is None else question.seq_len
    tracer = module.tracer(full=question.full)
    past: Any = None
    before: dict[str, Kept] = {}
    if argument_of(module.module) and phase != "encode":
        past = make_cache(module.module, str(question.cache), lengths[1])
        if phase == "decode":
            given, past = _fill(module, past, given, lengths)
        before = cached(past, module.module)
    for index, tensor in enumerate(tensors((*given[0], *given[1].values()))):
        tracer.arrays.add(tensor, f"input_{index}")
    out = module.run(tracer, given[0], given[1] | _cache_words(module, past, phase))
    mark_constants(tracer.events, tracer.arrays.of_role("state"))
    mark(tracer, before, cached(_after(past, out), module.module))
    _mark_returned(tracer, out)
    _mark_buffers(tracer, _named_buffers(question.cache))
    return _answer(module, tracer, phase, lengths, given, question)


def _cache_words(module: Bare, past: Any, phase: str = "prefill") -> dict[str, Any]:
    """Return the arguments that pass a cache, or a state, to a module of transformers."""
    argument = argument_of(module.module)
    if not argument or (past is None and argument != "state"):
        return {}
    return {argument: past, "use_cache": phase != "encode"}


def _after(past: Any, out: Any) -> Any:
    """Return the cache after a run: the one that was passed, or the returned state."""
    return getattr(out, "state", None) if past is None else past


def _phase(module: torch.nn.Module, question: TraceRequest) -> str:
    phase = question.phase or ("prefill" if generates(module) else "encode")
    if phase not in PHASES:
        raise InvalidInputError(
            f"phase must be one of {', '.join((*PHASES, 'train'))}, got {shown(phase)}",
            "encode is one pass without a cache.",
        )
    if phase == "decode" and question.seq_len is None and argument_of(module):
        raise InvalidInputError(
            "phase='decode' requires seq_len: the number of positions that the step attends to, "
            "including itself.",
            "For example: mw.trace(model, 'int64[1,1]', phase='decode', seq_len=2048).",
        )
    if phase != "decode" and question.seq_len is not None and question.cache != "static":
        raise InvalidInputError(
            f"seq_len is {question.seq_len}, but {phase} takes its length from the inputs.",
            "Remove seq_len, or trace a decode step: phase='decode' (--phase decode).",
        )
    return phase


def _fill(module: Bare, past: Any, given: Given, lengths: tuple[int, int]) -> tuple[Given, Any]:
    """Fill a cache with all positions except the step's; return the step's inputs, and the cache.

    For an encoder-decoder the inputs are the source, which is encoded here.
    """
    (inputs, named), (batch, positions) = given, lengths
    new = _new_tokens(module, given, positions)
    token = torch.empty((batch, new), dtype=torch.int64, device=META)
    before = token.new_empty((batch, positions - new))
    words = named | _cache_words(module, past)
    by_name = "input_ids" in named
    config: Any = module.module.config
    if config.is_encoder_decoder:
        words["decoder_input_ids"] = before
        out = module.run(module.tracer(), inputs, words)
        outputs = sys.modules["transformers"].modeling_outputs.BaseModelOutput
        encoded = outputs(last_hidden_state=out.encoder_last_hidden_state)
        return ((), {"encoder_outputs": encoded, "decoder_input_ids": token}), past
    if positions > new:
        first, more = ((), {"input_ids": before}) if by_name else ((before,), {})
        past = _after(past, module.run(module.tracer(), first, words | more))
    return (((), named | {"input_ids": token}) if by_name else ((token,), named)), past


def _new_tokens(module: Bare, given: Given, positions: int) -> int:
    """Return the number of tokens of a step's input; several verify a draft, for example."""
    config: Any = module.module.config
    if config.is_encoder_decoder:  # the input is the source
        asked = given[1].get("decoder_input_ids")
        new = 1 if asked is None else int(asked.shape[1])
    else:
        new = lengths_of(given)[1]
    if new > positions:
        raise InvalidInputError(
            f"seq_len must be at least the {new} tokens of the step, got {positions}.",
            "seq_len counts all positions that the last token attends to, including those of the "
            "step.",
        )
    return new


def _named_buffers(cache: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of buffers in a question, given instead of a kind of cache."""
    if isinstance(cache, str):
        return () if cache in KINDS else (cache,)
    return tuple(cache)


def _unheard(module: Bare, tracer: Tracer, question: TraceRequest) -> list[str]:
    """Add a note that ``seq_len`` had no effect, if a module's buffers hold the positions."""
    if question.seq_len is None or argument_of(module.module):
        return []
    marked, *others = (tracer.arrays.of_role(role) for role in ("kv_cache", "state", "buffer"))
    buffers = [array for array in marked or chain(*others) if len(array.shape) > 1]
    sizes = {size for array in buffers for size in array.shape}
    if question.seq_len in sizes:
        return []
    if not buffers:
        return [f"seq_len={question.seq_len} has no effect: the module has no cache."]
    held = ", ".join(dict.fromkeys(f"{array.name} {list(array.shape)}" for array in buffers[:4]))
    note = (
        f"seq_len={question.seq_len} has no effect: the step attends to the positions in the "
        f"buffers ({held}). Build the module with a cache of that length."
    )
    return [note if marked else f"{note} {_NAME_THEM}"]


def _mark_returned(tracer: Tracer, out: Any) -> None:
    """Mark outputs that a module also reads itself, which would not stay on chip."""
    read = {view.array for event in tracer.events for view, _ in event.reads}
    for leaf in tree_leaves(out):
        array = tracer.arrays.find(leaf) if isinstance(leaf, torch.Tensor) else None
        if array is not None and array in read:
            array.returned = True


def _mark_buffers(tracer: Tracer, patterns: tuple[str, ...]) -> None:
    """Give buffers that hold keys and values their role."""
    buffers = [*tracer.arrays.of_role("state"), *tracer.arrays.of_role("buffer")]
    for pattern in patterns:
        found = [array for array in buffers if fnmatch(array.name, pattern)]
        if not found:
            raise InvalidInputError(
                f"cache: no buffer is named {shown(pattern)}.",
                f"Buffers: {', '.join(array.name for array in buffers[:8]) or 'none'}.",
            )
        for array in found:
            array.role = "kv_cache"


def _answer(
    module: Bare,
    tracer: Tracer,
    phase: str,
    lengths: tuple[int, int],
    given: Given,
    question: TraceRequest,
) -> Traced:
    name = type(module.module).__name__
    read = {view.array for event in tracer.events for view, _ in event.reads}
    unread = [array for array in tracer.arrays.of_role("weight") if array not in read]
    segments = fold(("", tracer.events))
    program = program_of(segments, name, unread)
    return Traced(
        name=name,
        program=program,
        parameters=program.parameters,
        coverage=coverage_of(segments, program),
        phase=phase,
        batch_size=lengths[0],
        seq_len=lengths[1],
        dtype=main_dtype(module.parameters),
        inputs=words_of(given),
        notes=(*_notes(tracer), *_unheard(module, tracer, question)),
        conventions={"causal": "full" if question.full else "half", "flops_per_multiply_add": "2"},
        unit=unit_of(given),
    )


def _notes(tracer: Tracer) -> list[str]:
    notes = []
    if tracer.asked:
        notes.append(
            f"The module names the devices {', '.join(sorted(tracer.asked))}; the trace assumes a "
            "single device."
        )
    if any(event.function == GROWN for event in tracer.events):
        notes.append(
            "The cache is copied whole to grow: an artefact of concatenation, which fused traffic "
            "excludes."
        )
    return notes
