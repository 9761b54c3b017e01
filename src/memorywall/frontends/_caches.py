"""Caches of keys and values: those of transformers, and buffers that a module keeps itself."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from memorywall.core.errors import InvalidInputError, shown
from memorywall.frontends._arrays import Array
from memorywall.frontends._events import Event
from memorywall.frontends.torch_dispatch import tensors
from memorywall.frontends.torch_trace import Tracer

KINDS = ("dynamic", "static")
GROWN = "cache concatenation"  # the function of an operator that copies a cache to lengthen it


def generates(module: torch.nn.Module) -> bool:
    """Tell whether a module is one of transformers' that generate."""
    can = getattr(module, "can_generate", None)
    return bool(_of_transformers(module) and callable(can) and can())


def argument_of(module: torch.nn.Module) -> str:
    """Return the name under which a module of transformers takes its cache, or nothing."""
    taken = inspect.signature(module.forward).parameters if _of_transformers(module) else {}
    return next((name for name in ("past_key_values", "cache_params") if name in taken), "")


def _of_transformers(module: torch.nn.Module) -> bool:
    return any(base.__module__.startswith("transformers.") for base in type(module).__mro__)


def make_cache(module: Any, kind: str, positions: int) -> Any:
    """Return an empty cache of transformers, for so many positions where it is a static one.

    Raises:
        InvalidInputError: no such kind.
    """
    if kind not in KINDS:
        raise InvalidInputError(
            f"cache: expected one of {', '.join(KINDS)}, got {shown(kind)}",
            "Of a module of your own: a tuple of the names of buffers that hold keys and values.",
        )
    transformers = sys.modules["transformers"]  # the module is one of its own
    if kind == "static":
        cache = transformers.StaticCache(config=module.config, max_cache_len=positions)
    else:
        cache = transformers.DynamicCache(config=module.config)
    if module.config.is_encoder_decoder:
        of_source = transformers.DynamicCache(config=module.config)
        return transformers.EncoderDecoderCache(cache, of_source)
    return cache


def cached(cache: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors that a cache holds, each with where it stands."""
    for part in ("self_attention_cache", "cross_attention_cache"):
        for place, tensor in cached(getattr(cache, part)) if hasattr(cache, part) else ():
            yield f"{part}.{place}", tensor
    for index, layer in enumerate(getattr(cache, "layers", ())):
        for name in ("keys", "values", "conv_states", "recurrent_states"):
            held = getattr(layer, name, None)
            held = tuple(held.values()) if isinstance(held, dict) else (held,)
            for number, tensor in enumerate(tensors(held)):
                if tensor.numel():
                    yield f"{index}.{number}.{name}", tensor


def mark(tracer: Tracer, before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> None:
    """Give a cache its role, its name, and its concatenation the name of what it is.

    A cache that grew is one memory: what it was and what it became have one name.
    """
    grown: dict[Array, str] = {}
    for place, tensor in after.items():
        array = tracer.arrays.find(tensor)
        if array is None:
            continue
        grown[array] = place.rpartition(".")[2]
        if place in before:
            old = tracer.arrays.add(before[place], place)
            grown[old] = grown[array]
            old.shape = array.shape
    _name(tracer.events, grown)
    for array, name in grown.items():
        array.role = "kv_cache" if name in ("keys", "values") else "state"


def _name(events: list[Event], caches: dict[Array, str]) -> None:
    """Name caches after the module that reads or writes them first."""
    named: set[Array] = set()
    for event in events:
        for view, _ in event.reads + event.writes:
            name = caches.get(view.array)
            if name is not None and view.array not in named:
                view.array.name = f"{event.frame.path}.{name}"
                named.add(view.array)
        written = event.writes[0][0].array if event.writes else None
        if event.op == "aten::cat" and written in caches:
            event.function = GROWN


@contextmanager
def without_values() -> Iterator[None]:
    """Spare transformers looks at values: a trace has no packed sequences and no padding."""
    masks = sys.modules.get("transformers.masking_utils")
    base = getattr(sys.modules.get("transformers.modeling_utils"), "PreTrainedModel", None)
    answers: list[tuple[Any, str, Callable[[Any], Any]]] = [
        (masks, "find_packed_sequence_indices", lambda _: lambda *_: None),
        (base, "warn_if_padding_and_no_attention_mask", lambda _: lambda *_: None),
        (masks, "fast_all", lambda _: lambda *_: True),
        (masks, "_ignore_bidirectional_mask_sdpa", lambda look: lambda _, *more: look(None, *more)),
    ]
    looks = [
        (place, name, getattr(place, name)) for place, name, _ in answers if hasattr(place, name)
    ]
    for place, name, answer in answers:
        if hasattr(place, name):
            setattr(place, name, answer(getattr(place, name)))
    try:
        yield
    finally:
        for place, name, look in looks:
            setattr(place, name, look)
