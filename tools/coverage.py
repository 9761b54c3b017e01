"""Write docs/reference/coverage.md: which architectures of the installed transformers are exact.

    python tools/coverage.py [--check]

Every model_type that transformers has a causal LM, a masked LM or a sequence-to-sequence class for
is read from that library's own default config. Exact means that our parameters equal those of
transformers' class on the meta device to the last digit; what no family reads is refused.
``--check`` writes nothing and builds nothing: it compares which types are read with the page.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.auto import modeling_auto

from memorywall.catalog.configs import entries
from memorywall.core.errors import InvalidInputError, UnsupportedError
from memorywall.core.files import write_text
from memorywall.frontends.config import model_from_config

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "coverage.md"
_TASKS = {
    "causal LM": modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    "masked LM": modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    "sequence to sequence": modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    "speech to text": {"whisper": "WhisperForConditionalGeneration"},
}


EXACT, DIFFERS, REFUSED = "exact", "DIFFERS", "refused"
SMALL = "exact on small configs"  # in the tests: transformers cannot build its own default


@dataclass(frozen=True)
class Row:
    """One class of one model_type: how it comes out, and by which family."""

    task: str
    model_type: str
    class_name: str
    result: str
    family: str = ""


def main() -> int:
    """Write the page, or compare what is read with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, build nothing")
    check = parser.parse_args().check
    transformers.logging.set_verbosity_error()
    found = [_row(*key, build=not check) for key in _wanted()]
    if not check:
        write_text(PAGE, page(found))
        print(f"written: {PAGE}")
        return 0
    listed = PAGE.read_text(encoding="utf-8").splitlines()
    refused = {tuple(line.split("`")[1:4:2]) for line in listed if f"| {REFUSED} |" in line}
    stale = [
        row
        for row in found
        if (row.result == REFUSED) != ((row.model_type, row.class_name) in refused)
    ]
    for row in stale:
        print(f"out of date: {row.model_type} ({row.class_name}) is now {row.result}")
    return int(bool(stale))


def _wanted() -> list[tuple[str, str, str]]:
    return sorted(
        (task, model_type, names if isinstance(names, str) else names[0])
        for task, mapping in _TASKS.items()
        for model_type, names in mapping.items()
    )


def _row(task: str, model_type: str, class_name: str, *, build: bool) -> Row:
    result, family = REFUSED, ""
    for config, known in _configs(model_type, class_name):
        try:
            model = model_from_config(config, model_type)
            result, family = SMALL, model.family.name
            if not build or model.parameters == _parameters(model_type, known, class_name):
                return Row(task, model_type, class_name, EXACT, family)
            return Row(task, model_type, class_name, DIFFERS, family)
        except UnsupportedError:
            break
        except (InvalidInputError, AttributeError, TypeError):
            continue  # one side cannot build a default that leaves a size out
    return Row(task, model_type, class_name, result, family)


def _configs(model_type: str, class_name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield transformers' default config, then the catalogue's published ones.

    Each comes with what transformers must be told to build it: of a default nothing.
    """
    said = {"model_type": model_type, "architectures": [class_name]}
    with suppress(Exception):
        yield {**transformers.AutoConfig.for_model(model_type).to_dict(), **said}, {}
    for entry in entries():
        if entry.config["model_type"] == model_type:
            yield {**entry.config, **said}, {**entry.config, "architectures": [class_name]}


def _parameters(model_type: str, known: dict[str, Any], class_name: str) -> int:
    values = {key: value for key, value in known.items() if key != "model_type"}
    built = transformers.AutoConfig.for_model(model_type, **values)
    with torch.device("meta"):
        model = getattr(transformers, class_name)(built)
    return sum(parameter.numel() for parameter in model.parameters())


def page(rows: list[Row]) -> str:
    """Return the page: a sentence, counts by task, then every type."""
    exact = sorted({row.model_type for row in rows if row.result in (EXACT, SMALL)})
    known = {row.model_type for row in rows}
    lines = [
        "<!-- Written by tools/coverage.py; do not edit. -->",
        "",
        "# Coverage",
        "",
        f"transformers {transformers.__version__} has a class for {len(known)} `model_type`s in",
        f"these tasks, and {len(exact)} of them are",
        "exact: read from its default config, our parameters equal those of its class on the meta",
        "device to the last digit. The rest is refused with the near names, never guessed at.",
        "",
        "| task | exact | of |",
        "| --- | ---: | ---: |",
    ]
    for task in _TASKS:
        mine = [row for row in rows if row.task == task]
        lines.append(f"| {task} | {sum(row.result == 'exact' for row in mine)} | {len(mine)} |")
    lines += ["", "| model_type | class | result | family |", "| --- | --- | --- | --- |"]
    lines += [_line(row) for row in rows]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    family = f"`{row.family}`" if row.family else ""
    return f"| `{row.model_type}` | `{row.class_name}` | {row.result} | {family} |"


if __name__ == "__main__":
    raise SystemExit(main())
