"""Models from Hugging Face configs: a dict, a file or its folder, the catalogue, the hub."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from memorywall.catalog.configs import config_names, find_config
from memorywall.core.errors import (
    InvalidInputError,
    MemoryWallError,
    MissingDependencyError,
    UnknownNameError,
    UnsupportedError,
    near_names,
    printable,
    shown,
)
from memorywall.core.files import read_text, user_path
from memorywall.core.model import Model
from memorywall.families import families, family_of

_LARGEST_FILE = 4 * 1024 * 1024
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}")


def load_model(source: str | os.PathLike[str] | Mapping[str, Any] | Model) -> Model:
    """Return a model from the first of these that applies; a model is returned as it is.

    1. a mapping: the config itself; or the path of a ``config.json`` or of its folder;
    2. a hub id of the built-in catalogue (the part after the slash is enough, case ignored);
    3. a hub id ``owner/name``, fetched through huggingface_hub and its cache.

    Raises:
        InvalidInputError: the file or the config has faults; all of them are named.
        UnknownNameError: neither a path nor a name that is known.
        UnsupportedError: an architecture that no family reads.
        MissingDependencyError: it would be fetched from the hub, and huggingface_hub is missing.
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
    path = _existing_path(source)
    if path is not None:
        return _from_path(path)
    return _from_name(source)


def model_from_config(config: Mapping[str, Any], where: str, name: str | None = None) -> Model:
    """Return the model that a config describes; ``where`` names it in messages."""
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise InvalidInputError(
            f"{where}: 'model_type' must be a text, got {shown(model_type)}.",
            'A Hugging Face config.json has one, such as "model_type": "llama".',
        )
    family = family_of(model_type)
    if family is None:
        known = [known for family in families() for known in family.model_types]
        near = near_names(model_type, known)
        offer = f"Near names: {', '.join(near)}. " if near else ""
        raise UnsupportedError(
            f"{where}: the architecture {shown(model_type)} is not known; "
            "it is not guessed at, since a wrong guess would mislead.",
            f"{offer}Known: {', '.join(sorted(known))}.",
        )
    architecture = family.read(config, where)
    said = name or str(config.get("_name_or_path") or model_type)
    return Model(printable(said), family, architecture, dict(config))


def _existing_path(source: str) -> Path | None:
    """Return the source as a path where it is written as one, or is a file or a model's folder.

    A folder without a config.json does not hide the catalogue's model of the same name.
    """
    path = user_path(source)
    if (
        source.endswith((".json", "/"))
        or source.startswith((".", "/", "~"))
        or source.count("/") > 1
    ):
        return path
    try:
        if not os.path.lexists(source):
            return None
        known = find_config(source) is not None
        found = path.is_file() or not known or (path / "config.json").exists()
    except (OSError, ValueError):  # no name of a file at all
        return None
    return path if found else None


def _from_path(path: Path) -> Model:
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError):
        is_folder = False
    if is_folder:
        folder = path
        path = folder / "config.json"
        try:
            missing = not path.exists()
        except OSError:
            missing = False
        if missing:
            raise InvalidInputError(
                f"The folder {folder} has no config.json.",
                "Give a model's folder, its config.json, or a name: memorywall models.",
            )
    text = read_text(path, _LARGEST_FILE, "a config.json")
    config = _parse(text, str(path))
    name = path.resolve().parent.name if path.name == "config.json" else path.stem
    return model_from_config(config, str(path), name)


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        config = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidInputError(f"{where}: the JSON is nested too deeply for a config.") from None
    except json.JSONDecodeError as error:
        raise InvalidInputError(
            f"{where} is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno}).",
            "Mend the file, or fetch it anew.",
        ) from None
    except ValueError as error:  # a number of thousands of digits, or NaN
        raise InvalidInputError(f"{where} is not valid JSON: {str(error)[:120]}.") from None
    if not isinstance(config, dict):
        raise InvalidInputError(
            f"{where}: a config is a JSON object, got {shown(config)}.",
            'A config.json begins with a brace and has the key "model_type".',
        )
    return config


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


@lru_cache(maxsize=256)
def _from_name(name: str) -> Model:
    entry = find_config(name)
    if entry is not None:
        return model_from_config(entry.config, entry.id, entry.id)
    if _HUB_ID.fullmatch(name):
        return _from_hub(name)
    raise UnknownNameError(
        "model", name, config_names(),
        "All models: memorywall models. A path needs a config.json; a hub id is owner/name.",
    )  # fmt: skip


def _from_hub(name: str) -> Model:
    """Read a model's config.json from the hub's cache, or fetch it; nothing else is fetched."""
    near = near_names(name.rpartition("/")[2], config_names()) or near_names(name, config_names())
    offer = f" In the catalogue: {', '.join(near)}." if near else ""
    try:
        from huggingface_hub import hf_hub_download  # noqa: PLC0415 - an extra
        from huggingface_hub.errors import (  # noqa: PLC0415
            EntryNotFoundError,
            GatedRepoError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
    except ImportError:
        raise MissingDependencyError(
            "huggingface_hub", "hub", f"{name}, which is no path and not in the catalogue,", offer
        ) from None
    try:
        path = hf_hub_download(name, "config.json")
    except GatedRepoError:
        raise MemoryWallError(
            f"{name} is gated on the hub.",
            f"Accept its terms there, then: hf auth login.{offer}",
        ) from None
    except LocalEntryNotFoundError:
        raise MemoryWallError(
            f"{name} is not in the catalogue or the hub's cache, and the hub cannot be reached.",
            f"Go online, or give the path of its config.json.{offer}",
        ) from None
    except RepositoryNotFoundError:
        raise UnknownNameError(
            "model", name, config_names(), "The hub has none of that id."
        ) from None
    except EntryNotFoundError:
        raise InvalidInputError(
            f"{name}: the repository has no config.json.", offer.strip()
        ) from None
    except Exception as error:  # whatever else a network does is a network's fault, said plainly
        raise MemoryWallError(
            f"{name} could not be fetched from the hub: {type(error).__name__}.",
            f"Go online, or give the path of its config.json.{offer}",
        ) from error
    text = read_text(Path(path), _LARGEST_FILE, "a config.json")
    return model_from_config(_parse(text, f"{name}/config.json"), name, name)
