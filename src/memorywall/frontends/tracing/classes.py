"""Classes of transformers that no family knows: built from a config, and traced pass by pass.

Only transformers' own classes are built, found by their config's ``model_type``; code that comes
with a model is never run.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
import transformers
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from memorywall.core.errors import InvalidInputError, UnsupportedError, printable
from memorywall.core.formats import Format, find_format
from memorywall.core.forward import Forward
from memorywall.core.images import UNSEEN
from memorywall.core.model import one_token
from memorywall.core.numbers import Number
from memorywall.core.program import Program
from memorywall.core.tensors import Role
from memorywall.families import family_of
from memorywall.frontends.traced_class import TracedClass, TracedSeer, TracedSeq2Seq, as_text
from memorywall.frontends.tracing.backbones import check_backbones
from memorywall.frontends.tracing.bare import build
from memorywall.frontends.tracing.caches import argument_of
from memorywall.frontends.tracing.growth import between
from memorywall.frontends.tracing.hubs import no_hub_kernels
from memorywall.frontends.tracing.inputs import Question
from memorywall.frontends.tracing.looks import (
    FORMS,
    comparing,
    image_size_of,
    looking,
    reads_of,
    rows,
)
from memorywall.frontends.tracing.module import trace_module
from memorywall.frontends.tracing.recast import in_formats

# Classes in the order in which one is chosen where the config names none.
_SEQ2SEQ = modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
_TASKS = (
    modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    _SEQ2SEQ,
    modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
    modeling_auto.MODEL_MAPPING_NAMES,
)
# Those that have a language model's head.
_HEADED = frozenset(name for task in _TASKS[:4] for name in task.values() if isinstance(name, str))
_TRACED_IN = ("fp32", "bf16", "fp16")  # formats that a class runs in
_SOURCES = ("input_ids", "input_features")  # what an encoder reads
_SINGLE = find_format("fp32")
# What PyTorch says where a class makes arrays of single precision, whatever its weights are in.
_MIXED = re.compile(
    "scalar type|same dtype|dtypes? to be|dtype.*(match|equal)|expected.*Float|Unsupported dtype",
    re.IGNORECASE,
)


def read_class(
    config: Mapping[str, Any], where: str, *, by_family: bool = False
) -> TracedClass | None:
    """Return the class that a config is for; None where transformers has none.

    ``by_family``: a family reads the architecture, and does not cover the class that is named.

    Raises:
        InvalidInputError: it cannot be built from these values.
        UnsupportedError: its class cannot be traced.
    """
    transformers.logging.set_verbosity_error()
    named = _named_class(config)
    if config.get("model_type") not in CONFIG_MAPPING_NAMES or (by_family and named is None):
        return None
    check_backbones(config, where)
    model_type, text = str(config["model_type"]), as_text(config)
    built = _built_config(model_type, text, where)
    reads_source = bool(getattr(built, "is_encoder_decoder", False))
    class_name = named or _usual_class(model_type, reads_source=reads_source)
    if class_name is None:
        return None
    architecture = _described(config, built, class_name, text)
    # What one token cannot be traced of is refused before anything is told of it.
    lower_class(architecture, one_token(architecture))
    return architecture


def _described(config: Mapping[str, Any], built: Any, class_name: str, text: str) -> TracedClass:
    module, model_type = _build(class_name, built), str(config["model_type"])
    words: dict[str, Any] = {
        "class_name": class_name,
        "model_type": model_type,
        "config": text,
        "causal": bool(module.can_generate()) and bool(argument_of(module)),
        "dtype": _dtype(config),
        "max_positions": _positions(built),
        "notes": (*_notes(module, model_type), *_assumed(config)),
    }
    if "decoder_input_ids" in inspect.signature(module.forward).parameters:
        # Without a head it generates nothing, and yet steps on a cache.
        return TracedSeq2Seq(**{**words, "causal": bool(argument_of(module))})
    reads = reads_of(type(module))
    if reads != "text":
        return _seer(words, built, reads)
    if getattr(built, "vision_config", None) is not None:
        words["notes"] += (f"{UNSEEN}, and so do layers that look at what that sees.",)
    return TracedClass(**words)


def _seer(words: dict[str, Any], built: Any, reads: str) -> TracedClass:
    """Return one that looks at images, or its text alone where its towers cannot be traced."""
    seer = TracedSeer(**words, reads=reads, image_size=image_size_of(built))
    if reads == "images":
        return replace(seer, causal=False)
    reason = ""
    for form in FORMS:
        try:
            return replace(seer, form=form, tokens=_image_rows(replace(seer, form=form)))
        except (UnsupportedError, InvalidInputError) as error:
            reason = reason or error.message
    note = f"{UNSEEN}: {reason}"
    return TracedClass(**{**words, "notes": (*words["notes"], printable(note, 300))})


def _image_rows(seer: TracedSeer) -> int:
    """Return the positions that one image takes: the rows of what its tower returns."""
    make = partial(looking, _maker(seer), seer.form, 1, seer.image_size, alone=True)
    with no_hub_kernels():
        module = build(make)
        return rows(module.run(module.tracer(), (), {}))


def _notes(module: Any, model_type: str) -> Iterator[str]:
    class_name = type(module).__name__
    said = "No family reads" if family_of(model_type) is None else "No family covers this class of"
    yield (
        f"{said} {model_type!r}: transformers' {class_name} is traced in its place, "
        f"by version {transformers.__version__}."
    )
    if class_name in _HEADED and not keeps_last(class_name):
        yield "Its head is computed for every position: the class cannot be asked for the last."


def _named_class(config: Mapping[str, Any]) -> str | None:
    """Return the class that the config names, if it is one of transformers' own for its type."""
    named = config.get("architectures")
    for name in named if isinstance(named, list) else ():
        found = getattr(transformers, name, None) if isinstance(name, str) else None
        own = getattr(getattr(found, "config_class", None), "model_type", None)
        if own == config.get("model_type") and isinstance(found, type):
            return str(name)
    return None


