"""A machine: peaks by dtype, memory levels, links; every number with its source."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from memorywall.core.calibration import Calibration
from memorywall.core.errors import (
    InvalidInputError,
    UnknownNameError,
    UnsupportedError,
    shown,
)
from memorywall.core.formats import ARITHMETIC_BITS, TWINS
from memorywall.core.numbers import Number, as_quantity, is_array
from memorywall.core.quantities import record_of
from memorywall.core.units import parse

_CHANGED = "changed by hand"
# The numbers of the main memory that ``Hardware.replace`` changes, with their units.
_OF_MAIN_MEMORY = {"bandwidth": "byte/s", "capacity": "byte", "usable": "byte"}
FORECAST = "forecast:"  # the prefix of the names of forecast devices

HardwareKind: TypeAlias = Literal["spec", "measured", "forecast", "hypothetical"]


@dataclass(frozen=True, slots=True)
class Memory:
    """One level of memory.

    Attributes:
        name: such as ``L2`` or ``HBM3``.
        capacity: byte, the label; None if no source prints it.
        bandwidth: byte/s, reads and writes together; None if no source prints it.
        usable: byte that the driver or the system reports as usable; None if not known.
    """

    name: str
    capacity: Number | None = None
    bandwidth: Number | None = None
    usable: Number | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """An interconnect of the device.

    Attributes:
        name: such as ``NVLink 4``.
        bandwidth: byte/s in one direction, all lanes of the device together.
        lanes: their number in one direction, if known.
        lane_rate: bit/s that one lane signals in one direction, if known.
    """

    name: str
    bandwidth: Number
    lanes: int | None = None
    lane_rate: float | None = None


# Compared by identity: it may hold arrays, and mappings that do not hash.
@dataclass(frozen=True, slots=True, eq=False)
class Hardware:
    """A device on which programs are priced.

    Attributes:
        name: its id in the catalogue.
        peaks: dense FLOP/s by dtype (integer operations count as FLOPs).
        memories: nearest to the arithmetic first; the last is the main memory.
        links: interconnects, without the network beyond the node.
        kind: the origin of the numbers: a data sheet, a measurement, a forecast or a what-if.
        title, vendor, device_class, released, tdp, price: descriptive fields (W, US dollars; None
            if no source prints it).
        sources: the source of every number, by its place, such as ``peaks.bf16``.
        notes: caveats on the numbers.
        calibration: the measured speed of operators on it, if any.
        aliases: other names that it answers to.
        units: processors that run tiles side by side (SMs, compute units, cores); None if no source
            prints it.
        clock: Hz at which they run under load; None if no source prints it.
        version_of: the device of which it is a version, such as one for export or with another
            memory, and not a new design; "" for others.
        shapes: the shapes of those of its numbers that are arrays.
        draws: of a forecast, the same device with arrays of equally likely numbers, from which
            intervals follow.
    """

    name: str
    peaks: Mapping[str, Number]
    memories: tuple[Memory, ...]
    links: tuple[Link, ...] = ()
    kind: HardwareKind = "spec"
    title: str = ""
    vendor: str = ""
    device_class: str = ""
    released: str = ""
    tdp: float | None = None
    price: float | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    calibration: Calibration | None = None
    draws: Hardware | None = None
    aliases: tuple[str, ...] = ()
    version_of: str = ""
    units: int | None = None
    clock: float | None = None
    shapes: tuple[tuple[int, ...], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "peaks", MappingProxyType(dict(self.peaks)))
        object.__setattr__(self, "sources", MappingProxyType(dict(self.sources)))
        numbers: list[Number | None] = [*self.peaks.values()]
        for level in self.memories:
            numbers += [level.capacity, level.bandwidth, level.usable]
        shapes = tuple(number.shape for number in numbers if is_array(number))
        object.__setattr__(self, "shapes", shapes)

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy does not pickle; the constructor makes it again.
        values = [getattr(self, f.name) for f in dataclasses.fields(self) if f.init]
        plain = [dict(v) if isinstance(v, MappingProxyType) else v for v in values]
        return Hardware, tuple(plain)

    @property
    def main_memory(self) -> Memory:
        """The level that holds the model."""
        return self.memories[-1]

    @property
    def bandwidth(self) -> Number:
        """Bandwidth of the main memory, byte/s."""
        found = self.main_memory.bandwidth
        if found is None:
            raise UnsupportedError(
                f"{self.name} has no bandwidth of the main memory.",
                "Set one: hardware.replace(bandwidth=...).",
            )
        return found

    @property
    def capacity(self) -> Number | None:
        """Capacity of the main memory, byte: the label."""
        return self.main_memory.capacity

    @property
    def usable(self) -> Number | None:
        """Byte of the main memory that programs can use: as reported, else the label."""
        found = self.main_memory.usable
        return self.capacity if found is None else found

    def replace(self, **changes: Any) -> Hardware:
        """Return a copy with other numbers, of kind ``hypothetical`` unless given.

        In addition to the attributes, ``bandwidth`` (byte/s), ``capacity`` and ``usable`` (byte)
        change the main memory, and ``peaks`` changes only the dtypes that it names (FLOP/s). All of
        a changed capacity is usable, unless ``usable`` is given. Numbers may be arrays, or text
        with a unit, such as ``"80 GiB"`` and ``"3.35 TB/s"``. A changed forecast is no longer a
        forecast, and has no draws.

        Raises:
            InvalidInputError: no such attribute, a dtype that is not known, or a number that is not
                positive and finite.
        """
        known = {f.name for f in dataclasses.fields(self) if f.init} | set(_OF_MAIN_MEMORY)
        unknown = sorted(set(changes) - known)
        if unknown:
            raise InvalidInputError(
                f"a device has no {', '.join(unknown)}", f"It has: {', '.join(sorted(known))}."
            )
        places = []
        if "capacity" in changes:
            changes.setdefault("usable", changes["capacity"])
        for what, unit in _OF_MAIN_MEMORY.items():
            if what in changes:
                value = changes.pop(what)
                number = None if value is None else _quantity(value, what, unit)
                levels = changes.get("memories", self.memories)
                if not levels:
                    raise InvalidInputError(f"{what} requires a device with memories.")
                last = dataclasses.replace(levels[-1], **{what: number})
                changes["memories"] = (*levels[:-1], last)
                places.append(f"memories[{len(levels)}].{what}")
        if "peaks" in changes:
            peaks = _checked_peaks(changes["peaks"])
            changes["peaks"] = {**self.peaks, **peaks}
            places += [f"peaks.{dtype}" for dtype in peaks]
        if "sources" not in changes:
            kept = {place: said for place, said in self.sources.items() if place not in places}
            changes["sources"] = {**kept, **dict.fromkeys(places, _CHANGED)}
        return dataclasses.replace(self, **{"kind": "hypothetical", "draws": None, **changes})

    def arithmetic(self, dtype: str) -> str:
        """Return the dtype in which arithmetic requested in ``dtype`` runs on the device.

        That is the dtype itself if the device has a peak for it; bf16 and fp16 replace each
        other, as engines run models of either on devices with the other; else the next wider one.

        Raises:
            UnsupportedError: the device has neither.
        """
        for same in (dtype, TWINS.get(dtype, dtype)):
            if same in self.peaks:
                return same
        width = ARITHMETIC_BITS.get(dtype, 0)
        wider = [
            known
            for known, bits in ARITHMETIC_BITS.items()
            if bits > width and known in self.peaks and known != "tf32"
        ]
        if not wider:
            raise UnsupportedError(
                f"{self.name} has no peak for {dtype} arithmetic, nor for any wider one.",
                f"It has {', '.join(self.peaks)}: choose another format for the activations.",
            )
        # Of two with equal width, the one of the same kind: integers with integers.
        return min(wider, key=lambda known: (ARITHMETIC_BITS[known], known[:3] != dtype[:3]))

    def peak(self, dtype: str) -> Number:
        """Peak FLOP/s of arithmetic in a dtype, or in the one that replaces it."""
        return self.peaks[self.arithmetic(dtype)]

    def ridge_point(self, dtype: str) -> Number:
        """FLOP per byte at which the compute and the memory roof meet."""
        return self.peak(dtype) / self.bandwidth

    @property
    def ridge_points(self) -> dict[str, Number]:
        """FLOP per byte at which the two roofs meet, for each arithmetic."""
        return {dtype: self.ridge_point(dtype) for dtype in self.peaks}

    def to_dict(self) -> dict[str, Any]:
        """Return its record in base units, the quantities of the group ``device``."""
        return record_of("device", self)

    def map_numbers(self, change: Callable[[Number], Number]) -> Hardware:
        """Return a copy with every number that affects prices passed through ``change``."""
        memories = tuple(
            Memory(
                level.name,
                None if level.capacity is None else change(level.capacity),
                None if level.bandwidth is None else change(level.bandwidth),
                None if level.usable is None else change(level.usable),
            )
            for level in self.memories
        )
        peaks = {dtype: change(peak) for dtype, peak in self.peaks.items()}
        return dataclasses.replace(self, peaks=peaks, memories=memories)


def _checked_peaks(peaks: object) -> dict[str, Number]:
    if not isinstance(peaks, Mapping):
        raise InvalidInputError(
            f"peaks must be FLOP/s by dtype, got {shown(peaks)}",
            "For example: peaks={'bf16': 1e15}.",
        )
    for dtype in peaks:
        if dtype not in ARITHMETIC_BITS:
            raise UnknownNameError("dtype", dtype, ARITHMETIC_BITS)
    return {dtype: _quantity(peak, f"peaks[{dtype!r}]", "FLOP/s") for dtype, peak in peaks.items()}


def _quantity(value: object, name: str, unit: str) -> Number:
    """Check a positive quantity, in base units or as text with a unit.

    Raises:
        InvalidInputError: another unit, not a number, not positive, or out of range.
    """
    return parse(value, unit, name) if isinstance(value, str) else as_quantity(value, name)
