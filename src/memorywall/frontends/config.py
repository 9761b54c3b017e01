"""Models from configs as transformers writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from memorywall.core.errors import (
    InvalidInputError,
    UncoveredError,
    UnsupportedError,
    near_names,
    printable,
    shown,
)
from memorywall.core.model import Model, Reading, count_parameters
from memorywall.core.storage import Storage, Stored, unread
from memorywall.families import families, family_of
from memorywall.frontends._storage import mean_of_files, storage_of_files
from memorywall.frontends.file_kinds import refuse_other_file
from memorywall.frontends.quantised import read_quantisation, states_quantisation
from memorywall.frontends.traced_class import (
    TRACED_CLASS,
    can_trace,
    look_up_known,
    read_traced,
)
from memorywall.reading.config_values import Config
from memorywall.reading.ignored_keys import is_known
from memorywall.reading.published import as_published, own_code, refuse_changes
from memorywall.reading.watched import Watched

_TRACING = "pip install 'memorywall[measure]'."
LARGEST_CONFIG = 4 * 1024 * 1024
_MOST_LEFT = 5  # keys of unknown effect that a note names

_BY_NORM = {
    "ada_norm_zero": "DiTTransformer2DModel",
    "ada_norm_single": "PixArtTransformer2DModel",
}


def model_from_config(
    config: Mapping[str, Any],
    where: str,
    name: str | None = None,
    stored: Stored | None = None,
    storage: Storage | None = None,
    note: str = "",
) -> Model:
    """Return the model that a config describes.

    Args:
        config: as transformers writes it.
        where: its name in messages.
        name: the model's.
        stored: the tensors of its files, if any.
        storage: the formats of its weights, if the config does not give them.
        note: on the source of the quantisation, if any.
    """
    published = as_published(config, where, _all_types())
    known = published.config
    if known.get("model_type") is None and known.get("architectures") is None:
        refuse_other_file(known, where)
    watched = Watched(known)
    model_type = model_type_of(watched)
    if not isinstance(model_type, str):
        raise InvalidInputError(
            f"{where}: 'model_type' must be a text, got {shown(model_type)}.",
            'A Hugging Face config.json has this key, such as "model_type": "llama".',
        )
    family = family_of(model_type)
    architecture: Any = None
    if family is not None:
        refuse_changes(known, where)
        try:
            architecture = family.read(watched, where)
        except UncoveredError:
            architecture, family = read_traced(known, where, by_family=True), None
            if architecture is None:
                raise
    if family is not None:
        if storage is None:
            storage = _storage_of(Config(watched, where), architecture.dtype, stored)
        if storage is not None and storage.reason and stored is not None:
            parameters = count_parameters(family, architecture)
            storage = mean_of_files(stored, parameters, storage.reason)
    else:
        family, architecture = TRACED_CLASS, architecture or read_traced(known, where)
        if architecture is None:
            raise _unknown(model_type, where)
        look_up_known(watched, architecture)
        storage = storage or _no_storage(known)
    storage = _noted(storage, note)
    said = name or str(config.get("_name_or_path") or model_type)
    reading = watched.reading()
    taken = published.notes or _own_code_note(config, architecture.class_name)
    notes = (*taken, *_left(reading, model_type))
    reading = replace(reading, notes=notes, model_type=model_type)
    return Model(printable(said), family, architecture, dict(config), reading, storage, stored)


def _noted(storage: Storage | None, note: str) -> Storage | None:
    """Return a storage with a note before its own."""
    if storage is None or not note:
        return storage
    return replace(storage, notes=(note, *storage.notes))


def _all_types() -> Iterator[str]:
    """Yield the model types that families read."""
    return (model_type for family in families() for model_type in family.model_types)


def _own_code_note(config: Mapping[str, Any], class_name: str) -> tuple[str, ...]:
    """Note a checkpoint's custom code, unless it is transformers' class before it was taken in.

    Such code has the class's name, in a file that is named as transformers' files are.
    """
    own = own_code(config)
    module, _, named = own.rpartition("--")[2].rpartition(".")
    if not own or (module.startswith("modeling_") and named.casefold() == class_name.casefold()):
        return ()
    return (f"The checkpoint runs its own code, {printable(own)}; it is counted as {class_name}.",)


def _left(reading: Reading, model_type: str) -> tuple[str, ...]:
    """Note the keys that were not read, and whose effect is not known; a null is left out."""
    left = [key for key, value in reading.unused if not is_known(key, value, model_type)]
    if not left:
        return ()
    listed = ", ".join(printable(key, 60) for key in left[:_MOST_LEFT])
    more = f" and {len(left) - _MOST_LEFT} more" if left[_MOST_LEFT:] else ""
    return (f"Keys of the config that are not read, of unknown effect: {listed}{more}.",)


def _unknown(model_type: str, where: str) -> UnsupportedError:
    """Return the error for an architecture unknown to both the families and transformers."""
    known = [known for family in families() for known in family.model_types]
    near = near_names(model_type, known)
    hints = [f"Near names: {', '.join(near)}."] if near else []
    here = can_trace()
    if not here:
        hints.append(f"To trace the class from transformers: {_TRACING}")
    hints.append("To trace custom code: memorywall trace FILE.py:make --input ...;")
    hints.append("'memorywall models' lists the known models.")
    return UnsupportedError(
        f"{where}: the architecture {shown(model_type)} is not known"
        f"{', and transformers has no class for it' if here else ''}; "
        "a similar one is never assumed.",
        " ".join(hints),
    )


def _no_storage(config: Mapping[str, Any]) -> Storage | None:
    """Return a storage that requires a format if the weights of a traced class are quantised."""
    if not states_quantisation(config):
        return None
    return unread("its weights are quantised, and a traced class does not report which of them")


def model_type_of(config: Mapping[str, Any]) -> Any:
    """Return the type of a config: ``model_type``, or diffusers' ``_class_name``.

    diffusers loads old configs of Transformer2DModel as other classes, by ``norm_type``.
    """
    name = config.get("model_type")
    if name is None:
        name = config.get("_class_name")
        if name == "Transformer2DModel":
            norm = config.get("norm_type")
            name = _BY_NORM.get(norm, name) if isinstance(norm, str) else name
    return name


def _storage_of(config: Config, dtype: str, stored: Stored | None) -> Storage | None:
    """Return the formats of weights by the config's quantisation, else by the files."""
    storage = read_quantisation(config, dtype, _layers(config.data))
    config.check()
    if storage is None and stored is not None:
        return storage_of_files(stored, dtype)
    return storage


def _layers(config: Mapping[str, Any]) -> int:
    """Return the number of layers of a config that was read; 0 under another name."""
    within = config.get("text_config")
    for part in (config, within if isinstance(within, Mapping) else {}):
        for key in ("num_hidden_layers", "n_layer", "n_layers", "num_layers"):
            if isinstance(layers := part.get(key), int):
                return layers
    return 0


def parse_config(text: str, where: str) -> dict[str, Any]:
    """Return a config from its text.

    Raises:
        InvalidInputError: the text is not JSON, or not a config.
    """
    try:
        config = json.loads(text)  # with Infinity and NaN, which Python writes
    except RecursionError:
        raise InvalidInputError(f"{where}: the JSON is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise InvalidInputError(
            f"{where} is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno}).",
            "Fix the file, or download it again.",
        ) from None
    except ValueError as error:  # a number with thousands of digits
        raise InvalidInputError(f"{where} is not valid JSON: {str(error)[:120]}.") from None
    if not isinstance(config, dict):
        raise InvalidInputError(
            f"{where}: a config must be a JSON object, got {shown(config)}.",
            'A config.json begins with a brace and has the key "model_type".',
        )
    return config
