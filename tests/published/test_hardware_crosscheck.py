"""Every device that a second source holds, within 2 % of it or with a listed reason."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import memorywall as mw

HERE = Path(__file__).parent
TOLERANCE = 0.02

# Our quantity -> the columns of the second source that may hold it, the fitting one first.
COLUMNS = {
    "peaks.bf16/fp16": (
        "Tensor-FP16/BF16 performance (FLOP/s)", "FP16 (half precision) performance (FLOP/s)",
    ),
    "peaks.fp8": ("FP8 performance (FLOP/s)",),
    "peaks.fp4": ("FP4 performance (FLOP/s)",),
    "peaks.fp32": ("FP32 (single precision) performance (FLOP/s)",),
    "peaks.tf32": ("TF32 (TensorFloat-32) performance (FLOP/s)",),
    "peaks.fp64": ("FP64 (double precision) performance (FLOP/s)",),
    "peaks.int8": ("INT8 performance (OP/s)",),
    "memory.capacity": ("Memory (bytes)",),
    "memory.bandwidth": ("Memory bandwidth (byte/s)",),
    "link.both-directions": ("Intranode bandwidth (byte/s)",),
    "tdp": ("TDP (W)",),
}  # fmt: skip


def rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((HERE / f"{name}.csv").read_text(encoding="utf-8").splitlines()))


EPOCH = {row["Hardware name"]: row for row in rows("epoch_ml_hardware")}
REASONS = {(row["device"], row["quantity"]): row["reason"] for row in rows("hardware_exceptions")}
NAMES = {row["device"]: row["epoch"] for row in rows("hardware_names")}
# A package that software sees as several devices is one row of the second source.
SHARES = {row["device"]: int(row["devices"] or 1) for row in rows("hardware_names")}


def ours(name: str, quantity: str) -> float | None:
    device = mw.hardware(name)
    where, _, what = quantity.partition(".")
    if where == "peaks":
        found = next((device.peaks[d] for d in what.split("/") if d in device.peaks), None)
        return None if found is None else float(found)
    if quantity == "link.both-directions":
        return 2 * max((float(link.bandwidth) for link in device.links), default=0) or None
    if quantity == "tdp":
        return device.tdp
    value = device.capacity if what == "capacity" else device.bandwidth
    return None if value is None else float(value)


def theirs(name: str, quantity: str) -> float | None:
    row = EPOCH[NAMES[name]]
    found = next((float(row[column]) for column in COLUMNS[quantity] if row[column]), None)
    return None if found is None else found / SHARES[name]


def compared() -> list[tuple[str, str]]:
    return [
        (name, quantity)
        for name in NAMES
        for quantity in COLUMNS
        if ours(name, quantity) is not None and theirs(name, quantity) is not None
    ]


@pytest.mark.parametrize(("name", "quantity"), compared())
def test_within_two_percent_or_with_a_reason(name: str, quantity: str) -> None:
    mine, other = ours(name, quantity), theirs(name, quantity)
    assert mine is not None
    assert other is not None
    deviates = abs(mine / other - 1) > TOLERANCE
    reason = REASONS.get((name, quantity))
    assert not deviates or reason, f"{mine:.4g} against {other:.4g}"
    assert deviates or not reason, "a reason is listed, and there is nothing to explain"


def test_enough_is_compared() -> None:
    assert len(mw.hardware_names()) >= 45
    assert len({name for name, _ in compared()}) >= 45
    assert set(NAMES) <= set(mw.hardware_names())
