"""Write docs/reference/coverage.md: which architectures of the installed transformers are exact.

    python tools/coverage.py [--check] [TYPE...]

Every model_type that transformers has a causal LM, a masked LM, a sequence-to-sequence, an image or
an image-text class for is read from that library's own default config. Exact means that our
parameters equal those of transformers' class on the meta device to the last digit. A type without a
built-in family is traced: one pass of its class is priced, and a decode step if it generates. The
rest is refused. A full run takes about twenty minutes; with types as arguments it takes seconds and
prints instead of writing. ``--check`` builds nothing: it compares the types that families read with
the page.
"""

from __future__ import annotations

import argparse
import signal
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from rich.progress import track
from transformers.models.auto import modeling_auto

from memorywall.answer.analyze import analyze
from memorywall.answer.settle import applicable
from memorywall.catalog.configs import entries
from memorywall.core.errors import InvalidInputError, MemoryWallError, UnsupportedError
from memorywall.core.files import write_text
from memorywall.core.model import Model
from memorywall.families import family_of
from memorywall.frontends.config import model_from_config

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "coverage.md"
_TASKS = {
    "causal LM": modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    "masked LM": modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    "sequence to sequence": modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    "speech to text": {"whisper": "WhisperForConditionalGeneration"},
    "image classification": modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
    "image and text": modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
}


EXACT, DIFFERS, TRACED, REFUSED = "exact", "DIFFERS", "traced", "refused"
SMALL = "exact on small configs"  # in the tests: transformers cannot build its own default
TEXT = "traced, its text alone"  # the vision tower counts as weights only
BY_FAMILY = (EXACT, DIFFERS, SMALL)
LONGEST_S = 120


@dataclass(frozen=True)
class Row:
    """One class of one model_type: the result, the family, or the reason of a refusal."""

    task: str
    model_type: str
    class_name: str
    result: str
    family: str = ""
    why: str = ""


def main() -> int:
    """Write the page, or compare the installed types with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, build nothing")
    parser.add_argument("types", nargs="*", metavar="TYPE", help="print these, write nothing")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    if arguments.check:
        return _check()
    wanted = [key for key in _wanted() if not arguments.types or key[1] in arguments.types]
    found = []
    for key in track(wanted, "Reading and tracing", disable=bool(arguments.types)):
        found.append(_row(*key))
        if arguments.types:
            print(*vars(found[-1]).values(), sep=" | ")
    if not arguments.types:
        write_text(PAGE, page(found))
        print(f"written: {PAGE}")
    return 0


def _check() -> int:
    """Compare the types that families read with the page."""
    cells = [line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    listed = {
        (line[0].strip("| `"), line[1].strip("`")): line[2] for line in cells if len(line) == 4
    }
    stale = 0
    for _, model_type, class_name in _wanted():
        result = listed.get((model_type, class_name), "")
        if (family_of(model_type) is not None and _reads(model_type, class_name)) != (
            result in BY_FAMILY
        ):
            print(f"out of date: {model_type} ({class_name}) is listed as {result or 'nothing'}")
            stale = 1
    return stale


def _wanted() -> list[tuple[str, str, str]]:
    return sorted(
        (task, model_type, names if isinstance(names, str) else names[0])
        for task, mapping in _TASKS.items()
        for model_type, names in mapping.items()
    )


def _row(task: str, model_type: str, class_name: str) -> Row:
    result, why = REFUSED, "transformers builds no default config"
    for config, known in _configs(model_type, class_name):
        try:
            with _at_most(LONGEST_S):
                model = model_from_config(config, model_type)
                if model.traits.traced:
                    _price(model)
                    looked = task != "image and text" or model.traits.images is not None
                    return Row(task, model_type, class_name, TRACED if looked else TEXT)
                result = SMALL
                same = model.parameters == _parameters(model_type, known, class_name)
                return Row(
                    task, model_type, class_name, EXACT if same else DIFFERS, model.family.name
                )
        except UnsupportedError as error:
            why = error.message
        except (MemoryWallError, AttributeError, TypeError, ValueError) as error:
            why = str(error)  # one side cannot build a default that leaves a size out
        except TimeoutError:
            why = f"not traced within {LONGEST_S} s"
    if result == SMALL:
        family = family_of(model_type)
        return Row(task, model_type, class_name, SMALL, family.name if family else "")
    return Row(task, model_type, class_name, REFUSED, "", " ".join(why.split())[:160])


def _price(model: Model) -> None:
    """Price one pass of a traced model, and a decode step if it generates."""
    if not model.causal:
        assert analyze(model, on="h100-sxm", phase="encode").flops
        return
    length = min(model.architecture.max_positions or 128, 128)
    images = None if model.traits.images is None else 0
    for phase in ("prefill", "decode"):
        words = applicable(model, phase, {"images": images})
        assert analyze(model, on="h100-sxm", phase=phase, seq_len=length, **words).flops
    if model.traits.images is not None:
        assert analyze(model, on="h100-sxm", phase="encode").flops


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """Raise TimeoutError after this number of seconds."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _reads(model_type: str, class_name: str) -> bool:
    """Return whether a family reads any config of a class."""
    for config, _ in _configs(model_type, class_name):
        with suppress(InvalidInputError, UnsupportedError, AttributeError, TypeError):
            return not model_from_config(config, model_type).traits.traced
    return False


