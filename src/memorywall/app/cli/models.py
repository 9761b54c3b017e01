"""``memorywall models``: the catalogue of models."""

from __future__ import annotations

from dataclasses import replace

import click

from memorywall.app.cli._command import command
from memorywall.app.cli._options import MODEL
from memorywall.app.cli._shared import json_flag, page, print_json
from memorywall.catalog.configs import config_names
from memorywall.core.errors import InvalidInputError
from memorywall.frontends.hf import load_model
from memorywall.frontends.hub import stored_on_hub
from memorywall.report.explain import explained, show_reading
from memorywall.report.table import show_models

_HELP = """List the built-in models, or show some: family, class, parameters.

MODEL is a name, the path of a config.json or its folder, of a safetensors or GGUF file, or a
hub id. Of files of weights only the headers are read.

\b
Examples:
  memorywall models
  memorywall models llama-3.1-8b ./my-model/config.json
  memorywall models --explain ./my-model.gguf
"""


@command("models", "Ask", "The built-in models, and how a config was read.", _HELP)
@click.argument("names", metavar="[MODEL]...", nargs=-1, type=MODEL)
@click.option("--explain", is_flag=True, help="Show how the config of each was read, key by key.")
@click.option(
    "--stored", is_flag=True,
    help="With --explain: fetch the headers of the hub's files too, by ranges.",
)  # fmt: skip
@json_flag
def COMMAND(names: tuple[str, ...], explain: bool, stored: bool, as_json: bool) -> None:  # noqa: N802
    if explain and not names:
        raise InvalidInputError(
            "--explain requires a model.", "Try: memorywall models --explain gpt2"
        )
    if stored and not explain:
        raise InvalidInputError("--stored requires --explain.", "Add --explain.")
    models = [load_model(name) for name in names or config_names()]
    if stored:
        models = [
            model if model.stored else replace(model, stored=stored_on_hub(model.name))
            for model in models
        ]
    if as_json:
        records = ((explained(model) if explain else model).to_dict() for model in models)
        print_json({"models": list(records)})
    elif explain:
        for model in models:
            show_reading(model, page())
    else:
        show_models(models, page(), in_full=bool(names))
