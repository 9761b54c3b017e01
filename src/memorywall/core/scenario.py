"""The whole question as asked: workload, formats, conventions, adjustments, device and layout."""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.hardware import Hardware
from memorywall.core.layout import AskedLayout
from memorywall.core.model import Model
from memorywall.core.parameters import Adjustments
from memorywall.core.workload import Conventions, Precision, Workload


@dataclass(frozen=True, slots=True)
class Scenario:
    """A question as asked, with None for every parameter that was not given.

    It holds no default, so that ``dataclasses.replace(scenario, model=...)`` asks the same question
    about another model. ``memorywall.settle`` converts it to a ``Question``.
    """

    model: Model
    workload: Workload
    hardware: Hardware
    precision: Precision = Precision()
    conventions: Conventions = Conventions()
    adjustments: Adjustments = Adjustments()
    layout: AskedLayout = AskedLayout()
