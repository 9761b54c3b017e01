"""memorywall: what holds a model back on a machine, by how much, and the cheapest way past it."""

from memorywall.answer.analyze import analyze, analyze_scenario
from memorywall.answer.analyze import load_hardware as hardware
from memorywall.answer.fit_trends import trends as fit_trends
from memorywall.answer.memory_bound_year import memory_bound_year
from memorywall.answer.trace import trace
from memorywall.catalog.configs import config_names as model_names
from memorywall.catalog.devices import device_names as hardware_names
from memorywall.core.analysis import Analysis
from memorywall.core.analysis_record import read_analysis_record
from memorywall.core.errors import MemoryWallError
from memorywall.core.hardware import Hardware
from memorywall.core.scenario import Scenario
from memorywall.core.traced import Traced
from memorywall.core.training import TrainingMemory
from memorywall.core.workload import Conventions, Precision, Workload
from memorywall.frontends.hf import load_model as model
from memorywall.frontends.tracing.interpret.formulas import formula
from memorywall.report.verdict import headline, verdict
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
