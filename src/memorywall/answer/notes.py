"""Notes: caveats on the numbers of an answer."""

from __future__ import annotations

from functools import reduce

from memorywall.core.formats import TWINS, arithmetic_of, find_format
from memorywall.core.numbers import Number, is_array, maximum
from memorywall.core.question import Question
from memorywall.core.results import Footprint
from memorywall.core.serving import Serving
from memorywall.core.units import render, render_count
from memorywall.core.workload import Precision
from memorywall.cost.calibrated import unmeasured


def notes_on(question: Question, footprint: Footprint, asked: Precision) -> tuple[str, ...]:
    """Return remarks to read before the numbers are used, the gravest first.

    ``asked`` are the formats that were named: remarks offer others only where none was.
    """
    model, hardware = question.model, question.hardware
    notes: list[str] = []
    fits = footprint.fits
    if not _all(fits):
        which = f"{(~fits).sum()} of {fits.size} points do" if is_array(fits) else "It does"
        notes.append(
            f"{which} not fit this device's memory; the times are what it would take if it did."
        )
    limit = model.architecture.max_positions
    longest = _longest(question)
    if limit is not None and not _all(longest <= limit):
        notes.append(
            f"{_most(longest)} positions are past the {limit} that the model was made for."
        )
    notes += memory_notes(question, footprint, asked)
    notes += _arithmetic_that_runs(question, asked)
    notes += [*_cache_notes(question, footprint, asked), *_arithmetic_notes(question, asked)]
    notes += _unmeasured_notes(question)
    if model.traits.state is not None and hardware.calibration is not None:
        notes.append(
            "Scans and short convolutions were not measured: the prediction takes each for a copy "
            "of as many bytes."
        )
    if question.counting.ceilings == "spec" and hardware.kind == "spec":
        notes.append(
            "Data-sheet ceilings: kernels reach part of them, and launching each takes time that "
            "is not counted."
        )
    elif hardware.kind == "forecast":
        notes += hardware.notes
        notes.append(
            "Ceilings of a forecast: kernels reach part of them, which is not in the interval."
        )
    elif hardware.kind == "hypothetical":
        notes.append(f"{hardware.name} was changed by hand: its ceilings are hypothetical.")
    return tuple(notes)


def serving_notes(
    question: Question, footprint: Footprint, asked: Precision, found: Serving
) -> tuple[str, ...]:
    """Return remarks on the answer of a serving engine."""
    load = question.load
    assert load is not None
    notes = []
    if found.most_in_flight is not None and found.most_in_flight < load.concurrency:
        notes.append(
            f"The memory holds {found.most_in_flight:,} requests at once; {found.in_flight:,} are "
            "in flight and the others wait."
        )
    notes += notes_on(question, footprint, asked)
    notes.append(
        "FLOPs, bytes and the bound at the roofs are of all requests in flight, on one device; "
        "times are of one request."
    )
    return tuple(notes)


def _predictor_notes(question: Question) -> tuple[str, ...]:
    """Return a note on the size of layers that the class leaves out."""
    from memorywall.answer.predictors import predictors_of  # noqa: PLC0415 - few models have some

    if question.shape:
        return ()
    found = predictors_of(question)
    if found is None:
        return ()
    weights, cache = (
        render(found.weight_bytes, "byte"),
        render(float(_largest(found.cache_bytes)), "byte"),
    )
    layers = render_count(found.count, "layer")
    note = (
        f"With {layers} of multi-token prediction, like the last of the stack: "
        f"{found.parameters:,} parameters more, {weights} of weights and {cache} of cache."
    )
    return (note,)


def memory_notes(question: Question, footprint: Footprint, asked: Precision) -> tuple[str, ...]:
    """Return the remarks on sizes: what is left out, and how weights and cache are stored."""
    model, weights = question.model, question.formats.weights
    notes = [*model.reading.notes, *model.architecture.notes, *_image_notes(question)]
    notes += [*_predictor_notes(question)]
    notes += _storage_notes(question, footprint, asked)
    if question.formats.storage is None and weights.bits < _HALF:
        notes.append(
            f"{weights.name} is counted for every weight, embedding and head too, which most "
            "quantised checkpoints keep in 16 bit."
        )
    if question.formats.storage is None and weights.note:
        notes.append(weights.note)
    return tuple(notes)


_HALF = 16  # bits of formats that are not quantised


def _arithmetic_that_runs(question: Question, asked: Precision) -> tuple[str, ...]:
    """Return notes on arithmetic in other formats than the asked ones."""
    hardware, formats = question.hardware, question.formats
    notes: list[str] = []
    wanted = arithmetic_of(find_format(asked.activations or question.model.dtype))
    done = hardware.arithmetic(arithmetic_of(formats.activations))
    if done == TWINS.get(wanted):
        notes.append(
            f"{hardware.name} has no peak for {wanted}: the model runs in {done}, of the same "
            "width, as engines run it there."
        )
    elif done != wanted:
        notes.append(f"{hardware.name} has no peak for {wanted}; arithmetic is priced as {done}.")
    return (*notes, *_arithmetic_of_weights(question, asked, done))


