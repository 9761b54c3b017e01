"""Read a model's config, which may come from any source; one error lists every fault."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from memorywall.core.errors import (
    MemoryWallError,
    UncoveredError,
    UnsupportedError,
    invalid_file,
    near_names,
    shown,
)
from memorywall.core.formats import find_arithmetic_format
from memorywall.layers.element_costs import ACTIVATION_FLOPS
from memorywall.reading.class_names import known_class
from memorywall.reading.watched import Watched

# Far above any published model, and low enough that no product of two overflows a float.
LARGEST_SIZE = 2**31
# The same for layers, which readers process one by one.
LARGEST_DEPTH = 2**16
# Numbers in a list of sizes, such as those of an image model's stages.
MOST_SIZES = 32


class Config:
    """A config's values by key, checked as they are read.

    A key that is missing, of the wrong type or out of range is recorded as a fault, and a harmless
    value is returned so that reading continues; ``check`` raises all faults together.
    """

    def __init__(
        self, data: Mapping[str, Any], where: str, names: Mapping[str, str] | None = None
    ) -> None:
        self.data = data
        self.where = where
        self.names = names or {}  # this model type's names of common keys
        self.notes: list[str] = []  # notes for the reader of the answer
        self.faults: dict[str, str] = {}  # by key, so that each is listed once

    def key(self, name: str) -> str:
        """Return the config's name of a key: the name of its model type, or the common one."""
        own = self.names.get(name, name)
        return own if own in self.data or name not in self.data else name

    def default(self, key: str, value: Any) -> Any:
        """Return the default of a key that is absent or null, and record it."""
        if isinstance(self.data, Watched):
            self.data.assume(key, value)
        return value

    def has(self, key: str) -> bool:
        """Whether a key is present and not null."""
        return self.data.get(key) is not None

    def fault(self, key: str, text: str) -> None:
        """Record a fault of a key that a reader checks."""
        self.faults[key] = text

    def within(self, key: str) -> Config | None:
        """Return a nested mapping that shares this one's faults; None if absent."""
        value = self.data.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.faults[key] = f"{key!r} must be a mapping, got {shown(value)}"
            return None
        part = Config(value, self.where)
        part.faults, part.notes = self.faults, self.notes
        return part

    def size(self, key: str, default: int | None = None, *, most: int = LARGEST_SIZE) -> int:
        """Return a whole number from 1 to ``most``; an absent or null key takes the default."""
        key = self.key(key)
        value = self.data.get(key)
        if value is None:
            if default is None:
                self.faults[key] = self._missing(key)
            return int(self.default(key, default) or 1)
        if _is_size(value, most):
            return int(value)
        self.faults[key] = f"{key!r} must be a whole number from 1 to {most}, got {shown(value)}"
        return 1

    def sizes(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """Return a list of whole numbers from 1 up; an absent or null key takes the default."""
        values = self.data.get(key)
        if values is None:
            return tuple(self.default(key, list(default)))
        good = isinstance(values, list | tuple) and 0 < len(values) <= MOST_SIZES
        if not good or not all(_is_size(value, LARGEST_SIZE) for value in values):
            self.faults[key] = f"{key!r} must list whole numbers from 1 up, got {shown(values)}"
            return default
        return tuple(int(value) for value in values)

    def count(self, key: str, default: int) -> int:
        """Return a whole number from 0 up."""
        value = self.data.get(key)
        if value is None:
            return int(self.default(key, default))
        return 0 if value == 0 and value is not False else self.size(key)

    def optional_size(self, key: str) -> int | None:
        """Return a whole number, or None if the key is absent or null."""
        return self.default(key, None) if self.data.get(key) is None else self.size(key)

    def same_size(self, key: str, default: int | None, *, most: int = LARGEST_SIZE) -> int:
        """Return a whole number that may be listed per layer, if all layers have the same."""
        value = self.data.get(key)
        if not isinstance(value, list) or not value:
            return self.size(key, default, most=most)
        if any(other != value[0] for other in value):
            self.check()
            raise UncoveredError(f"{self.where}: {key!r} must be the same in all layers.")
        one = Config({key: value[0]}, self.where)
        one.faults = self.faults
        return one.size(key, most=most)

    def layer_list(self, key: str, layers: int) -> tuple[int, ...]:
        """Return a list of layers by their numbers, from 0; an absent or null key lists none."""
        value = self.data.get(key)
        if value is None:
            self.default(key, None)
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
            return float(self.default(key, default))
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value <= 1:
            self.faults[key] = f"{key!r} must be a number above 0 and up to 1, got {shown(value)}"
            return default
        return float(value)

    def bound(self, key: str, default: float | None = None) -> float | None:
        """Return a number above 0; None if the key is null, the default if it is absent."""
        value = self.data.get(key)
        if value is None:
            taken: float | None = self.default(key, default if key not in self.data else None)
            return taken
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value <= sys.float_info.max:
            self.faults[key] = f"{key!r} must be a number above 0, got {shown(value)}"
            return default
        return float(value)

    def rotary_share(self, default: float = 1.0, key: str = "partial_rotary_factor") -> float:
        """Return the share of a head that is rotated.

        Newer configs keep it in ``rope_parameters``, older ones under ``key``.
        """
        rope = self.data.get("rope_parameters")
        if self.data.get(key) is None and isinstance(rope, dict):
            inner = Config(rope, f"{self.where}, rope_parameters")
            share = inner.share("partial_rotary_factor", default)
            self.faults.update(inner.faults)
            return share
        return self.share(key, default)

    def layer_types(self, layers: int, known: Sequence[str]) -> list[str] | None:
        """Return the kind of every layer, or None if the key is absent or null."""
        kinds = self.data.get("layer_types")
        if kinds is None:
            self.default("layer_types", None)
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
            return bool(self.default(key, default))
        if not isinstance(value, bool):
            self.faults[key] = f"{key!r} must be true or false, got {shown(value)}"
            return default
        return value

    def word(self, key: str, default: str) -> str:
        """Return a text."""
        key = self.key(key)
        value = self.data.get(key)
        if value is None:
            return str(self.default(key, default))
        if not isinstance(value, str):
            self.faults[key] = f"{key!r} must be a text, got {shown(value)}"
            return default
        return value

    def choice(self, key: str, known: Sequence[str], default: str) -> str:
        """Return one of the known words."""
        value = self.word(key, default)
        if value not in known:
            self.faults[key] = f"{key!r} must be one of {', '.join(known)}, got {shown(value)}"
            return default
        return value

    def activation(self, key: str, default: str) -> str:
        """Return the name of an activation function with a known cost."""
        name = self.word(key, default)
        if name not in ACTIVATION_FLOPS:
            near = near_names(name, ACTIVATION_FLOPS) or sorted(ACTIVATION_FLOPS)
            key = self.key(key)
            self.faults[key] = (
                f"{key!r}: the activation function {shown(name)} is not known "
                f"(known are {', '.join(near)})"
            )
            return default
        return name

    def dtype(self) -> str:
        """Return the format of the published weights; ``bf16`` if the config names none."""
        key = "dtype" if self.data.get("dtype") is not None else "torch_dtype"
        if self.data.get(key) is None:
            self.notes.append("The config has no dtype: bf16 is assumed.")
        name = self.word(key, "bf16")
        try:
            return find_arithmetic_format(name, "the dtype").name
        except MemoryWallError as error:
            self.faults[key] = f"{key!r}: {error.message}"
            return "bf16"

    def class_name(self, default: str, known: Sequence[str]) -> str:
        """Return the class in ``architectures``, one of those known, or the default."""
        classes = self.data.get("architectures")
        if classes is None or classes == []:
            return str(self.default("architectures", [default])[0])
        name = classes[0] if isinstance(classes, list) else None
        if not isinstance(name, str):
            self.faults["architectures"] = (
                f"'architectures' must be a list of class names, got {shown(classes)}"
            )
            return default
        found = known_class(name, known)
        if found is None:
            self.check()
            raise UncoveredError(
                f"{self.where}: the class {shown(name)} is not supported.",
                f"Supported for this model_type: {', '.join(known)}.",
            )
        return found

    def labels(self) -> int:
        """Return the number of labels, from ``num_labels`` or ``id2label``, else 2."""
        names = self.data.get("id2label")
        if isinstance(names, dict) and names:
            return len(names)
        return self.size("num_labels", 2)

    def divides(
        self, part: str, parts: int, whole: str, size: int, *, unless: str | None = None
    ) -> None:
        """Record a fault if ``parts`` does not divide ``size`` and no key gives the quotient."""
        part, whole = self.key(part), self.key(whole)
        if size % parts and not {part, whole} & set(self.faults):
            missing = f", and {unless!r} is missing" if unless else ""
            self.faults[whole] = (
                f"{whole!r} ({size}) is not a multiple of {part!r} ({parts}){missing}"
            )

    def refuse(self, key: str, values: Sequence[object], reason: str) -> None:
        """Raise UnsupportedError if a key has an unsupported value that would change the counts."""
        if self._is_among(key, values):
            raise UnsupportedError(f"{self.where}: {key!r} is {shown(self.data[key])}: {reason}.")

    def leave(self, key: str, values: Sequence[object], what: str) -> None:
        """Raise UncoveredError if only transformers' class supports a key's value."""
        if self._is_among(key, values):
            raise UncoveredError(
                f"{self.where}: {key!r} is {shown(self.data[key])}: {what} not supported."
            )

    def _is_among(self, key: str, values: Sequence[object]) -> bool:
        value = self.data.get(key)
        return value is not None and value in values

    def only(self, key: str, size: int, reason: str) -> None:
        """Raise UnsupportedError if a key gives another size than the supported one."""
        if self.size(key, size) != size:
            self.check()
            self.refuse(key, (self.data.get(key),), reason)

    def all_notes(self) -> tuple[str, ...]:
        """Return the notes so far."""
        return tuple(self.notes)

    def check(self) -> None:
        """Raise InvalidInputError with every recorded fault."""
        if self.faults:
            raise invalid_file(
                self.where,
                list(self.faults.values()),
                "Fix the config, or use a model of the catalogue: memorywall models.",
            )

    def _missing(self, key: str) -> str:
        if key in self.data:
            return f"{key!r} is null"
        near = near_names(key, [k for k in self.data if isinstance(k, str)], 1)
        guess = f" (there is {near[0]!r})" if near else ""
        return f"{key!r} is missing{guess}"


def _is_size(value: object, most: int) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, float) and not (math.isfinite(value) and value == int(value)):
        return False
    return 1 <= value <= most
