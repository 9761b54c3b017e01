"""Caches of keys and values, and state: those of transformers, and buffers of a module."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from memorywall.core.errors import InvalidInputError, UnsupportedError, printable, shown
from memorywall.frontends.tracing.capture.tracer import Tracer
from memorywall.frontends.tracing.interpret.arrays import Array
from memorywall.frontends.tracing.interpret.calls import tensors
from memorywall.frontends.tracing.interpret.events import Event

KINDS = ("dynamic", "static")
GROWN = "cache concatenation"  # the function of an operator that copies a cache to lengthen it
_ARGUMENTS = ("past_key_values", "cache_params", "state")
_OF_ITS_OWN = {"minimax": "MiniMaxCache"}  # by model type: a cache in the file of its class
# State that RecurrentGemma keeps in attributes of its modules.
_ON_MODULES = ("conv1d_state", "recurrent_states")
# The arrays of a layer in transformers' caches (cache_utils): those with a row for each position,
# of which ``indexer_keys`` and ``idx_keys`` belong to sparse attention, and those of constant size.
_BY_POSITION = ("keys", "values", "indexer_keys", "idx_keys")
_CONSTANT = ("conv_states", "recurrent_states")


@dataclass(frozen=True, slots=True)
class Kept:
    """An array of a cache.

    Attributes:
        name: the attribute of its layer.
        tensor: it, or the part of a longer array that the layer keeps.
        window: positions that the layer attends to, itself the last; None for all.
    """

    name: str
    tensor: torch.Tensor
    window: int | None = None

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape that it occupies with a full window; None for all of its storage.

        A layer with a window keeps one position less between steps, for the next token to join.
        """
        shape = tuple(self.tensor.shape)
        whole = self.tensor.untyped_storage().nbytes() // self.tensor.itemsize
        if self.name not in _BY_POSITION or self.tensor.numel() == whole:
            return None
        if self.window is None:
            return shape
        axis = len(shape) - 2
        return (*shape[:axis], min(shape[axis] + 1, self.window), *shape[axis + 1 :])


def generates(module: torch.nn.Module) -> bool:
    """Return whether a module is a generative model of transformers."""
    can = getattr(module, "can_generate", None)
    return bool(_of_transformers(module) and callable(can) and can())


def argument_of(module: torch.nn.Module) -> str:
    """Return the name of the cache argument of a module of transformers, if any."""
    taken = inspect.signature(module.forward).parameters if _of_transformers(module) else {}
    return next((name for name in _ARGUMENTS if name in taken), "")


def _of_transformers(module: torch.nn.Module) -> bool:
    return any(base.__module__.startswith("transformers.") for base in type(module).__mro__)


def make_cache(module: Any, kind: str, positions: int) -> Any:
    """Return an empty cache of transformers; a static one has a number of positions.

    Raises:
        InvalidInputError: the kind is unknown.
        UnsupportedError: transformers cannot make one for the module's config.
    """
    if kind not in KINDS:
        raise InvalidInputError(
            f"cache must be one of {', '.join(KINDS)}, got {shown(kind)}",
            "For a custom module: a tuple of the names of buffers that hold keys and values.",
        )
    if argument_of(module) == "state":
        return None  # RWKV's, which it fills with zeros if none is passed
    try:
        return _made(module, kind, positions)
    except Exception as error:
        name = type(module).__name__
        said = printable(" ".join(f"{type(error).__name__}: {error}".split()), 300)
        raise UnsupportedError(
            f"transformers cannot make a cache for {name}: {said}",
            f"Trace one pass without a cache: memorywall trace FILE.py:make --phase encode, "
            f"where make returns transformers' {name}.",
        ) from error


def _made(module: Any, kind: str, positions: int) -> Any:
    model_type = module.config.model_type
    if model_type in _OF_ITS_OWN:
        return getattr(sys.modules[type(module).__module__], _OF_ITS_OWN[model_type])()
    transformers = sys.modules["transformers"]  # the module is one of transformers'
    if kind == "static":
        cache = transformers.StaticCache(config=module.config, max_cache_len=positions)
    else:
        cache = transformers.DynamicCache(config=module.config)
    if module.config.is_encoder_decoder:
        of_source = transformers.DynamicCache(config=module.config)
        return transformers.EncoderDecoderCache(cache, of_source)
    return cache


