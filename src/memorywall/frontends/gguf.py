"""Headers of GGUF files, versions 2 and 3: their metadata and tensors, never the tensors' bytes.

A file is a magic word, a version, two counts, the metadata by key, the tensors by name with axes
(the fastest first), type and offset, and then their bytes, each aligned.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memorywall.core.errors import InvalidInputError, invalid_file, shown
from memorywall.frontends._ggml import BLOCKS
from memorywall.frontends._source import MOST_AT_ONCE, LocalSource, Source
from memorywall.frontends.safetensors import MOST_FILES, StoredTensor

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_NEXT = "The file is damaged, or no GGUF of version 2 or 3: fetch it anew."

# Far above what is published; what is longer is skipped or refused, so that reading stays short.
_LONGEST_HEADER = 256 << 20
_MOST_KEYS = 20_000
_MOST_TENSORS = 30_000
_MOST_ITEMS = 1_000_000  # in all arrays together; vocabularies and their merges have half of that
_LONGEST_NAME = 256
_LONGEST_TEXT = 512
_LONGEST_ARRAY = 1024
_DEEPEST = 4
_MOST_AXES = 8

# The metadata's kinds of numbers, by struct's letters.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
            12: "d"}  # fmt: skip
_TEXT, _ARRAY = 8, 9
_SPLIT = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")


@dataclass(frozen=True, slots=True)
class Gguf:
    """What the headers of a model's files say.

    Of the metadata, long texts and arrays and all arrays of texts are passed over: None.
    """

    metadata: Mapping[str, Any]
    tensors: tuple[StoredTensor, ...]
    files: int


def read_gguf(path: Path) -> Gguf:
    """Return the headers of a file, or of all files of a split model, of which any is named.

    Raises:
        InvalidInputError: no such file, or with what is wrong and where.
    """
    paths = _parts(path)
    headers = [read_header(LocalSource(part)) for part in paths]
    found: dict[str, StoredTensor] = {}
    for part, header in zip(paths, headers, strict=True):
        for tensor in header.tensors:
            if tensor.name in found:
                raise InvalidInputError(
                    f"{part}: the tensor {shown(tensor.name)} is in two files.", _NEXT
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


def read_header(source: Source) -> Gguf:
    """Return the header of one file.

    Raises:
        InvalidInputError: whatever is not as the format's definition says.
    """
    reader = _Reader(source)
    if source.size < 24 or reader.take(4) != _MAGIC:
        raise InvalidInputError(f"{source.name}: it does not begin as a GGUF does.", _NEXT)
    version = reader.number("I")
    if version not in _VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        why = "big-endian, which is not covered" if swapped in _VERSIONS else "not covered"
        raise InvalidInputError(f"{source.name}: version {version} is {why}.", _NEXT)
    tensors, keys = reader.number("Q"), reader.number("Q")
    if tensors > _MOST_TENSORS or keys > _MOST_KEYS:
        raise reader.fault(f"{tensors} tensors and {keys} keys are more than any model has")
    metadata = _read_metadata(reader, keys)
    places = [_read_tensor(reader) for _ in range(tensors)]
    _check_places(source, places, reader.at, metadata.get("general.alignment", 32))
    return Gguf(metadata, tuple(tensor for _, tensor in places), 1)


def _read_metadata(reader: _Reader, count: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for _ in range(count):
        key = reader.text(_LONGEST_NAME)
        if key is None or key in metadata:
            raise reader.fault(f"the key {shown(key)} is too long or stands twice")
        metadata[key] = reader.value(reader.number("I"), 0)
    return metadata


def _read_tensor(reader: _Reader) -> tuple[int, StoredTensor]:
    """Return a tensor's offset among the data, and what it is, the slowest axis first."""
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
    source: Source, places: list[tuple[int, StoredTensor]], header: int, alignment: object
) -> None:
    """Check that the tensors lie within the file, aligned, and not over one another."""
    if type(alignment) is not int or not 1 <= alignment <= 2**20:
        raise InvalidInputError(f"{source.name}: an alignment of {shown(alignment)}.", _NEXT)
    data = source.size - header - -header % alignment
    faults, names, end = [], set(), 0
    for offset, tensor in sorted(places, key=lambda place: place[0]):
        if tensor.name in names:
            faults.append(f"the tensor {shown(tensor.name)} stands twice")
        names.add(tensor.name)
        if offset < end or offset % alignment or offset + tensor.nbytes > data:
            faults.append(
                f"the tensor {shown(tensor.name)} of {tensor.nbytes} bytes at byte {offset} of "
                f"{data} lies over another, past the end or out of line"
            )
        end = offset + tensor.nbytes
    if faults:
        raise invalid_file(source.name, faults, _NEXT)


