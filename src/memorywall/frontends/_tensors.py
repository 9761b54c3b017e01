"""The tensors of a model's files, and their totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from memorywall.core.storage import Stored

MOST_FILES = 2000  # of one model


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor of a file: its name, shape, the file's name of its format, its bytes."""

    name: str
    shape: tuple[int, ...]
    format: str
    nbytes: int

    @property
    def elements(self) -> int:
        """The number of its elements."""
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
