"""How a config was read: what was used, assumed and left, from the record of that very reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from memorywall.core.errors import printable, shown
from memorywall.core.model import Model
from memorywall.core.records import recorded, to_record
from memorywall.reading.ignored_keys import bearing
from memorywall.report.table import remark, say
from memorywall.report.wide_table import print_table

# A config may hold any number of keys; a table of them stays one that can be read.
_MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class IgnoredKey:
    """A key that was not read: its value, and what it has an effect on, if that is known."""

    value: Any
    bearing: str


@recorded(hidden=("model",))
@dataclass(frozen=True, slots=True)
class Explanation:
    """How a model's config was read.

    Attributes:
        model: the model.
        used, assumed: values by key, and values assumed for absent keys.
        unused: keys that were not read.
        weights: format of the stored weights, or why they cannot be counted; None where nothing is
            stored.
        stored: what files hold; None where there are none.
        notes: what to know of it.
    """

    model: Model
    used: Mapping[str, Any]
    assumed: Mapping[str, Any]
    unused: Mapping[str, IgnoredKey]
    weights: str | None
    stored: Mapping[str, Any] | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return its record, after the model's own."""
        return {**self.model.to_dict(), **to_record(self)}


def explained(model: Model) -> Explanation:
    """Return how a model was read."""
    reading, storage, stored = model.reading, model.storage, model.stored
    return Explanation(
        model=model,
        used=dict(reading.used),
        assumed=dict(reading.assumed),
        unused={
            key: IgnoredKey(value, bearing(key, value, reading.model_type))
            for key, value in reading.unused
        },
        weights=None if storage is None else storage.reason or storage.name,
        stored=None if stored is None else stored.to_dict(),
        notes=(*reading.notes, *model.architecture.notes, *(storage.notes if storage else ())),
    )


def show_reading(model: Model, console: Console) -> None:
    """Print how a model was read."""
    found = explained(model)
    say(
        console,
        f"{model.name}: family {model.family.name}, counted as {model.architecture.class_name}, "
        f"{model.parameters:,} parameters in {found.weights or model.dtype}",
        style="bold",
    )
    rows = [(key, value, "read") for key, value in found.used.items()]
    rows += [(key, value, "absent: assumed") for key, value in found.assumed.items()]
    rows += [(key, one.value, f"left: {one.bearing}") for key, one in found.unused.items()]
    cells = [(printable(key, 60), shown(value, 60), how) for key, value, how in rows[:_MOST_ROWS]]
    print_table(console, ("key", "value", "how"), cells, sentences=(0, 1, 2))
    if len(rows) > _MOST_ROWS:
        say(console, f"and {len(rows) - _MOST_ROWS} keys more")
    if model.stored is not None:
        parts = ", ".join(f"{name} {size:,} B" for name, size in model.stored.bytes_by_format)
        say(
            console,
            f"stored: {model.stored.nbytes:,} B in {model.stored.tensors} tensors of "
            f"{model.stored.files} files: {parts}",
        )
    for note in found.notes:
        remark(console, "note:", note)
