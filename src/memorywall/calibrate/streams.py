"""The constants of ``step`` from end-to-end runs: of a device from a handful, of a class from many.

A handful of runs cannot fix eight constants. So the fit is one of maximum posterior probability:
the constants of the device's class are the prior, with the spread of devices of a class, and a run
moves those that it depends on. Residuals are of logarithms and weighed by a soft-L1 loss, so that
one odd run does not move them all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from memorywall.answer.analyze import HardwareSource, load_hardware
from memorywall.answer.programs import program_of, weights_of
from memorywall.answer.settle import settle
from memorywall.calibrate.runs import Run, read_runs
from memorywall.catalog.classes import class_of
from memorywall.catalog.step_tables import class_table
from memorywall.core.errors import InvalidInputError, MemoryWallError, MissingDependencyError
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Table
from memorywall.core.numbers import Array
from memorywall.core.program import Program
from memorywall.core.scenario import Scenario
from memorywall.core.workload import Precision, Workload
from memorywall.cost.kernels.step import (
    CONSTANTS,
    Weights,
    attained_bandwidth,
    attained_peak,
    fastest_peak,
)
from memorywall.frontends.hf import load_model

# Spread of each constant between devices of a class, in logarithms.
SPREAD = {
    "peak_share": 0.3,
    "packed_share": 0.3,
    "grouped_share": 0.4,
    "bandwidth_share": 0.1,
    "unpack_ops": 0.4,
    "operator_s": 0.5,
    "step_s": 0.8,
}
_RUN_SPREAD = 0.12  # what runs of one device differ by that the form does not explain
_OWN_HALF = 0.12  # half of the 80 % interval of a device with many runs, in logarithms
_ENGINE_SPREAD = 0.1  # of runs of one engine on several devices
_SOFT = 1.5  # soft-L1: residuals beyond this many spreads weigh less
_TOLERANCE = 0.97  # a run this share of the floor may be a rounded clock
_ODD = math.log(1.5)  # runs further off than this are reported
_MOST_RUNS = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A measured pass, with its work at the roofs of a device's data sheet.

    Attributes:
        seconds: measured.
        hardware: the device.
        weights: what the weights are like.
        flops, moved_bytes: of each kind of operator, arrays.
        dtypes: their arithmetic.
        repeats: executions of each, an array.
        launches: executions that launch a kernel.
        floor_s: seconds below which no run can be.
        phase: what the pass is of.
    """

    seconds: float
    hardware: Hardware
    weights: Weights
    flops: Array
    moved_bytes: Array
    dtypes: tuple[str, ...]
    repeats: Array
    launches: float
    floor_s: float
    phase: str = ""

    def predicted(self, constants: Mapping[str, float]) -> float:
        """Return the seconds of the pass by constants."""
        import numpy as np  # noqa: PLC0415 -- for fits alone

        grouped = constants["grouped_share"] if self.weights.experts else 1.0
        rates = {
            dtype: grouped * attained_peak(self.hardware, dtype, constants, self.weights)
            for dtype in set(self.dtypes)
        }
        compute = self.flops / np.array([rates[dtype] for dtype in self.dtypes])
        memory = self.moved_bytes / attained_bandwidth(self.hardware, constants, self.weights)
        work = float((self.repeats * np.maximum(compute, memory)).sum())
        return constants["step_s"] + self.launches * constants["operator_s"] + work


@dataclass(frozen=True, slots=True)
class Odd:
    """A run that the fitted constants miss by far: reported, and weighed less.

    Attributes:
        run: which one.
        ratio: predicted over measured seconds.
    """

    run: Run
    ratio: float


@dataclass(frozen=True, slots=True)
class StreamCalibration:
    """Constants of ``step`` of a device.

    Attributes:
        table: the constants, with their interval.
        odd: runs that it misses by half or more.
        ratios: predicted over measured seconds of each run.
    """

    table: Table
    odd: tuple[Odd, ...] = ()
    ratios: tuple[float, ...] = field(default=())


