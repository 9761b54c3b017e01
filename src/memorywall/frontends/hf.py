"""Models from a dict, a file or its folder, the catalogue, or the hub."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from memorywall.catalog.configs import find_config, known_names
from memorywall.core.errors import InvalidInputError, UnknownNameError, shown
from memorywall.core.files import read_text, user_path
from memorywall.core.model import Model
from memorywall.core.storage import Stored
from memorywall.frontends._gguf_model import model_from_gguf
from memorywall.frontends._side_files import beside, with_side_file
from memorywall.frontends._tensors import totals
from memorywall.frontends.config import LARGEST_CONFIG, model_from_config, parse_config
from memorywall.frontends.file_kinds import refuse_other_file
from memorywall.frontends.hub import model_from_hub
from memorywall.frontends.pipeline import INDEX as PIPELINE
from memorywall.frontends.pipeline import model_from_pipeline
from memorywall.frontends.shards import INDEX, read_safetensors

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}")


def load_model(source: str | os.PathLike[str] | Mapping[str, Any] | Model) -> Model:
    """Return a model from the first of these that applies; a model is returned as it is.

    1. a mapping: the config itself;
    2. a hub id of the built-in catalogue (the part after the slash is enough, case ignored);
    3. the path of a ``config.json``, of its folder, of a safetensors file beside it, or of a GGUF
       file; only headers of weight files are read. A path begins with ``.``, ``/`` or ``~`` where
       the catalogue has a model of its name;
    4. a hub id ``owner/name``, fetched through huggingface_hub and its cache.

    Raises:
        InvalidInputError: the file or the config has faults; the message lists all.
        UnknownNameError: neither a path nor a known name.
        UnsupportedError: an architecture without a built-in family.
        MissingDependencyError: fetching from the hub requires huggingface_hub.
    """
    if isinstance(source, Model):
        return source
    if isinstance(source, Mapping):
        return model_from_config(source, "config")
    if isinstance(source, os.PathLike):
        return _from_path(Path(source))
    if not isinstance(source, str):
        raise InvalidInputError(
            f"a model must be a name, a path or a config, got {shown(source)}", "Try 'gpt2'."
        )
    path = None if _in_catalogue(source) else _named_path(source)
    return _from_name(source) if path is None else _from_path(path)


def _named_path(source: str) -> Path | None:
    """Return the source as a path where it is written as one, or names a file."""
    if (
        source.startswith((".", "/", "~"))
        or source.endswith((".json", ".safetensors", ".gguf", "/"))
        or source.count("/") > 1
    ):
        return user_path(source)
    try:
        return user_path(source) if os.path.lexists(source) else None
    except (OSError, ValueError):  # not a valid file name
        return None


@lru_cache(maxsize=256)
def _in_catalogue(name: str) -> bool:
    """Whether the catalogue has a model of this name; it comes before a folder of the name."""
    written_as_path = name.endswith((".json", ".safetensors", ".gguf", "/")) or name[:1] in "./~"
    return not written_as_path and find_config(name) is not None


def _from_path(path: Path) -> Model:
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError):
        is_folder = False
    if path.suffix == ".gguf" and not is_folder:
        return model_from_gguf(path)
    files = path if is_folder or path.suffix == ".safetensors" else None
    if files is not None:
        folder = path if is_folder else path.parent
        path = folder / "config.json"
        try:
            missing = not path.exists()
        except OSError:
            missing = False
        if missing and (folder / PIPELINE).is_file():
            return model_from_pipeline(folder, _stored)
        if missing:
            _refuse_other_files(folder)
            raise InvalidInputError(
                f"The folder {folder} has no config.json.",
                "Pass a model's folder, its config.json, or a name: memorywall models.",
            )
    text = read_text(path, LARGEST_CONFIG, "a config.json")
    config, note = with_side_file(parse_config(text, str(path)), beside(path))
    name = path.resolve().parent.name if path.name == "config.json" else path.stem
    stored = None if files is None else _stored(files)
    return model_from_config(config, str(path), name, stored, note=note)


def _refuse_other_files(folder: Path) -> None:
    """Refuse a folder without a config.json by the file that it has in its place."""
    for name in ("adapter_config.json", "params.json"):
        if (folder / name).is_file():
            text = read_text(folder / name, LARGEST_CONFIG, "a JSON file")
            refuse_other_file(parse_config(text, str(folder / name)), str(folder / name))


def _stored(path: Path) -> Stored | None:
    """Return the tensors of the safetensors files of a folder, or of one; None without any."""
    if path.is_dir() and not any(path.glob("*.safetensors")) and not (path / INDEX).exists():
        return None
    tensors, files = read_safetensors(path)
    return totals(tensors, files)


@lru_cache(maxsize=256)
def _from_name(name: str) -> Model:
    entry = find_config(name)
    if entry is not None:
        model = model_from_config(entry.config, entry.id, entry.id)
        notes = (entry.note, *model.reading.notes) if entry.note else model.reading.notes
        reading = replace(model.reading, notes=notes)
        return replace(model, reading=reading, text_part=entry.text_part)
    if _HUB_ID.fullmatch(name):
        return model_from_hub(name)
    raise UnknownNameError(
        "model", name, known_names(),
        "All models: memorywall models. A path requires a config.json; a hub id is owner/name.",
    )  # fmt: skip
