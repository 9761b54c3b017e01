"""Tables of constants by device: its own, or its class's."""

from __future__ import annotations

from functools import lru_cache

from memorywall.catalog.kernel_tables import has_own_tables, kernel_table, measured_kinds
from memorywall.catalog.step_tables import class_table, step_table
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Table
from memorywall.core.quantities import Provenance

STEP, HOST = "step", "host"
_OF_A_PASS = {"gemm", "attention_prefill", "attention_decode"}


def table(hardware: Hardware, kind: str, dtype: str, engine: str = "") -> Table:
    """Return the constants of a kind of kernel on a device, or of a whole pass: ``step``.

    Raises:
        UnknownNameError: no such kind or dtype has tables.
    """
    if kind == STEP:
        return step_table(hardware, engine)
    return kernel_table(hardware, kind, dtype, engine)


@lru_cache(maxsize=1024)
def provenance_of(hardware: Hardware, *, by_kernels: bool) -> Provenance:
    """Return where the constants of passes on a device come from."""
    if by_kernels:
        measured = has_own_tables(hardware) and hardware.kind == "spec"
        return "calibrated" if measured else "class default"
    return step_table(hardware).provenance


@lru_cache(maxsize=1024)
def has_kernels(hardware: Hardware) -> bool:
    """Return whether passes on a device are priced kernel by kernel.

    They are where products and attention were measured, and on NVIDIA's other data-centre GPUs with
    stacked memory, whose classes have measured members. Elsewhere single kernels, such as a user's
    collectives, say less about a pass than the runs of the device's class.
    """
    stacked = hardware.main_memory.name.startswith("HBM")
    of_class = hardware.vendor == "NVIDIA" and stacked and "bf16" in hardware.peaks
    return of_class or measured_kinds(hardware) >= _OF_A_PASS


def host_table() -> Table:
    """Return the constants of a host that launches eagerly, of any device."""
    return class_table(HOST)
