"""What to know before the numbers of an answer are used."""

from __future__ import annotations

import numpy as np

from memorywall.core.numbers import Number, maximum
from memorywall.core.results import Footprint
from memorywall.core.scenario import Scenario
from memorywall.core.units import render


def notes_on(scenario: Scenario, footprint: Footprint) -> tuple[str, ...]:
    """Return what to know before the numbers are used, the gravest first."""
    model, hardware = scenario.model, scenario.hardware
    notes: list[str] = []
    fits = footprint.fits
    if not _all(fits):
        fits = np.asarray(fits)
        which = f"{(~fits).sum()} of {fits.size} points do" if fits.size > 1 else "It does"
        notes.append(
            f"{which} not fit this device's memory; the times are what it would take if it did."
        )
    limit = model.architecture.max_positions
    longest = _longest(scenario)
    if limit is not None and not _all(longest <= limit):
        notes.append(
            f"{_most(longest)} positions are past the {limit} that the model was made for."
        )
    notes += model.architecture.notes
    notes += _image_notes(scenario)
    storage = scenario.storage
    notes += _storage_notes(scenario, footprint)
    weights = scenario.precision.format_of("weights", model.dtype)
    if storage is None and weights.group:
        notes.append(
            f"{weights.name} is counted for every weight, embedding and head too, which most "
            "quantised checkpoints keep in 16 bit."
        )
    wanted = scenario.arithmetic
    done = hardware.arithmetic(wanted)
    if done != wanted:
        twin = {"bf16": "fp16", "fp16": "bf16"}.get(wanted, "")
        offer = f"; with activations in {twin} it would be" if twin in hardware.peaks else ""
        notes.append(
            f"{hardware.name} has no peak for {wanted}; arithmetic is priced as {done}{offer}"
            + (f" {render(float(np.max(hardware.peaks[twin])), 'FLOP/s')}." if offer else ".")
        )
    notes += [*_cache_notes(scenario, footprint), *_arithmetic_notes(scenario)]
    if model.recurrent and hardware.calibration is not None:
        notes.append(
            "Scans and short convolutions were not measured: the prediction takes each for a copy "
            "of as many bytes."
        )
    if hardware.kind == "spec":
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


def _image_notes(scenario: Scenario) -> tuple[str, ...]:
    """Return what to know of the images that are looked at or made."""
    model, workload = scenario.model, scenario.workload
    if model.images is None or workload.pixels is None or workload.phase == "decode":
        return ()
    notes = model.images.image_notes(*workload.pixels)
    if model.denoiser is None or model.denoiser.guided or workload.guidance != "on":
        return notes
    usual = (
        f"{model.name} is distilled to follow the prompt without guidance: it is run once a step"
    )
    return (*notes, f"{usual}, and --guidance on counts each step twice.")


# From so many times the peak on, a format of 16 bits is worth a note.
_MUCH = 4


def _cache_notes(scenario: Scenario, footprint: Footprint) -> tuple[str, ...]:
    """Return a note where nobody named a format for a cache that is wider than the activations."""
    precision, dtype = scenario.precision, scenario.model.dtype
    if precision.activations is None or precision.kv_cache is not None:
        return ()
    done, cache = precision.format_of("activations", dtype), precision.format_of("kv_cache", dtype)
    if cache.bits <= done.bits or not np.any(footprint.kv_cache):
        return ()
    times = cache.bits // done.bits
    less = "halves it" if times == 2 else f"makes it {times} times smaller"
    kept = f"The cache is kept in {cache.name}, as the config says"
    return (f"{kept}; --kv-cache {done.name} {less}.",)


def _arithmetic_notes(scenario: Scenario) -> tuple[str, ...]:
    """Return a note where fp32, which nobody asked for, is much slower than 16 bits here."""
    precision = scenario.precision
    peaks = {name: float(np.max(peak)) for name, peak in scenario.hardware.peaks.items()}
    if precision.activations is not None or scenario.arithmetic != "fp32" or "fp32" not in peaks:
        return ()
    narrow = next((name for name in ("bf16", "fp16") if name in peaks), "fp32")
    if peaks[narrow] < _MUCH * peaks["fp32"]:
        return ()
    words = f"--weights {narrow} " if precision.weights is None else ""
    slow, fast = (render(peaks[name], "FLOP/s") for name in ("fp32", narrow))
    now = f"Arithmetic is in fp32, as the config says, at {slow}"
    return (f"{now}; {words}--activations {narrow} would run at {fast}.",)


def _storage_notes(scenario: Scenario, footprint: Footprint) -> tuple[str, ...]:
    """Return what to know of weights that lie as the files or the config say."""
    stored, storage = scenario.model.stored, scenario.storage
    notes = () if storage is None else storage.notes
    if stored is None or scenario.precision.weights is not None:
        return notes
    over = stored.nbytes - _most(footprint.weights)
    if not over:
        return notes
    said = f"The files hold {stored.nbytes:,} B of tensors, {abs(over):,} B "
    return (*notes, said + ("more" if over > 0 else "less") + " than is counted as weights.")


def _longest(scenario: Scenario) -> Number:
    """Return the positions that a sequence reaches, or its source where that is longer."""
    workload = scenario.workload
    longest = workload.seq_len
    if workload.phase == "generate":
        longest = maximum(workload.seq_len, 1) + workload.new_tokens - 1
    if workload.source_len is None or scenario.model.fixed_source is not None:
        return longest
    return maximum(longest, workload.source_len)


def _all(truth: object) -> bool:
    return bool(truth.all()) if isinstance(truth, np.ndarray) else bool(truth)


def _most(number: Number) -> int:
    return int(np.max(number))
