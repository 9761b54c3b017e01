"""Models from GGUF files: by a family where one has the architecture, else their weights alone."""

from __future__ import annotations

from pathlib import Path

from memorywall.core.errors import InvalidInputError, UnsupportedError, printable, shown
from memorywall.core.model import Model
from memorywall.core.units import render
from memorywall.families import family_of
from memorywall.frontends._gguf_config import gguf_config
from memorywall.frontends._gguf_facts import Facts, facts_of
from memorywall.frontends._gguf_storage import gguf_storage, whole_storage
from memorywall.frontends._tensors import totals
from memorywall.frontends.config import model_from_config
from memorywall.frontends.gguf import Gguf, read_gguf
from memorywall.frontends.weights_alone import WEIGHTS_ALONE, WeightsAlone

# Files beside a model's, by ``general.type`` or the architecture: what they are, and what to pass.
_OTHERS = {
    "mmproj": ("the image or audio encoder of a model (mmproj)", "the GGUF of the text model"),
    "clip": ("the image or audio encoder of a model (mmproj)", "the GGUF of the text model"),
    "adapter": ("an adapter (LoRA)", "the GGUF of the model that it adapts"),
    "imatrix": ("an importance matrix, made for quantising", "the GGUF of the model"),
}


def model_from_gguf(path: Path) -> Model:
    """Return the model of a GGUF file, or of a split model given any of its files.

    Raises:
        InvalidInputError: a fault of the file, or no file of a model.
    """
    header, where = read_gguf(path), str(path)
    _refuse_others(header, where)
    try:
        config = gguf_config(header, where)
        stored = totals(header.tensors, header.files)
        is_read = family_of(config["model_type"]) is not None
        storage = (gguf_storage if is_read else whole_storage)(header, where)
        return model_from_config(config, where, path.stem, stored, storage)
    except UnsupportedError as error:
        return _weights_alone(header, path, error.message.removeprefix(f"{where}: "))


def _refuse_others(header: Gguf, where: str) -> None:
    """Refuse files that belong to a model and hold none, and files without weights."""
    kinds = [header.metadata.get(f"general.{key}") for key in ("type", "architecture")]
    for kind in kinds:
        if isinstance(kind, str) and kind in _OTHERS:
            said, instead = _OTHERS[kind]
            size = render(sum(tensor.nbytes for tensor in header.tensors), "byte")
            raise InvalidInputError(
                f"{where} is {said}, of {size}, and not a model.", f"Pass {instead}."
            )
    if not isinstance(kinds[1], str):
        raise InvalidInputError(
            f"{where}: general.architecture must be a text, got {shown(kinds[1])}.",
            "For a split model, put all files in one folder and pass the first.",
        )
    if not header.tensors:
        raise InvalidInputError(
            f"{where} has no tensors: it holds a vocabulary alone.", "Pass the GGUF of the model."
        )


def _weights_alone(header: Gguf, path: Path, reason: str) -> Model:
    """Return a model that has only the sizes of its weights."""
    facts = facts_of(header, str(path))
    count, chosen = (_number(facts, key) for key in ("expert_count", "expert_used_count"))
    stacked = [t for t in header.tensors if "_exps." in t.name and t.shape[0] == count]
    mixed = sum(tensor.elements for tensor in stacked) if 0 < chosen <= count else 0
    elements = sum(tensor.elements for tensor in header.tensors)
    limit = _number(facts, "context_length")
    architecture = WeightsAlone(
        printable(facts.architecture), limit or None, elements - mixed, mixed, count, chosen,
        f"{reason.rstrip('.')}, so only the sizes of its weights are known: "
        f"{elements:,} in {render(sum(t.nbytes for t in header.tensors), 'byte')}.",
    )  # fmt: skip
    return Model(
        printable(path.stem), WEIGHTS_ALONE, architecture, {}, storage=whole_storage(
            header, str(path)
        ), stored=totals(header.tensors, header.files),
    )  # fmt: skip


def _number(facts: Facts, key: str) -> int:
    """Return a whole number of the metadata; 0 for anything else."""
    value = facts.metadata.get(key)
    return value if type(value) is int and value > 0 else 0