def cached(cache: Any, module: torch.nn.Module) -> dict[str, Kept]:
    """Return the arrays that a cache, or a module, keeps, by their places.

    Raises:
        UnsupportedError: a layer of the cache keeps arrays that are not known.
    """
    parts = ("self_attention_cache", "cross_attention_cache")
    found = {
        f"{part}.{place}": kept
        for part in parts
        if hasattr(cache, part)
        for place, kept in _held(getattr(cache, part))
    }
    return found | dict(_held(cache)) | dict(_on_modules(module))


def _held(cache: Any) -> Iterator[tuple[str, Kept]]:
    for index, layer in enumerate(getattr(cache, "layers", ())):
        _check_known(layer)
        for name in _BY_POSITION + _CONSTANT:
            window = getattr(layer, "sliding_window", None) if name in _BY_POSITION else None
            for number, tensor in enumerate(_arrays(getattr(layer, name, None))):
                yield f"{index}.{number}.{name}", Kept(name, tensor, window)
    for index, tensor in enumerate(cache if isinstance(cache, list) else ()):
        yield f"state_{index}", Kept("state", tensor)
    for index, held in enumerate(getattr(cache, "linear_cache", ())):
        yield from ((f"{index}.state", Kept("state", tensor)) for tensor in tensors((held,)))


def _arrays(held: Any) -> list[torch.Tensor]:
    """Return the arrays of an attribute that are not empty."""
    held = tuple(held.values()) if isinstance(held, dict) else (held,)
    return [tensor for tensor in tensors(held) if tensor.numel()]


def _check_known(layer: Any) -> None:
    """Refuse a layer with arrays other than keys, values and states; single numbers do not count.

    The size of a compressed or a sampled cache at a length does not follow from one trace of it.
    """
    known = _BY_POSITION + _CONSTANT
    others = [
        name
        for name, held in vars(layer).items()
        if name not in known and any(tensor.numel() > 1 for tensor in _arrays(held))
    ]
    if others:
        kind = type(layer).__name__
        raise UnsupportedError(
            f"The cache of {kind} keeps {', '.join(others)}, whose size at a length does not "
            "follow from a trace: the cache is not counted.",
            "Trace one pass without a cache: memorywall trace FILE.py:make --phase encode, where "
            "make returns the module.",
        )


def _on_modules(module: torch.nn.Module) -> Iterator[tuple[str, Kept]]:
    for path, part in module.named_modules() if _of_transformers(module) else ():
        for name in _ON_MODULES:
            held = getattr(part, name, None)
            if isinstance(held, torch.Tensor):
                yield f"{path}.{name}", Kept(name, held)


def mark(tracer: Tracer, before: dict[str, Kept], after: dict[str, Kept]) -> None:
    """Set the role, name and size of a cache, and the function of its concatenation.

    A cache that grew is one memory: before and after have one name.
    """
    grown: dict[Array, str] = {}
    for place, kept in after.items():
        array = tracer.arrays.find(kept.tensor)
        if array is None:
            continue
        grown[array], array.kept = kept.name, kept.shape
        if place in before:
            old = tracer.arrays.add(before[place].tensor, place)
            grown[old] = kept.name
            old.shape, old.kept = array.shape, array.kept
    _name(tracer.events, grown)
    for array, name in grown.items():
        array.role = "kv_cache" if name in _BY_POSITION else "state"


def mark_constants(events: Iterable[Event], states: Iterable[Array]) -> None:
    """Set the role of buffers that no operator writes: constants, such as rotary frequencies."""
    written = {view.array for event in events for view, _ in event.writes}
    for array in states:
        if array not in written:
            array.role = "buffer"


def _name(events: list[Event], caches: dict[Array, str]) -> None:
    """Name caches by the module that reads or writes them first."""
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


def _unmasked(_padding: Any, length: int, window: int | None = None) -> bool:
    """Return whether all positions attend to all: without padding, except in windows."""
    return window is None or length < window


@contextmanager
def without_values() -> Iterator[None]:
    """Skip transformers' reads of values: a trace has no packed sequences and no padding."""
    masks = sys.modules.get("transformers.masking_utils")
    base = getattr(sys.modules.get("transformers.modeling_utils"), "PreTrainedModel", None)
    answers: list[tuple[Any, str, Callable[[Any], Any]]] = [
        (masks, "find_packed_sequence_indices", lambda _: lambda *_: None),
        (base, "warn_if_padding_and_no_attention_mask", lambda _: lambda *_: None),
        (masks, "fast_all", lambda _: lambda *_: True),
        (masks, "_ignore_bidirectional_mask_sdpa", lambda _: _unmasked),
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
