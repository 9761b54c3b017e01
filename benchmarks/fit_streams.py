"""Fit the constants of a pass by class and by device, and print how well they hold.

    python benchmarks/fit_streams.py FOLDER [--write] [--ablation] [--few]

FOLDER holds ``single_stream.csv``; ``public_runs.csv`` beside this file has further runs, with
their sources. ``--write`` replaces the tables of the catalogue; ``--ablation`` prints the
errors without single terms, ``--few`` those of devices calibrated from one to three of their runs.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from memorywall.calibrate.public_runs import PublicRun, read_public_runs
from memorywall.calibrate.stream_classes import (
    ClassRun,
    LeftOut,
    class_tables,
    fit_class,
    interval,
    left_out,
    without,
)
from memorywall.calibrate.streams import calibrate_engine, calibrate_from_runs
from memorywall.catalog.step_tables import FOLDER
from memorywall.catalog.table_files import tables_toml
from memorywall.core.files import write_text
from memorywall.core.kernels import Table
from memorywall.cost.kernels.step import CONSTANTS
from memorywall.validate.streams import class_run, error_lines, error_row, errors_by_group

DATASET = (
    "benchmarks/fit_streams.py: public runs of llama.cpp's threads, exllamav2, ai-benchmarks, "
    "GPU-Benchmarks-on-LLM-Inference, llmfit, pavlokhmel.com and others; facts, MIT"
)
HEADING = "Written by benchmarks/fit_streams.py: constants of passes, fitted to public runs."
ABLATIONS: dict[str, dict[str, float]] = {
    "all terms": {},
    "without unpacking": {"unpack_ops": 1e-3},
    "without the share of experts": {"grouped_share": 1.0},
    "without launches": {"operator_s": 1e-9},
    "without the host": {"step_s": 1e-9},
    "shares of the roofs alone": {
        "unpack_ops": 1e-3, "grouped_share": 1.0, "operator_s": 1e-9, "step_s": 1e-9,
    },
}  # fmt: skip
REPEATS = 3  # choices of runs for each device
LEAST_ROWS = 4  # of a device with a separate table
ENGINES = {"exllama": ("exllama",), "exllamav2": ("exllamav2", "Exllama V2"),
           "mlc": ("MLC LLM", "MLC-LLM")}  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Fit, print, and write where asked."""
    given, refused = read_public_runs(Path(arguments[0]) / "single_stream.csv")
    more, _ = read_public_runs(Path(__file__).parent / "public_runs.csv")
    runs = [class_run(one) for one in (*given, *more)]
    predicted = left_out(runs)
    checked = {one.run.place for one in given}
    print("runs of single_stream.csv, each device left out of its fit")
    print(error_lines([each for each in predicted if each.run.label in checked]))
    print("runs of public_runs.csv")
    print(error_lines([each for each in predicted if each.run.label not in checked]))
    for one in refused:
        print(f"{one.place} refused: {one.reason}")
    if "--ablation" in arguments:
        _print_ablation(runs, checked)
    if "--few" in arguments:
        _print_few((*given, *more), predicted)
    if "--write" in arguments:
        _write((*given, *more), runs)


def _print_ablation(runs: Sequence[ClassRun], checked: set[str]) -> None:
    for name, fixed in ABLATIONS.items():
        predicted = left_out(runs, without(**fixed))
        found = errors_by_group([each for each in predicted if each.run.label in checked])
        errors = {row.group: f"{row.median:.1%} / {row.p90:.1%}" for row in found}
        print(f"{name:32} decode {errors['decode']}, prefill {errors['prefill']}")


def _print_few(rows: Sequence[PublicRun], predicted: Sequence[LeftOut]) -> None:
    """Print the errors of the other runs of a device, calibrated from some chosen at random."""
    chosen = random.Random(0)  # noqa: S311 -- a choice of rows
    by_device = groupby(sorted(rows, key=_device), key=_device)
    fitted = {device: [row for row in group if not row.left_out] for device, group in by_device}
    for count in (0, 1, 2, 3):
        tested = []
        for own in fitted.values():
            if len(own) < count + 2:
                continue
            prior = _class_without(own[0], predicted)
            for _ in range(REPEATS):
                taken = chosen.sample(own, count)
                found = (
                    calibrate_from_runs([row.run for row in taken], own[0].device, prior).table
                    if taken
                    else prior
                )
                tested += [_tested(row, found) for row in own if row not in taken]
        row = error_row("", tested)
        print(f"{count} runs: {row.median:.1%} / {row.p90:.1%}, {row.covered:.0%} in the interval")


def _device(row: PublicRun) -> str:
    return row.device


def _class_without(row: PublicRun, predicted: Sequence[LeftOut]) -> Table:
    """Return the table of a device's class, fitted without the device."""
    others = [each for each in predicted if each.run.device != row.device]
    low, high = interval([each for each in others if each.run.device_class == row.device_class])
    constants = fit_class([each.run for each in others], row.device_class)
    return Table("step", "", "", constants, low, high)


def _tested(row: PublicRun, table: Table) -> LeftOut:
    run = class_run(row)
    ratio = run.sample.predicted(table.constants) / run.sample.seconds
    return LeftOut(run, ratio, table.low, table.high)


def _write(rows: Sequence[PublicRun], runs: Sequence[ClassRun]) -> None:
    tables = class_tables(runs, DATASET)
    for name, table in tables.items():
        engines = _engine_tables(rows, table) if name == "nvidia-gpu" else ()
        _save(name, (table, *engines))
    for device in sorted({row.device for row in rows}):
        own = [row for row in rows if row.device == device and not row.left_out]
        if len(own) >= LEAST_ROWS:
            sources = sorted({row.source for row in own})
            prior = tables[own[0].device_class]
            found = calibrate_from_runs([row.run for row in own], device, prior).table
            _save(device, (replace(found, dataset="; ".join(sources)),))


def _engine_tables(rows: Sequence[PublicRun], prior: Table) -> tuple[Table, ...]:
    found = []
    for engine, names in ENGINES.items():
        own = [
            (row.run, row.device)
            for row in rows
            if row.run.engine in names and row.device_class == "nvidia-gpu"
        ]
        found.append(calibrate_engine(own, prior, engine, DATASET))
    return tuple(found)


def _save(name: str, tables: Sequence[Table]) -> None:
    write_text(FOLDER / f"{name}.toml", tables_toml(tables, {"step": CONSTANTS}, HEADING))


if __name__ == "__main__":
    main(sys.argv[1:])
