"""Devices as text: all in a list, one in full, some side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table

from memorywall.core.formats import ARITHMETIC_BITS
from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Number
from memorywall.core.units import render, render_number
from memorywall.report.table import columns, remark, say


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


_GAP = 2  # between columns
_LONGEST_ROW = "seconds to read all memory"
SUMMARY_TITLES = (
    "device", "released", "bf16/fp16", "fp8", "int8", "memory", "bandwidth", "FLOP/B", "title",
)  # fmt: skip


def quantities(device: Hardware) -> list[tuple[str, str, str]]:
    """Return every number of a device: (title, value with unit, place of its source)."""
    rows = [(f"peak {d}", _quantity(p, "FLOP/s"), f"peaks.{d}") for d, p in device.peaks.items()]
    for number, level in enumerate(device.memories, start=1):
        for what, unit in (("capacity", "byte"), ("bandwidth", "byte/s")):
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
    if device.tdp is not None:
        rows.append(("power", _quantity(device.tdp, "W"), "power.tdp"))
    if device.price is not None:
        rows.append(("price", f"${device.price:,.0f}", "price.usd"))
    return rows


def hardware_table(devices: Iterable[Hardware]) -> Table:
    """Return devices as a list, one row each, peaks in TFLOP/s, GB and TB/s in their columns.

    FLOP/B is the ridge point of the 16-bit peak, else of the fp32 one.
    """
    table = columns(("device", "released", "16-bit", "fp8", "int8", "GB", "TB/s", "FLOP/B"))
    for device in devices:
        half = next((device.peaks[d] for d in ("bf16", "fp16") if d in device.peaks), None)
        table.add_row(
            device.name,
            device.released,
            *(
                _in(peak, 1e12)
                for peak in (half, device.peaks.get("fp8"), device.peaks.get("int8"))
            ),
            _in(device.capacity, 1e9),
            _in(device.bandwidth, 1e12),
            _ridge_of(device) or "-",
        )
    return table


def show_devices(devices: Iterable[Hardware], console: Console) -> None:
    """Print devices as a list, with what its columns are."""
    console.print(hardware_table(devices))
    console.print()
    say(
        console,
        "Dense peaks in TFLOP/s; GB and TB/s of the main memory; FLOP/B where the 16-bit roofs "
        "meet. memorywall hardware NAME shows every number of a device with its source.",
        style="dim",
    )


def show_device(device: Hardware, console: Console) -> None:
    """Print every number of one device with its source, and the notes on it."""
    say(console, f"{device.title}, {device.released}", style="bold")
    sources = list(dict.fromkeys(device.sources.values()))
    table = columns(("quantity", "value", "ridge point", "source"))
    for title, value, place in quantities(device):
        dtype = place.removeprefix("peaks.")
        ridge = f"{_ridge(device, dtype)} FLOP/B" if dtype in device.peaks else ""
        table.add_row(title, value, ridge, f"[{sources.index(device.sources[place]) + 1}]")
    console.print(table)
    console.print()
    for number, source in enumerate(sources, start=1):
        say(console, f"[{number}] {source}")
    for note in device.notes:
        remark(console, "note:", note)


def compared_devices(devices: Sequence[Hardware], width: int) -> Iterator[Table]:
    """Yield tables of devices side by side, one column each, as many in each as fit a width.

    Rows are peaks, memory, links, power and ridge points.
    """
    each = max(len("1.98 PFLOP/s"), *(len(device.name) for device in devices)) + _GAP
    most = max(1, (width - len(_LONGEST_ROW)) // each)
    for start in range(0, len(devices), most):
        yield _compared(devices[start : start + most])


def show_compared(devices: Sequence[Hardware], console: Console) -> None:
    """Print devices side by side, in as many tables as the console's width asks for."""
    for number, table in enumerate(compared_devices(devices, console.width)):
        if number:
            console.print()
        console.print(table)


def _compared(devices: Sequence[Hardware]) -> Table:
    table = columns(("quantity", *(device.name for device in devices)))

    def row(title: str, values: Sequence[str]) -> None:
        if any(values):
            table.add_row(title, *(value or "-" for value in values))

    row("released", [device.released for device in devices])
    for dtype in ARITHMETIC_BITS:
        row(f"peak {dtype}", [_quantity(d.peaks.get(dtype), "FLOP/s") for d in devices])
    row("memory", [_quantity(d.capacity, "byte") for d in devices])
    row("bandwidth", [_quantity(d.bandwidth, "byte/s") for d in devices])
    caches = [sum(float(m.capacity or 0) for m in d.memories[:-1]) for d in devices]
    row("caches", [_quantity(cache or None, "byte") for cache in caches])
    fastest = [max((link.bandwidth for link in d.links), default=None) for d in devices]
    row("fastest link, one way", [_quantity(link, "byte/s") for link in fastest])
    row("power", [_quantity(device.tdp, "W") for device in devices])
    row("price", ["" if d.price is None else f"${d.price:,.0f}" for d in devices])
    table.add_section()
    for dtype in ARITHMETIC_BITS:
        row(f"ridge point {dtype}, FLOP/B", [_ridge(device, dtype) for device in devices])
    row("seconds to read all memory", [_sweep(device) for device in devices])
    return table


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