def sample(run: Run, hardware: Hardware) -> Sample:
    """Return a run with its work on a device.

    Raises:
        MemoryWallError: a model, a format or a phase that cannot be priced on the device.
    """
    words = Workload(phase=run.phase, batch_size=run.batch, seq_len=run.seq_len)
    precision = Precision(weights=run.weights, activations=run.activations)
    question = settle(Scenario(load_model(run.model), words, hardware, precision))
    program = program_of(question, question.passes[0])
    found = sample_of(program, hardware, weights_of(question), run.seconds)
    return replace(found, phase=run.phase)


def sample_of(program: Program, hardware: Hardware, weights: Weights, seconds: float) -> Sample:
    """Return a measured pass of a program."""
    import numpy as np  # noqa: PLC0415 -- for fits alone

    rows = [(op, repeat) for _, op, repeat in program.walk() if op.runs]
    moved = np.array([float(op.moved_bytes) for op, _ in rows])
    flops = np.array([float(op.flops) for op, _ in rows])
    repeats = np.array([float(repeat) for _, repeat in rows])
    floor = max(
        float((flops * repeats).sum()) / float(fastest_peak(hardware)),
        float((moved * repeats).sum()) / float(hardware.bandwidth),
    )
    return Sample(
        seconds,
        hardware,
        weights,
        flops,
        moved,
        tuple(hardware.arithmetic(op.dtype) for op, _ in rows),
        repeats,
        float(repeats[moved > 0].sum()),
        floor,
    )


def fit_step(
    samples: Sequence[Sample],
    prior: Mapping[str, float],
    spread: Mapping[str, float] = SPREAD,
    run_spread: float = _RUN_SPREAD,
) -> dict[str, float]:
    """Return the constants of maximum posterior probability.

    Args:
        samples: measured passes, of one device or of many.
        prior: the constants before; those with spread 0 stay.
        spread: of each constant around the prior, in logarithms.
        run_spread: of runs around the form, in logarithms.

    Raises:
        MissingDependencyError: SciPy is not installed.
    """
    import numpy as np  # noqa: PLC0415

    optimize = _scipy_optimize()
    free = [constant for constant in CONSTANTS if spread[constant.name] > 0]
    centre = np.log([prior[constant.name] for constant in free])
    widths = np.array([spread[constant.name] for constant in free])
    low, high = (np.log([getattr(one, end) for one in free]) for end in ("low", "high"))

    def constants(point: Array) -> dict[str, float]:
        moved = zip(free, np.exp(point), strict=True)
        return {**prior, **{constant.name: float(value) for constant, value in moved}}

    def residuals(point: Array) -> Array:
        values = constants(point)
        off = [math.log(one.predicted(values) / one.seconds) / run_spread for one in samples]
        return np.concatenate([_softened(np.array(off)), (point - centre) / widths])

    start = np.clip(centre, low + 1e-6, high - 1e-6)
    found = optimize.least_squares(residuals, start, bounds=(low, high))
    return constants(found.x)


def calibrate_from_runs(
    runs: Iterable[Run], on: HardwareSource, prior: Table | None = None, engine: str = ""
) -> StreamCalibration:
    """Return the constants of ``step`` of a device from runs on it.

    Args:
        runs: of models on the device alone.
        on: the device.
        prior: the table before; None for that of the device's class.
        engine: which the table is of; "" for any.

    Raises:
        InvalidInputError: no runs, too many, or runs that are faster than the device's roofs allow:
            the message lists the rows.
        MemoryWallError: a model or a format that is not known.
    """
    hardware = load_hardware(on)
    taken = tuple(runs)
    if not 0 < len(taken) <= _MOST_RUNS:
        raise InvalidInputError(f"a calibration requires 1 to {_MOST_RUNS:,} runs.")
    samples = tuple(_sampled(run, hardware) for run in taken)
    refuse_impossible(taken, samples, hardware)
    before = class_table(class_of(hardware), engine) if prior is None else prior
    constants = fit_step(samples, before.constants)
    ratios = tuple(one.predicted(constants) / one.seconds for one in samples)
    odd = tuple(Odd(run, ratio) for run, ratio in zip(taken, ratios, strict=True) if _is_odd(ratio))
    low, high = _interval(before, len(samples))
    table = Table(
        kind="step",
        dtype=before.dtype,
        engine=engine,
        constants={name: rounded(value) for name, value in constants.items()},
        low=rounded(low),
        high=rounded(high),
        dataset="end-to-end runs",
        rows=len(samples),
        outliers=len(odd),
        median_error=rounded(_median([abs(ratio - 1) for ratio in ratios])),
        physics="no run is faster than the roofs",
    )
    return StreamCalibration(table, odd, ratios)


