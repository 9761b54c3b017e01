"""How a config was read: what was used, assumed and left, from the record of that very reading."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from memorywall.core.errors import printable, shown
from memorywall.core.model import Model
from memorywall.reading.ignored_keys import bearing
from memorywall.report.table import remark, say
from memorywall.report.wide_table import print_table

# A config may hold any number of keys; a table of them stays one that can be read.
_MOST_ROWS = 200


def explain_record(model: Model) -> dict[str, Any]:
    """Return how a model was read, as plain values."""
    reading, storage, stored = model.reading, model.storage, model.stored
    return {
        **model.to_dict(),
        "used": dict(reading.used),
        "assumed": dict(reading.assumed),
        "unused": {key: {"value": value, "bearing": bearing(key)} for key, value in reading.unused},
        "weights": None if storage is None else storage.reason or storage.name,
        "stored": None if stored is None else stored.to_dict(),
        "notes": [*model.architecture.notes, *(storage.notes if storage else ())],
    }


def show_reading(model: Model, console: Console) -> None:
    """Print how a model was read."""
    record = explain_record(model)
    say(
        console,
        f"{model.name}: family {model.family.name}, counted as {record['class']}, "
        f"{model.parameters:,} parameters in {record['weights'] or model.dtype}",
        style="bold",
    )
    rows = [(key, value, "read") for key, value in model.reading.used]
    rows += [(key, value, "absent: assumed") for key, value in model.reading.assumed]
    rows += [(key, value, f"left: {bearing(key)}") for key, value in model.reading.unused]
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
    for note in record["notes"]:
        remark(console, "note:", note)
