"""Any PyTorch module, run without memory: its program, without its weights."""

from __future__ import annotations

import sys
from fnmatch import fnmatch
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from memorywall.core.errors import InvalidInputError, shown
from memorywall.core.traced import Traced
from memorywall.frontends.tracing.capture.caches import (
    GROWN,
    KINDS,
    argument_of,
    cached,
    generates,
    make_cache,
    mark,
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
    "Name those that hold keys and values: cache=('*.k_cache', '*.v_cache'), or "
    "--cache '*.k_cache' --cache '*.v_cache'."
)
PHASES = ("prefill", "decode", "encode")


def trace_module(source: Any, question: TraceRequest) -> Traced:
    """Return the program of one pass of a module, or of what a factory makes.

    Raises:
        MemoryWallError: no module, an input that is none, or a module that cannot be traced.
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
    past, before = None, {}
    if argument_of(module.module) and phase != "encode":
        past = make_cache(module.module, str(question.cache), lengths[1])
        if phase == "decode":
            given, past = _fill(module, past, given, lengths)
        before = dict(cached(past, module.module))
    for index, tensor in enumerate(tensors((*given[0], *given[1].values()))):
        tracer.arrays.add(tensor, f"input_{index}")
    out = module.run(tracer, given[0], given[1] | _cache_words(module, past, phase))
    mark(tracer, before, dict(cached(_after(past, out), module.module)))
    _mark_returned(tracer, out)
    _mark_buffers(tracer, _named_buffers(question.cache))
    return _answer(module, tracer, phase, lengths, given, question)


def _cache_words(module: Bare, past: Any, phase: str = "prefill") -> dict[str, Any]:
    """Return the arguments that hand a cache, or a state, to a module of transformers."""
    argument = argument_of(module.module)
    if not argument or (past is None and argument != "state"):
        return {}
    return {argument: past, "use_cache": phase != "encode"}


def _after(past: Any, out: Any) -> Any:
    """Return the cache after a run: the one that was given, or the state that is returned."""
    return getattr(out, "state", None) if past is None else past


def _phase(module: torch.nn.Module, question: TraceRequest) -> str:
    phase = question.phase or ("prefill" if generates(module) else "encode")
    if phase not in PHASES:
        raise InvalidInputError(
            f"phase: expected one of {', '.join((*PHASES, 'train'))}, got {shown(phase)}",
            "encode is one pass without a cache.",
        )
    if phase == "decode" and question.seq_len is None and argument_of(module):
        raise InvalidInputError(
            "A decode step needs seq_len: the positions that it attends to, itself the last.",
            "Such as mw.trace(model, 'int64[1,1]', phase='decode', seq_len=2048).",
        )
    if phase != "decode" and question.seq_len is not None and question.cache != "static":
        raise InvalidInputError(
            f"seq_len is {question.seq_len}, but {phase} takes its length from the inputs.",
            "Ask for a decode step: phase='decode' (--phase decode).",
        )
    return phase


def _fill(module: Bare, past: Any, given: Given, lengths: tuple[int, int]) -> tuple[Given, Any]:
    """Fill a cache with all positions but the last ones; return the step's own inputs, and it.

    Of an encoder-decoder the inputs are the source, which is encoded here.
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
    """Return how many tokens a step adds, as its input has them; several check a draft, say."""
    config: Any = module.module.config
    if config.is_encoder_decoder:  # the input is the source
        asked = given[1].get("decoder_input_ids")
        new = 1 if asked is None else int(asked.shape[1])
    else:
        new = lengths_of(given)[1]
    if new > positions:
        raise InvalidInputError(
            f"seq_len is {positions}, but the step alone has {new} tokens.",
            "seq_len counts all positions that the last token attends to, the step's own too.",
        )
    return new


def _named_buffers(cache: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of buffers that a question gives, in place of a kind of cache."""
    if isinstance(cache, str):
        return () if cache in KINDS else (cache,)
    return tuple(cache)


def _unheard(module: Bare, tracer: Tracer, question: TraceRequest) -> list[str]:
    """Say that ``seq_len`` changed nothing, where buffers of a module's own hold the positions."""
    if question.seq_len is None or argument_of(module.module):
        return []
    marked, states = (tracer.arrays.of_role(role) for role in ("kv_cache", "state"))
    buffers = [array for array in marked or states if len(array.shape) > 1]
    sizes = {size for array in buffers for size in array.shape}
    if question.seq_len in sizes:
        return []
    if not buffers:
        return [f"seq_len={question.seq_len} changed nothing: no cache stands in the module."]
    held = ", ".join(dict.fromkeys(f"{array.name} {list(array.shape)}" for array in buffers[:4]))
    note = (
        f"seq_len={question.seq_len} changed nothing: the positions that are attended to are those "
        f"that the buffers hold ({held}). Make the module with a cache of that length."
    )
    return [note if marked else f"{note} {_NAME_THEM}"]


def _mark_returned(tracer: Tracer, out: Any) -> None:
    """Mark what a module returns and reads itself, which would not stay on chip."""
    read = {view.array for event in tracer.events for view, _ in event.reads}
    for leaf in tree_leaves(out):
        array = tracer.arrays.find(leaf) if isinstance(leaf, torch.Tensor) else None
        if array is not None and array in read:
            array.returned = True


def _mark_buffers(tracer: Tracer, patterns: tuple[str, ...]) -> None:
    """Give buffers that hold keys and values their role."""
    buffers = tracer.arrays.of_role("state")
    for pattern in patterns:
        found = [array for array in buffers if fnmatch(array.name, pattern)]
        if not found:
            raise InvalidInputError(
                f"cache: no buffer is called {shown(pattern)}.",
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
            f"It asks for {', '.join(sorted(tracer.asked))} by name; it was traced as if all stood "
            "on one device."
        )
    if any(event.function == GROWN for event in tracer.events):
        notes.append(
            "The cache is copied whole to grow: an artefact of concatenating it, which fused "
            "traffic leaves out."
        )
    return notes
