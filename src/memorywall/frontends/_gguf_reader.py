"""Reads numbers, texts and values of a GGUF header in order, without trusting any of them."""

from __future__ import annotations

import struct
from typing import Any

from memorywall.core.errors import InvalidInputError, shown
from memorywall.frontends._source import MOST_AT_ONCE, ByteSource

NEXT = "The file is damaged or not a GGUF of version 2 or 3: download it again."

# Far above published files; longer parts are skipped or refused, so that reading stays fast.
_LONGEST_HEADER = 256 << 20
_MOST_ITEMS = 1_000_000  # over all arrays; vocabularies and their merges have half of that
_LONGEST_TEXT = 512
_LONGEST_ARRAY = 1024
_DEEPEST = 4

# The metadata's kinds of numbers, by struct's letters.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
            12: "d"}  # fmt: skip
_TEXT, _ARRAY = 8, 9


class GgufReader:
    """Reads a header from its start, one piece of the file at a time."""

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self.at = 0
        self.items = 0
        self._piece = b""
        self._start = 0

    def fault(self, what: str) -> InvalidInputError:
        """Return an error with the current position."""
        return InvalidInputError(f"{self.source.name}, byte {self.at}: {what}.", NEXT)

    def take(self, count: int) -> bytes:
        """Return the next bytes, at most a piece's length."""
        begin = self.at - self._start
        if not 0 <= begin <= len(self._piece) - count:
            left = self.source.size - self.at
            if left < count:
                raise self.fault(f"{count} bytes are required, and {max(0, left)} are left")
            self._piece = self.source.read_at(self.at, min(MOST_AT_ONCE, left))
            self._start, begin = self.at, 0
        self._move(count)
        return self._piece[begin : begin + count]

    def skip(self, count: int) -> None:
        """Skip bytes without reading them."""
        if count > self.source.size - self.at:
            raise self.fault(f"{count} bytes should follow, past the end of the file")
        self._move(count)

    def _move(self, count: int) -> None:
        self.at += count
        if self.at > _LONGEST_HEADER:
            raise self.fault("the header is longer than any model's")

    def number(self, code: str) -> Any:
        """Return a number, by ``struct``'s letter."""
        return struct.unpack(f"<{code}", self.take(struct.calcsize(code)))[0]

    def text(self, longest: int) -> str | None:
        """Return a text, or None if it is longer than the limit and was skipped."""
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
        """Return a metadata value; None for a long text or array."""
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _TEXT:
            return self.text(_LONGEST_TEXT)
        if kind == _ARRAY and depth < _DEEPEST:
            return self._array(depth)
        raise self.fault(f"a value is of kind {kind}, {depth} deep, which is not known")

    def _array(self, depth: int) -> list[Any] | None:
        """Return a short array of numbers; skip any other."""
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
        """Skip length-prefixed texts; a vocabulary has hundreds of thousands."""
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
