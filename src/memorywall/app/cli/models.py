"""``memorywall models``: the catalogue of models."""

from __future__ import annotations

import click

from memorywall.app.cli._shared import console, json_flag, print_json
from memorywall.catalog.configs import config_names
from memorywall.frontends.hf import load_model
from memorywall.report.record import model_record
from memorywall.report.table import models_table


@click.command("models")
@click.argument("names", metavar="[MODEL]...", nargs=-1)
@json_flag
def COMMAND(names: tuple[str, ...], as_json: bool) -> None:  # noqa: N802
    """List the built-in models, or show some: family, class, parameters.

    \b
    Examples:
      memorywall models
      memorywall models llama-3.1-8b ./my-model/config.json
    """
    models = [load_model(name) for name in names or config_names()]
    if as_json:
        print_json({"models": [model_record(model) for model in models]})
    else:
        console().print(models_table(models))
