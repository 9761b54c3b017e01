"""The findings of the case study: quantities over lengths, latencies, and decode by batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.bench.profiles import ProfiledCase, cases_of_version_2
from memorywall.catalog.published import read
from memorywall.core.comparison import Comparison
from memorywall.core.records import Values, recorded, to_record


@recorded(names={"lengths": "seq_len"})
@dataclass(frozen=True, slots=True)
class LengthCurve:
    """One quantity of one model over sequence lengths: ours, published, and measured here.

    Of an experiment, ours and measured are of the first lengths only.
    """

    model: str
    quantity: str
    lengths: tuple[int, ...]
    ours: tuple[float, ...]
    published: tuple[float, ...]
    measured: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Latency:
    """One run of the case study here, in times BERT-Base at the first length, and in seconds.

    Attributes:
        model, seq_len, batch_size: what ran.
        predicted, measured, published: relative; None where it did not run or is not printed.
        predicted_s, measured_s: of one run.
    """

    model: str
    seq_len: int
    batch_size: int
    predicted: float
    measured: float | None
    published: float | None
    predicted_s: float
    measured_s: float | None


@recorded(
    names={
        "device": "hardware",
        "batch_sizes": "batch_size",
        "waiting": "memory_bound_share",
        "leaves_at": "compute_bound_from_batch",
        "longest_leaving": "longest_compute_bound_seq_len",
    }
)
@dataclass(frozen=True, slots=True)
class Roof:
    """Decode on one device: how it waits on memory at each batch size, and where that ends.

    Attributes:
        device, dtype, seq_len: on what, in which format, at which context.
        batch_sizes: those asked for.
        waiting: for each, the share of the time in memory-bound operators.
        leaves_at: the smallest batch that is compute-bound at this context; None for none.
        longest_leaving: the longest of the tried contexts with a compute-bound batch, or 0.
    """

    device: str
    dtype: str
    seq_len: int
    batch_sizes: tuple[int, ...]
    waiting: tuple[float, ...]
    leaves_at: int | None
    longest_leaving: int


@recorded(derived=("relative",))
@dataclass(frozen=True, slots=True)
class Experiment:
    """The case study's three models run here.

    Attributes:
        hardware: the measured machine's title.
        machine: its description when the last run began.
        dtype: of weights and arithmetic.
        cases: the runs by model, predicted and measured.
    """

    hardware: str
    machine: Mapping[str, Any]
    dtype: str
    cases: Mapping[str, tuple[ProfiledCase, ...]]

    @property
    def relative(self) -> tuple[Latency, ...]:
        """Every run in times BERT-Base at the first length, beside what is printed of it."""
        printed = {
            (row["model"], int(row["seq_len"])): float(row["latency"])
            for row in read("survey_figures")
        }
        first = self.cases["BERT-Base"][0]
        base_s = first.measured_s
        return tuple(
            Latency(
                model,
                case.seq_len,
                case.batch_size,
                predicted=case.predicted_s / first.predicted_s,
                measured=case.measured_s / base_s if base_s and case.measured_s else None,
                published=printed.get((model, case.seq_len)) if case.batch_size == 1 else None,
                predicted_s=case.predicted_s,
                measured_s=case.measured_s,
            )
            for model, cases in self.cases.items()
            for case in cases
        )


def _version_2(record: Values) -> Values:
    """Return a record of version 1 as version 2 has it.

    Version 1 kept printed numbers as numbers alone, an empty object where nothing ran, and attained
    shares of a case in place of the peaks.
    """
    cells = [{**cell, "printed": f"{cell['published']:g}"} for cell in record.get("cells", ())]
    here = record.get("here") or None
    if here is not None:
        cases = {model: cases_of_version_2(found) for model, found in here["cases"].items()}
        here = {**here, "cases": cases}
    return {**record, "cells": cells, "here": here}


@recorded("memorywall.study.paper/2", names={"roofs": "batch"}, upgrades={1: _version_2})
@dataclass(frozen=True, slots=True)
class CaseStudy:
    """The findings of the study.

    Attributes:
        cells: the printed counts beside ours; empty in a record of the runs alone.
        curves: the four panels; empty in such a record too.
        roofs: GPT-2's decode by batch, one for each device that was asked for.
        here: the models run on this machine; None where they did not run.
    """

    cells: tuple[Comparison, ...] = ()
    curves: tuple[LengthCurve, ...] = ()
    roofs: tuple[Roof, ...] = ()
    here: Experiment | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return its record."""
        return to_record(self)
