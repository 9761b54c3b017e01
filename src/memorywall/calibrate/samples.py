"""Measurements of kernels in columns, and the split by shape that fits are judged on."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from memorywall.core.numbers import Array

# The bit of a shape's checksum that says whether it is fitted (0) or held out (1). Bit 0 is the
# same in all rows of the public tables, whose other half is held back by those who publish them.
SPLIT_BIT = 1


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Measurements of one kind of kernel on a device, in a dtype, as one engine runs it.

    Attributes:
        kind: the name of the kernel.
        device: its name, as a source gives it.
        engine, version: of the measured kernels.
        dtype: of the kernel's tables.
        shape: the kernel's arguments: arrays, one entry a measurement, or one word for all.
        seconds: measured.
        layers: the text of each measurement's layer, such as ``4096x14336``: the part of a shape
            that a model fixes, by which shapes are held out.
    """

    kind: str
    device: str
    engine: str
    version: str
    dtype: str
    shape: Mapping[str, Any]
    seconds: Array
    layers: Sequence[str]

    def __len__(self) -> int:
        return len(self.seconds)

    def some(self, chosen: Array) -> Samples:
        """Return some of the measurements, by places or by a mask."""
        shape = {
            name: value[chosen] if isinstance(value, np.ndarray) else value
            for name, value in self.shape.items()
        }
        layers = np.asarray(self.layers, dtype=object)[chosen]
        return replace(self, shape=shape, seconds=self.seconds[chosen], layers=layers.tolist())

    def held_out(self, bit: int = SPLIT_BIT) -> tuple[Samples, Samples]:
        """Return the measurements to fit, and those of the layers that are held out."""
        bits = {layer: zlib.crc32(layer.encode()) >> bit & 1 for layer in set(self.layers)}
        mask = np.array([bits[layer] for layer in self.layers], dtype=bool)
        return self.some(~mask), self.some(mask)

    def at_most(self, count: int, seed: int = 0) -> Samples:
        """Return a number of them at random, the same for the same seed."""
        if len(self) <= count:
            return self
        places = np.random.default_rng(seed).permutation(len(self))[:count]
        return self.some(np.sort(places))


def of_kind(samples: Iterator[Samples], kind: str) -> list[Samples]:
    """Return those of one kind of kernel."""
    return [each for each in samples if each.kind == kind]
