"""Constants of a kernel from its measurements on a device.

Least squares on the logarithms of predicted over measured seconds, with a soft-L1 loss (SciPy), so
that a few rows that another kernel ran do not move the constants. A constant is shared by all
engines of a device, or belongs to one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from memorywall.calibrate.samples import SPLIT_BIT, Samples
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Constant, Kernel, Table
from memorywall.core.numbers import Array
from memorywall.cost.kernels.bounds import bound_of

# Residuals beyond this share of the time weigh less.
_SOFT = 0.1
_MOST_EVALUATIONS = 80
_PRIOR = 0.5
_INSIDE = 1e-3
# A row at this share of the bound may be a clock above the nominal one, or a rounded time.
_TOLERANCE = 0.97
# Measurements of one table of a user that are fitted, and those of half of its layers at least.
_MOST_OF_ALL, _FEWEST_OF_HALF = 5_000, 10
# Intervals are widened: shapes that were not fitted scatter more than those that were.
_WIDER = 1.1


@dataclass(frozen=True, slots=True)
class Form:
    """The constants that are fitted for tables of a kind and dtype on a device.

    Attributes:
        shared: those that the engines of a device have in common.
        own: those that each engine has.
        fixed: those that are not fitted, with their values.
        usual: values that constants start from, where the class of the device has others.
    """

    shared: tuple[str, ...]
    own: tuple[str, ...] = ()
    fixed: Mapping[str, float] | None = None
    usual: Mapping[str, float] | None = None


def predicted(
    kernel: Kernel, samples: Samples, hardware: Hardware, constants: Mapping[str, float]
) -> Array:
    """Return the seconds of samples by constants."""
    fixed = {name: v for name, v in samples.shape.items() if name not in kernel.varying}
    seconds = kernel.prepare(fixed, hardware, samples.dtype, constants)
    return np.asarray(seconds(*[samples.shape[name] for name in kernel.varying]))


def fit(
    kernel: Kernel, parts: Sequence[Samples], hardware: Hardware, forms: Sequence[Form]
) -> list[dict[str, float]]:
    """Return the constants of each part: samples of one device and dtype, an engine each.

    The forms of the parts differ in fixed constants alone.
    """
    form = forms[0]
    from scipy.optimize import least_squares  # noqa: PLC0415 - for fits alone

    known = {constant.name: constant for constant in kernel.constants}
    free = [known[name] for name in form.shared]
    free += [known[name] for _ in parts for name in form.own]
    low, high = (np.log([_of(c, end) for c in free]) for end in ("low", "high"))
    usual = form.usual or {}
    start = np.array([np.log(usual.get(c.name, c.start)) for c in free])
    start = np.clip(start, low + _INSIDE, high - _INSIDE)  # which a fit has to start within

    def constants(point: Array, part: int) -> dict[str, float]:
        values = np.exp(point)
        first = len(form.shared) + part * len(form.own)
        own = values[first : first + len(form.own)]
        found = dict(
            zip((*form.shared, *form.own), [*values[: len(form.shared)], *own], strict=True)
        )
        return {
            **(forms[part].fixed or {}),
            **{name: float(value) for name, value in found.items()},
        }

    def residuals(point: Array) -> Array:
        off = [
            np.log(predicted(kernel, part, hardware, constants(point, i)) / part.seconds)
            for i, part in enumerate(parts)
        ]
        # Constants that the measurements leave open stay near the usual ones.
        return np.concatenate([*off, _PRIOR * (point - start)])

    found = least_squares(
        residuals, start, bounds=(low, high), loss="soft_l1", f_scale=_SOFT,
        max_nfev=_MOST_EVALUATIONS,
    )  # fmt: skip
    return [constants(found.x, part) for part in range(len(parts))]


def _of(constant: Constant, end: str) -> float:
    value: float = getattr(constant, end)
    return value


def errors(kernel: Kernel, samples: Samples, hardware: Hardware, table: Table) -> Array:
    """Return predicted over measured, minus one, of each sample."""
    found: Array = predicted(kernel, samples, hardware, table.constants) / samples.seconds - 1
    return found


def tables_of(
    kernel: Kernel,
    parts: Sequence[Samples],
    hardware: Hardware,
    forms: Sequence[Form],
    *,
    rows: int = 1500,
    source: str = "",
    bit: int = SPLIT_BIT,
) -> list[Table]:
    """Return a table of each part, fitted without the layers that are held out.

    Args:
        kernel: the kind.
        parts: samples of one device and dtype, an engine each.
        hardware: the device.
        forms: the constants to fit, of each part.
        rows: the most of each part that are fitted.
        source: the dataset, with its licence.
        bit: of the checksum of a layer, which holds out half of them.
    """
    possible = [possible_rows(kernel, part, hardware) for part in parts]
    splits = [_split(part, bit) for part, _ in possible]
    fitted = [train.at_most(rows) for train, _ in splits]
    found = fit(kernel, fitted, hardware, forms)
    tables = []
    for part, (_, impossible), (train, test), constants in zip(
        parts, possible, splits, found, strict=True
    ):
        some = train.at_most(20_000)
        low, high = interval(predicted(kernel, some, hardware, constants) / some.seconds)
        off = np.array([])
        if len(test):
            off = np.abs(predicted(kernel, test, hardware, constants) / test.seconds - 1)
        tables.append(
            Table(
                kernel.name, part.dtype, part.engine, _rounded(constants), low, high,
                dataset=source, version=part.version, rows=len(train.at_most(rows)),
                outliers=impossible,
                median_error=_share(np.median(off)) if len(off) else None,
                p90_error=_share(np.quantile(off, 0.9)) if len(off) else None,
                physics=_physics(impossible, len(part)),
            )
        )  # fmt: skip
    return tables


def fit_all(
    kernel: Kernel, samples: Samples, hardware: Hardware, form: Form, *, source: str
) -> Table:
    """Return a table fitted to all of a few measurements.

    Its error and interval are those of half of the layers, predicted by constants that were fitted
    to the other half; with too few layers for halves, the interval is that of the measurements
    themselves, and no error is stated.
    """
    some = samples.at_most(_MOST_OF_ALL)
    constants = fit(kernel, [some], hardware, [form])[0]
    inside = some.seconds / predicted(kernel, some, hardware, constants)
    train, test = some.held_out()
    off, ratios = np.array([]), inside
    if min(len(train), len(test)) >= _FEWEST_OF_HALF:
        apart = fit(kernel, [train], hardware, [form])[0]
        ratios = test.seconds / predicted(kernel, test, hardware, apart)
        off = np.abs(1 / ratios - 1)
        ratios = np.concatenate([ratios, inside])
    low, high = interval(1 / ratios)
    return Table(
        kernel.name, samples.dtype, samples.engine, _rounded(constants), low, high,
        dataset=source, version=samples.version, rows=len(some),
        median_error=_share(np.median(off)) if len(off) else None,
        p90_error=_share(np.quantile(off, 0.9)) if len(off) else None,
        physics=_physics(0, len(samples)),
    )  # fmt: skip


def _split(samples: Samples, bit: int) -> tuple[Samples, Samples]:
    """Return what is fitted and what is held out; without layers to fit, nothing is held out."""
    train, test = samples.held_out(bit)
    return (train, test) if len(train) else (test, train)


def possible_rows(kernel: Kernel, samples: Samples, hardware: Hardware) -> tuple[Samples, int]:
    """Return samples without those that beat the device's roofs, and the number of these."""
    least = bound(kernel, samples.shape, hardware, samples.dtype)
    mask = samples.seconds >= _TOLERANCE * least
    return samples.some(mask), int((~mask).sum())


def bound(kernel: Kernel, shape: Mapping[str, Any], hardware: Hardware, dtype: str) -> Array:
    """Return the least seconds of calls by the data sheet."""
    return np.asarray(bound_of(kernel, shape, hardware, dtype))


def interval(ratios: Array) -> tuple[float, float]:
    """Return factors of a prediction between which 80 % of measurements lie, widened by a tenth."""
    measured = np.log(1 / ratios)
    low, high = np.quantile(measured, (0.1, 0.9))
    middle, half = (low + high) / 2, (high - low) / 2 * _WIDER
    return _share(np.exp(middle - half)), _share(np.exp(middle + half))


def _rounded(constants: Mapping[str, float]) -> dict[str, float]:
    """Return constants with four digits, which are more than they are known to."""
    return {name: float(f"{value:.4g}") for name, value in constants.items()}


def _share(value: Any) -> float:
    return float(f"{float(value):.4f}")


def _physics(impossible: int, rows: int) -> str:
    if not impossible:
        return f"none of {rows:,} rows beats the roofs"
    return f"{impossible:,} of {rows:,} rows beat the roofs and were left out"