def _arithmetic_of_weights(question: Question, asked: Precision, done: str) -> tuple[str, ...]:
    """Return a note on the arithmetic of linear layers whose weights are quantised."""
    formats, hardware = question.formats, question.hardware
    storage = formats.storage
    name = formats.weights.name if storage is None else storage.name
    if formats.linear:
        kinds = " and ".join((formats.linear,) if storage is None else storage.products)
        note = (
            f"Linear layers with weights in {name} compute in {kinds}, their inputs "
            f"quantised as they run; attention and the rest in {done}. With --activations "
            f"{formats.activations.name} all is in {done}."
        )
        return (note,)
    packed = formats.weights if storage is None else storage.linear
    if asked.activations is not None or packed.bits >= _HALF:
        return ()
    wanted = packed.products if storage is None else storage.arithmetic
    lacks = f"{hardware.name} has no peak for {wanted}: " if wanted else ""
    return (f"{lacks}Weights in {name} are weight-only: arithmetic is in {done}.",)


def _image_notes(question: Question) -> tuple[str, ...]:
    """Return notes on the images that are encoded or generated."""
    model, seen, size = question.model, question.model.traits.images, question.image_size
    looked_at = any(one.stacks != "decoder" for one in question.passes)
    if seen is None or size is None or not looked_at:
        return ()
    notes = seen.notes(*size)
    denoising = model.traits.denoising
    if denoising is None or denoising.guided or question.guidance != "on":
        return notes
    usual = (
        f"{model.name} is distilled to follow the prompt without guidance: it is run once a step"
    )
    return (*notes, f"{usual}, and --guidance on counts each step twice.")


# From this multiple of the peak, a 16-bit format is worth a note.
_MUCH = 4


def _cache_notes(question: Question, footprint: Footprint, asked: Precision) -> tuple[str, ...]:
    """Return a note on the format of a cache that was not named, if it needs one.

    The checkpoint may state it; and it may be wider than the activations that were named.
    """
    if asked.kv_cache is not None or not _largest(footprint.kv_cache):
        return ()
    done, cache = question.formats.activations, question.formats.kv_cache
    storage = question.model.storage
    if storage is not None and storage.kv_cache is not None:
        usual = question.model.dtype
        kept = f"The cache is kept in {cache.name}, as the checkpoint states"
        return (f"{kept}; --kv-cache {usual} keeps it in the model's dtype.",)
    if asked.activations is None or cache.bits <= done.bits:
        return ()
    times = cache.bits // done.bits
    less = "halves it" if times == 2 else f"makes it {times} times smaller"
    kept = f"The cache is kept in {cache.name}, as the config says"
    return (f"{kept}; --kv-cache {done.name} {less}.",)


def _arithmetic_notes(question: Question, asked: Precision) -> tuple[str, ...]:
    """Return a note if fp32 is the default and much slower than 16 bits on the device."""
    peaks = {name: _largest(peak) for name, peak in question.hardware.peaks.items()}
    if asked.activations is not None or question.arithmetic != "fp32" or "fp32" not in peaks:
        return ()
    narrow = next((name for name in ("bf16", "fp16") if name in peaks), "fp32")
    if peaks[narrow] < _MUCH * peaks["fp32"]:
        return ()
    words = f"--weights {narrow} " if asked.weights is None else ""
    slow, fast = (render(peaks[name], "FLOP/s") for name in ("fp32", narrow))
    now = f"Arithmetic is in fp32, as the config says, at {slow}"
    return (f"{now}; {words}--activations {narrow} would run at {fast}.",)


def _storage_notes(question: Question, footprint: Footprint, asked: Precision) -> tuple[str, ...]:
    """Return remarks on weights that lie as the files or the config say."""
    stored, storage = question.model.stored, question.formats.storage
    notes = () if storage is None else storage.notes
    if stored is None or asked.weights is not None:
        return notes
    over = stored.nbytes - _most(footprint.weights)
    if not over:
        return notes
    said = f"The files hold {stored.nbytes:,} B of tensors, {abs(over):,} B "
    return (*notes, said + ("more" if over > 0 else "less") + " than is counted as weights.")


def _unmeasured_notes(question: Question) -> tuple[str, ...]:
    """Name what a measured machine has no curve for."""
    calibration = question.hardware.calibration
    if calibration is None or question.model.traits.traced:
        return ()
    found: dict[str, None] = {}
    for one in question.passes:
        program = question.model.lower(question.forward(one))
        found |= dict.fromkeys(unmeasured(program, calibration))
    if not found:
        return ()
    said = f"Not measured on this machine, and so priced at its roofs, a bound: {', '.join(found)}"
    return (f"{said}.",)


def _longest(question: Question) -> Number:
    """Return the positions that a sequence reaches, or its source where that is longer."""
    longest = reduce(maximum, [one.last for one in question.passes])
    source = question.model.traits.source
    if question.source_len is None or (source is not None and source.fixed is not None):
        return longest
    return maximum(longest, question.source_len)


def _all(truth: object) -> bool:
    return bool(truth.all()) if is_array(truth) else bool(truth)


def _most(number: Number) -> int:
    return int(_largest(number))


def _largest(number: Number) -> float:
    return float(number.max() if is_array(number) else number)
