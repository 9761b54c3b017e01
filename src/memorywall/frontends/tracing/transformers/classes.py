"""Classes of transformers without a built-in family: built from a config, described and tested.

Only transformers' classes are built, found by the config's ``model_type``; code shipped with a
model is never run.
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

_LEFT_OUT = "The vision towers are not traced and count as weights only"


@one_at_a_time()
@quiet()
def read_class(
    config: Mapping[str, Any], where: str, *, by_family: bool = False
) -> TracedClass | None:
    """Return the class of a config; None if transformers has none.

    ``by_family``: a family reads the architecture but does not support the named class.

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
    # A class that cannot be traced on one token is refused before any note is added.
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
        # Without a head it does not generate, but it steps on a cache.
        words["causal"] = bool(argument_of(module))
        heard = getattr(built, "max_source_positions", None) if "input_features" in taken else None
        return TracedSeq2Seq(**words, fixed_source=heard)
    reads = reads_of(type(module))
    if reads != "text":
        return _seer(words, built, reads)
    if getattr(built, "vision_config", None) is not None:
        words["notes"] += (f"{_LEFT_OUT}, and so do the layers that attend to their output.",)
        words["images_left_out"] = True
    return TracedClass(**words)


def _seer(words: dict[str, Any], built: Any, reads: str) -> TracedClass:
    """Return a class that processes images, or its text model if the towers cannot be traced."""
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
    note = f"{_LEFT_OUT}: {reason}"
    return TracedClass(
        **{**words, "notes": (*words["notes"], printable(note, 300)), "images_left_out": True}
    )


@one_at_a_time()
@quiet()
@lru_cache(maxsize=64)
def image_rows(seer: TracedSeer, size: tuple[int, int]) -> int:
    """Return the positions of one image: the rows of its tower's output.

    Raises:
        InvalidInputError: a size other than the config's that is not a multiple of the patches.
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
            f"image_size must be a multiple of {unit}x{unit} pixels for {seer.class_name}, got "
            f"{size[0]}x{size[1]}.",
            f"The model's processor resizes images to multiples of {unit}.",
        )


def _notes(module: Any, model_type: str) -> Iterator[str]:
    class_name = type(module).__name__
    said = (
        "No built-in family reads"
        if family_of(model_type) is None
        else "No built-in family supports this class of"
    )
    yield (
        f"{said} {model_type!r}: transformers' {class_name} is traced instead, version "
        f"{transformers.__version__}."
    )
    if class_name in HEADED and not keeps_last(class_name):
        yield "The head is computed for every position: the class has no option for the last only."


def _assumed(config: Mapping[str, Any]) -> Iterator[str]:
    if config.get("dtype") is None and config.get("torch_dtype") is None:
        yield "The config has no dtype: bf16 is assumed."


def _dtype(config: Mapping[str, Any]) -> str:
    named = config.get("dtype") or config.get("torch_dtype")
    return "bf16" if named is None else find_format(named).name


def _positions(config: Any) -> int | None:
    text = config.get_text_config()
    limit = getattr(text, "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None
