"""memorywall: what holds a model back on a machine, by how much, and the cheapest way past it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from memorywall.answer.analyze import analyze, analyze_scenario
from memorywall.answer.analyze import load_hardware as hardware
from memorywall.catalog.configs import config_names as model_names
from memorywall.catalog.device_names import device_names as hardware_names
from memorywall.core.analysis import Analysis
from memorywall.core.errors import MemoryWallError
from memorywall.core.hardware import Hardware
from memorywall.core.scenario import Scenario
from memorywall.core.traced import Traced
from memorywall.core.training import TrainingMemory
from memorywall.core.workload import Conventions, Precision, Workload
from memorywall.frontends.hf import load_model as model
from memorywall.report.verdict import headline, verdict

if TYPE_CHECKING:
    from memorywall.answer.fit import fit
    from memorywall.answer.fit_trends import trends as fit_trends
    from memorywall.answer.memory_bound_year import memory_bound_year
    from memorywall.answer.trace import trace
    from memorywall.core.analysis_record import read_analysis_record
    from memorywall.frontends.tracing.interpret.formulas import formula
    from memorywall.studies import study

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "Conventions",
    "Hardware",
    "MemoryWallError",
    "Precision",
    "Scenario",
    "Traced",
    "TrainingMemory",
    "Workload",
    "analyze",
    "analyze_scenario",
    "fit",
    "fit_trends",
    "formula",
    "hardware",
    "hardware_names",
    "headline",
    "memory_bound_year",
    "model",
    "model_names",
    "read_analysis_record",
    "study",
    "trace",
    "verdict",
]

# Imported when first used, since most questions need none of them: where each is, by its name.
_LATER = {
    "fit": ("memorywall.answer.fit", "fit"),
    "fit_trends": ("memorywall.answer.fit_trends", "trends"),
    "kernel_time": ("memorywall.answer.kernel_time", "kernel_time"),
    "memory_bound_year": ("memorywall.answer.memory_bound_year", "memory_bound_year"),
    "trace": ("memorywall.answer.trace", "trace"),
    "formula": ("memorywall.frontends.tracing.interpret.formulas", "formula"),
    "study": ("memorywall.studies", "study"),
    "read_analysis_record": ("memorywall.core.analysis_record", "read_analysis_record"),
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'memorywall' has no attribute {name!r}")
    module, attribute = _LATER[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
