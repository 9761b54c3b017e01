"""Measured training memory: the peak of PyTorch's allocator while steps run."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch._C._profiler import _EventType
from torch.profiler import ProfilerActivity, profile
from torch.utils._pytree import tree_map_only

from memorywall.frontends.tracing.capture.optimizers import make_optimizer
from memorywall.frontends.tracing.capture.training_loop import Recipe, enable_checkpointing, train


def measure_training(
    factory: Callable[[], torch.nn.Module],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    recipe: Recipe,
) -> int:
    """Run a recipe's steps on real tensors, and return the peak of allocated bytes.

    Args:
        factory: makes the module.
        args, kwargs: inputs on the meta device; the run uses zeros of the same shapes.
        recipe: how to train; its device determines the allocator.
    """

    def steps() -> None:
        with torch.device(recipe.backend):
            module = factory().train()
            inputs = tree_map_only(torch.Tensor, _real, (tuple(args), dict(kwargs)))
        if recipe.checkpointing:
            enable_checkpointing(module)
        train(module, inputs[0], inputs[1], make_optimizer(module, recipe), recipe)

    gc.collect()
    if torch.device(recipe.backend).type == "cuda":
        return _peak_on_gpu(steps)
    return peak_on_cpu(steps)


def _real(tensor: torch.Tensor) -> torch.Tensor:
    return torch.zeros(tensor.shape, dtype=tensor.dtype)


def peak_on_cpu(run: Callable[[], object]) -> int:
    """Return the peak of bytes from the CPU's allocator during a run.

    From the profiler's events, one for every block allocated and freed: they include the scratch
    memory that kernels take from the allocator, not memory that libraries take elsewhere.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    changes = sorted(_changes(profiler), key=lambda change: change[0])
    held = peak = 0
    for _, nbytes in changes:
        held += nbytes
        peak = max(peak, held)
    return peak


def _changes(profiler: Any) -> list[tuple[int, int]]:
    """Return time and bytes of every allocation, negative when freed, unordered."""
    found = []
    left = list(profiler.profiler.kineto_results.experimental_event_tree())
    while left:
        event = left.pop()
        left.extend(event.children)
        if event.tag == _EventType.Allocation:
            found.append((event.start_time_ns, event.extra_fields.alloc_size))
    return found


def _peak_on_gpu(run: Callable[[], object]) -> int:
    """Return the peak of bytes from the caching allocator, above those before the run."""
    square = torch.ones(64, 64, device="cuda")
    square @ square  # cuBLAS takes its workspace once, from the same allocator
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return int(torch.cuda.max_memory_allocated() - before)
