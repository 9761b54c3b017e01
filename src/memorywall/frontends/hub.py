"""What the files of a hub's repository hold: their headers, fetched by ranges."""

from __future__ import annotations

from memorywall.core.errors import MemoryWallError, MissingDependencyError
from memorywall.core.storage import Stored
from memorywall.frontends._source import RemoteSource
from memorywall.frontends.safetensors import read_hub, totals


def stored_on_hub(name: str) -> Stored:
    """Return what the safetensors files of a hub id hold; some requests for each file.

    Raises:
        MemoryWallError: no such repository or files, or the hub cannot be reached.
    """
    tensors, files = read_hub(lambda path: _open(name, path), name)
    return totals(tensors, files)


def _open(name: str, path: str) -> RemoteSource | None:
    """Return a file of a repository; None where the repository has none of that name.

    The hub redirects large files to other servers, which must not be sent its token.
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
    except Exception as error:  # whatever else a network does is a network's fault, said plainly
        raise _unreachable(name, error) from error
    headers = build_hf_headers() if place == url else {}
    return RemoteSource(place, f"{name}/{path}", headers)


def _unreachable(name: str, error: Exception) -> MemoryWallError:
    return MemoryWallError(
        f"The files of {name} could not be fetched from the hub: {type(error).__name__}.",
        "Go online, or name a folder with the files.",
    )