def _usual_class(model_type: str, *, reads_source: bool) -> str | None:
    """Return the first class of a type, task by task."""
    for task in (_SEQ2SEQ, *_TASKS) if reads_source else _TASKS:
        names = task.get(model_type, ())
        if names:
            return names if isinstance(names, str) else str(names[0])
    return None


@lru_cache(maxsize=64)
def _built_config(model_type: str, text: str, where: str) -> Any:
    words = json.loads(text)
    words.pop("model_type", None)
    try:
        return transformers.AutoConfig.for_model(model_type, **words)
    except Exception as error:
        raise InvalidInputError(
            f"{where}: transformers makes no config of it: {_said(error)}"
        ) from error


def _build(class_name: str, config: Any) -> Any:
    class_ = getattr(transformers, class_name)
    try:
        with torch.device("meta"), no_hub_kernels():
            return class_(config)
    except ImportError as error:
        library = _library(error)
        raise UnsupportedError(
            f"transformers' {class_name} needs {library}, which is not installed.",
            f"Install it: pip install {library}",
        ) from error
    except Exception as error:
        raise UnsupportedError(
            f"transformers' {class_name} is not built from this config: {_said(error)}",
            "Check its keys against transformers' documentation of the class.",
        ) from error


def _library(error: ImportError) -> str:
    """Return the name of what is to be installed, as transformers says it, or Python."""
    found = re.search(r"pip install (?:-U )?([\w.-]*\w)", str(error))
    return found[1] if found else printable(error.name or "a library", 60)


def _said(error: Exception) -> str:
    """Return an error of others as one line."""
    return printable(" ".join(f"{type(error).__name__}: {error}".split()), 300)


def _assumed(config: Mapping[str, Any]) -> Iterator[str]:
    if config.get("dtype") is None and config.get("torch_dtype") is None:
        yield "The config names no dtype: bf16 is assumed."


def _dtype(config: Mapping[str, Any]) -> str:
    named = config.get("dtype") or config.get("torch_dtype")
    return "bf16" if named is None else find_format(named).name


