"""Devices from TOML files: those of the catalogue, one per file, and custom ones."""

from __future__ import annotations

import dataclasses
import datetime as dt
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from memorywall.catalog.device_names import FOLDER, device_names, resolved
from memorywall.catalog.measured import here_path, read_calibration
from memorywall.catalog.usable import usable_by_class
from memorywall.core.errors import (
    InvalidInputError,
    MemoryWallError,
    UnknownNameError,
    invalid_file,
    near_names,
    printable,
    shown,
)
from memorywall.core.files import read_text
from memorywall.core.formats import ARITHMETIC_BITS
from memorywall.core.hardware import Hardware, Link, Memory
from memorywall.core.units import parse

# Far above any device's file; deep dotted keys, which take a parser quadratic time, are not in one.
LARGEST_FILE = 64 * 1024
_MOST_DOTS_IN_A_LINE = 64
_MOST_USABLE = 2**30 / 1e9

_TOP_KEYS = {
    "title": str,
    "vendor": str,
    "class": str,
    "kind": str,
    "aliases": list,
    "version_of": str,
    "released": dt.date,
    "sources": dict,
    "peaks": dict,
    "compute": dict,
    "memories": list,
    "links": list,
    "power": dict,
    "price": dict,
    "notes": list,
    "calibration": dict,
}
_TYPE_WORDS = {str: "a text", dt.date: "a date", dict: "a table", list: "a list"}
_KINDS = ("spec", "measured", "forecast", "hypothetical")


def devices() -> Iterator[Hardware]:
    """Yield every device of the catalogue, sorted by id."""
    for name in device_names():
        yield find_device(name)


def find_device(name: str) -> Hardware:
    """Return the catalogue's device of an id, a title, an alias or a short name.

    Raises:
        UnknownNameError: the catalogue has no such device.
        UnsupportedError: the name is of several devices, such as ``8xh100``.
    """
    return _catalogue_device(resolved(name))


@lru_cache(maxsize=512)
def _catalogue_device(name: str) -> Hardware:
    return read_device(FOLDER / f"{name}.toml")


def measured_path(name: str) -> Path | None:
    """Return the file of this machine as measured: ``here``, ``here-2`` threads, ``here-cuda``.

    None for any other name.

    Raises:
        UnknownNameError: this machine has not been measured, or not in that way.
    """
    first, _, what = name.partition("-")
    if first != "here" or not (not what or what == "cuda" or (what.isascii() and what.isdigit())):
        return None
    path = here_path(what or None)
    if path.exists():
        return path
    option = "--backend cuda" if what == "cuda" else f"--threads {what}" if what else "--quick"
    raise UnknownNameError(
        "device", name, (), f"Measure this machine first: memorywall measure {option}"
    )


def read_device(path: Path) -> Hardware:
    """Read a device from a TOML file; its name is the file's.

    Raises:
        InvalidInputError: the file cannot be read, is not TOML, or has faults; the message lists
            all.
    """
    text = read_text(path, LARGEST_FILE, "a device TOML")
    if any(line.count(".") > _MOST_DOTS_IN_A_LINE for line in text.splitlines()):
        raise InvalidInputError(f"{path}: a line has more dots than any device's file.", _HINT)
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise InvalidInputError(f"{path} is not valid TOML: {str(error)[:200]}", _HINT) from None
    unsourced = None if path.parent == FOLDER else f"as given in {path.name}"
    return _Reader(data, str(path), unsourced).device(path.stem)


_HINT = "For the form of the file see one of the catalogue's: memorywall hardware h100-sxm --toml."


