"""Trace training steps on fake tensors: their operators, and the lifetimes of their arrays."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from memorywall.core.errors import UnsupportedError
from memorywall.core.traced import Traced
from memorywall.core.training import TrainingMemory
from memorywall.frontends.tracing.capture.caches import without_values
from memorywall.frontends.tracing.capture.failures import failed_step
from memorywall.frontends.tracing.capture.fake_tensors import fake_inputs, fake_mode, fake_module
from memorywall.frontends.tracing.capture.inputs import (
    TraceRequest,
    lengths_of,
    main_dtype,
    on_meta,
    unit_of,
    words_of,
)
from memorywall.frontends.tracing.capture.lstms import NOTE, unfold_lstms
from memorywall.frontends.tracing.capture.meta_device import make
from memorywall.frontends.tracing.capture.optimizers import find_optimizer, make_optimizer
from memorywall.frontends.tracing.capture.other_threads import OtherThreads
from memorywall.frontends.tracing.capture.recorder import TrainingRecorder
from memorywall.frontends.tracing.capture.step_operators import Step
from memorywall.frontends.tracing.capture.training_loop import (
    SUMMED_LOSS,
    Recipe,
    enable_checkpointing,
    train,
)
from memorywall.frontends.tracing.fold.assembly import coverage_of, program_of
from memorywall.frontends.tracing.fold.repeats import fold


def trace_steps(source: Any, question: TraceRequest, recipe: Recipe) -> Traced:
    """Trace a recipe's steps of a module, or of the module from a factory, without allocation.

    The program is that of the last step, the timeline that of all. Runs the caller's code: the
    factory, the module's ``forward``, the loss, the optimizer.

    Raises:
        MemoryWallError: it cannot be traced; the message gives the module and the next step.
    """
    _check_device(recipe.backend)
    if isinstance(recipe.optimizer, str):  # before the work of a trace
        find_optimizer(recipe.optimizer)
    module, _ = make(source, question.dtype)
    given = on_meta((tuple(question.inputs), dict(question.named)))
    with fake_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that fakes do not have
        module = fake_module(module, recipe.backend, copied=module is source).train()
        if recipe.checkpointing:
            enable_checkpointing(module)
        unfolded = recipe.backend.startswith("cpu") and unfold_lstms(module)
        inputs = fake_inputs(given, recipe.backend)
        step = Step(module, inputs, full=question.full)
        recorder = _record(module, inputs, step, recipe)
    notes = (*_notes(recorder), *([NOTE] if unfolded else []))
    memory = _memory(module, recorder, recipe, notes, words_of(given))
    return _answer(module, given, step, memory, question)


def _record(module: torch.nn.Module, inputs: Any, step: Step, recipe: Recipe) -> TrainingRecorder:
    args, kwargs = inputs
    recorder = TrainingRecorder(module, step, recipe.steps)
    for tensor in tree_leaves(inputs):
        if isinstance(tensor, torch.Tensor):
            recorder.ledger.note(tensor, "", "inputs")
    others = OtherThreads()
    try:
        with without_values(), others.watched(), recorder:
            recorder.optimizer = make_optimizer(module, recipe)
            recorder.loss = train(module, args, kwargs, recorder.optimizer, recipe, recorder.enter)
    except (Exception, SystemExit) as error:
        others.refuse()
        failed, path = recorder.failure
        raise failed_step(error, path if failed == id(error) else "", recorder.phase) from error
    others.refuse()
    return recorder


def _memory(
    module: torch.nn.Module,
    recorder: TrainingRecorder,
    recipe: Recipe,
    notes: tuple[str, ...],
    inputs: tuple[str, ...],
) -> TrainingMemory:
    return TrainingMemory(
        model=type(module).__name__,
        parameters=sum(weight.numel() for weight in module.parameters()),
        timeline=recorder.ledger.timeline(),
        conventions={**_conventions(recipe), "loss": recorder.loss},
        notes=notes,
        inputs=inputs,
    )


def _answer(
    module: torch.nn.Module, given: Any, step: Step, memory: TrainingMemory, question: TraceRequest
) -> Traced:
    segments = fold(*step.phases())
    program = program_of(segments, memory.model, step.unread())
    batch, positions = lengths_of(given)
    causal = "full" if question.full else "half"
    return Traced(
        name=memory.model,
        program=program,
        parameters=memory.parameters,
        coverage=coverage_of(segments, program),
        phase="train",
        batch_size=batch * int(memory.conventions["accumulation"]),
        seq_len=positions,
        dtype=main_dtype(dict(module.named_parameters())),
        inputs=memory.inputs,
        notes=memory.notes,
        conventions={"causal": causal, "flops_per_multiply_add": "2", **memory.conventions},
        memory=memory,
        unit=unit_of(given),
    )


def _conventions(recipe: Recipe) -> dict[str, str]:
    named = isinstance(recipe.optimizer, str)
    options = "".join(f" {key}={value}" for key, value in (recipe.optimizer_options or {}).items())
    return {
        "optimizer": f"{recipe.optimizer}{options}" if named else "as given",
        "autocast": recipe.autocast or "off",
        "checkpointing": "on" if recipe.checkpointing else "as in the module",
        "accumulation": str(recipe.accumulation),
        "steps": str(recipe.steps),
        "device": recipe.backend,
        "counted": "what PyTorch's allocator holds; kernels' own scratch memory is not in it",
    }


def _notes(recorder: TrainingRecorder) -> tuple[str, ...]:
    notes = []
    if recorder.loss == SUMMED_LOSS:
        notes.append(
            "The loss is the sum of the output's first tensor, since there are no labels: the "
            "memory of a real loss is not counted. Pass labels to a model of transformers, or "
            "loss=, a function of the output (--loss FILE.py:function)."
        )
    if recorder.reads:
        notes.append(
            f"the optimizer read {recorder.reads} values, which a trace does not have; each was "
            "taken as 1"
        )
    return tuple(notes)


def _check_device(device: str) -> None:
    if torch.device(device).type == "cuda" and torch.version.cuda is None:
        raise UnsupportedError(
            "backend='cuda' requires a PyTorch that is built with CUDA.",
            "Install a build with CUDA, or leave backend out.",
        )