def calibrate_file(path: Path, on: HardwareSource, engine: str = "") -> StreamCalibration:
    """Return the constants of ``step`` of a device from a CSV file of runs on it.

    Raises:
        MemoryWallError: as ``read_runs`` and ``calibrate_from_runs``.
    """
    return calibrate_from_runs(read_runs(path), on, engine=engine)


def calibrate_engine(
    runs: Sequence[tuple[Run, str]], prior: Table, engine: str, dataset: str
) -> Table:
    """Return the constants of one engine on devices of a class.

    Args:
        runs: with the names of their devices.
        prior: the table of the class for any engine.
        engine: its name in tables.
        dataset: of the runs.
    """
    samples = [_sampled(run, load_hardware(device)) for run, device in runs]
    constants = fit_step(samples, prior.constants, run_spread=_ENGINE_SPREAD)
    errors = [abs(one.predicted(constants) / one.seconds - 1) for one in samples]
    return replace(
        prior,
        engine=engine,
        constants={name: rounded(value) for name, value in constants.items()},
        dataset=dataset,
        rows=len(samples),
        outliers=sum(error > math.expm1(_ODD) for error in errors),
        median_error=None,
        p90_error=None,
    )


def refuse_impossible(runs: Sequence[Run], samples: Sequence[Sample], hardware: Hardware) -> None:
    """Refuse runs that are faster than the roofs of a device.

    Raises:
        InvalidInputError: listing them.
    """
    faults = [
        f"{run.place or run.model}: {run.model} {run.weights} {run.phase} at "
        f"{run.tokens_per_s:g} tokens/s takes {one.seconds:.4g} s a pass; "
        f"{hardware.name} needs {one.floor_s:.4g} s or more"
        for run, one in zip(runs, samples, strict=True)
        if one.seconds < _TOLERANCE * one.floor_s
    ]
    if faults:
        raise InvalidInputError(
            f"{len(faults)} runs are faster than the roofs of {hardware.name}: "
            + "; ".join(faults[:20]),
            "Check the model, its weights, the number of devices and the unit of the rate.",
        )


def _sampled(run: Run, hardware: Hardware) -> Sample:
    try:
        return sample(run, hardware)
    except MemoryWallError as error:
        raise InvalidInputError(f"{run.place or run.model}: {error.args[0]}", error.hint) from None


def _is_odd(ratio: float) -> bool:
    return abs(math.log(ratio)) > _ODD


def _interval(prior: Table, runs: int) -> tuple[float, float]:
    """Return the 80 % interval after a number of runs: that of the class narrows to the form's.

    The part of the class's interval that is the device's own falls as 1 / (1 + runs), since a run
    fixes the device's mean error about as well as the class does; what is left is the spread of
    the runs of one device.
    """

    def narrowed(end: float) -> float:
        of_class = max(math.log(end) ** 2 - _OWN_HALF**2, 0.0)
        return math.sqrt(of_class / (1 + runs) + _OWN_HALF**2)

    return math.exp(-narrowed(min(prior.low, 1.0))), math.exp(narrowed(max(prior.high, 1.0)))


def _softened(off: Array) -> Array:
    """Return residuals whose squares are the soft-L1 loss."""
    import numpy as np  # noqa: PLC0415

    loss = 2 * _SOFT**2 * (np.sqrt(1 + (off / _SOFT) ** 2) - 1)
    softened: Array = np.sign(off) * np.sqrt(loss)
    return softened


def rounded(value: float) -> float:
    """Return a number to three digits, which is more than a fit determines."""
    return float(f"{value:.3g}")


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def _scipy_optimize() -> Any:
    try:
        from scipy import optimize  # noqa: PLC0415 -- for fits alone
    except ImportError:
        raise MissingDependencyError("scipy", "fits of calibrations", "calibrate") from None
    return optimize
