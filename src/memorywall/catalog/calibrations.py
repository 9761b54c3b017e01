"""Tables of constants by device: its own, or its class's."""

from __future__ import annotations

from memorywall.catalog.step_tables import step_table
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Table
from memorywall.core.quantities import Provenance


def table(hardware: Hardware, kind: str, dtype: str, engine: str = "") -> Table:  # noqa: ARG001
    """Return the constants of a kind of kernel on a device."""
    return step_table(hardware, engine)


def provenance_of(hardware: Hardware) -> Provenance:
    """Return where the constants of a device come from."""
    return step_table(hardware).provenance


def has_kernels(hardware: Hardware) -> bool:  # noqa: ARG001
    """Return whether a device has tables of kernels."""
    return False


def host_table() -> Table:
    """Return the constants of a host that launches eagerly."""
    return Table("host", "", "", {"operator_s": 55e-6}, 0.75, 1.35, "class default")
