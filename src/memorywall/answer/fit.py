"""The fit of a model on a device: formats, the longest context, the largest batch, the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from memorywall.answer.analyze import HardwareSource, ModelSource, load_hardware
from memorywall.answer.evaluate import evaluate
from memorywall.answer.judge import judge
from memorywall.answer.notes import memory_notes
from memorywall.answer.settle import settle
from memorywall.catalog.reserves import reserve_of
from memorywall.core.errors import InvalidInputError, UnsupportedError, shown
from memorywall.core.fit import Answer, Fit, Fits, FormatFit, Reserve
from memorywall.core.hardware import Hardware
from memorywall.core.model import Model
from memorywall.core.numbers import as_count, is_array
from memorywall.core.question import Question
from memorywall.core.results import Footprint
from memorywall.core.scenario import Scenario
from memorywall.core.workload import Precision, Workload
from memorywall.frontends.hf import load_model

# Positions of a prefill that engines take at once: vLLM's max_num_batched_tokens where it serves
# online on large devices (docs.vllm.ai, optimization).
CHUNK = 8192
# Memory never bounds lengths and batches beyond this.
_MOST = 2**30


def fit(
    model: ModelSource,
    *,
    on: HardwareSource,
    batch_size: int = 1,
    seq_len: int | None = None,
    weights: str | Sequence[str] = (),
    kv_cache: str | None = None,
    utilisation: float | None = None,
    chunk: int = CHUNK,
) -> Fits:
    """Return how a model fits a device in use, with the engine's reserve and a prefill.

    Args:
        model: a name of the catalogue, a path, a config, a hub id, or a loaded ``Model``.
        on: a device's name, the path of its TOML, or a ``Hardware``.
        batch_size: sequences; for models without text, images.
        seq_len: positions of each sequence; by default those of ``analyze``.
        weights: formats to try; by default the checkpoint's own, 8 bits, and Q4_K_M.
        kv_cache: format of the cache; by default as ``analyze``.
        utilisation: the share of the usable memory that the engine takes, such as vLLM's
            ``gpu_memory_utilization``; by default 0.9 on accelerators.
        chunk: positions that a prefill takes at once, such as vLLM's ``max_num_batched_tokens``.

    Raises:
        MemoryWallError: a name, a file or a value that cannot be used.
        UnsupportedError: the capacity of the device is not known.
    """
    loaded, hardware = load_model(model), load_hardware(on)
    if hardware.capacity is None:
        raise UnsupportedError(
            f"fit requires the memory capacity of {hardware.name}, which its sources do not print.",
            f"Set one: mw.hardware({hardware.name!r}).replace(capacity='80 GiB').",
        )
    reserve = reserve_of(hardware.device_class, utilisation)
    workload = Workload(batch_size=batch_size, seq_len=seq_len)
    _refuse_arrays(
        batch_size=workload.batch_size,
        seq_len=workload.seq_len,
        chunk=as_count(chunk, "chunk"),
        capacity=hardware.capacity,
    )
    piece = int(chunk)
    base = Scenario(loaded, workload, hardware, Precision(kv_cache=kv_cache))
    asked = (weights,) if isinstance(weights, str) else tuple(weights)
    tries = [_Try(replace(base, precision=replace(base.precision, weights=name)), reserve, piece)
             for name in asked or _ladder(loaded, hardware)]  # fmt: skip
    first = tries[0]
    formats = tuple(one.summary() for one in tries)
    return Fits(
        loaded.name,
        hardware.name,
        first.question.phase.name,
        int(first.question.batch_size),
        int(first.question.seq_len) if loaded.traits.reads_text else None,
        loaded.architecture.max_positions,
        int(first.fit().capacity),
        int(first.fit().budget),
        reserve.utilisation,
        reserve.runtime,
        piece,
        formats,
        (*_notes(tries), *_beyond(loaded, formats)),
    )


def _refuse_arrays(**numbers: object) -> None:
    for name, number in numbers.items():
        if is_array(number):
            raise InvalidInputError(f"{name} must be one number in a fit, got {shown(number)}.")


def _notes(tries: Sequence[_Try]) -> tuple[str, ...]:
    """Return the remarks on the sizes of all formats, each once."""
    found: dict[str, None] = {}
    for one in tries:
        found |= dict.fromkeys(memory_notes(one.question, one.footprint(), one.precision))
    return tuple(found)


def _beyond(model: Model, formats: Sequence[FormatFit]) -> tuple[str, ...]:
    limit = model.architecture.max_positions
    if limit is None or all((one.longest_context or 0) <= limit for one in formats):
        return ()
    return (f"The model was made for {limit:,} positions; longer contexts are of memory alone.",)


def _ladder(model: Model, hardware: Hardware) -> list[str | None]:
    """Return the formats to try: the checkpoint's own, 8 bits, and llama.cpp's most used one.

    8 bits are fp8 where the device computes in it, else Q8_0; none for a quantised checkpoint.
    """
    eight = [] if model.storage is not None else ["fp8" if "fp8" in hardware.peaks else "Q8_0"]
    return [None, *eight, *(["Q4_K_M"] if model.traits.causal else [])]


class _Try:
    """A scenario at any batch and context."""

    def __init__(self, scenario: Scenario, reserve: Reserve, chunk: int) -> None:
        self.question, self.precision = settle(scenario), scenario.precision
        self._reserve, self._chunk = reserve, chunk

    def footprint(self, batch: int | None = None, context: int | None = None) -> Footprint:
        """Return the footprint of the question, or at another batch or context."""
        return evaluate(self._at(batch, context)).footprint

    def fit(self, batch: int | None = None, context: int | None = None) -> Fit:
        """Return how it fits."""
        question = self._at(batch, context)
        found = judge(question, evaluate(question).footprint, self._reserve, self._chunk)
        assert found is not None  # the capacity is known
        return found

    def _at(self, batch: int | None, context: int | None) -> Question:
        question = self.question
        if batch is not None:
            question = replace(question, batch_size=batch)
        return question if context is None else replace(question, seq_len=context)

    def summary(self) -> FormatFit:
        """Return the answer, and the ends of what fits."""
        at_hand, now = self.fit(), self.footprint()
        formats = self.question.formats
        traits = self.question.model.traits
        grows = traits.causal and traits.caches and traits.source is None
        return FormatFit(
            weights=formats.weights.name if formats.storage is None else formats.storage.name,
            kv_cache=formats.kv_cache.name if traits.caches else "",
            weight_bytes=int(now.weights),
            in_use_bytes=int(at_hand.in_use),
            answer=_word(at_hand),
            longest_context=self._longest() if grows else None,
            largest_batch=_largest(lambda batch: _word(self.fit(batch=batch)) == "yes"),
            cache_tokens=self._cache_tokens() if grows else None,
        )

    def _longest(self) -> int:
        """Return the longest context at the batch of the question."""
        return _largest(lambda context: _word(self.fit(context=context)) == "yes")

    def _cache_tokens(self) -> int | None:
        """Return how many positions of cache fit beside everything else, of sequences as asked."""
        found, now = self.fit(), self.footprint()
        if not now.kv_cache:
            return None
        a_token = float(now.kv_cache) / (int(self.question.batch_size) * int(self.question.seq_len))
        room = float(found.budget) - (float(found.in_use) - float(now.kv_cache))
        return max(0, int(room / a_token))


def _word(found: Fit) -> Answer:
    answer = found.answer
    assert isinstance(answer, str)  # a fit of one point holds no arrays
    return answer


def _largest(fits: Callable[[int], bool]) -> int:
    """Return the largest whole number up to 2^30 at which something fits; 0 if none does."""
    low, high = 0, 1
    while high <= _MOST and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
