"""Classes of transformers that no family knows: built from a config, described and tried.

Only transformers' own classes are built, found by their config's ``model_type``; code that comes
with a model is never run.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from memorywall.core.errors import InvalidInputError, UnsupportedError, printable
from memorywall.core.formats import find_format
from memorywall.core.images import UNSEEN
from memorywall.core.model import one_token
from memorywall.families import family_of
from memorywall.frontends._bounds import check_built
from memorywall.frontends.traced_class import TracedClass, TracedSeer, TracedSeq2Seq, as_text
from memorywall.frontends.tracing.capture.caches import argument_of
from memorywall.frontends.tracing.capture.meta_device import build
from memorywall.frontends.tracing.capture.trace_lock import one_at_a_time
from memorywall.frontends.tracing.transformers.backbones import check_backbones, check_timm
from memorywall.frontends.tracing.transformers.class_lookup import (
    HEADED,
    built_class,
    built_config,
    check_inputs,
    named_class,
    usual_class,
    whole_config,
)
from memorywall.frontends.tracing.transformers.class_passes import keeps_last, lower_class, maker
from memorywall.frontends.tracing.transformers.hub_kernels import no_hub_kernels
from memorywall.frontends.tracing.transformers.image_inputs import (
    FORMS,
    grid_unit,
    image_size_of,
    looking,
    reads_of,
    rows,
)
from memorywall.frontends.tracing.transformers.value_checks import quiet, unchecked


@one_at_a_time()
@quiet()
def read_class(
    config: Mapping[str, Any], where: str, *, by_family: bool = False
) -> TracedClass | None:
    """Return the class that a config is for; None where transformers has none.

    ``by_family``: a family reads the architecture, and does not cover the class that is named.

    Raises:
        InvalidInputError: it cannot be built from these values.
        UnsupportedError: its class cannot be traced.
    """
    named = named_class(config)
    if config.get("model_type") not in CONFIG_MAPPING_NAMES or (by_family and named is None):
        return None
    check_backbones(config, where)
    check_timm(config, where)
    model_type, text = str(config["model_type"]), as_text(config)
    built = built_config(model_type, text, where)
    whole = whole_config(built, where)
    check_timm(whole, where)
    check_built(whole, where)
    reads_source = bool(getattr(built, "is_encoder_decoder", False))
    class_name = named or usual_class(model_type, reads_source=reads_source)
    if class_name is None:
        return None
    architecture = _described(config, built, class_name, text)
    # What one token cannot be traced of is refused before anything is told of it.
    lower_class(architecture, one_token(architecture))
    return architecture


def _described(config: Mapping[str, Any], built: Any, class_name: str, text: str) -> TracedClass:
    check_inputs(class_name)
    module, model_type = built_class(class_name, built), str(config["model_type"])
    words: dict[str, Any] = {
        "class_name": class_name,
        "model_type": model_type,
        "config": text,
        "causal": bool(module.can_generate()) and bool(argument_of(module)),
        "dtype": _dtype(config),
        "max_positions": _positions(built),
        "notes": (*_notes(module, model_type), *_assumed(config)),
    }
    taken = inspect.signature(module.forward).parameters
    if "decoder_input_ids" in taken:
        # Without a head it generates nothing, and yet steps on a cache.
        words["causal"] = bool(argument_of(module))
        heard = getattr(built, "max_source_positions", None) if "input_features" in taken else None
        return TracedSeq2Seq(**words, fixed_source=heard)
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
            tokens = image_rows(replace(seer, form=form), seer.image_size)
            return replace(seer, form=form, tokens=tokens)
        except (UnsupportedError, InvalidInputError) as error:
            reason = reason or error.message
    note = f"{UNSEEN}: {reason}"
    return TracedClass(**{**words, "notes": (*words["notes"], printable(note, 300))})


@one_at_a_time()
@quiet()
@lru_cache(maxsize=64)
def image_rows(seer: TracedSeer, size: tuple[int, int]) -> int:
    """Return the positions that one image takes: the rows of what its tower returns.

    Raises:
        InvalidInputError: a size, other than the config's, that is cut to no whole patches.
        UnsupportedError: the tower cannot be traced.
    """
    if size != seer.image_size:
        _check_whole(seer, size)
    make = partial(looking, maker(seer), seer.form, 1, size, alone=True)
    with no_hub_kernels(), unchecked():
        module = build(make)
        return rows(module.run(module.tracer(), (), {}))


def _check_whole(seer: TracedSeer, size: tuple[int, int]) -> None:
    unit = grid_unit(built_config(seer.model_type, seer.config, seer.class_name))
    if any(side % unit for side in size):
        raise InvalidInputError(
            f"image_size is {size[0]}x{size[1]}, but {seer.class_name} looks at whole squares of "
            f"{unit}x{unit} pixels.",
            f"Give multiples of {unit}: images are resized to those before they are looked at.",
        )


def _notes(module: Any, model_type: str) -> Iterator[str]:
    class_name = type(module).__name__
    said = "No family reads" if family_of(model_type) is None else "No family covers this class of"
    yield (
        f"{said} {model_type!r}: transformers' {class_name} is traced in its place, "
        f"by version {transformers.__version__}."
    )
    if class_name in HEADED and not keeps_last(class_name):
        yield "Its head is computed for every position: the class cannot be asked for the last."


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
