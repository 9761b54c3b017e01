"""Passes of transformers' classes, traced on demand."""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import torch
import transformers

from memorywall.core.errors import UnsupportedError
from memorywall.core.formats import Format, find_format
from memorywall.core.forward import Forward
from memorywall.core.program import Program
from memorywall.core.tensors import Role
from memorywall.frontends.traced_class import TracedClass, TracedSeer, TracedSeq2Seq
from memorywall.frontends.tracing.capture.inputs import TraceRequest
from memorywall.frontends.tracing.capture.trace_lock import one_at_a_time
from memorywall.frontends.tracing.fold.grid_points import at_points
from memorywall.frontends.tracing.forward_trace import trace_module
from memorywall.frontends.tracing.transformers.class_lookup import built_config
from memorywall.frontends.tracing.transformers.hub_kernels import no_hub_kernels
from memorywall.frontends.tracing.transformers.image_inputs import comparing, looking
from memorywall.frontends.tracing.transformers.recast import in_formats
from memorywall.frontends.tracing.transformers.value_checks import quiet, unchecked

_VARYING = ("batch", "tokens", "past", "source", "images")
_TRACED_IN = ("fp32", "bf16", "fp16")  # formats that a class runs in
_SOURCES = ("input_ids", "input_features")  # the input of an encoder
_SINGLE = find_format("fp32")
# PyTorch's messages if a class makes arrays of single precision regardless of its weights.
_MIXED = re.compile(
    "scalar type|same dtype|dtypes? to be|dtype.*(match|equal)|expected.*Float|Unsupported dtype",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Pass:
    """A forward pass in whole numbers: the key of a stored trace."""

    batch: int
    tokens: int
    past: int
    source: int
    stacks: str
    images: int
    image_size: tuple[int, int]
    dtype: str
    full: bool
    logits: str

    @property
    def decodes(self) -> bool:
        """Whether it is a decode step."""
        return self.past > 0 or self.stacks == "decoder"


@one_at_a_time()
@quiet()
def lower_class(architecture: TracedClass, forward: Forward) -> Program:
    """Return the operators of one forward pass, unfused, in the requested formats.

    Each batch, length and number of images is traced; of many positions of decode steps only three,
    see ``decode_growth``.

    Raises:
        UnsupportedError: a pass cannot be traced, or there are too many.
    """
    if forward.logits == "none":
        raise UnsupportedError(
            f"logits='none' conflicts with {architecture.class_name}, which is traced with its "
            "head.",
            "Use logits 'last' or 'all'.",
        )
    dtype = forward.activations.name if forward.activations.name in _TRACED_IN else "bf16"
    numbers = {name: getattr(forward, name) for name in _VARYING}

    def trace(**words: int) -> Program:
        one = _Pass(
            **words, stacks=forward.stacks, image_size=forward.image_size, dtype=dtype,
            full=forward.full, logits=forward.logits,
        )  # fmt: skip
        return _program(architecture, one)

    wanted: dict[Role, Format] = {
        "weight": forward.weights,
        "kv_cache": forward.kv_cache,
        "activation": forward.activations,
    }
    return in_formats(at_points(numbers, trace), find_format(dtype), wanted, forward.linear)


def maker(architecture: TracedClass) -> Callable[[], Any]:
    """Return the factory of the module of a class."""
    config = built_config(architecture.model_type, architecture.config, architecture.class_name)
    return partial(_loaded, getattr(transformers, architecture.class_name), config)


def _loaded(class_: Any, config: Any) -> Any:
    """Return a module as after loading: all weights in one format."""
    module = class_(config)
    for parameter in module.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(torch.get_default_dtype())
    return module


@lru_cache(maxsize=64)
def _program(architecture: TracedClass, one: _Pass) -> Program:
    """Trace a pass; a class that runs in single precision only is traced in it and recast."""
    try:
        return _trace(architecture, one)
    except UnsupportedError as error:
        if one.dtype == _SINGLE.name or not _MIXED.search(error.message):
            raise UnsupportedError(error.message, _own_inputs(architecture)) from error
    try:
        program = _trace(architecture, replace(one, dtype=_SINGLE.name))
    except UnsupportedError as error:
        raise UnsupportedError(error.message, _own_inputs(architecture)) from error
    asked = find_format(one.dtype)
    return in_formats(program, _SINGLE, {"weight": asked, "kv_cache": asked, "activation": asked})


def _own_inputs(architecture: TracedClass) -> str:
    """Return the hint for a class with other inputs: its code is not the user's."""
    return (
        "Trace it with explicit inputs: memorywall trace FILE.py:make --input ..., where "
        f"make returns transformers' {architecture.class_name}."
    )


def _trace(architecture: TracedClass, one: _Pass) -> Program:
    make, inputs = maker(architecture), _texts(architecture, one)
    steps = architecture.causal and one.decodes
    phase = "decode" if steps else "prefill" if architecture.causal else "encode"
    if isinstance(architecture, TracedSeer) and one.stacks != "decoder" and one.images:
        pairs = architecture.reads_text and not architecture.causal
        alone = not pairs and (one.stacks == "encoder" or not architecture.reads_text)
        look = comparing if pairs else partial(looking, alone=alone)
        count = one.batch * one.images
        make = partial(look, make, architecture.form, count, one.image_size)
        if alone:
            inputs, phase = {}, "encode"
    if isinstance(architecture, TracedSeq2Seq) and one.stacks == "encoder":
        make, phase = partial(_encoding, make), "encode"
    seq_len = one.past + one.tokens if steps else None
    question = TraceRequest((), inputs, phase, seq_len, "dynamic", one.dtype, one.full)
    with no_hub_kernels(), unchecked():
        return trace_module(make, question).program


def _encoding(make: Callable[[], Any]) -> Any:
    """Return an encoder-decoder that runs its encoder only."""
    module = make()
    encoder = module.get_encoder()

    @functools.wraps(module.forward)
    def encode(**words: Any) -> Any:
        return encoder(next(words[name] for name in _SOURCES if name in words))

    module.forward = encode
    return module


def _texts(architecture: TracedClass, one: _Pass) -> dict[str, Any]:
    """Return the texts that a pass reads, and the rows of its logits."""
    batch, tokens = one.batch, one.tokens
    if architecture.reads == "images":
        return {}
    inputs: dict[str, Any] = {"input_ids": f"int64[{batch},{tokens}]"}
    if isinstance(architecture, TracedSeq2Seq):
        inputs = _source(architecture, one)
        if one.stacks == "both":
            inputs["decoder_input_ids"] = f"int64[{batch},{tokens}]"
    if one.logits == "last" and keeps_last(architecture.class_name) and not one.decodes:
        inputs["logits_to_keep"] = 1
    return inputs


def _source(architecture: TracedClass, one: _Pass) -> dict[str, Any]:
    """Return a text, or for a speech model two frames per position."""
    taken = inspect.signature(getattr(transformers, architecture.class_name).forward).parameters
    if "input_features" not in taken:
        return {"input_ids": f"int64[{one.batch},{one.source}]"}
    bins = json.loads(architecture.config).get("num_mel_bins", 80)
    return {"input_features": f"{one.dtype}[{one.batch},{bins},{2 * one.source}]"}


def keeps_last(class_name: str) -> bool:
    """Return whether a class can compute the logits of the last position only."""
    taken = inspect.signature(getattr(transformers, class_name).forward).parameters
    return "logits_to_keep" in taken
