"""End-to-end runs of one sequence: what a user can measure without a profiler.

``my card does 98 tokens/s on this model`` is a row of a CSV file, the format of
``docs/howto/calibrate.md``.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from memorywall.core.errors import InvalidInputError, MemoryWallError, invalid_file, shown
from memorywall.core.files import read_text

# The columns by which a file is known as one of runs, and those that it may have.
REQUIRED = ("model", "weights", "phase", "tokens_per_s")
OPTIONAL = ("prompt_len", "gen_len", "context_start", "batch", "activations", "engine", "note")
_LARGEST_FILE = 4 * 1024 * 1024
_MOST_ROWS = 10_000
_MOST_FAULTS = 20
_LONGEST = 2**24
_FASTEST = 1e9
# Tokens of a prompt, and generated ones, where a row does not say: a question and its answer.
_USUAL_PROMPT, _USUAL_ANSWER = 32, 256


@dataclass(frozen=True, slots=True)
class Run:
    """A measured run of a model on one device.

    Attributes:
        model: a name of the catalogue, a path or a hub id.
        weights: a number format or a recipe, such as ``Q4_K_M``.
        phase: ``decode``, or ``prefill``.
        tokens_per_s: measured; of all sequences together.
        prompt_len: tokens of the prompt; of ``prefill`` those that the rate is of.
        gen_len: generated tokens that the rate is a mean over.
        context_start: positions in the cache before the first generated token; None: the prompt.
        batch: sequences.
        activations: the format of the arithmetic.
        engine: what ran it; "" if not known.
        place: the row in its file, for messages.
    """

    model: str
    weights: str
    phase: Literal["decode", "prefill"]
    tokens_per_s: float
    prompt_len: int | None = None
    gen_len: int | None = None
    context_start: int | None = None
    batch: int = 1
    activations: str = "fp16"
    engine: str = ""
    place: str = ""

    @property
    def seq_len(self) -> int:
        """Positions of the pass that represents the run: the middle of the generated ones."""
        prompt = _USUAL_PROMPT if self.prompt_len is None else self.prompt_len
        if self.phase == "prefill":
            return max(prompt, 1)
        made = _USUAL_ANSWER if self.gen_len is None else self.gen_len
        start = prompt if self.context_start is None else self.context_start
        return max(start + made // 2, 1)

    @property
    def seconds(self) -> float:
        """Seconds of one pass: of a step, or of the whole prompt."""
        tokens = self.seq_len if self.phase == "prefill" else 1
        return self.batch * tokens / self.tokens_per_s


def holds_runs(columns: Iterable[str]) -> bool:
    """Return whether a file with these columns is one of end-to-end runs."""
    return set(REQUIRED) <= set(columns)


def read_runs(path: Path) -> tuple[Run, ...]:
    """Read a CSV file of runs.

    Raises:
        InvalidInputError: no such file, columns that are missing or not known, values that cannot
            be read; the message lists the rows.
    """
    text = read_text(path, _LARGEST_FILE, "a CSV file of runs")
    try:
        reader = csv.DictReader(io.StringIO(text), strict=True)
        columns = tuple(reader.fieldnames or ())
        _check_columns(path, columns)
        rows = [row for row, _ in zip(reader, range(_MOST_ROWS + 1), strict=False)]
    except csv.Error as error:
        raise InvalidInputError(f"{path} is not a CSV file: {error}") from None
    if not rows or len(rows) > _MOST_ROWS:
        raise InvalidInputError(f"{path} must have 1 to {_MOST_ROWS:,} rows of runs.")
    runs, faults = [], []
    for number, row in enumerate(rows, start=2):
        try:
            runs.append(_run(row, f"line {number}"))
        except MemoryWallError as error:
            faults.append(f"line {number}: {error.args[0]}")
    if faults:
        raise invalid_file(str(path), faults[:_MOST_FAULTS], _HINT)
    return tuple(runs)


_HINT = "The columns are described in docs/howto/calibrate.md."


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    missing = [name for name in REQUIRED if name not in columns]
    unknown = [name for name in columns if name not in (*REQUIRED, *OPTIONAL)]
    if missing:
        raise InvalidInputError(f"{path} lacks the columns {', '.join(missing)}.", _HINT)
    if unknown:
        names = ", ".join(shown(name) for name in unknown)
        raise InvalidInputError(f"{path} has columns that are not known: {names}.", _HINT)


def _run(row: Mapping[str | None, str | list[str] | None], place: str) -> Run:
    if None in row or None in row.values():
        raise InvalidInputError("the row must have as many fields as the header.")
    words = {str(name): str(value).strip() for name, value in row.items()}
    phase = words["phase"]
    if phase not in ("decode", "prefill"):
        raise InvalidInputError(f"phase must be decode or prefill, got {shown(phase)}")
    if not words["model"] or not words["weights"]:
        raise InvalidInputError("model and weights must not be empty.")
    prompt = _count(words, "prompt_len")
    if phase == "prefill" and not prompt:
        raise InvalidInputError("prefill requires prompt_len.")
    return Run(
        model=words["model"],
        weights=words["weights"],
        phase="decode" if phase == "decode" else "prefill",
        tokens_per_s=_rate(words["tokens_per_s"]),
        prompt_len=prompt,
        gen_len=_count(words, "gen_len"),
        context_start=_count(words, "context_start"),
        batch=_count(words, "batch") or 1,
        activations=words.get("activations") or "fp16",
        engine=words.get("engine", ""),
        place=place,
    )


def _count(words: Mapping[str, str], name: str) -> int | None:
    text = words.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text[:12]) > _LONGEST:
        raise InvalidInputError(
            f"{name} must be a whole number up to {_LONGEST:,}, got {shown(text)}"
        )
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < _FASTEST:
        raise InvalidInputError(f"tokens_per_s must be a positive number, got {shown(text)}")
    return rate
