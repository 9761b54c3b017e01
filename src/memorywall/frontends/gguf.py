"""Headers of GGUF files, versions 2 and 3: their metadata and tensors, never the tensors' bytes.

A file is a magic word, a version, two counts, the metadata by key, the tensors by name with axes
(the fastest first), type and offset, and then their bytes, each aligned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memorywall.core.errors import InvalidInputError, invalid_file, shown
from memorywall.frontends._ggml import BLOCKS
from memorywall.frontends._gguf_reader import NEXT, GgufReader
from memorywall.frontends._source import ByteSource, LocalSource
from memorywall.frontends._tensors import MOST_FILES, StoredTensor

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)

# Far above published files; longer parts are skipped or refused, so that reading stays fast.
_MOST_KEYS = 20_000
_MOST_TENSORS = 30_000
_LONGEST_NAME = 256
_MOST_AXES = 8

_SPLIT = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")


@dataclass(frozen=True, slots=True)
class Gguf:
    """The headers of a model's files.

    Long texts and arrays, and all arrays of texts, of the metadata are skipped: None.
    """

    metadata: Mapping[str, Any]
    tensors: tuple[StoredTensor, ...]
    files: int


def read_gguf(path: Path) -> Gguf:
    """Return the headers of a file, or of all files of a split model given any of them.

    Raises:
        InvalidInputError: no such file, or a fault, with its place.
    """
    paths = _parts(path)
    headers = [read_header(LocalSource(part)) for part in paths]
    found: dict[str, StoredTensor] = {}
    for part, header in zip(paths, headers, strict=True):
        for tensor in header.tensors:
            if tensor.name in found:
                raise InvalidInputError(
                    f"{part}: the tensor {shown(tensor.name)} is in two files.", NEXT
                )
            found[tensor.name] = tensor
    return Gguf(headers[0].metadata, tuple(found.values()), len(paths))


def _parts(path: Path) -> list[Path]:
    """Return the files of a split model, the first of which holds the metadata."""
    found = _SPLIT.fullmatch(path.name)
    if found is None:
        return [path]
    stem, count = found[1], int(found[3])
    if not 1 <= count <= MOST_FILES:
        raise InvalidInputError(f"{path}: a model in {count} files.", f"At most {MOST_FILES}.")
    return [path.with_name(f"{stem}-{n:05}-of-{count:05}.gguf") for n in range(1, count + 1)]


def read_header(source: ByteSource) -> Gguf:
    """Return the header of one file.

    Raises:
        InvalidInputError: the file violates the definition of the format.
    """
    reader = GgufReader(source)
    if source.size < 24 or reader.take(4) != _MAGIC:
        raise InvalidInputError(f"{source.name}: the file does not begin like a GGUF.", NEXT)
    version = reader.number("I")
    if version not in _VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        why = "big-endian, which is not supported" if swapped in _VERSIONS else "not supported"
        raise InvalidInputError(f"{source.name}: version {version} is {why}.", NEXT)
    tensors, keys = reader.number("Q"), reader.number("Q")
    if tensors > _MOST_TENSORS or keys > _MOST_KEYS:
        raise reader.fault(f"{tensors} tensors and {keys} keys are more than any model has")
    metadata = _read_metadata(reader, keys)
    places = [_read_tensor(reader) for _ in range(tensors)]
    _check_places(source, places, reader.at, metadata.get("general.alignment", 32))
    return Gguf(metadata, tuple(tensor for _, tensor in places), 1)


def _read_metadata(reader: GgufReader, count: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for _ in range(count):
        key = reader.text(_LONGEST_NAME)
        if key is None or key in metadata:
            raise reader.fault(f"the key {shown(key)} is too long or occurs twice")
        metadata[key] = reader.value(reader.number("I"), 0)
    return metadata


def _read_tensor(reader: GgufReader) -> tuple[int, StoredTensor]:
    """Return a tensor's offset in the data, and the tensor, the slowest axis first."""
    name = reader.text(_LONGEST_NAME)
    axes = reader.number("I")
    if name is None or axes > _MOST_AXES:
        raise reader.fault(f"the tensor {shown(name)} has {axes} axes or too long a name")
    shape = tuple(reader.number("Q") for _ in range(axes))
    number, offset = reader.number("I"), reader.number("Q")
    block = BLOCKS.get(number)
    if block is None:
        raise reader.fault(f"the tensor {shown(name)} is of type {number}, which is not known")
    title, size, nbytes = block
    elements = 1
    for length in shape:
        elements *= length
    if (shape[0] if shape else 1) % size or not 0 < elements < 2**63:
        raise reader.fault(f"the tensor {shown(name)} of {shape} does not consist of {title}")
    return offset, StoredTensor(name, shape[::-1], title, elements // size * nbytes)


def _check_places(
    source: ByteSource, places: list[tuple[int, StoredTensor]], header: int, alignment: object
) -> None:
    """Check that the tensors are within the file, aligned, and without overlap."""
    if type(alignment) is not int or not 1 <= alignment <= 2**20:
        raise InvalidInputError(f"{source.name}: an alignment of {shown(alignment)}.", NEXT)
    data = source.size - header - -header % alignment
    faults, names, end = [], set(), 0
    for offset, tensor in sorted(places, key=lambda place: place[0]):
        if tensor.name in names:
            faults.append(f"the tensor {shown(tensor.name)} occurs twice")
        names.add(tensor.name)
        if offset < end or offset % alignment or offset + tensor.nbytes > data:
            faults.append(
                f"the tensor {shown(tensor.name)} of {tensor.nbytes} bytes at byte {offset} of "
                f"{data} overlaps another, lies past the end or is not aligned"
            )
        end = offset + tensor.nbytes
    if faults:
        raise invalid_file(source.name, faults, NEXT)
