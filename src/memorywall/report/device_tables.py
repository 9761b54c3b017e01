"""Devices as text: all in a list, one in full, some side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console

from memorywall.core.errors import InvalidInputError, shown
from memorywall.core.formats import ARITHMETIC_BITS
from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Number
from memorywall.core.units import render, render_number
from memorywall.report.table import remark, say
from memorywall.report.wide_table import print_table


def summary(device: Hardware) -> tuple[str, ...]:
    """Return a device's line in a list, a dash where no source prints a number.

    The ridge point is that of the 16-bit peak, else of the fp32 one.
    """
    half = next((device.peaks[d] for d in ("bf16", "fp16") if d in device.peaks), None)
    return (
        device.name,
        device.released,
        _quantity(half, "FLOP/s") or "-",
        _quantity(device.peaks.get("fp8"), "FLOP/s") or "-",
        _quantity(device.peaks.get("int8"), "FLOP/s") or "-",
        _quantity(device.capacity, "byte"),
        _quantity(device.bandwidth, "byte/s"),
        _ridge_of(device) or "-",
        device.title,
    )


SUMMARY_TITLES = (
    "device", "released", "bf16/fp16", "fp8", "int8", "memory", "bandwidth", "FLOP/B", "title",
)  # fmt: skip


def quantities(device: Hardware) -> list[tuple[str, str, str]]:
    """Return every number of a device: (title, value with unit, place of its source)."""
    rows = [(f"peak {d}", _quantity(p, "FLOP/s"), f"peaks.{d}") for d, p in device.peaks.items()]
    for number, level in enumerate(device.memories, start=1):
        for what, unit in (("capacity", "byte"), ("usable", "byte"), ("bandwidth", "byte/s")):
            value = getattr(level, what)
            if value is not None:
                title = f"{level.name} {what}"
                rows.append((title, _quantity(value, unit), f"memories[{number}].{what}"))
    for number, link in enumerate(device.links, start=1):
        rate = _quantity(link.bandwidth, "byte/s")
        rows.append((f"{link.name}, one way", rate, f"links[{number}].bandwidth"))
        if link.lanes and link.lane_rate:
            lanes = f"{link.lanes} x {render(link.lane_rate, 'bit/s')}"
            rows.append((f"{link.name} lanes", lanes, f"links[{number}].lanes"))
    if device.units is not None:
        rows.append(("processors", f"{device.units}", "compute.units"))
    if device.clock is not None:
        rows.append(("clock", _quantity(device.clock, "Hz"), "compute.clock"))
    if device.tdp is not None:
        rows.append(("power", _quantity(device.tdp, "W"), "power.tdp"))
    if device.price is not None:
        rows.append(("price", f"${device.price:,.0f}", "price.usd"))
    return rows


def split_note(source: str) -> tuple[str, str]:
    """Split the source of a number from the note on it, which follows in parentheses at the end."""
    depth = 0
    for place in range(len(source) - 1, -1, -1):
        depth += (source[place] == ")") - (source[place] == "(")
        if depth == 0:
            break
    note = source[place + 1 : -1] if source.endswith(")") and place else ""
    return (source[:place].rstrip(), note) if note else (source, "")


def matching(devices: Iterable[Hardware], text: str) -> list[Hardware]:
    """Return the devices whose id, title, class or vendor has a text in it, case ignored.

    Raises:
        InvalidInputError: there are none.
    """
    devices, wanted = list(devices), text.casefold()
    found = [
        device
        for device in devices
        if any(
            wanted in part.casefold()
            for part in (device.name, device.title, device.device_class, device.vendor)
        )
    ]
    if not found:
        classes = sorted({device.device_class for device in devices})
        raise InvalidInputError(
            f"--only {shown(text)} matches no device.", f"Classes: {', '.join(classes)}."
        )
    return found


def show_devices(devices: Iterable[Hardware], console: Console) -> None:
    """Print devices by class, peaks in TFLOP/s, main memory in GB and TB/s.

    FLOP/B is the ridge point of the 16-bit peak, else of the fp32 one.
    """
    classes: dict[str, list[Hardware]] = {}
    for device in devices:
        classes.setdefault(device.device_class or "other", []).append(device)
    titles = ("device", "year", "16-bit", "fp8", "int8", "GB", "TB/s", "FLOP/B")
    # One width of the first column, so that the tables of all classes stand below each other.
    widest = max((len(device.name) for some in classes.values() for device in some), default=0)
    for name in sorted(classes):
        say(console, name, style="bold")
        print_table(console, (titles[0].ljust(widest), *titles[1:]), [*map(_row, classes[name])])
        console.print()
    say(
        console,
        "Dense peaks in TFLOP/s; GB of the label, TB/s of the main memory; FLOP/B where the 16-bit "
        "roofs meet. memorywall hardware NAME shows every number of a device with its source; "
        "memorywall hardware --only TEXT lists the devices of a class, a vendor or a name.",
        style="dim",
    )


def _row(device: Hardware) -> tuple[str, ...]:
    peaks = device.peaks
    half = next((peaks[dtype] for dtype in ("bf16", "fp16") if dtype in peaks), None)
    return (
        device.name,
        device.released[:4],
        *(_in(peak, 1e12) for peak in (half, peaks.get("fp8"), peaks.get("int8"))),
        _in(device.capacity, 1e9),
        _in(device.bandwidth, 1e12),
        _ridge_of(device) or "-",
    )


def show_device(device: Hardware, console: Console) -> None:
    """Print every number of one device with its source, and the notes on it."""
    say(console, f"{device.name}: {device.title}, {device.released}", style="bold")
    if device.aliases:
        say(console, f"also: {', '.join(device.aliases)}")
    found = quantities(device)
    sources: dict[str, list[tuple[str, str]]] = {}
    rows = []
    for title, value, place in found:
        source, note = split_note(device.sources[place])
        sources.setdefault(source, []).append((title, note))
        dtype = place.removeprefix("peaks.")
        ridge = f"{_ridge(device, dtype)} FLOP/B" if dtype in device.peaks else ""
        rows.append((title, value, ridge, f"[{list(sources).index(source) + 1}]"))
    print_table(console, ("quantity", "value", "ridge point", "source"), rows)
    console.print()
    for number, (source, numbers) in enumerate(sources.items(), start=1):
        say(console, f"[{number}] {source}")
        for title, note in numbers:
            if note:
                remark(console, f"{title}:", note)
    for note in device.notes:
        remark(console, "note:", note)


def show_compared(devices: Sequence[Hardware], console: Console) -> None:
    """Print devices side by side: peaks, memory, links, power and ridge points."""
    rows: list[tuple[str, ...] | None] = []

    def row(title: str, values: Sequence[str]) -> None:
        if any(values):
            rows.append((title, *(value or "-" for value in values)))

    row("released", [device.released for device in devices])
    for dtype in ARITHMETIC_BITS:
        row(f"peak {dtype}", [_quantity(d.peaks.get(dtype), "FLOP/s") for d in devices])
    row("memory", [_quantity(d.capacity, "byte") for d in devices])
    row("usable memory", [_quantity(d.usable, "byte") for d in devices])
    row("bandwidth", [_quantity(d.bandwidth, "byte/s") for d in devices])
    caches = [sum(float(m.capacity or 0) for m in d.memories[:-1]) for d in devices]
    row("caches", [_quantity(cache or None, "byte") for cache in caches])
    fastest = [max((link.bandwidth for link in d.links), default=None) for d in devices]
    row("fastest link, one way", [_quantity(link, "byte/s") for link in fastest])
    row("processors", ["" if d.units is None else f"{d.units}" for d in devices])
    row("clock", [_quantity(d.clock, "Hz") for d in devices])
    row("power", [_quantity(device.tdp, "W") for device in devices])
    row("price", ["" if d.price is None else f"${d.price:,.0f}" for d in devices])
    rows.append(None)
    for dtype in ARITHMETIC_BITS:
        row(f"ridge point {dtype}, FLOP/B", [_ridge(device, dtype) for device in devices])
    row("seconds to read all memory", [_sweep(device) for device in devices])
    print_table(console, ("quantity", *(device.name for device in devices)), rows)


def _ridge_of(device: Hardware) -> str:
    """Return the ridge point of the 16-bit peak, else of the fp32 one."""
    dtype = next((dtype for dtype in ("bf16", "fp16", "fp32") if dtype in device.peaks), None)
    return "" if dtype is None else f"{float(device.ridge_point(dtype)):.0f}"


def _in(value: Number | None, unit: float) -> str:
    return "-" if value is None else render_number(float(value) / unit)


def _ridge(device: Hardware, dtype: str) -> str:
    return f"{float(device.ridge_point(dtype)):.4g}" if dtype in device.peaks else ""


def _sweep(device: Hardware) -> str:
    if device.capacity is None:
        return ""
    return render(float(device.capacity) / float(device.bandwidth), "s")


def _quantity(value: object, unit: str) -> str:
    return "" if value is None else render(float(value), unit)  # type: ignore[arg-type]