def _configs(model_type: str, class_name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield transformers' default config, then the catalogue's published ones.

    Each comes with the values that transformers needs to build it: none for a default config.
    """
    said = {"model_type": model_type, "architectures": [class_name]}
    with suppress(Exception):
        yield {**transformers.AutoConfig.for_model(model_type).to_dict(), **said}, {}
    for entry in entries():
        if entry.config.get("model_type") == model_type:
            yield {**entry.config, **said}, {**entry.config, "architectures": [class_name]}


def _parameters(model_type: str, known: dict[str, Any], class_name: str) -> int:
    values = {key: value for key, value in known.items() if key != "model_type"}
    built = transformers.AutoConfig.for_model(model_type, **values)
    with torch.device("meta"):
        model = getattr(transformers, class_name)(built)
    return sum(parameter.numel() for parameter in model.parameters())


def page(rows: list[Row]) -> str:
    """Return the page: a summary, counts by task, every type, and the reason of each refusal."""
    return "\n".join((*_summary(rows), *_by_task(rows), *_by_type(rows), *_refused(rows))) + "\n"


def _summary(rows: list[Row]) -> list[str]:
    """Return the counts, by the best result of each model_type's classes."""
    order = (EXACT, SMALL, TRACED, TEXT, DIFFERS, REFUSED)
    best: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: order.index(row.result)):
        best.setdefault(row.model_type, row.result)
    counts = Counter(best.values())
    exact, total = counts[EXACT] + counts[SMALL], len(best)
    traced = counts[TRACED] + counts[TEXT]
    return [
        "<!-- Written by tools/coverage.py; do not edit. -->",
        "",
        "# Coverage",
        "",
        f"transformers {transformers.__version__} has a class for {total} `model_type`s in these",
        f"tasks. By the best result of their classes, {exact} are exact, {traced} are traced",
        f"({counts[TEXT]} of these with their text alone),",
        f"and {total - exact - traced} are refused: {(exact + traced) / total:.1%} are answered.",
        "",
        "- **exact**: a family reads the default config, and the parameters equal those of its",
        "  class on the meta device to the last digit. On small configs: transformers cannot build",
        "  its default, and the tests build smaller ones.",
        "- **traced**: no built-in family; transformers' class was built from its default",
        "  config, one pass was traced and priced, and a decode step if it generates with a",
        "  cache. Its text alone: the vision tower was not traced, and counts as weights.",
        "- **refused**: neither exact nor traced; the cost is never guessed.",
        "",
    ]


def _by_task(rows: list[Row]) -> list[str]:
    lines = ["| task | exact | traced | of |", "| --- | ---: | ---: | ---: |"]
    for task in _TASKS:
        mine = Counter(row.result for row in rows if row.task == task)
        exact, traced = mine[EXACT] + mine[SMALL], mine[TRACED] + mine[TEXT]
        lines.append(f"| {task} | {exact} | {traced} | {mine.total()} |")
    return [*lines, ""]


def _by_type(rows: list[Row]) -> list[str]:
    lines = ["| model_type | class | result | family |", "| --- | --- | --- | --- |"]
    for row in rows:
        family = f"`{row.family}`" if row.family else ""
        lines.append(f"| `{row.model_type}` | `{row.class_name}` | {row.result} | {family} |")
    return lines


def _refused(rows: list[Row]) -> list[str]:
    lines = ["", "## Reasons of refusals", ""]
    lines += ["| model_type | class | reason |", "| --- | --- | --- |"]
    for row in rows:
        if row.result == REFUSED:
            why = row.why.replace("|", "/").replace("<", "`<`")
            lines.append(f"| `{row.model_type}` | `{row.class_name}` | {why} |")
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
