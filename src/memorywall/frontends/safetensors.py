"""Headers of safetensors files: the list of tensors, never the tensors themselves.

A file is the length of its header in 8 bytes, a JSON object of tensors, and their bytes without
gaps. A sharded model has an index in the same folder or repository.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from memorywall.core.errors import InvalidInputError, invalid_file, shown
from memorywall.frontends._source import MOST_AT_ONCE, ByteSource
from memorywall.frontends._tensors import StoredTensor

# The longest published index is of some 10 MiB. Text of that length could become ten times the
# bytes in Python objects, so the number of objects is counted before parsing.
LONGEST_HEADER = 16 << 20
_LONGEST_BEYOND_ASCII = 2 << 20  # Python takes up to four bytes per character
_MOST_NESTS = 250_000
_MOST_VALUES = 500_000
MOST_TENSORS = 100_000
_MOST_AXES = 8

# Bits of an element, by the names of the file format.
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8, "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip


NEXT = "The file is damaged or not a safetensors file: download it again."


def read_header(source: ByteSource) -> list[StoredTensor]:
    """Return the tensors of one file.

    Raises:
        InvalidInputError: the file violates the definition of the format.
    """
    if source.size < 10:
        raise InvalidInputError(f"{source.name}: {source.size} bytes hold no header.", NEXT)
    first = source.read_at(0, 8)
    if first == b"version ":
        raise InvalidInputError(
            f"{source.name} is a pointer of Git LFS, not the file.", "Download it: git lfs pull."
        )
    length = int.from_bytes(first, "little")
    if not 2 <= length <= min(source.size - 8, LONGEST_HEADER):
        raise InvalidInputError(
            f"{source.name}: a header of {shown(length)} bytes in a file of {source.size} "
            f"(most: {LONGEST_HEADER}).", NEXT,
        )  # fmt: skip
    header = parse_object(read_long(source, 8, length), source.name)
    header.pop("__metadata__", None)
    if len(header) > MOST_TENSORS:
        raise InvalidInputError(f"{source.name}: more than {MOST_TENSORS} tensors.", NEXT)
    return _tensors(header, source.size - 8 - length, source.name)


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """Return a JSON object without repeated keys.

    Raises:
        InvalidInputError: not UTF-8, not JSON, nested too deeply, or another value.
    """
    nests, values = data.count(b"{") + data.count(b"["), data.count(b",")
    is_long = len(data) > _LONGEST_BEYOND_ASCII and not data.isascii()
    if is_long or nests > _MOST_NESTS or values > _MOST_VALUES:
        raise InvalidInputError(f"{where}: the header has more parts than any model's.", NEXT)
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except RecursionError:
        raise InvalidInputError(f"{where}: the header is nested too deeply.", NEXT) from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise InvalidInputError(
            f"{where}: the header is not valid JSON: {str(error)[:120]}.", NEXT
        ) from None
    if not isinstance(value, dict):
        raise InvalidInputError(f"{where}: the header must be an object, got {shown(value)}.", NEXT)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {shown(twice)} occurs twice")
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
        raise invalid_file(where, faults, NEXT)
    return [tensor for _, _, tensor in found]


def _tensor(name: str, entry: object) -> tuple[int, int, StoredTensor]:
    """Return the first and the last byte of a tensor, and the tensor.

    Raises:
        ValueError: the entry is invalid; the text is the fault.
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


def read_long(source: ByteSource, start: int, count: int) -> bytes:
    """Return bytes that take more than one read."""
    end = start + count
    places = range(start, end, MOST_AT_ONCE)
    return b"".join(source.read_at(at, min(MOST_AT_ONCE, end - at)) for at in places)
