"""Records of analyses, as ``Analysis.to_dict`` and ``--json`` write them, read by version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.analysis import SCHEMA
from memorywall.core.errors import InvalidInputError, join_words, shown
from memorywall.core.quantities import CEILINGS

FIRST_SCHEMA = "memorywall.analysis/1"
SECOND_SCHEMA = "memorywall.analysis/2"
_ABOUT = ("schema", "conventions", "notes", "ops", "footprint", "time_shares", "points")
# Of a calibrated machine the first version kept these at the roofs, beside the predicted seconds.
_AT_ROOFS = ("bound", "tokens_per_s", "images_per_s", "ttft_s", "tpot_s", "step_s", "mfu", "mbu")


@dataclass(frozen=True, slots=True)
class AnalysisRecord:
    """A record of an analysis, of any version.

    Attributes:
        schema: the version that wrote it.
        points: one flat record a point, with the names of the newest version; a single question
            is one point.
        ops: of a single question, its operators.
        conventions, notes: as of ``Analysis``.
    """

    schema: str
    points: tuple[Mapping[str, Any], ...]
    ops: tuple[Mapping[str, Any], ...]
    conventions: Mapping[str, Any]
    notes: tuple[str, ...]


def read_analysis_record(record: Mapping[str, Any]) -> AnalysisRecord:
    """Read a record of an analysis of any version.

    Version 2 called ``bound_s`` by another name. Of a calibrated machine, version 1 kept rates and
    shares at the roofs and the prediction beside them: these rates are left out of its points,
    whose ``latency_s`` is the predicted one.

    Raises:
        InvalidInputError: no record of an analysis, or of a later version.
    """
    schema = record.get("schema")
    known = (FIRST_SCHEMA, SECOND_SCHEMA, SCHEMA)
    if schema not in known:
        raise InvalidInputError(
            f"schema must be {join_words(known, 'or')}, got {shown(schema)}.",
            "Read a record that memorywall analyze --json wrote.",
        )
    if schema == FIRST_SCHEMA:
        points = tuple(_first_points(record))
    else:
        points = tuple(record["points"]) if "points" in record else (_flat(record),)
    if schema == SECOND_SCHEMA:
        points = tuple(_with_bound(point) for point in points)
    grid = "points" in record or isinstance(record["latency_s"], list)
    ops = () if grid else tuple(record["ops"])
    return AnalysisRecord(schema, points, ops, dict(record["conventions"]), tuple(record["notes"]))


def _with_bound(point: Mapping[str, Any]) -> dict[str, Any]:
    """Return a point of version 2 with the bound under its later name."""
    return {"bound_s" if name == "roofline_s" else name: value for name, value in point.items()}


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the quantities of a record of one question in one level."""
    flat = {name: value for name, value in record.items() if name not in _ABOUT}
    flat |= {f"footprint_{part}": value for part, value in record["footprint"].items()}
    return flat | {f"share_{what}": value for what, value in record["time_shares"].items()}


def _first_points(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the points of a record of version 1, whose grids were nested lists."""
    columns = _flat(record)
    size = len(list(_leaves(columns["latency_s"])))
    spread = {
        name: [value] * size
        if name == "image_size" or not isinstance(value, list)
        else list(_leaves(value))
        for name, value in columns.items()
    }
    kind = record["conventions"]["ceilings"]
    for values in zip(*spread.values(), strict=True):
        yield _renamed(dict(zip(spread, values, strict=True)), kind)


def _renamed(point: dict[str, Any], kind: str) -> dict[str, Any]:
    predicted = point.pop("predicted_s")
    low, high = point.pop("low_s"), point.pop("high_s")
    calibrated = predicted is not None and kind != "forecast"
    point |= {
        "bound_s": point["latency_s"],
        "latency_low_s": low,
        "latency_high_s": high,
        "time_provenance": "calibrated" if calibrated else CEILINGS[kind],
    }
    if not calibrated:
        return point
    shares = [name for name in point if name.startswith("share_")]
    left_out = (*_AT_ROOFS, *shares)
    kept = {name: value for name, value in point.items() if name not in left_out}
    return {**kept, "latency_s": predicted}


def _leaves(value: Any) -> Iterator[Any]:
    """Yield the numbers of nested lists in order."""
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    else:
        yield value
