"""The points of error that each term of the formulas of kernels buys.

The formula of every kind is fitted to some of the layers with all its terms, and then without each
of them; errors are of the layers held out, in the tables in which the term is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memorywall.answer.analyze import load_hardware
from memorywall.calibrate.kernel_fit import Form, fit, possible_rows, predicted
from memorywall.calibrate.kernel_forms import fitted_together, form_of
from memorywall.calibrate.kernel_terms import TERMS, Term
from memorywall.calibrate.public_kernels import KINDS, read_kernels
from memorywall.calibrate.samples import Samples
from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Array
from memorywall.cost.kernels import find_kernel
from memorywall.validate.errors import ErrorRow, Section

ALL_TERMS = "all terms"
# Measurements of a table that are fitted; of experts, whose layers all differ, fewer.
_FITTED, _FITTED_EXPERTS, _ASKED = 1000, 120, 2000


@dataclass(frozen=True, slots=True, eq=False)
class _Split:
    """Measurements of a table.

    Attributes:
        train, test: those that are fitted, and those of layers held out.
        form: the constants that are fitted.
    """

    train: Samples
    test: Samples
    form: Form


@dataclass(frozen=True, slots=True)
class _Error:
    """The errors of a table: median, 90th percentile, and median of predicted over measured."""

    median: float
    p90: float
    bias: float


def ablate_kernels(folder: Path, kinds: Sequence[str] = KINDS) -> tuple[Section, ...]:
    """Return a table of the errors without single terms for each kind of kernel.

    Raises:
        InvalidInputError: the folder lacks a table.
        MissingDependencyError: pyarrow or SciPy is not installed.
    """
    return tuple(Section(f"terms of {kind}", _rows(folder, kind)) for kind in kinds)


def _rows(folder: Path, kind: str) -> tuple[ErrorRow, ...]:
    tables = [
        (load_hardware(parts[0].device), split)
        for parts in fitted_together(read_kernels(folder, kind))
        if (split := _split(parts))
    ]
    if not tables:
        return ()
    full = [_errors(device, splits) for device, splits in tables]
    rows = [_row(ALL_TERMS, [error for errors in full for error in errors])]
    for term in TERMS[kind]:
        places = [i for i, (_, splits) in enumerate(tables) if term.is_in(splits[0].form)]
        if places:
            known = [error for i in places for error in full[i]]
            without = [error for i in places for error in _errors(*tables[i], term)]
            rows.append(_bought(term.name, known, without))
    return tuple(rows)


def _split(parts: Sequence[Samples]) -> list[_Split]:
    """Return the tables of a fit that have layers of both halves."""
    found = []
    for part in parts:
        device = load_hardware(part.device)
        possible, _ = possible_rows(find_kernel(part.kind), part, device)
        train, test = possible.held_out()
        if len(train) and len(test):
            count = _FITTED_EXPERTS if part.kind == "moe" else _FITTED
            form = form_of(part.kind, device, part.dtype, part.engine)
            found.append(_Split(train.at_most(count), test.at_most(_ASKED), form))
    return found


def _errors(device: Hardware, splits: Sequence[_Split], term: Term | None = None) -> list[_Error]:
    """Return the errors of tables that are fitted together, without a term."""
    kernel = find_kernel(splits[0].train.kind)
    forms = [each.form if term is None else term.left_out_of(each.form) for each in splits]
    constants = fit(kernel, [each.train for each in splits], device, forms)
    found = []
    for each, own in zip(splits, constants, strict=True):
        ratios: Array = predicted(kernel, each.test, device, own) / each.test.seconds
        off = np.abs(ratios - 1)
        found.append(
            _Error(
                float(np.median(off)), float(np.quantile(off, 0.9)), float(np.median(ratios))
            )
        )  # fmt: skip
    return found


def _bought(name: str, full: Sequence[_Error], without: Sequence[_Error]) -> ErrorRow:
    """Return the errors without a term, with the points that they are more than with it."""
    known, row = _row("", full), _row(name, without)
    median, p90 = (100 * n for n in (row.median - known.median, row.p90 - known.p90))
    return ErrorRow(f"{name} ({median:+.1f}, {p90:+.1f})", row.rows, row.median, row.p90, row.bias)


def _row(name: str, errors: Sequence[_Error]) -> ErrorRow:
    return ErrorRow(
        name, len(errors), *(float(np.median([getattr(error, of) for error in errors]))
                             for of in ("median", "p90", "bias"))
    )  # fmt: skip
