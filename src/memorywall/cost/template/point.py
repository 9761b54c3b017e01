"""The point of a template's evaluation: the lengths of its symbols."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, cast

from memorywall.core.forward import Forward
from memorywall.core.numbers import Number
from memorywall.core.symbols import variable


class Point(NamedTuple):
    """The numbers of one forward pass, or of many where they are arrays that broadcast.

    Attributes:
        batch: sequences, guidance's second rows among them.
        length: tokens of a pass that begins a sequence; of a decode step the positions that its
            token attends to, itself the last.
        source: positions of each source.
        images: images of each sequence.
    """

    batch: Number
    length: Number
    source: Number = 1
    images: Number = 1


# The names of the symbols, in the order of a point.
VARIABLES = ("B", "S", "R", "I")


def symbolic(forward: Forward) -> Forward:
    """Return the same pass at any point; without any image it stays without."""
    batch, length, source, images = (cast("Number", variable(name)) for name in VARIABLES)
    pictured = not (isinstance(forward.images, int) and forward.images == 0)
    return replace(
        forward,
        batch=batch,
        tokens=1 if forward.step else length,
        past=length - 1 if forward.step else 0,
        source=source,
        images=images if pictured else 0,
    )
