"""A device's roofs as programs attain them, for devices whose kernels were not measured.

The constants are those of the kind ``step`` (``cost/kernels/step.py``), fitted to whole runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Table
from memorywall.core.program import Program
from memorywall.cost.kernels.step import Weights, attained_device
from memorywall.cost.template.scalars import is_zero, moved_bytes


@dataclass(frozen=True, slots=True, eq=False)
class Attained:
    """A device with the shares of its roofs that programs attain.

    Attributes:
        hardware: the device, its peaks and the bandwidth of its main memory times the shares.
        operator_s: seconds of the launch of one operator.
        step_s: seconds of the host for one pass.
        low, high: predictions times these are the 80 % interval.
    """

    hardware: Hardware
    operator_s: float
    step_s: float
    low: float
    high: float


def attained(hardware: Hardware, table: Table, weights: Weights) -> Attained:
    """Return a device as a table of the kind ``step`` describes it, for weights of a kind."""
    constants = table.constants
    slower = attained_device(hardware, constants, weights)
    return Attained(slower, constants["operator_s"], constants["step_s"], table.low, table.high)


def launches(program: Program) -> int:
    """Return the number of kernels that one run of a program launches.

    An operator that moves nothing rides on the one before it.
    """
    return sum(
        repeat for _, op, repeat in program.walk() if op.runs and not is_zero(moved_bytes(op))
    )
