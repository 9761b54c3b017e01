"""Recurrences over a sequence as one operator each, instead of transformers' fallbacks.

Without their kernels, transformers' state-space and linear-attention layers fall back on loops in
Python, one position or chunk at a time, which are not used on GPUs and take minutes to trace. While
a module runs, the functions in the tables below are replaced by functions that return arrays of the
same shapes and record one operator each.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import torch

from memorywall.frontends.tracing.capture import mixers, recurrences
from memorywall.frontends.tracing.capture.recurrences import Arguments
from memorywall.frontends.tracing.interpret.operator_notes import Notes

StandIn: TypeAlias = Callable[[Notes, Arguments], Any]

# Functions that classes of transformers call, in their files, by name.
FUNCTIONS: dict[str, StandIn] = {
    "causal_conv1d_fn": mixers.convolution,
    "causal_conv1d_update": mixers.convolution_step,
    "mamba_selective_scan": recurrences.selective_scan,
    "mamba_selective_state_update": recurrences.selective_step,
    "mamba2_chunk_scan": recurrences.ssd,
    "mamba2_selective_state_update": recurrences.ssd_step,
    "torch_chunk_gated_delta_rule": recurrences.delta,
    "torch_recurrent_gated_delta_rule": partial(recurrences.delta, step=True),
    "chunk_kimi_delta_attention": partial(recurrences.delta, function="kimi_delta"),
    "recurrent_kimi_delta_attention": partial(recurrences.delta, function="kimi_delta", step=True),
    "rwkv_linear_attention": recurrences.wkv,
}
# For a loop that is not a separate function, its method, by class and name; and the changes of
# weights in the first pass.
METHODS: dict[tuple[str, str], StandIn] = {
    ("RecurrentGemmaRecurrentBlock", "forward"): mixers.recurrent_block,
    ("RecurrentGemmaRglru", "_rnn_scan"): recurrences.rg_lru,
    ("RwkvModel", "_rescale_layers"): mixers.rescaled,
    ("MiniMaxLightningAttention", "forward"): mixers.lightning_attention,
}


@contextmanager
def analytic_scans(module: torch.nn.Module, notes: Notes) -> Iterator[None]:
    """Run transformers' recurrences as one operator each while a module runs."""
    originals = [
        (place, name, getattr(place, name), stand_in) for place, name, stand_in in _places(module)
    ]
    for place, name, original, stand_in in originals:
        setattr(place, name, _bound(original, stand_in, notes))
    try:
        yield
    finally:
        for place, name, original, _ in originals:
            setattr(place, name, original)


def _places(module: torch.nn.Module) -> Iterator[tuple[Any, str, StandIn]]:
    """Yield the functions of the files and the methods of the classes of a module's parts."""
    classes = {base for part in module.modules() for base in type(part).__mro__}
    ours = [class_ for class_ in classes if class_.__module__.startswith("transformers.")]
    for home in {class_.__module__ for class_ in ours}:
        for name, stand_in in FUNCTIONS.items():
            if hasattr(sys.modules[home], name):
                yield sys.modules[home], name, stand_in
    for class_ in ours:
        for (class_name, method), stand_in in METHODS.items():
            if class_.__name__ == class_name:
                yield class_, method, stand_in


def _bound(original: Any, stand_in: StandIn, notes: Notes) -> Callable[..., Any]:
    """Return a replacement with the original's signature that passes its arguments by name."""
    signature = inspect.signature(original)

    @functools.wraps(original)
    def run(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return stand_in(notes, bound.arguments)

    return run
