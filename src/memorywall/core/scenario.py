"""The whole question as asked: what runs, in which formats, counted how, on what."""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.hardware import Hardware
from memorywall.core.model import Model
from memorywall.core.workload import Conventions, Precision, Workload


@dataclass(frozen=True, slots=True)
class Scenario:
    """A question as asked, with None for every word that was not given.

    It holds no default, so that ``dataclasses.replace(scenario, model=...)`` asks the same of
    another model. ``memorywall.settle`` makes a ``Question`` of it.
    """

    model: Model
    workload: Workload
    hardware: Hardware
    precision: Precision = Precision()
    conventions: Conventions = Conventions()
