"""``memorywall validate``: the errors of predictions against public measurements."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from memorywall.app.cli._command import command
from memorywall.app.cli._shared import json_flag, print_json
from memorywall.core.errors import InvalidInputError
from memorywall.validate import all_validators, find_validator
from memorywall.validate.errors import Validation, Validator

_HELP = """Print how far predictions are from public measurements, and check the promised limits.

WHAT is kernels, streams or serving.  [default: all]

Tables of errors are with and without calibration, against the data sheet, on what no fit saw: the
median and the 90th percentile of |predicted / measured - 1|, and the share of measurements in their
80 % interval. The command ends with code 1 if a limit is exceeded.

\b
Examples:
  memorywall validate --data ./ground-truth
  memorywall validate kernels --data ./ground-truth
  memorywall validate streams serving --data ./ground-truth --json
  memorywall validate kernels --data ./ground-truth --ablation
"""


@command("validate", "Learn", "The errors of predictions against measurements.", _HELP)
@click.argument("what", nargs=-1)
@click.option(
    "--data", "data", required=True, type=click.Path(path_type=Path), metavar="FOLDER",
    help="The folder of the measurements: Parquet and CSV files.",
)  # fmt: skip
@click.option(
    "--ablation", is_flag=True,
    help="Fit the formulas again without each of their terms, and print the errors too: minutes.",
)  # fmt: skip
@json_flag
def COMMAND(  # noqa: N802 - the constant that the subcommand is found by
    what: tuple[str, ...], data: Path, ablation: bool, as_json: bool
) -> None:
    if not data.is_dir():
        raise InvalidInputError(
            f"--data must be a folder of measurements, got {data}.",
            "It holds gemm.parquet, single_stream.csv, serving_ttft_tpot.csv and others.",
        )
    every = not what or "all" in what
    validators = all_validators() if every else [find_validator(name) for name in what]
    found = [_run(validator, data, ablation) for validator in validators]
    if as_json:
        print_json([validation.to_dict() for validation in found])
    else:
        click.echo("\n\n".join(map(str, found)))
    failures = [said for validation in found for said in validation.failures]
    for said in failures:
        click.echo(f"exceeded: {said}", err=True)
    if failures:
        raise SystemExit(1)


def _run(validator: Validator, data: Path, ablation: bool) -> Validation:
    """Return the errors of one kind of prediction, with those without single terms if asked."""
    found = validator.run(data)
    if not ablation or validator.ablate is None:
        return found
    return replace(found, sections=(*found.sections, *validator.ablate(data)))
