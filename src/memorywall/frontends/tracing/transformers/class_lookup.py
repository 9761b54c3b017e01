"""Look up and build transformers' class for a config."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
import transformers
from transformers.models.auto import modeling_auto

from memorywall.core.errors import InvalidInputError, UnsupportedError, printable
from memorywall.frontends.tracing.transformers.hub_kernels import no_hub_kernels

# Order of choice among classes if the config names none.
_SEQ2SEQ = modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
_TASKS = (
    modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    _SEQ2SEQ,
    modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
    modeling_auto.MODEL_MAPPING_NAMES,
)
# Classes with a language model's head.
HEADED = frozenset(name for task in _TASKS[:4] for name in task.values() if isinstance(name, str))


# Inputs in the syntax of the command, of a usual size.
_EXAMPLES = {
    "input_ids": "int64[1,16]", "decoder_input_ids": "int64[1,1]",
    "pixel_values": "float32[1,3,224,224]", "input_values": "float32[1,16000]",
    "input_features": "float32[1,80,3000]", "past_values": "float32[1,512,1]",
    "grid_thw": "int64[1,3]",
}  # fmt: skip


def named_class(config: Mapping[str, Any]) -> str | None:
    """Return the class that the config names, if transformers has it for the type."""
    named = config.get("architectures")
    for name in named if isinstance(named, list) else ():
        found = getattr(transformers, name, None) if isinstance(name, str) else None
        own = getattr(getattr(found, "config_class", None), "model_type", None)
        if own == config.get("model_type") and isinstance(found, type):
            return str(name)
    return None


def usual_class(model_type: str, *, reads_source: bool) -> str | None:
    """Return the first class of a type, task by task."""
    for task in (_SEQ2SEQ, *_TASKS) if reads_source else _TASKS:
        names = task.get(model_type, ())
        if names:
            return names if isinstance(names, str) else str(names[0])
    return None


@lru_cache(maxsize=64)
def built_config(model_type: str, text: str, where: str) -> Any:
    """Return transformers' config of a type with the keys in a JSON text; ``where`` names it.

    Raises:
        InvalidInputError: the config class refuses them.
    """
    words = json.loads(text)
    words.pop("model_type", None)
    try:
        return transformers.AutoConfig.for_model(model_type, **words)
    except Exception as error:
        raise InvalidInputError(
            f"{where}: transformers cannot build its config: {_said(error)}"
        ) from error


def whole_config(built: Any, where: str) -> dict[str, Any]:
    """Return all keys of a config of transformers, including defaults and nested configs.

    Raises:
        InvalidInputError: its values cannot be serialised.
    """
    try:
        whole: dict[str, Any] = built.to_dict()
    except Exception as error:
        raise InvalidInputError(
            f"{where}: transformers cannot serialise its config: {_said(error)}"
        ) from error
    return whole


def built_class(class_name: str, config: Any) -> Any:
    """Return a class of transformers without its weights.

    Raises:
        UnsupportedError: it cannot be built from the config, or requires a missing library.
    """
    try:
        with torch.device("meta"), no_hub_kernels():
            return getattr(transformers, class_name)(config)
    except ImportError as error:
        library = _library(error)
        raise UnsupportedError(
            f"transformers' {class_name} requires {library}, which is not installed.",
            f"Install it: pip install {library}",
        ) from error
    except Exception as error:
        raise UnsupportedError(
            f"transformers cannot build {class_name} from this config: {_said(error)}",
            "Check its keys against transformers' documentation of the class.",
        ) from error


def _library(error: ImportError) -> str:
    """Return the name of the missing library from the message of transformers, or of Python."""
    found = re.search(r"pip install (?:-U )?([\w.-]*\w)", str(error))
    return found[1] if found else printable(error.name or "a library", 60)


def _said(error: Exception) -> str:
    """Return an error of another library as one line."""
    return printable(" ".join(f"{type(error).__name__}: {error}".split()), 300)


def check_inputs(name: str) -> None:
    """Refuse a class that requires more than a text or an image.

    Raises:
        UnsupportedError: with the inputs of the class, and the command that traces it.
    """
    try:
        found = getattr(transformers, name)
        taken = inspect.signature(found.forward).parameters
    except (ImportError, AttributeError):  # the missing library is reported when it is built
        return
    if found.forward is torch.nn.Module.forward:
        raise _of_parts(name, found)
    needed = _inputs_beyond(taken)
    if not needed:
        return
    words = " ".join(f"--input {one}='{_example(one)}'" for one in needed)
    raise UnsupportedError(
        f"transformers' {name} cannot be traced from a config. It requires {' and '.join(needed)}; "
        "only a text (input_ids) or an image (pixel_values) is supported.",
        f"Trace it with explicit inputs: memorywall trace FILE.py:make {words}, where make "
        f"returns transformers' {name}.",
    )


def _of_parts(name: str, found: Any) -> UnsupportedError:
    """Return the error for a class that only generates, with several models in turn."""
    parts = ", ".join(getattr(found.config_class, "sub_configs", ())) or "its parts' configs"
    return UnsupportedError(
        f"transformers' {name} has no forward pass: it consists of several models that generate in "
        "turn.",
        f"Pass the config of one of them, a value of the config.json: {parts}.",
    )


def _example(name: str) -> str:
    usual = _EXAMPLES["input_ids"] if name.endswith("_ids") else "float32[1,512]"
    return _EXAMPLES.get(name, usual)


def _inputs_beyond(taken: Mapping[str, inspect.Parameter]) -> list[str]:
    """Return the inputs of a class if some are neither a text nor an image; else none."""
    named = [name for name, one in taken.items() if one.kind == one.POSITIONAL_OR_KEYWORD][1:]
    needed = [name for name in named if taken[name].default is inspect.Parameter.empty]
    main = "input_ids" if "input_ids" in taken else "pixel_values"
    given = {main, "decoder_input_ids", "image_sizes"}
    if "decoder_input_ids" in taken and "input_features" in taken:
        given.add("input_features")  # of speech models
    reads = given - {"decoder_input_ids", "image_sizes"}
    if not named or (reads & {*taken} and {*needed} <= given):
        return []
    texts = [name for name in ("input_ids", "decoder_input_ids") if name in taken]
    return list(dict.fromkeys([*(needed or named[:1]), *texts]))
