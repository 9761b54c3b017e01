"""Reading a model's config, which anyone may have written: every fault of it is named at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from memorywall.core.errors import (
    MemoryWallError,
    UnsupportedError,
    invalid_file,
    near_names,
    shown,
)
from memorywall.core.formats import find_format
from memorywall.families._costs import ACTIVATION_FLOPS

# Far above any published model, and low enough that no product of two overflows a float.
LARGEST_SIZE = 2**31


class Config:
    """A config's values by key, checked as they are read.

    A key that is missing, of the wrong type or out of range is noted as a fault, and a harmless
    value is returned so that reading goes on; ``check`` raises all the faults together.
    """

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self.data = data
        self.where = where
        self.notes: list[str] = []  # what a reader of the answer must know
        self.faults: dict[str, str] = {}  # by key, so that each is named once

    def part(self, key: str) -> Config:
        """Return a config within this one, empty where it is absent or null."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, Mapping):
            self.faults[key] = f"{key!r} must be an object, got {shown(value)}"
        return Config(value if isinstance(value, Mapping) else {}, self.where)

    def take_faults(self, part: Config) -> None:
        """Take over what was found wrong in a config within this one."""
        self.faults.update(part.faults)

    def size(self, key: str, default: int | None = None, *, most: int = LARGEST_SIZE) -> int:
        """Return a whole number from 1 to ``most``; an absent or null key takes the default."""
        value = self.data.get(key)
        if value is None:
            if default is None:
                self.faults[key] = self._missing(key)
            return default or 1
        if _is_size(value, most):
            return int(value)
        self.faults[key] = f"{key!r} must be a whole number from 1 to {most}, got {shown(value)}"
        return 1

    def count(self, key: str, default: int) -> int:
        """Return a whole number from 0 up; an absent or null key takes the default."""
        value = default if self.data.get(key) is None else self.data[key]
        return 0 if value == 0 else self.size(key, default)

    def optional_size(self, key: str) -> int | None:
        """Return a whole number, or None where the key is absent or null."""
        return None if self.data.get(key) is None else self.size(key)

    def same_size(self, key: str, default: int | None, *, most: int = LARGEST_SIZE) -> int:
        """Return a whole number that may be listed layer by layer, if all layers have the same."""
        value = self.data.get(key)
        if not isinstance(value, list) or not value:
            return self.size(key, default, most=most)
        if any(other != value[0] for other in value):
            self.check()
            raise UnsupportedError(
                f"{self.where}: {key!r} differs from layer to layer: that is not covered."
            )
        return Config({key: value[0]}, self.where).size(key, most=most)

    def layer_list(self, key: str, layers: int) -> tuple[int, ...]:
        """Return a list of layers by their numbers, from 0; an absent or null key lists none."""
        value = self.data.get(key)
        if value is None:
            return ()
        known = range(layers)
        if not isinstance(value, list) or any(
            isinstance(layer, bool) or layer not in known for layer in value
        ):
            self.faults[key] = (
                f"{key!r} must list layers from 0 to {layers - 1}, got {shown(value)}"
            )
            return ()
        return tuple(value)

    def share(self, key: str, default: float) -> float:
        """Return a number above 0 and up to 1."""
        value = self.data.get(key)
        if value is None:
            return default
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value <= 1:
            self.faults[key] = f"{key!r} must be a number above 0 and up to 1, got {shown(value)}"
            return default
        return float(value)

    def rotary_share(self) -> float:
        """Return ``partial_rotary_factor``, which newer configs keep in ``rope_parameters``."""
        rope = self.data.get("rope_parameters")
        if self.data.get("partial_rotary_factor") is None and isinstance(rope, dict):
            return Config(rope, self.where).share("partial_rotary_factor", 1.0)
        return self.share("partial_rotary_factor", 1.0)

    def layer_types(self, layers: int, known: Sequence[str]) -> list[str] | None:
        """Return the kind of every layer, or None where the key is absent or null."""
        kinds = self.data.get("layer_types")
        if kinds is None:
            return None
        good = isinstance(kinds, list) and len(kinds) == layers
        if not good or any(kind not in known for kind in kinds):
            self.faults["layer_types"] = (
                f"'layer_types' must list one of {', '.join(known)} for each of {layers} layers, "
                f"got {shown(kinds)}"
            )
            return None
        return list(kinds)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self.data.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.faults[key] = f"{key!r} must be true or false, got {shown(value)}"
            return default
        return value

    def word(self, key: str, default: str) -> str:
        """Return a text."""
        value = self.data.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self.faults[key] = f"{key!r} must be a text, got {shown(value)}"
            return default
        return value

    def activation(self, key: str, default: str) -> str:
        """Return the name of an activation function whose cost is listed."""
        name = self.word(key, default)
        if name not in ACTIVATION_FLOPS:
            near = near_names(name, ACTIVATION_FLOPS) or sorted(ACTIVATION_FLOPS)
            self.faults[key] = (
                f"{key!r}: the activation function {shown(name)} is not known "
                f"(known are {', '.join(near)})"
            )
            return default
        return name

    def dtype(self) -> str:
        """Return the format that the weights are published in; ``bf16`` where none is named."""
        key = "dtype" if self.data.get("dtype") is not None else "torch_dtype"
        if self.data.get(key) is None:
            self.notes.append("The config names no dtype: bf16 is assumed.")
        name = self.word(key, "bf16")
        try:
            return find_format(name).name
        except MemoryWallError as error:
            self.faults[key] = f"{key!r}: {error.message}"
            return "bf16"

    def class_name(self, default: str, known: Sequence[str]) -> str:
        """Return the class in ``architectures``, one of those known, or the default."""
        classes = self.data.get("architectures")
        if classes is None or classes == []:
            return default
        name = classes[0] if isinstance(classes, list) else None
        if not isinstance(name, str):
            self.faults["architectures"] = (
                f"'architectures' must be a list of class names, got {shown(classes)}"
            )
            return default
        if name not in known:
            self.check()
            raise UnsupportedError(
                f"{self.where}: the class {shown(name)} is not covered.",
                f"Covered for this model_type: {', '.join(known)}.",
            )
        return name

    def labels(self) -> int:
        """Return how many classes a classifier has: from ``num_labels`` or ``id2label``, else 2."""
        names = self.data.get("id2label")
        if isinstance(names, dict) and names:
            return len(names)
        return self.size("num_labels", 2)

    def divides(self, part: str, parts: int, whole: str, size: int) -> None:
        """Note a fault where ``parts`` does not divide ``size``."""
        if size % parts and not {part, whole} & set(self.faults):
            self.faults[whole] = f"{whole!r} ({size}) is not a multiple of {part!r} ({parts})"

    def refuse(self, key: str, values: Sequence[object], reason: str) -> None:
        """Raise UnsupportedError where a key has a value that would change what is counted."""
        value = self.data.get(key)
        if value is not None and value in values:
            raise UnsupportedError(f"{self.where}: {key!r} is {shown(value)}: {reason}.")

    def all_notes(self) -> tuple[str, ...]:
        """Return the notes so far, and one where the checkpoint is stored quantised."""
        if self.data.get("quantization_config") is not None:
            self.notes.insert(
                0, "The config's quantization_config is not read: name the format of the weights."
            )
        return tuple(self.notes)

    def check(self) -> None:
        """Raise InvalidInputError with every fault found so far."""
        if self.faults:
            raise invalid_file(
                self.where,
                list(self.faults.values()),
                "Mend the config, or name a model of the catalogue: memorywall models.",
            )

    def _missing(self, key: str) -> str:
        near = near_names(key, [k for k in self.data if isinstance(k, str)], 1)
        guess = f" (there is {near[0]!r})" if near else ""
        return f"{key!r} is missing{guess}"


def _is_size(value: object, most: int) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, float) and not (math.isfinite(value) and value == int(value)):
        return False
    return 1 <= value <= most
