"""Runs as people publish them: machines by the names on their lids, models by nicknames.

A row of such a file is a run on a device of the catalogue, or is refused with a reason. It also
says whether constants may be fitted to it: a class is fitted to current engines on the whole of an
ordinary machine.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from memorywall.calibrate.runs import Run
from memorywall.catalog.classes import class_of
from memorywall.catalog.device_names import device_names, resolved
from memorywall.catalog.devices import find_device
from memorywall.core.errors import InvalidInputError, MemoryWallError, UnsupportedError
from memorywall.core.files import read_text

COLUMNS = (
    "id", "model", "engine", "device", "n_devices", "layout", "weights", "phase", "prompt_len",
    "gen_len", "context_start", "value", "source", "note",
)  # fmt: skip
_LARGEST_FILE = 16 * 1024 * 1024
# Models by names that no config has: fine-tuned versions, and distillations into other models.
_MODELS = {
    "deepseek r1 14b": "qwen2.5-14b",
    "deepseek r1 671b": "deepseek-r1",
    "deepseek r1 32b": "qwen2.5-32b",
    "deepseek r1 70b": "llama-3.1-70b",
    "deepseek r1 8b": "llama-3.1-8b",
    "deepseek r1 7b": "qwen2.5-7b",
    "deepseek r1 1.5b": "qwen2.5-1.5b",
    "koala-13b": "llama-13b",
    "llama-33b": "llama-30b",
    "wizardlm-33b": "llama-30b",
}
_EARLY_ENGINES = ("Llama.cpp", "vLLM", "exllama", "MLC")  # as named in tables of 2023
_SMALL_HOSTS = ("Pi ", "Raspberry", "HiFive", "Radxa", "Minisforum MS-R1 (", "System76")
_MEMORY = re.compile(r"[-,]?\s*\(\d+\s*GB\)|[-,]?\s*\b\d+\s*GB\b", re.IGNORECASE)
_CORES = re.compile(r"\b(\d+)[- ](?:GPU )?core(?: GPU)?\b", re.IGNORECASE)
_CARD = re.compile(r"\b(?:AMD|Nvidia|Intel Arc|RTX|GTX|RX)\b", re.IGNORECASE)
_BITS = re.compile(r"EXL2 ([\d.]+) bpw")


@dataclass(frozen=True, slots=True)
class PublicRun:
    """A row that can be priced.

    Attributes:
        run: what was measured.
        device: an id of the catalogue.
        device_class: its class.
        machine: the name in the file.
        source: of the row.
        left_out: why no constants are fitted to it; "" if they are.
    """

    run: Run
    device: str
    device_class: str
    machine: str
    source: str
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class RefusedRun:
    """A row that cannot be priced, and why."""

    place: str
    reason: str


def holds_public_runs(columns: tuple[str, ...]) -> bool:
    """Return whether a file with these columns is one of published runs."""
    return set(COLUMNS) <= set(columns)


def read_public_runs(path: Path) -> tuple[tuple[PublicRun, ...], tuple[RefusedRun, ...]]:
    """Read a file of published runs: those that can be priced, and those that cannot.

    Raises:
        InvalidInputError: no such file, or other columns.
    """
    text = read_text(path, _LARGEST_FILE, "a CSV file of published runs")
    rows = csv.DictReader(io.StringIO(text))
    if not holds_public_runs(tuple(rows.fieldnames or ())):
        raise InvalidInputError(f"{path} must have the columns {', '.join(COLUMNS)}.")
    known, refused = [], []
    for row in rows:
        try:
            known.append(_public_run(row))
        except MemoryWallError as error:
            refused.append(RefusedRun(row["id"], str(error.args[0])))
    return tuple(known), tuple(refused)


def find_machine(name: str, note: str = "") -> str:
    """Return the id of the device that runs models in a machine.

    A card in brackets goes before its host: ``Pi 5 - 16GB (AMD RX 6500 XT)`` is the RX 6500 XT. A
    chip whose graphics unit is the counted device has its CPU cores as another one, if the
    catalogue has it.

    Raises:
        UnsupportedError: the machine is not known.
    """
    for spelled in _spellings(name):
        try:
            found = resolved(spelled)
        except MemoryWallError:
            continue
        return _counted(found, note)
    raise UnsupportedError(f"machine {name!r} is not known.")


def _spellings(name: str) -> Iterator[str]:
    """Yield the spellings of a machine's device, the most certain first."""
    yield name
    short = _MEMORY.sub(" ", name).strip()
    bracketed = re.search(r"\(([^()]+)\)\s*$", short)
    if bracketed is not None:
        inside = _CORES.sub(" ", bracketed[1]).strip(" -")
        yield from (bracketed[1], inside, bracketed[1].split(",")[0], bracketed[1].split()[-1])
        if _CARD.search(bracketed[1]):
            return  # a card that is not known is not its host
    before = short.split("(")[0].split(",")[0].strip()
    cores = _CORES.search(short)
    words = before.split()
    if cores is not None:
        yield from (f"{' '.join(words[:length])} {cores[1]}core" for length in (2, 1))
    yield short
    yield from (" ".join(words[:length]) for length in range(len(words), 0, -1))


