"""Byte ranges of a file, local or behind a URL, so that only headers are ever read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from memorywall.core.errors import InvalidInputError, MemoryWallError, shown

# One read; longer headers are read in parts.
MOST_AT_ONCE = 1 << 20
_TIMEOUT_S = 30
_RANGE = re.compile(r"bytes (\d{1,20})-(\d{1,20})/(\d{1,20})")


class ByteSource(Protocol):
    """A file of ``size`` bytes."""

    name: str
    size: int

    def read_at(self, offset: int, count: int) -> bytes:
        """Return exactly ``count`` bytes from ``offset`` on."""


class LocalSource:
    """A regular local file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        try:
            if not path.is_file():
                what = "is not a regular file" if path.exists() else "there is no such file"
                raise InvalidInputError(f"{path}: {what}.", "Check the path.")
            self.size = path.stat().st_size
        except OSError as error:
            raise _unreadable(self.name, error) from None

    def read_at(self, offset: int, count: int) -> bytes:
        """Return exactly ``count`` bytes from ``offset`` on."""
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(offset)
                data = file.read(count)
        except OSError as error:
            raise _unreadable(self.name, error) from None
        return _whole(self.name, data, offset, count)


class RemoteSource:
    """A file behind a URL whose server supports range requests; never read whole.

    ``headers`` may hold a token, so redirections are not followed.
    """

    def __init__(self, url: str, name: str, headers: Mapping[str, str] | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            raise InvalidInputError(f"{name}: {shown(url)} must be an http or https URL.")
        self.url = url
        self.name = name
        self.headers = {**(headers or {}), "Accept-Encoding": "identity"}
        self.size = 0
        self.read_at(0, 1)  # for the size

    def read_at(self, offset: int, count: int) -> bytes:
        """Return exactly ``count`` bytes from ``offset`` on."""
        from urllib.request import Request  # noqa: PLC0415 - slow, and rarely needed

        last = offset + count - 1
        request = Request(  # noqa: S310 - the scheme was checked
            self.url, headers={**self.headers, "Range": f"bytes={offset}-{last}"}
        )
        try:
            with _opener().open(request, timeout=_TIMEOUT_S) as answer:
                found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
                if answer.status != 206 or found is None or int(found[1]) != offset:
                    raise MemoryWallError(
                        f"{self.name}: the server must support range requests.",
                        "Download the file, and pass its path.",
                    )
                self.size = int(found[3])
                data = answer.read(count)
        except (OSError, ValueError) as error:  # urllib's own errors are OSErrors
            reason = getattr(error, "reason", None) or type(error).__name__
            raise MemoryWallError(
                f"{self.name} could not be fetched: {str(reason)[:120]}.",
                "Connect to the network, or download the file and pass its path.",
            ) from None
        return _whole(self.name, data, offset, count)


@lru_cache(maxsize=1)
def _opener() -> Any:
    """Return an opener of URLs that follows no redirection."""
    from urllib.request import HTTPRedirectHandler, build_opener  # noqa: PLC0415

    class NoRedirection(HTTPRedirectHandler):
        def redirect_request(self, *_: Any, **__: Any) -> None:
            """Follow nothing."""

    return build_opener(NoRedirection)


def _whole(name: str, data: bytes, offset: int, count: int) -> bytes:
    if len(data) != count:
        raise InvalidInputError(
            f"{name}: {count} bytes are required at byte {offset}, got {len(data)}.",
            "The file is truncated: download it again.",
        )
    return data


def _unreadable(name: str, error: OSError) -> InvalidInputError:
    return InvalidInputError(
        f"{shown(name, 200)} cannot be read: {error.strerror or error}.", "Check the path."
    )
