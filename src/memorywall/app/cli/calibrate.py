"""``memorywall calibrate``: constants of a device from a user's measurements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from memorywall.answer.analyze import load_hardware
from memorywall.app.cli._command import command
from memorywall.app.cli._options import DEVICE
from memorywall.app.cli._shared import json_flag, print_json
from memorywall.calibrate.save import save_tables
from memorywall.calibrate.streams import calibrate_file
from memorywall.calibrate.user_kernels import calibrate_kernels, holds_kernels, read_columns
from memorywall.core.kernels import Table

_HELP = """Fit the constants of a device to measurements in DATA, and keep them for later answers.

DATA is a CSV or Parquet file: of kernels (columns kind, dtype, the kernel's arguments, and seconds
or latency_ms), or of whole runs (columns model, weights, phase and tokens_per_s). The columns:
docs/howto/calibrate.md. Measurements that beat the device's roofs are refused with their rows;
those that the constants miss by more than a factor of 1.5 weigh less, and are listed.

\b
Examples:
  memorywall calibrate my-runs.csv --on rtx-3060
  memorywall calibrate my-kernels.parquet --on h100-sxm
  memorywall calibrate my-runs.csv --on ./my-device.toml --json
"""


_MOST_SHOWN = 10


class _Odd(NamedTuple):
    """A measurement that constants miss by far: its place, and predicted over measured seconds."""

    place: str
    ratio: float


@command("calibrate", "Measure", "Constants of a device from your measurements.", _HELP)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--on", "on", type=DEVICE, required=True, help="The device.")
@json_flag
def COMMAND(  # noqa: N802 - the constant that the subcommand is found by
    data: Path, on: str, as_json: bool
) -> None:
    hardware = load_hardware(on)
    if holds_kernels(list(read_columns(data))):
        found = calibrate_kernels(data, hardware)
        tables = [one.table for one in found]
        odd = [_Odd(f"row {o.row}: {o.call}", o.ratio) for one in found for o in one.odd]
    else:
        runs = calibrate_file(data, on)
        tables = [runs.table]
        odd = [_Odd(one.run.place or str(one.run.model), one.ratio) for one in runs.odd]
    path = save_tables(hardware, tables)
    if as_json:
        print_json(_record(hardware.name, path, tables, odd))
        return
    for table in tables:
        click.echo(_said(table))
    for one in odd[:_MOST_SHOWN]:
        click.echo(f"odd measurement, {one.place}: predicted x {one.ratio:.2f}")
    if len(odd) > _MOST_SHOWN:
        click.echo(f"odd measurements: {len(odd)} in all; --json lists them")
    click.echo(f"written: {path}. Answers --on {hardware.name} use it.")


def _said(table: Table) -> str:
    error = "" if table.median_error is None else f", median error {table.median_error:.1%}"
    name = " ".join(filter(None, (table.kind, table.dtype, table.engine)))
    return (
        f"{name}: {table.rows} measurements{error}, 80 % within x {table.low:g} to {table.high:g}"
    )


def _record(
    device: str, path: Path, tables: Sequence[Table], odd: Sequence[_Odd]
) -> dict[str, object]:
    return {
        "schema": "memorywall.calibration/1",
        "hardware": device,
        "path": str(path),
        "tables": [
            {
                "kind": table.kind, "dtype": table.dtype, "engine": table.engine,
                "rows": table.rows, "constants": dict(table.constants), "low": table.low,
                "high": table.high, "median_error": table.median_error, "physics": table.physics,
            }
            for table in tables
        ],
        "odd": [{"place": one.place, "predicted_over_measured": one.ratio} for one in odd],
    }  # fmt: skip
