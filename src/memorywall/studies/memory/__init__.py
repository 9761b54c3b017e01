"""Fig. 4 of "AI and Memory Wall": the training memory of eight models."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from memorywall.core.errors import InvalidInputError
from memorywall.core.study import Option, Study, Watch
from memorywall.core.training import TrainingMemory
from memorywall.report.memory_timeline import draw_timeline
from memorywall.report.training_text import show_training
from memorywall.studies.memory.computation import ATTENTION, compare, trace
from memorywall.studies.memory.figure import draw_bars
from memorywall.studies.memory.findings import TrainingBars
from memorywall.studies.memory.question import ATTENDING, SOURCES
from memorywall.studies.memory.text import show_bars

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

_Answer: TypeAlias = TrainingBars | TrainingMemory


def _run(
    *, watch: Watch, attention: str | None = None, model: str | None = None
) -> TrainingBars | TrainingMemory:
    kernel = ATTENTION[0] if attention is None else attention
    if model is None:
        return compare(kernel, watch.progress)
    if attention is not None and model not in ATTENDING:
        raise InvalidInputError(
            f"--attention requires a model with attention, got {model}.", "Leave --attention out."
        )
    return trace(model, None, kernel)


def _show(found: _Answer, page: Console) -> None:
    if isinstance(found, TrainingMemory):
        show_training(found, page)
    else:
        show_bars(found, page)


def _draw(found: _Answer) -> Figure:
    return draw_timeline(found) if isinstance(found, TrainingMemory) else draw_bars(found)


STUDY: Study[_Answer] = Study(
    name="memory",
    question="What does training keep in memory, from AlexNet to GPT-2?",
    about="""Fig. 4 of "AI and Memory Wall": parameters, optimizer states and features.

    Two steps of each model are traced at the stated batch, input and optimizer, without memory for
    any of them: a minute or so. Features are what PyTorch keeps for the backward pass, the inputs
    apart. Needs the extra 'training'.""",
    result=TrainingBars,
    run=_run,
    show=_show,
    options=(
        Option(
            "attention",
            "Kernel of the three Transformers: fused, or one that keeps every score.",
            "choice", ATTENTION[0], choices=ATTENTION,
        ),
        Option(
            "model",
            "One of them, in full: its peak by role and module; its picture is the timeline.",
            "choice", choices=tuple(SOURCES),
        ),
    ),
    figures={"memory": _draw},
    examples=("", "--attention eager", "--model VGG19", "--json --figure memory.pdf"),
    waits="tracing the models",
)  # fmt: skip