class _Reader:
    """Reads a header from its start on, a piece of the file at a time."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.at = 0
        self.items = 0
        self._piece = b""
        self._start = 0

    def fault(self, what: str) -> InvalidInputError:
        """Return an error with the place that was reached."""
        return InvalidInputError(f"{self.source.name}, byte {self.at}: {what}.", _NEXT)

    def take(self, count: int) -> bytes:
        """Return the next bytes, at most a piece's length."""
        begin = self.at - self._start
        if not 0 <= begin <= len(self._piece) - count:
            left = self.source.size - self.at
            if left < count:
                raise self.fault(f"{count} bytes are wanted, and {max(0, left)} are left")
            self._piece = self.source.read_at(self.at, min(MOST_AT_ONCE, left))
            self._start, begin = self.at, 0
        self._move(count)
        return self._piece[begin : begin + count]

    def skip(self, count: int) -> None:
        """Pass over bytes without reading them."""
        if count > self.source.size - self.at:
            raise self.fault(f"{count} bytes are to follow, past the end of the file")
        self._move(count)

    def _move(self, count: int) -> None:
        self.at += count
        if self.at > _LONGEST_HEADER:
            raise self.fault("a header as long as no model's")

    def number(self, code: str) -> Any:
        """Return a number, by ``struct``'s letter."""
        return struct.unpack(f"<{code}", self.take(struct.calcsize(code)))[0]

    def text(self, longest: int) -> str | None:
        """Return a text, or None where it is longer than that and was passed over."""
        length = self.number("Q")
        if length > longest:
            self.skip(length)
            return None
        data = self.take(length)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise self.fault("a text is not UTF-8") from None

    def value(self, kind: int, depth: int) -> Any:
        """Return a value of the metadata; None for a long text or array."""
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _TEXT:
            return self.text(_LONGEST_TEXT)
        if kind == _ARRAY and depth < _DEEPEST:
            return self._array(depth)
        raise self.fault(f"a value is of kind {kind}, {depth} deep, which is not known")

    def _array(self, depth: int) -> list[Any] | None:
        """Return a short array of numbers; walk past any other."""
        kind, count = self.number("I"), self.number("Q")
        code = _SCALARS.get(kind)
        if code is not None and count > _LONGEST_ARRAY:
            self.skip(count * struct.calcsize(code))
            return None
        self.items += count
        if self.items > _MOST_ITEMS:
            raise self.fault(f"arrays of {shown(self.items)} items are longer than any model's")
        if code is not None:
            return list(struct.unpack(f"<{count}{code}", self.take(count * struct.calcsize(code))))
        if kind == _TEXT:
            self._skip_texts(count)
        else:
            for _ in range(count):
                self.value(kind, depth + 1)
        return None

    def _skip_texts(self, count: int) -> None:
        """Pass over texts with their lengths in front; a vocabulary has hundreds of thousands."""
        length_at = struct.Struct("<Q").unpack_from
        while count:
            self.skip(int.from_bytes(self.take(8), "little"))  # which fetches a piece as needed
            count -= 1
            piece, at = self._piece, self.at - self._start
            last = len(piece) - 8
            while count and at <= last:
                at += 8 + length_at(piece, at)[0]
                count -= 1
            self.skip(self._start + at - self.at)
