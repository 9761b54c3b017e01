"""A folder of a diffusion pipeline: its denoiser is the model, its other parts are listed.

``model_index.json`` names the parts, each with its library and class, and each has a folder of its
name with a config.json, and perhaps weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from memorywall.core.errors import InvalidInputError, MemoryWallError, printable
from memorywall.core.files import read_text
from memorywall.core.formats import find_format
from memorywall.core.model import Model
from memorywall.core.storage import Stored
from memorywall.core.units import render
from memorywall.frontends.config import LARGEST_CONFIG, model_from_config, parse_config

INDEX = "model_index.json"
_DENOISERS = ("transformer", "unet")
_MOST_PARTS = 32


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a pipeline beside its denoiser.

    Attributes:
        name: of its folder.
        class_name: as the index gives it.
        parameters: None if its class is not counted.
        nbytes: of its files, else of its parameters in the format of its config; None for neither.
    """

    name: str
    class_name: str
    parameters: int | None
    nbytes: int | None

    def __str__(self) -> str:
        size = "size not known" if self.nbytes is None else render(self.nbytes, "byte")
        count = "" if self.parameters is None else f"{self.parameters:,} parameters, "
        return f"{self.name} ({self.class_name}): {count}{size}"


def model_from_pipeline(folder: Path, stored_in: Callable[[Path], Stored | None]) -> Model:
    """Return the denoiser of a pipeline, with a note that lists the other parts.

    Args:
        folder: with a ``model_index.json``.
        stored_in: reads the headers of a folder's files of weights; None without any.

    Raises:
        InvalidInputError: the pipeline has no denoiser with a config.json.
        UnsupportedError: the denoiser has no built-in family.
    """
    where = folder / INDEX
    index = parse_config(read_text(where, LARGEST_CONFIG, "a JSON file"), str(where))
    parts = {
        name: printable(str(value[1]))
        for name, value in list(index.items())[:_MOST_PARTS]
        if isinstance(value, list) and len(value) == 2 and value[1] and name.isidentifier()
    }
    denoiser = next((name for name in _DENOISERS if name in parts), None)
    if denoiser is None or not (folder / denoiser / "config.json").is_file():
        raise InvalidInputError(
            f"{where} must name a {' or '.join(_DENOISERS)} with a config.json in its folder.",
            "Pass the folder of a whole pipeline, or the config.json of its denoiser.",
        )
    model = _read(folder / denoiser, folder.resolve().name, stored_in)
    others = list(_others(folder, {k: v for k, v in parts.items() if k != denoiser}, stored_in))
    if not others:
        return model
    total = sum(part.nbytes or 0 for part in others)
    note = (
        f"Beside the denoiser the pipeline holds {'; '.join(map(str, others))}. They are not "
        f"counted: {render(total, 'byte')} more if all are resident."
    )
    return replace(model, reading=replace(model.reading, notes=(note, *model.reading.notes)))


def _others(
    folder: Path, parts: dict[str, str], stored_in: Callable[[Path], Stored | None]
) -> Iterator[Part]:
    """Yield the parts that have a config of a model; tokenizers and schedulers have none."""
    for name, class_name in parts.items():
        place = folder / name
        if not (place / "config.json").is_file():
            continue
        stored = stored_in(place)
        try:
            model = _read(place, name, stored_in)
        except MemoryWallError:
            yield Part(name, class_name, None, None if stored is None else stored.nbytes)
            continue
        size = model.parameters * find_format(model.dtype).bits // 8
        yield Part(name, class_name, model.parameters, size if stored is None else stored.nbytes)


def _read(place: Path, name: str, stored_in: Callable[[Path], Stored | None]) -> Model:
    path = place / "config.json"
    config = parse_config(read_text(path, LARGEST_CONFIG, "a config.json"), str(path))
    return model_from_config(config, str(path), name, stored_in(place))
