"""Measured devices in the user's data folder: written by ``measure``, read as ``--on here``."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memorywall.core.calibration import Calibration, Curve
from memorywall.core.errors import InvalidInputError, MissingDependencyError, shown
from memorywall.core.files import check_place, write_text
from memorywall.core.hardware import Hardware

DATA_VARIABLE = "MEMORYWALL_DATA"
_MOST_POINTS = 64


def data_folder() -> Path:
    """Return the folder of measurements: ``$MEMORYWALL_DATA``, else the system's data folder."""
    given = os.environ.get(DATA_VARIABLE)
    if given:
        return Path(given)
    from platformdirs import user_data_path  # noqa: PLC0415 - rarely needed

    return user_data_path("memorywall", appauthor=False)


def here_path(what: int | str | None = None) -> Path:
    """Return the file of a measurement: the latest, with a number of threads, or ``cuda``."""
    name = "here" if what is None else f"here-{what}"
    return data_folder() / "hardware" / f"{name}.toml"


def to_toml(device: Hardware) -> str:
    """Return a measured device as the text of its file."""
    try:
        import tomli_w  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingDependencyError("tomli_w", "measure", "writing a measured device") from None
    source = next(iter(device.sources.values()), "measured")
    table: dict[str, Any] = {
        "title": device.title,
        "kind": device.kind,
        "class": device.device_class,
        "notes": list(device.notes),
        "sources": {"measured": source},
        "peaks": {
            "source": "measured",
            **{dtype: f"{float(peak):.6g} FLOP/s" for dtype, peak in device.peaks.items()},
        },
        "memories": [
            {
                "name": level.name,
                "source": "measured",
                **({"capacity": f"{float(level.capacity):.0f} B"} if level.capacity else {}),
                **({"bandwidth": f"{float(level.bandwidth):.6g} B/s"} if level.bandwidth else {}),
            }
            for level in device.memories
        ],
        "links": [
            {
                "name": link.name,
                "source": "measured",
                "bandwidth": f"{float(link.bandwidth):.6g} B/s",
            }
            for link in device.links
        ],
    }
    if device.calibration is not None:
        table["calibration"] = _table_of(device.calibration)
    return str(tomli_w.dumps(table))


def check_data_folder() -> None:
    """Check that a measurement can be saved, before it is made.

    Raises:
        InvalidInputError: the data folder cannot be written.
    """
    with _saving():
        check_place(here_path())


@contextmanager
def _saving() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidInputError(
            f"{data_folder()} cannot be written: {error.strerror}.",
            f"Free disk space or set another folder: {DATA_VARIABLE}=... memorywall measure",
        ) from None


def write_record(name: str, text: str) -> Path:
    """Write the record of a measurement into the data folder, and return its path.

    Raises:
        InvalidInputError: the data folder cannot be written.
    """
    path = data_folder() / "records" / name
    with _saving():
        write_text(path, text)
    return path


def save_here(device: Hardware, what: int | str) -> Path:
    """Write a device as this machine's latest measurement, and as that with its number of threads.

    Raises:
        InvalidInputError: the data folder cannot be written.
    """
    text = to_toml(device)
    with _saving():
        write_text(here_path(what), text)
        write_text(here_path(), text)
    return here_path()


def read_calibration(table: object, faults: list[str]) -> Calibration | None:
    """Read the table that ``to_toml`` writes; append faults to the list."""
    if not isinstance(table, dict):
        return None
    try:
        curves = {}
        for entry in table["curves"]:
            curve = _read_curve(entry)
            curves[curve.operator, curve.dtype] = curve
        return Calibration(
            curves,
            {str(d): _positive(s, zero=True) for d, s in table["dispatch_s"].items()},
            {str(d): _positive(s, zero=True) for d, s in table["forward_s"].items()},
            low=_positive(table["low"]),
            high=_positive(table["high"]),
            points=int(_positive(table["points"])),
        )
    except (KeyError, TypeError, AttributeError, ValueError, InvalidInputError) as error:
        faults.append(f"calibration: {str(error)[:100]}; measure again: memorywall measure")
        return None


def _table_of(calibration: Calibration) -> dict[str, Any]:
    return {
        "low": calibration.low,
        "high": calibration.high,
        "points": calibration.points,
        "dispatch_s": dict(calibration.dispatch_s),
        "forward_s": dict(calibration.forward_s),
        "curves": [
            {
                "operator": curve.operator,
                "dtype": curve.dtype,
                "floor_s": curve.floor_s,
                "sizes": list(curve.sizes),
                "seconds": list(curve.seconds),
            }
            for curve in calibration.curves.values()
        ],
    }


def _read_curve(entry: Mapping[str, Any]) -> Curve:
    sizes = tuple(_positive(size) for size in entry["sizes"])
    seconds = tuple(_positive(value) for value in entry["seconds"])
    if not 0 < len(sizes) == len(seconds) <= _MOST_POINTS or list(sizes) != sorted(set(sizes)):
        raise ValueError(f"the curve of {shown(entry['operator'])} has no rising sizes")
    floor = _positive(entry["floor_s"], zero=True)
    return Curve(str(entry["operator"]), str(entry["dtype"]), sizes, seconds, floor)


def _positive(value: object, *, zero: bool = False) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or value < 0 or (value == 0 and not zero):  # type: ignore[operator]
        raise ValueError(f"expected a positive number, got {shown(value)}")
    return float(value)  # type: ignore[arg-type]
