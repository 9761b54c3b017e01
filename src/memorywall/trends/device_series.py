"""Series of accelerators, and of ratios of two numbers of the same device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from memorywall.catalog.devices import devices
from memorywall.catalog.trends import datasets, used
from memorywall.core.errors import InvalidInputError
from memorywall.core.growth import Point, Series
from memorywall.trends.selection import Selection

_DATA_CENTRE = ("data-centre GPU", "TPU", "AI accelerator")


@dataclass(frozen=True, slots=True)
class DeviceRatio:
    """A quantity of a device: the product of columns over the product of others.

    ``{dtype}`` in a column or a text is replaced by the requested dtype.
    """

    title: str
    unit: str
    definition: str
    over: str
    under: str = ""


QUANTITIES = {
    "peak": DeviceRatio(
        "peak {dtype}", "FLOP/s", "dense {dtype} peak, of matrix units if the device has them",
        "{dtype}",
    ),
    "bandwidth": DeviceRatio(
        "memory bandwidth", "byte/s", "main memory of one device, as its data sheet prints it",
        "memory_byte_per_s",
    ),
    "capacity": DeviceRatio(
        "memory capacity", "byte", "main memory of one device", "memory_bytes"
    ),
    "power": DeviceRatio("power", "W", "thermal design power of one device", "tdp_w"),
    "price": DeviceRatio(
        "price", "US dollars", "at release, in dollars of the day, often an estimate", "price_usd"
    ),
    "ridge": DeviceRatio(
        "ridge point {dtype}", "FLOP/byte", "dense {dtype} peak over memory bandwidth",
        "{dtype}", "memory_byte_per_s",
    ),
    "bytes-per-flop": DeviceRatio(
        "memory by peak {dtype}", "byte per FLOP/s", "memory capacity over dense {dtype} peak",
        "memory_bytes", "{dtype}",
    ),
    "read-all": DeviceRatio(
        "time to read all memory once", "s", "memory capacity over memory bandwidth",
        "memory_bytes", "memory_byte_per_s",
    ),
    "bandwidth-per-dollar": DeviceRatio(
        "bandwidth by price", "byte/s per dollar", "memory bandwidth over price at release",
        "memory_byte_per_s", "price_usd",
    ),
    "bandwidth-per-watt": DeviceRatio(
        "bandwidth by power", "byte/s per W", "memory bandwidth over thermal design power",
        "memory_byte_per_s", "tdp_w",
    ),
}  # fmt: skip


def tables() -> dict[str, Callable[[Selection], Series]]:
    """Return every series of devices by its name."""
    found = {name: _builder(name) for name in QUANTITIES}
    return {**found, "link": _links}


def values(name: str, selection: Selection) -> dict[str, Point]:
    """Return a quantity by device, for the devices with a known value."""
    quantity = QUANTITIES[name]
    over, under = (part.format(dtype=selection.dtype) for part in (quantity.over, quantity.under))
    return {
        row["name"]: Point(
            date.fromisoformat(row["date"]),
            float(row[over]) / (float(row[under]) if under else 1),
            row["name"],
        )
        for row in used("hardware")
        if selection.only in ("all", row["segment"]) and row[over] and (not under or row[under])
    }


def _builder(name: str) -> Callable[[Selection], Series]:
    def build(selection: Selection) -> Series:
        quantity, dtype = QUANTITIES[name], selection.dtype
        which = "every device" if selection.only == "all" else f"{selection.only} devices"
        suffix = f"-{dtype}" if "{dtype}" in quantity.over + quantity.under else ""
        return Series(
            name + suffix,
            quantity.title.format(dtype=dtype),
            quantity.unit,
            f"{quantity.definition.format(dtype=dtype)}; {which}",
            datasets()["hardware"].source,
            tuple(values(name, selection).values()),
        )

    return build


def _links(selection: Selection) -> Series:
    """Return the fastest link of each data-centre device of the catalogue, one way."""
    if selection.only not in ("data-centre", "all"):
        raise InvalidInputError(
            f"series 'link' requires data-centre devices, got --only {selection.only}.",
            "Remove --only.",
        )
    return Series(
        "link",
        "link between devices",
        "byte/s",
        "fastest link of one device in one direction, all its lanes; devices with PCIe alone, and "
        "versions of another device, are excluded",
        "the catalogue of devices: memorywall hardware",
        tuple(_linked()),
    )


def _linked() -> list[Point]:
    points = []
    for device in devices():
        rates = [float(link.bandwidth) for link in device.links if not link.name.startswith("PCIe")]
        new = device.device_class in _DATA_CENTRE and not device.version_of
        if rates and new:
            points.append(Point(date.fromisoformat(device.released), max(rates), device.name))
    return points
