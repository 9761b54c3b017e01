"""Headers of safetensors files: what tensors they hold, never the tensors.

A file is the length of its header in 8 bytes, a JSON object of tensors, and their bytes without
gaps. A sharded model has an index beside its files, or on the hub.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memorywall.core.errors import InvalidInputError, invalid_file, shown
from memorywall.core.storage import Stored
from memorywall.frontends._source import MOST_AT_ONCE, LocalSource, Source

# The longest published index is of some 10 MiB. Text of that length could still become ten times as
# many bytes of Python's objects, so what makes objects is counted before it is parsed.
_LONGEST_HEADER = 16 << 20
_LONGEST_BEYOND_ASCII = 2 << 20  # Python takes up to four bytes for each of its characters
_MOST_NESTS = 250_000
_MOST_VALUES = 500_000
MOST_TENSORS = 100_000
MOST_FILES = 2000
_MOST_AXES = 8
INDEX = "model.safetensors.index.json"

# Bits of an element, by the names of the file format.
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8, "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor of a file: its name, shape, the file's own name of its format, its bytes."""

    name: str
    shape: tuple[int, ...]
    format: str
    nbytes: int

    @property
    def elements(self) -> int:
        """How many elements it has."""
        count = 1
        for length in self.shape:
            count *= length
        return count


def totals(tensors: Sequence[StoredTensor], files: int) -> Stored:
    """Return the totals of some files' tensors."""
    by_format: Counter[str] = Counter()
    for tensor in tensors:
        by_format[tensor.format] += tensor.nbytes
    elements = sum(tensor.elements for tensor in tensors)
    return Stored(files, len(tensors), elements, tuple(by_format.most_common()))


def read_safetensors(path: Path) -> tuple[list[StoredTensor], int]:
    """Return the tensors of a file, of an index's files or of a folder, and how many files.

    Raises:
        InvalidInputError: no such file, or with what is wrong in which.
    """
    paths = _shards(path)
    tensors = collect((LocalSource(shard) for shard in paths), str(path))
    return tensors, len(paths)


def collect(sources: Iterable[Source], where: str) -> list[StoredTensor]:
    """Return the tensors of several files, each name once."""
    found: dict[str, StoredTensor] = {}
    for source in sources:
        for tensor in read_header(source):
            if tensor.name in found:
                raise InvalidInputError(
                    f"{where}: the tensor {shown(tensor.name)} is in two files.",
                    "Keep one model's files in a folder, or name the index.",
                )
            found[tensor.name] = tensor
        if len(found) > MOST_TENSORS:
            raise InvalidInputError(f"{where}: more than {MOST_TENSORS} tensors.", _NEXT)
    return list(found.values())


_NEXT = "The file is damaged, or no safetensors file: fetch it anew."


def read_header(source: Source) -> list[StoredTensor]:
    """Return the tensors that one file holds.

    Raises:
        InvalidInputError: whatever is not as the format's definition says.
    """
    if source.size < 10:
        raise InvalidInputError(f"{source.name}: {source.size} bytes are no header.", _NEXT)
    first = source.read_at(0, 8)
    if first == b"version ":
        raise InvalidInputError(
            f"{source.name} is a pointer of Git LFS, not the file.", "Fetch it: git lfs pull."
        )
    length = int.from_bytes(first, "little")
    if not 2 <= length <= min(source.size - 8, _LONGEST_HEADER):
        raise InvalidInputError(
            f"{source.name}: a header of {shown(length)} bytes in a file of {source.size} "
            f"(most: {_LONGEST_HEADER}).", _NEXT,
        )  # fmt: skip
    header = parse_object(_read_long(source, 8, length), source.name)
    header.pop("__metadata__", None)
    if len(header) > MOST_TENSORS:
        raise InvalidInputError(f"{source.name}: more than {MOST_TENSORS} tensors.", _NEXT)
    return _tensors(header, source.size - 8 - length, source.name)


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """Return a JSON object, no key of which stands twice.

    Raises:
        InvalidInputError: not UTF-8, not JSON, nested too deeply, or another value.
    """
    nests, values = data.count(b"{") + data.count(b"["), data.count(b",")
    is_long = len(data) > _LONGEST_BEYOND_ASCII and not data.isascii()
    if is_long or nests > _MOST_NESTS or values > _MOST_VALUES:
        raise InvalidInputError(f"{where}: a header of more parts than any model has.", _NEXT)
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except RecursionError:
        raise InvalidInputError(f"{where}: the header is nested too deeply.", _NEXT) from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise InvalidInputError(
            f"{where}: the header is not valid JSON: {str(error)[:120]}.", _NEXT
        ) from None
    if not isinstance(value, dict):
        raise InvalidInputError(f"{where}: the header is {shown(value)}, not an object.", _NEXT)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {shown(twice)} stands twice")
    return value


