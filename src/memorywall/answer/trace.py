"""Any PyTorch module: run without memory, counted operator by operator, priced like any model."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from memorywall.core.errors import (
    InvalidInputError,
    MemoryWallError,
    MissingDependencyError,
    UnsupportedError,
    near_names,
    shown,
)
from memorywall.core.files import user_path
from memorywall.core.numbers import LARGEST
from memorywall.core.traced import Traced
from memorywall.frontends.tracing.capture.trace_lock import one_at_a_time
from memorywall.passes.collapse import fuse_traced
from memorywall.passes.excess import Excess


@one_at_a_time()
def trace(
    module: Any,
    *inputs: Any,
    phase: str | None = None,
    seq_len: int | None = None,
    cache: str | tuple[str, ...] = "dynamic",
    dtype: str | None = None,
    causal: str = "half",
    named: Mapping[str, Any] | None = None,
    optimizer: str | Callable[[Any], Any] = "adamw",
    optimizer_options: Mapping[str, Any] | None = None,
    loss: Callable[[Any], Any] | None = None,
    autocast: str | None = None,
    checkpointing: bool = False,
    accumulation: int = 1,
    create_graph: bool = False,
    steps: int = 2,
    backend: str = "cpu",
) -> Traced:
    """Return one pass of a PyTorch module, operator by operator; no weight is allocated.

    This runs the module's own code on tensors that have shapes and no values. A module that is
    given keeps its weights, its mode and its state; it runs as in ``eval()``, or to train as in
    ``train()``.

    Args:
        module: a ``torch.nn.Module``, or a function that makes one. A function runs on the meta
            device, so that a model of any size takes no memory.
        inputs: tensors, or text such as ``"int64[1,512]"``; lists, tuples and dicts of them too.
        phase: ``encode``, one pass without a cache; of transformers' models that generate also
            ``prefill`` (their default) and ``decode``, the input's tokens on a cache of what is
            before them, most often one token. ``train`` is one
            training step: forward, backward and the optimizer; ``memory`` of the answer is what the
            steps keep. All that follows ``named`` is for ``train``.
        seq_len: positions that a decode step attends to, itself the last.
        cache: ``dynamic``, concatenated as it grows, or ``static``, allocated whole; for a custom
            module the names of its buffers that hold keys and values, ``*`` for any. There the
            buffers' sizes decide, and ``seq_len`` changes nothing.
        dtype: format that a function makes the module in, such as ``bf16``; by default its own.
        causal: ``half`` counts the unmasked pairs of a causal attention, ``full`` all pairs.
        named: inputs by name.
        optimizer: a name of ``torch.optim``'s or pytorch-optimizer's, or a function that makes an
            optimizer of the module.
        optimizer_options: keyword arguments for an optimizer that is given by name.
        loss: a scalar of the module's output; by default the output's ``loss``, else the sum of its
            first tensor.
        autocast: ``bf16`` or ``fp16`` for the forward pass.
        checkpointing: switch the module's own gradient checkpointing on.
        accumulation: batches to a step of the optimizer.
        create_graph: record the backward pass, for optimizers of second order.
        steps: how many steps run, of which the last is counted; the first one makes the optimizer's
            states, so that two show the peak that stays.
        backend: where it would train: ``cpu``, or ``cuda`` where PyTorch is built with CUDA.

    Raises:
        MissingDependencyError: torch is not installed.
        InvalidInputError: not a module, not an input, or a parameter of another phase.
        UnsupportedError: the module cannot be run without values: where, and what to do.
    """
    recipe: dict[str, Any] = {
        "optimizer": optimizer, "optimizer_options": optimizer_options, "loss": loss,
        "autocast": autocast, "checkpointing": checkpointing, "accumulation": accumulation,
        "create_graph": create_graph, "steps": steps, "backend": backend,
    }  # fmt: skip
    if causal not in ("half", "full"):
        raise InvalidInputError(f"causal must be half or full, got {shown(causal)}")
    if seq_len is not None and not _is_length(seq_len):
        raise InvalidInputError(
            f"seq_len must be a whole number from 1, got {shown(seq_len)}",
            "It is the positions that a decode step attends to, itself the last.",
        )
    if phase == "train":
        _refuse({"seq_len": seq_len, "cache": cache}, "a training step has no cache")
    else:
        _refuse(recipe, "that is for training", "Ask for phase='train'.")
    try:
        from memorywall.frontends.tracing.capture.inputs import TraceRequest  # noqa: PLC0415
        from memorywall.frontends.tracing.forward_trace import trace_module  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingDependencyError("torch", "measure", "tracing a module") from None
    question = TraceRequest(inputs, named or {}, phase, seq_len, cache, dtype, causal == "full")
    if phase != "train":
        return trace_module(module, question)
    from memorywall.frontends.tracing.capture.training_loop import Recipe  # noqa: PLC0415
    from memorywall.frontends.tracing.training_trace import trace_steps  # noqa: PLC0415

    return trace_steps(module, question, Recipe(**recipe))


def _is_length(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= LARGEST


def _refuse(given: Mapping[str, Any], why: str, hint: str = "Leave it out.") -> None:
    """Refuse what is given, other than by default, in a phase that it is not for."""
    defaults = inspect.signature(trace).parameters
    for name, value in given.items():
        if value != defaults[name].default:
            raise InvalidInputError(f"{name} is {shown(value)}, but {why}.", hint)


def excess(traced: Traced) -> Excess:
    """Return the bytes that PyTorch moves beyond a fused engine, by class and cause."""
    return fuse_traced(traced.program)[1]


def load_factory(place: str) -> Any:
    """Return what ``FILE.py:name`` names; this runs the file.

    Raises:
        InvalidInputError: no such file, or nothing of that name in it.
        UnsupportedError: the file fails, or it is code downloaded with a model.
    """
    file, _, name = place.rpartition(":")
    if not file or not name:
        raise InvalidInputError(
            f"a function's place must be FILE.py:name, got {shown(place)}",
            "Such as model.py:make, where make() returns a torch.nn.Module.",
        )
    path = user_path(file)
    if not path.is_file():
        raise InvalidInputError(f"There is no file {path}.", "Give the path of a Python file.")
    _refuse_downloaded(path)
    loaded = _run_file(path)
    if not hasattr(loaded, name):
        near = near_names(name, [word for word in vars(loaded) if not word.startswith("_")])
        offer = f"Near names: {', '.join(near)}." if near else "Define it at the file's top level."
        raise InvalidInputError(f"{path} has nothing called {shown(name)}.", offer)
    return getattr(loaded, name)


def _run_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"_traced_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InvalidInputError(f"{path} must be a Python file.", "Its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickles look their module up
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except MemoryWallError:
        raise
    except (Exception, SystemExit) as error:
        raise UnsupportedError(
            f"{path} failed while it was run: {type(error).__name__}: {error}",
            "Run it with Python first.",
        ) from error
    finally:
        sys.path.pop(0)
    return module


def _refuse_downloaded(path: Path) -> None:
    """Refuse files in the folders where model hubs put what they download."""
    home = os.environ.get("HF_HOME", "~/.cache/huggingface")
    folders = (home, os.environ.get("HF_HUB_CACHE", home), os.environ.get("TORCH_HOME", home))
    real = path.resolve()
    if any(real.is_relative_to(Path(folder).expanduser().resolve()) for folder in folders):
        raise UnsupportedError(
            f"{path} was downloaded with a model; code from a hub is not run.",
            "Review it, copy it to another file, and trace that.",
        )
