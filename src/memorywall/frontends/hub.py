"""A hub's repository: its config, and on request the headers of its files, by ranges."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from memorywall.catalog.configs import known_names
from memorywall.core.errors import (
    InvalidInputError,
    MemoryWallError,
    MissingDependencyError,
    UnknownNameError,
    near_names,
)
from memorywall.core.files import read_text
from memorywall.core.model import Model
from memorywall.core.storage import Stored
from memorywall.frontends._side_files import SIDE_FILES, with_side_file
from memorywall.frontends._source import RemoteSource
from memorywall.frontends._tensors import totals
from memorywall.frontends.config import LARGEST_CONFIG, model_from_config, parse_config
from memorywall.frontends.shards import read_hub

# Seconds for the first answer of the hub, of each of the two attempts that its library makes.
_PATIENCE_S = 1.5


def model_from_hub(name: str) -> Model:
    """Read a model's config.json from the hub's cache, or fetch it, and no other file."""
    near = near_names(name, known_names())
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
            "huggingface_hub", "hub", f"{name}, neither a path nor in the catalogue,", offer
        ) from None
    try:
        reached = _is_reached(name, "config.json")
        path = Path(hf_hub_download(name, "config.json", local_files_only=not reached))
    except GatedRepoError:
        raise MemoryWallError(
            f"{name} is gated on the hub.",
            f"Accept its terms there, then: hf auth login.{offer}",
        ) from None
    except LocalEntryNotFoundError:
        raise MemoryWallError(
            f"{name} is not in the catalogue or the hub's cache, and the hub cannot be reached.",
            f"Connect to the network, or pass the path of its config.json.{offer}",
        ) from None
    except RepositoryNotFoundError:
        raise UnknownNameError(
            "model", name, known_names(), "The hub has no model with that id."
        ) from None
    except EntryNotFoundError:
        raise InvalidInputError(
            f"{name}: the repository has no config.json.", offer.strip()
        ) from None
    except Exception as error:  # any other network error is reported as such
        raise MemoryWallError(
            f"{name} could not be fetched from the hub: {type(error).__name__}.",
            f"Connect to the network, or pass the path of its config.json.{offer}",
        ) from error
    text = read_text(path, LARGEST_CONFIG, "a config.json")
    config = parse_config(text, f"{name}/config.json")
    found, note = with_side_file(config, _beside(name, reached))
    return model_from_config(found, name, name, note=note)


def _beside(name: str, reached: bool) -> Callable[[str], Path | None]:
    """Return a finder of files in a repository; one request asks which of them it has.

    ``reached``: whether the hub is; else its cache alone is read.
    """
    from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache  # noqa: PLC0415

    @cache
    def present() -> frozenset[str]:
        try:
            infos = HfApi().get_paths_info(name, list(SIDE_FILES)) if reached else []
        except Exception:  # noqa: BLE001 - the network went away: as if it were not reached
            return frozenset()
        return frozenset(info.path for info in infos)

    def find(file: str) -> Path | None:
        known = try_to_load_from_cache(name, file)
        if isinstance(known, str):
            return Path(known)
        if file not in present():
            return None
        try:
            return Path(hf_hub_download(name, file))
        except Exception as error:
            raise _unreachable(name, error) from error

    return find


def _is_reached(name: str, file: str) -> bool:
    """Return whether the hub answers, asked for a file in one short request.

    A download by itself repeats failed requests for half a minute.

    Raises:
        HfHubHTTPError: it answers that there is no such file, or not for everyone.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415 - an extra
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415

    try:
        get_hf_file_metadata(hf_hub_url(name, file), timeout=_PATIENCE_S)
    except HfHubHTTPError:
        raise
    except Exception:  # noqa: BLE001 - any network's error: the cache may still have the file
        return False
    return True


def stored_on_hub(name: str) -> Stored:
    """Return the tensors of the safetensors files of a hub id; a few requests per file.

    Raises:
        MemoryWallError: no such repository or files, or the hub cannot be reached.
    """
    tensors, files = read_hub(lambda path: _open(name, path), name)
    return totals(tensors, files)


def _open(name: str, path: str) -> RemoteSource | None:
    """Return a file of a repository; None if the repository has no such file.

    The hub redirects large files to other servers, which must not receive its token.
    """
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415 - an extra
        from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415
        from huggingface_hub.utils import build_hf_headers  # noqa: PLC0415
    except ImportError:
        raise MissingDependencyError("huggingface_hub", "hub", f"the files of {name}") from None
    url = hf_hub_url(name, path)
    try:
        place = get_hf_file_metadata(url).location
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code == 404:
            return None
        raise _unreachable(name, error) from None
    except Exception as error:  # any other network error is reported as such
        raise _unreachable(name, error) from error
    headers = build_hf_headers() if place == url else {}
    return RemoteSource(place, f"{name}/{path}", headers)


def _unreachable(name: str, error: Exception) -> MemoryWallError:
    return MemoryWallError(
        f"The files of {name} could not be fetched from the hub: {type(error).__name__}.",
        "Connect to the network, or pass a folder with the files.",
    )