def _tensors(header: dict[str, Any], size: int, where: str) -> list[StoredTensor]:
    """Check every tensor, and that together they fill the ``size`` bytes without gap or overlap."""
    found: list[tuple[int, int, StoredTensor]] = []
    faults: list[str] = []
    for name, entry in header.items():
        try:
            found.append(_tensor(name, entry))
        except ValueError as error:
            faults.append(f"{shown(name)}: {error}")
    end = 0
    for start, stop, tensor in sorted(found, key=lambda item: item[:2]):
        if start != end and not faults:
            what = "overlaps the one before" if start < end else "leaves a gap before it"
            faults.append(f"{shown(tensor.name)} begins at byte {start} and {what}")
        end = max(end, stop)
    if not faults and end != size:
        faults.append(f"its tensors end at byte {end} of {size}")
    if faults:
        raise invalid_file(where, faults, _NEXT)
    return [tensor for _, _, tensor in found]


def _tensor(name: str, entry: object) -> tuple[int, int, StoredTensor]:
    """Return where a tensor begins and ends, and what it is.

    Raises:
        ValueError: with what is wrong.
    """
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape, place = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in BITS:
        raise ValueError(f"the dtype {shown(dtype)} is not known")
    if not isinstance(shape, list) or len(shape) > _MOST_AXES or not all(map(_is_length, shape)):
        raise ValueError(f"the shape must be a list of whole numbers, got {shown(shape)}")
    if not isinstance(place, list) or len(place) != 2 or not all(map(_is_length, place)):
        raise ValueError(f"'data_offsets' must be two whole numbers, got {shown(place)}")
    tensor = StoredTensor(name, tuple(shape), dtype, place[1] - place[0])
    if tensor.nbytes * 8 != tensor.elements * BITS[dtype]:
        raise ValueError(f"{dtype} of {shown(shape)} does not take {shown(tensor.nbytes)} bytes")
    return place[0], place[1], tensor


def _is_length(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _shards(path: Path) -> list[Path]:
    """Return the files that a path stands for: itself, those of an index, those of a folder."""
    if path.is_dir():
        index = path / INDEX
        if index.exists():
            return _shards(index)
        found = sorted(path.glob("*.safetensors"))[: MOST_FILES + 1]
        if not found or len(found) > MOST_FILES:
            raise InvalidInputError(
                f"The folder {path} has {len(found)} files of the kind *.safetensors.",
                f"Name one, or an index of up to {MOST_FILES}.",
            )
        return found
    if path.suffix != ".json":
        return [path]
    data = _read_all(LocalSource(path))
    return [path.parent / name for name in index_files(data, str(path))]


def _read_all(index: Source) -> bytes:
    """Return the whole of an index, which is text and not long."""
    if index.size > _LONGEST_HEADER:
        raise InvalidInputError(f"{index.name}: an index of {index.size} bytes is too long.", _NEXT)
    return _read_long(index, 0, index.size)


def _read_long(source: Source, start: int, count: int) -> bytes:
    end = start + count
    places = range(start, end, MOST_AT_ONCE)
    return b"".join(source.read_at(at, min(MOST_AT_ONCE, end - at)) for at in places)


def index_files(data: bytes, where: str) -> list[str]:
    """Return the names of the files that an index names; each is a file beside it."""
    weights = parse_object(data, where).get("weight_map")
    if not isinstance(weights, dict) or not weights:
        raise InvalidInputError(f"{where}: 'weight_map' must name the tensors' files.", _NEXT)
    names = list(dict.fromkeys(weights.values())) if all(map(_is_name, weights.values())) else []
    if not names or len(names) > MOST_FILES:
        raise InvalidInputError(
            f"{where}: 'weight_map' must name up to {MOST_FILES} files beside it.", _NEXT
        )
    return sorted(names)


def _is_name(value: object) -> bool:
    """Whether a value is the name of a file of a folder, and no path out of it."""
    is_text = isinstance(value, str) and value.endswith(".safetensors") and len(value) < 256
    return is_text and not set("/\\\0") & set(str(value))


def read_hub(
    open_file: Callable[[str], Source | None], where: str
) -> tuple[list[StoredTensor], int]:
    """Return a repository's tensors and how many files, given how one is opened (None: absent).

    Raises:
        InvalidInputError: no such files, or with what is wrong in which.
    """
    single = open_file("model.safetensors")
    if single is not None:
        return collect([single], where), 1
    index = open_file(INDEX)
    if index is None:
        raise InvalidInputError(
            f"{where}: the repository has no safetensors files.", "Leave --stored out."
        )
    names = index_files(_read_all(index), index.name)
    return collect((_present(open_file(name), name) for name in names), where), len(names)


def _present(source: Source | None, name: str) -> Source:
    if source is None:
        raise InvalidInputError(f"{shown(name)} is in the index, and not in the repository.")
    return source
