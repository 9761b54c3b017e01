"""Models whose tensors are in one safetensors file or several: folders, indexes, repositories."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from memorywall.core.errors import InvalidInputError, shown
from memorywall.frontends._source import ByteSource, LocalSource
from memorywall.frontends._tensors import MOST_FILES, StoredTensor
from memorywall.frontends.safetensors import (
    LONGEST_HEADER,
    MOST_TENSORS,
    NEXT,
    parse_object,
    read_header,
    read_long,
)

INDEX = "model.safetensors.index.json"


def read_safetensors(path: Path) -> tuple[list[StoredTensor], int]:
    """Return the tensors of a file, of an index's files or of a folder, and the number of files.

    Raises:
        InvalidInputError: no such file, or a fault, with its file.
    """
    paths = _shards(path)
    tensors = collect((LocalSource(shard) for shard in paths), str(path))
    return tensors, len(paths)


def collect(sources: Iterable[ByteSource], where: str) -> list[StoredTensor]:
    """Return the tensors of several files, each name once."""
    found: dict[str, StoredTensor] = {}
    for source in sources:
        for tensor in read_header(source):
            if tensor.name in found:
                raise InvalidInputError(
                    f"{where}: the tensor {shown(tensor.name)} is in two files.",
                    "Keep one model's files in a folder, or pass the index.",
                )
            found[tensor.name] = tensor
        if len(found) > MOST_TENSORS:
            raise InvalidInputError(f"{where}: more than {MOST_TENSORS} tensors.", NEXT)
    return list(found.values())


def _shards(path: Path) -> list[Path]:
    """Return the files of a path: itself, those of an index, those of a folder."""
    if path.is_dir():
        index = path / INDEX
        if index.exists():
            return _shards(index)
        found = sorted(path.glob("*.safetensors"))[: MOST_FILES + 1]
        if not found or len(found) > MOST_FILES:
            raise InvalidInputError(
                f"The folder {path} has {len(found)} files of the kind *.safetensors.",
                f"Pass one of them, or an index of up to {MOST_FILES}.",
            )
        return found
    if path.suffix != ".json":
        return [path]
    data = _read_all(LocalSource(path))
    return [path.parent / name for name in index_files(data, str(path))]


def _read_all(index: ByteSource) -> bytes:
    """Return the whole text of an index, of bounded length."""
    if index.size > LONGEST_HEADER:
        raise InvalidInputError(f"{index.name}: an index of {index.size} bytes is too long.", NEXT)
    return read_long(index, 0, index.size)


def index_files(data: bytes, where: str) -> list[str]:
    """Return the names of the files in an index; each is in the same folder."""
    weights = parse_object(data, where).get("weight_map")
    if not isinstance(weights, dict) or not weights:
        raise InvalidInputError(f"{where}: 'weight_map' must name the tensors' files.", NEXT)
    names = list(dict.fromkeys(weights.values())) if all(map(_is_name, weights.values())) else []
    if not names or len(names) > MOST_FILES:
        raise InvalidInputError(
            f"{where}: 'weight_map' must name up to {MOST_FILES} files of the same folder.", NEXT
        )
    return sorted(names)


def _is_name(value: object) -> bool:
    """Whether a value is the name of a file in a folder, not a path out of it."""
    is_text = isinstance(value, str) and value.endswith(".safetensors") and len(value) < 256
    return is_text and not set("/\\\0") & set(str(value))


def read_hub(
    open_file: Callable[[str], ByteSource | None], where: str
) -> tuple[list[StoredTensor], int]:
    """Return the tensors and the number of files of a repository, given an opener of files.

    Raises:
        InvalidInputError: no such files, or a fault, with its file.
    """
    single = open_file("model.safetensors")
    if single is not None:
        return collect([single], where), 1
    index = open_file(INDEX)
    if index is None:
        raise InvalidInputError(
            f"{where}: the repository has no safetensors files.", "Remove --stored."
        )
    names = index_files(_read_all(index), index.name)
    return collect((_present(open_file(name), name) for name in names), where), len(names)


def _present(source: ByteSource | None, name: str) -> ByteSource:
    if source is None:
        raise InvalidInputError(f"{shown(name)} is in the index but not in the repository.")
    return source