def _positions(config: Any) -> int | None:
    text = config.get_text_config()
    limit = getattr(text, "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None


@dataclass(frozen=True, slots=True)
class _Pass:
    """A forward pass in whole numbers: what a trace is kept by."""

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


def lower_class(architecture: TracedClass, forward: Forward) -> Program:
    """Return the operators of one forward pass, unfused, in the formats that it asks for.

    Of decode steps in a row three are traced, see ``growth``.

    Raises:
        UnsupportedError: a pass that cannot be traced, or arrays of anything but the positions of
            decode steps.
    """
    if forward.logits == "none":
        raise UnsupportedError(
            f"{architecture.class_name} is traced with its head.", "Ask for logits last or all."
        )
    asked = forward.activations.name
    one = partial(_pass_of, forward=forward, dtype=asked if asked in _TRACED_IN else "bf16")
    past = forward.past
    if isinstance(past, np.ndarray):
        program = between(past, lambda position: _program(architecture, one(position)))
    else:
        program = _program(architecture, one(_whole(past, "seq_len")))
    wanted: dict[Role, Format] = {
        "weight": forward.weights,
        "kv_cache": forward.kv_cache,
        "activation": forward.activations,
    }
    return in_formats(program, find_format(one(0).dtype), wanted)


def _pass_of(past: int, forward: Forward, dtype: str) -> _Pass:
    return _Pass(
        _whole(forward.batch, "batch_size"), _whole(forward.tokens, "seq_len"), past,
        _whole(forward.source, "source_len"), forward.stacks, _whole(forward.images, "images"),
        forward.image_size, dtype, forward.full, forward.logits,
    )  # fmt: skip


def _whole(number: Number, name: str) -> int:
    if isinstance(number, int):
        return number
    raise UnsupportedError(
        f"{name} is an array, but a class that is traced answers one question at a time.",
        f"Give one {name}.",
    )


def _maker(architecture: TracedClass) -> Callable[[], Any]:
    config = _built_config(architecture.model_type, architecture.config, architecture.class_name)
    return partial(_loaded, getattr(transformers, architecture.class_name), config)


def _loaded(class_: Any, config: Any) -> Any:
    """Return a module as loading leaves it: all weights in one format, whatever made them."""
    module = class_(config)
    for parameter in module.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(torch.get_default_dtype())
    return module


@lru_cache(maxsize=64)
def _program(architecture: TracedClass, one: _Pass) -> Program:
    """Trace a pass; a class that runs in single precision alone, in that, as if in the other."""
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
    """Return what to do about a class that takes other inputs: its code is not the user's."""
    return (
        "Trace it with inputs of your own: memorywall trace FILE.py:make --input ..., where "
        f"make returns transformers' {architecture.class_name}."
    )


def _trace(architecture: TracedClass, one: _Pass) -> Program:
    make, inputs = _maker(architecture), _texts(architecture, one)
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
    question = Question((), inputs, phase, seq_len, "dynamic", one.dtype, one.full)
    with no_hub_kernels():
        return trace_module(make, question).program


def _encoding(make: Callable[[], Any]) -> Any:
    """Return an encoder-decoder that runs its encoder and nothing else."""
    module = make()
    encoder = module.get_encoder()

    @functools.wraps(module.forward)
    def encode(**words: Any) -> Any:
        return encoder(next(words[name] for name in _SOURCES if name in words))

    module.forward = encode
    return module


def _texts(architecture: TracedClass, one: _Pass) -> dict[str, Any]:
    """Return the texts that a pass reads, and of which rows it makes logits."""
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
    """Return a text, or of what listens two frames for every position."""
    taken = inspect.signature(getattr(transformers, architecture.class_name).forward).parameters
    if "input_features" not in taken:
        return {"input_ids": f"int64[{one.batch},{one.source}]"}
    bins = json.loads(architecture.config).get("num_mel_bins", 80)
    return {"input_features": f"{one.dtype}[{one.batch},{bins},{2 * one.source}]"}


def keeps_last(class_name: str) -> bool:
    """Tell whether a class can be asked for the logits of the last position alone."""
    taken = inspect.signature(getattr(transformers, class_name).forward).parameters
    return "logits_to_keep" in taken
