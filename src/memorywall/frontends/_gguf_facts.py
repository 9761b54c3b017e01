"""The metadata and tensors of a GGUF header, as the table of architectures reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from memorywall.core.errors import InvalidInputError, UnsupportedError, shown
from memorywall.frontends._tensors import StoredTensor
from memorywall.frontends.gguf import Gguf
from memorywall.reading.config_values import LARGEST_DEPTH

_BLOCK = re.compile(r"(?:(?:enc|dec)\.)?blk\.(\d{1,6})\.(.+)")
_LARGEST = 2**40
_AGAIN = "Convert the model again."


@dataclass(frozen=True, slots=True)
class Facts:
    """A header by names: ``get`` for metadata, the rest for tensors.

    Attributes:
        architecture: ``general.architecture``.
        where: the file, for messages.
        metadata: keys without the architecture in front.
        tensors: those outside blocks, by name.
        blocks: those of each block, by their name within it.
    """

    architecture: str
    where: str
    metadata: Mapping[str, Any]
    tensors: Mapping[str, StoredTensor]
    blocks: Mapping[int, Mapping[str, StoredTensor]]
    depth: int = field(default=0)

    def get(self, key: str) -> Any:
        """Return a value of the metadata, or None; of a list by layer the one that layers have.

        Layers that do not have the part are 0 in such a list.

        Raises:
            UnsupportedError: layers differ.
        """
        value = self.metadata.get(key)
        if not isinstance(value, list):
            return value
        found = {item for item in value[: self.depth] if item}
        if len(found) > 1:
            raise UnsupportedError(
                f"{self.where}: {self.architecture}.{key} differs by layer, which no family has."
            )
        return found.pop() if found else 0

    def size(self, key: str) -> int:
        """Return a length of the metadata; 0 where it is absent.

        Raises:
            InvalidInputError: not a length.
            UnsupportedError: layers differ.
        """
        value = self.get(key)
        if value is None:
            return 0
        if type(value) is not int or not 0 <= value < _LARGEST:
            raise InvalidInputError(
                f"{self.where}: {self.architecture}.{key} must be a length, got {shown(value)}.",
                _AGAIN,
            )
        return value

    def placed(self, name: str) -> list[bool]:
        """Return for each layer whether its block has a tensor."""
        return [name in self.blocks.get(layer, {}) for layer in range(self.depth)]

    def has(self, name: str) -> bool:
        """Whether a tensor is in the file, in some block or outside."""
        return self.shape(name) is not None

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of a tensor, that of the first block that has it; None without one."""
        if name in self.tensors:
            return self.tensors[name].shape
        for layer in range(self.depth):
            tensor = self.blocks.get(layer, {}).get(name)
            if tensor is not None:
                return tensor.shape
        return None

    def axis(self, name: str, axis: int) -> int:
        """Return the length of an axis of a tensor; 0 without the tensor or the axis."""
        shape = self.shape(name) or ()
        return shape[axis] if -len(shape) <= axis < len(shape) else 0


def facts_of(header: Gguf, where: str) -> Facts:
    """Return the facts of a header whose architecture is a text.

    Raises:
        InvalidInputError: the number of blocks is not one that models have.
    """
    architecture = str(header.metadata["general.architecture"])
    prefix = f"{architecture}."
    metadata = {key.removeprefix(prefix): value for key, value in header.metadata.items()}
    outside: dict[str, StoredTensor] = {}
    blocks: dict[int, dict[str, StoredTensor]] = {}
    for tensor in header.tensors:
        found = _BLOCK.fullmatch(tensor.name)
        if found is None:
            outside[tensor.name] = tensor
        else:
            blocks.setdefault(int(found[1]), {})[found[2]] = tensor
    return Facts(architecture, where, metadata, outside, blocks, _depth(metadata, prefix, where))


def _depth(metadata: Mapping[str, Any], prefix: str, where: str) -> int:
    """Return the number of layers, without those that predict further tokens: they come last."""
    count = _count(metadata, "block_count", prefix, where)
    return max(1, count - _count(metadata, "nextn_predict_layers", prefix, where))


def _count(metadata: Mapping[str, Any], key: str, prefix: str, where: str) -> int:
    value = metadata.get(key, 0)
    if type(value) is int and 0 <= value <= LARGEST_DEPTH:
        return value
    raise InvalidInputError(
        f"{where}: {prefix}{key} must be a number of layers, at most {LARGEST_DEPTH}, "
        f"got {shown(value)}.",
        _AGAIN,
    )


def further_tensors(header: Gguf, where: str) -> tuple[StoredTensor, ...]:
    """Return the tensors of blocks that predict further tokens (MTP), which no pass here runs."""
    facts = facts_of(header, where)
    if not facts.metadata.get("nextn_predict_layers"):
        return ()
    return tuple(
        tensor
        for layer, block in facts.blocks.items()
        if layer >= facts.depth
        for tensor in block.values()
    )