class _Reader:
    """Reads one file and collects each fault with its place.

    ``unsourced`` is the source of numbers without one; None if every number must have a source.
    """

    def __init__(self, data: Mapping[str, Any], where: str, unsourced: str | None) -> None:
        self.data = data
        self.where = where
        self.unsourced = unsourced
        self.faults: list[str] = []
        self.sources: dict[str, str] = {}

    def device(self, name: str) -> Hardware:
        """Return the device; raise InvalidInputError if any fault was found."""
        self._top_level()
        peaks = self._numbers(
            "peaks", self._table("peaks"), dict.fromkeys(ARITHMETIC_BITS, "FLOP/s")
        )
        if not set(self._table("peaks")) - {"source"}:
            self.faults.append("'peaks' is missing: at least one dtype with its FLOP/s is needed")
        memories, links = self._memories(), self._links()
        power = self._numbers("power", self._table("power"), {"tdp": "W"})
        price = self._numbers("price", self._table("price"), {"usd": ""})
        compute = self._numbers("compute", self._table("compute"), {"units": "", "clock": "Hz"})
        calibration = read_calibration(self.data.get("calibration"), self.faults)
        if self.faults:
            raise invalid_file(self.where, self.faults, _HINT)
        return Hardware(
            name=name,
            peaks=peaks,
            memories=memories,
            links=links,
            kind=self.data.get("kind", "spec"),
            title=printable(self.data.get("title", name)),
            vendor=printable(self.data.get("vendor", "")),
            device_class=printable(self.data.get("class", "")),
            released=str(self.data.get("released", "")),
            tdp=power.get("tdp"),
            price=price.get("usd"),
            sources=self.sources,
            notes=tuple(printable(str(note), 400) for note in self.data.get("notes", ())[:20]),
            calibration=calibration,
            aliases=tuple(printable(str(word)) for word in self.data.get("aliases", ())[:20]),
            version_of=printable(self.data.get("version_of", "")),
            units=compute.get("units"),
            clock=compute.get("clock"),
        )

    def _memories(self) -> tuple[Memory, ...]:
        levels = self._tables("memories")
        units = {"capacity": "byte", "bandwidth": "byte/s", "usable": "byte"}
        if not levels:
            self.faults.append("'memories' is missing: at least the main memory is needed")
        elif "bandwidth" not in levels[-1][1]:
            self.faults.append("memories: the last level (the main memory) needs a 'bandwidth'")
        read = [
            Memory(self._name(place, entry), **self._numbers(place, entry, units))
            for place, entry in levels
        ]
        for (place, _), level in zip(levels, read, strict=True):
            self._check_usable(place, level, place == levels[-1][0])
        return (*read[:-1], self._with_usable(levels[-1][0], read[-1])) if read else ()

    def _check_usable(self, place: str, level: Memory, main: bool) -> None:
        if level.usable is None:
            return
        if not main:
            self.faults.append(f"{place}: 'usable' belongs to the last level (the main memory)")
        elif level.capacity is None:
            self.faults.append(f"{place}: 'usable' requires 'capacity'")
        # A label in GB may be of GiB: 7.4 % more.
        elif level.usable > level.capacity * _MOST_USABLE:
            self.faults.append(f"{place}: 'usable' must not be larger than 'capacity' in GiB")

    def _with_usable(self, place: str, main: Memory) -> Memory:
        """Return the main memory with the usable part that its class reports, if none is given."""
        if (
            main.capacity is None
            or main.usable is not None
            or self.data.get("kind", "spec") != "spec"
        ):
            return main
        device_class, vendor = (str(self.data.get(key, "")) for key in ("class", "vendor"))
        found = usable_by_class(device_class, vendor, main.name, float(main.capacity))
        if found is None:
            return main
        usable, self.sources[f"{place}.usable"] = found
        return dataclasses.replace(main, usable=usable)

    def _links(self) -> tuple[Link, ...]:
        links = []
        units = {"bandwidth": "byte/s", "lanes": "", "lane_rate": "bit/s"}
        for place, entry in self._tables("links"):
            name, numbers = self._name(place, entry), self._numbers(place, entry, units)
            if "bandwidth" not in entry:
                self.faults.append(f"{place}: 'bandwidth' is missing")
            elif "bandwidth" in numbers:
                links.append(Link(name, **numbers))
        return tuple(links)

    def _top_level(self) -> None:
        for key, value in self.data.items():
            wanted = _TOP_KEYS.get(key)
            if wanted is None:
                near = near_names(key, _TOP_KEYS, 1) or sorted(_TOP_KEYS)
                said = "is not a key of a device" + (
                    ", whose name is that of the file"
                    if key == "name"
                    else f" (near: {', '.join(near)})"
                )
                self.faults.append(f"{shown(key)} {said}")
            elif not isinstance(value, wanted):
                self.faults.append(f"{key!r} must be {_TYPE_WORDS[wanted]}, got {shown(value)}")
        if isinstance(kind := self.data.get("kind", "spec"), str) and kind not in _KINDS:
            self.faults.append(f"'kind' must be one of {', '.join(_KINDS)}, got {shown(kind)}")

    def _table(self, key: str) -> Mapping[str, Any]:
        table = self.data.get(key, {})
        return table if isinstance(table, dict) else {}

    def _tables(self, key: str) -> list[tuple[str, Mapping[str, Any]]]:
        tables = self.data.get(key, [])
        found: list[tuple[str, Mapping[str, Any]]] = []
        for number, entry in enumerate(tables if isinstance(tables, list) else [], start=1):
            if isinstance(entry, dict):
                found.append((f"{key}[{number}]", entry))
            else:
                self.faults.append(f"{key}[{number}] must be a table, got {shown(entry)}")
        return found

    def _name(self, place: str, entry: Mapping[str, Any]) -> str:
        name = entry.get("name")
        if isinstance(name, str) and name:
            return printable(name)
        self.faults.append(f"{place}: 'name' must be a text, got {shown(name)}")
        return place

    def _numbers(
        self, place: str, table: Mapping[str, Any], units: Mapping[str, str]
    ) -> dict[str, Any]:
        """Read the quantities of one table; every number requires a listed source."""
        numbers: dict[str, Any] = {}
        for key, value in table.items():
            if key in ("source", "name", "note"):
                continue
            where = f"{place}.{key}"
            if key not in units:
                near = near_names(key, units, 1) or sorted(units)
                self.faults.append(f"{where} is not known (near: {', '.join(near)})")
                continue
            entry = value if isinstance(value, dict) else {"value": value}
            number, unit = entry.get("value"), units[key]
            try:
                numbers[key] = parse(number, unit) if unit else _whole(number)
            except MemoryWallError as error:
                self.faults.append(f"{where}: {error.message}")
            self._source(where, entry.get("source", table.get("source")), entry.get("note"))
        return numbers

    def _source(self, where: str, source: object, note: object) -> None:
        """Record a number's source, with the note on its derivation."""
        listed = self.data.get("sources", {})
        if isinstance(listed, dict) and isinstance(source, str) and source in listed:
            self.sources[where] = f"{listed[source]} ({note})" if note else str(listed[source])
        elif source is None and self.unsourced:
            self.sources[where] = self.unsourced
        else:
            self.faults.append(f"{where}: source {shown(source)} is not listed under [sources]")


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**40:
        return value
    raise InvalidInputError(f"expected a positive whole number, got {shown(value)}")
