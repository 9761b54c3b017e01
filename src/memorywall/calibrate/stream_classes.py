"""The constants of ``step`` of each class of devices, and how well they hold for a device left out.

A class is fitted to the runs of all of its devices. Where a class has few, what it starts from
matters: shares of products are those of the tables of kernels, and the other constants are those
that classes with many runs have in common.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from memorywall.calibrate.streams import Sample, fit_step, rounded
from memorywall.core.kernels import Table

_NAMES = (
    "peak_share", "packed_share", "grouped_share", "bandwidth_share", "unpack_ops", "operator_s",
    "step_s",
)  # fmt: skip
_RUN_SPREAD = 0.15  # of runs of a class around its constants, in logarithms
_LEAST_HALF = math.log(1.12)  # of the 80 % interval of a class
# Of the interval of a class without runs of enough devices.
_UNKNOWN_HALF = math.log(1.7)
_ENOUGH_DEVICES = 4


def _constants(*values: float) -> dict[str, float]:
    return dict(zip(_NAMES, values, strict=True))


# Spreads of the constants of a class around its start, in logarithms: for many and for few runs.
_WIDE = _constants(0.5, 1.0, 0.7, 0.3, 1.0, 1.0, 1.0)
_NARROW = _constants(0.3, 0.6, 0.5, 0.2, 0.7, 0.8, 0.8)


@dataclass(frozen=True, slots=True)
class ClassStart:
    """Where the fit of a class starts.

    Attributes:
        prior: the constants before any run.
        spread: of each around it, in logarithms.
        with_: other classes whose runs are fitted together with its own.
        like: a class whose constants it takes, if it has no runs; "" for none.
        reason: why the constants of that class are taken.
    """

    prior: Mapping[str, float]
    spread: Mapping[str, float]
    with_: tuple[str, ...] = ()
    like: str = ""
    reason: str = ""


_CPU = _constants(0.6, 0.15, 0.5, 0.8, 10.0, 1e-5, 2e-4)
STARTS: dict[str, ClassStart] = {
    "apple": ClassStart(_constants(0.7, 0.33, 0.8, 0.9, 3.0, 1.5e-5, 2e-4), _WIDE),
    "nvidia-gpu": ClassStart(_constants(0.8, 0.25, 0.4, 0.9, 7.0, 2e-6, 3e-4), _WIDE),
    "nvidia-data-centre-gpu": ClassStart(_constants(0.7, 0.12, 0.4, 0.8, 7.0, 3e-6, 3e-4), _NARROW),
    "amd-gpu": ClassStart(_constants(0.6, 0.4, 0.5, 0.85, 8.0, 3e-6, 5e-4), _NARROW),
    "intel-gpu": ClassStart(_constants(0.5, 0.06, 0.5, 0.8, 8.0, 5e-6, 5e-4), _NARROW),
    "unified-memory-pc": ClassStart(_constants(0.6, 0.2, 0.5, 0.85, 8.0, 3e-6, 3e-4), _NARROW),
    "desktop-cpu": ClassStart(_CPU, _NARROW, with_=("board-cpu",)),
    "board-cpu": ClassStart(_CPU, _NARROW, with_=("desktop-cpu",)),
    "server-cpu": ClassStart(_constants(0.6, 0.15, 0.5, 0.7, 15.0, 8e-5, 2e-4), _NARROW),
    "amd-data-centre-gpu": ClassStart(
        {}, {}, like="nvidia-data-centre-gpu", reason="no run of one sequence has a source"
    ),
    "intel-data-centre-gpu": ClassStart(
        {}, {}, like="nvidia-data-centre-gpu", reason="no run of one sequence has a source"
    ),
    "tpu": ClassStart(
        {}, {}, like="nvidia-data-centre-gpu", reason="no run of one sequence has a source"
    ),
    "npu": ClassStart(
        {}, {}, like="nvidia-data-centre-gpu", reason="no run of one sequence has a source"
    ),
    "other": ClassStart({}, {}, like="nvidia-gpu", reason="the kind of the device is not known"),
}


@dataclass(frozen=True, slots=True, eq=False)
class ClassRun:
    """A run of a device of a class.

    Attributes:
        sample: with its work.
        device, device_class: which.
        fitted: whether constants are fitted to it; else it is predicted alone.
        label: of the run, for reports.
    """

    sample: Sample
    device: str
    device_class: str
    fitted: bool
    label: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run as constants predict it that were fitted without its device.

    Attributes:
        run: the run.
        ratio: predicted over measured seconds.
        low, high: of the interval, by the devices that are left, as factors of the prediction.
    """

    run: ClassRun
    ratio: float
    low: float = 1.0
    high: float = 1.0

    @property
    def is_covered(self) -> bool:
        """Whether the measured time is in the interval."""
        return self.low <= 1 / self.ratio <= self.high


