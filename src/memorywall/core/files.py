"""Read files from untrusted sources, and write files atomically."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memorywall.core.errors import InvalidInputError, shown


def read_text(path: Path, most: int, what: str) -> str:
    """Return a regular file's text, at most ``most`` bytes of it in UTF-8.

    Raises:
        InvalidInputError: no such file, a folder or device, no permission, too large, not UTF-8.
    """
    try:
        if path.is_dir():
            raise InvalidInputError(f"{path} must be {what}, got a folder.")
        if not path.exists():
            raise InvalidInputError(f"{path}: no such file.", "Check the path.")
        if not path.is_file():
            raise InvalidInputError(f"{path} is not a regular file.", f"Pass the path of {what}.")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except PermissionError:
        raise InvalidInputError(
            f"{path}: no permission to read it.", f"Try: ls -l {path.parent}"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInputError(f"{str(path)[:200]!r} cannot be read: {reason}.") from None
    if len(data) > most:
        raise InvalidInputError(
            f"{path} must be at most {most // 1024} KiB, the limit of a "
            f"{what.rsplit(maxsplit=1)[-1]}.",
            f"Pass the path of {what}.",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{path} is not text in UTF-8 (byte {error.start}).", f"Pass the path of {what}."
        ) from None


def user_path(text: str) -> Path:
    """Return a path with ``~`` expanded to a home folder.

    Raises:
        InvalidInputError: the user of a ``~user`` is not known.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InvalidInputError(
            f"{shown(text)}: that user's home is not known.", "Write the path out."
        ) from None


def check_place(path: Path) -> None:
    """Make a path's folder, and a file in it that is removed at once: before long work.

    Raises:
        OSError: a file cannot be written there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
        pass


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file next to a path; it replaces the path after a successful write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        beside.chmod(0o644)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file atomically: readers see the old or the new content, never a part."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")