def _counted(found: str, note: str) -> str:
    """Return the device of a run: the CPU cores of a chip if it ran on them and they are known."""
    cores = f"{found}-cpu"
    return cores if _ran_on_cores(found, note) and cores in device_names() else found


def _ran_on_cores(device: str, note: str) -> bool:
    """Return whether a run was on the CPU cores of a chip whose graphics unit is counted."""
    on_cpu = "run on CPU" in note and "GPU/CPU" not in note
    return on_cpu and class_of(find_device(device)) in ("apple", "unified-memory-pc")


def _public_run(row: Mapping[str, str]) -> PublicRun:
    machine, note, layout = row["device"], row["note"], row["layout"]
    if "luster" in machine:
        raise UnsupportedError("a cluster of machines is not one device.")
    if layout.startswith("TP"):
        raise UnsupportedError("tensor-parallel runs need the collectives of their layout.")
    note = "run on CPU" if "CPU" in row["engine"] else note
    device = find_machine(machine, note)
    phase = row["phase"]
    if phase not in ("decode", "prefill"):
        raise UnsupportedError(f"phase must be decode or prefill, got {phase!r}.")
    run = Run(
        model=_MODELS.get(row["model"].casefold(), row["model"]),
        weights=weights_name(row["weights"], row["model"]),
        phase="decode" if phase == "decode" else "prefill",
        tokens_per_s=float(row["value"]),
        prompt_len=_number(row["prompt_len"]),
        gen_len=_number(row["gen_len"]),
        context_start=_number(row["context_start"]),
        engine=row["engine"],
        place=row["id"],
    )
    kind = class_of(find_device(device))
    reason = _left_out(row, kind)
    if _ran_on_cores(device, note):
        reason = "on CPU cores, which share the memory of the counted graphics unit"
    return PublicRun(run, device, kind, machine, row["source"], reason)


def weights_name(words: str, model: str = "") -> str:
    """Return the format or recipe that a table means by the words for its weights."""
    if "gpt-oss" in model or words == "MXFP4":
        return "MXFP4_MOE"
    exl = _BITS.match(words)
    if exl is not None:
        return f"exl2-{exl[1]}bpw"
    if "q4f16_1" in words or "g32" in words:
        return "int4-g32"
    if "GPTQ" in words or "AWQ" in words:
        return "int4"
    quantised = re.search(r"\bI?Q\d(?:_\w+)*", words)
    return quantised[0] if quantised is not None else words


def _left_out(row: Mapping[str, str], kind: str) -> str:
    """Return why a row enters no fit, or nothing; a file may say so in ``left_out``."""
    layout, machine = row["layout"], row["device"]
    if row.get("left_out"):
        return row["left_out"]
    if row["n_devices"] not in ("", "1"):
        return "several devices"
    if row["engine"].startswith(_EARLY_ENGINES) and not row["engine"].startswith("exllamav2"):
        return "an engine of 2023"
    threads = re.match(r"(\d+) threads", layout)
    if threads is not None and int(threads[1]) < 20:
        return "a part of the cores"
    if kind in ("amd-gpu", "intel-gpu") and machine.startswith(_SMALL_HOSTS):
        return "a card in a single-board computer, whose host is slow"
    return ""


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None