def fit_class(
    runs: Iterable[ClassRun], name: str, starts: Mapping[str, ClassStart] = STARTS
) -> dict[str, float]:
    """Return the constants of a class, fitted to the runs of its devices that may be fitted."""
    start = starts[name]
    if start.like:
        return fit_class(runs, start.like, starts)
    wanted = (name, *start.with_)
    samples = [run.sample for run in runs if run.fitted and run.device_class in wanted]
    if not samples:
        return dict(start.prior)
    return fit_step(samples, start.prior, start.spread, _RUN_SPREAD)


def without(**constants: float) -> dict[str, ClassStart]:
    """Return the starts of all classes with constants that stay at a value, for ablations."""
    fixed = dict.fromkeys(constants, 0.0)
    return {
        name: start
        if start.like
        else replace(start, prior={**start.prior, **constants}, spread={**start.spread, **fixed})
        for name, start in STARTS.items()
    }


def left_out(
    runs: Sequence[ClassRun], starts: Mapping[str, ClassStart] = STARTS
) -> tuple[LeftOut, ...]:
    """Predict every run by constants that were fitted without its device.

    The interval of a device is that of the runs of the other devices of its class, each of them
    predicted without itself.
    """
    found = []
    for device in sorted({run.device for run in runs}):
        others = [run for run in runs if run.device != device]
        own = [run for run in runs if run.device == device]
        constants = fit_class(others, own[0].device_class, starts)
        found += [LeftOut(run, run.sample.predicted(constants) / run.sample.seconds) for run in own]
    return tuple(_with_interval(each, found) for each in found)


def _with_interval(one: LeftOut, every: Sequence[LeftOut]) -> LeftOut:
    wanted = _interval_classes(one.run.device_class)
    others = [
        each
        for each in every
        if each.run.device_class in wanted and each.run.device != one.run.device
    ]
    low, high = interval(others)
    return LeftOut(one.run, one.ratio, low, high)


def _interval_classes(name: str) -> tuple[str, ...]:
    return (name, *STARTS[name].with_)


def interval(predicted: Sequence[LeftOut]) -> tuple[float, float]:
    """Return the 80 % interval by runs of devices left out: factors of a prediction.

    Its ends are quantiles of measured over predicted seconds. Of fewer than four devices, they are
    at least as wide as those of a class that is not known.
    """
    devices = {each.run.device for each in predicted}
    if not devices:
        return math.exp(-_UNKNOWN_HALF), math.exp(_UNKNOWN_HALF)
    off = sorted(-math.log(each.ratio) for each in predicted)
    low, high = min(_quantile(off, 0.1), -_LEAST_HALF), max(_quantile(off, 0.9), _LEAST_HALF)
    if len(devices) < _ENOUGH_DEVICES:
        low, high = min(low, -_UNKNOWN_HALF), max(high, _UNKNOWN_HALF)
    return math.exp(low), math.exp(high)


def class_tables(runs: Sequence[ClassRun], dataset: str) -> dict[str, Table]:
    """Return the table of every class, with the error of a device left out."""
    predicted = left_out(runs)
    tables = {}
    for name, start in STARTS.items():
        source = start.like or name
        wanted = _interval_classes(source)
        of_class = [each for each in predicted if each.run.device_class in wanted]
        low, high = interval([] if start.like else of_class)
        errors = sorted(abs(each.ratio - 1) for each in of_class if each.run.device_class == source)
        tables[name] = Table(
            kind="step",
            dtype="",
            engine="",
            constants={key: rounded(value) for key, value in fit_class(runs, name).items()},
            low=rounded(low),
            high=rounded(high),
            provenance="class default",
            dataset=f"that of {source}: {start.reason}" if start.like else dataset,
            rows=sum(run.fitted for run in runs if run.device_class in wanted),
            outliers=sum(abs(math.log(each.ratio)) > math.log(2) for each in of_class),
            median_error=None if start.like else rounded(_quantile(errors, 0.5)),
            p90_error=None if start.like else rounded(_quantile(errors, 0.9)),
            physics="no run is faster than the roofs of its device",
        )
    return tables


def _quantile(ordered: Sequence[float], part: float) -> float:
    if not ordered:
        return math.nan
    place = part * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
