"""Files beside a config that state the quantisation which the config leaves out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from memorywall.core.files import read_text
from memorywall.frontends.config import LARGEST_CONFIG, parse_config
from memorywall.frontends.quantised import states_quantisation

# The file of each tool, and the method where its content does not name one: NVIDIA's ModelOpt,
# AutoGPTQ before transformers wrote it into the config, and AutoAWQ.
SIDE_FILES = {
    "hf_quant_config.json": "modelopt",
    "quantize_config.json": "gptq",
    "quant_config.json": "awq",
}


def with_side_file(
    config: Mapping[str, Any], find: Callable[[str], Path | None]
) -> tuple[Mapping[str, Any], str]:
    """Return a config with the quantisation of the first file beside it, and a note on the file.

    A config that states a quantisation is returned as it is, without a note.

    Args:
        config: as it was read.
        find: returns the path of a file beside the config, None for no such file.

    Raises:
        InvalidInputError: such a file cannot be read, or is not a JSON object.
    """
    if states_quantisation(config):
        return config, ""
    for name, method in SIDE_FILES.items():
        path = find(name)
        if path is not None:
            text = read_text(path, LARGEST_CONFIG, f"a {name}")
            block = _block(parse_config(text, str(path)), method)
            note = f"The quantisation is that of {name}, beside the config."
            return {**config, "quantization_config": block}, note
    return config, ""


def _block(content: Mapping[str, Any], method: str) -> Mapping[str, Any]:
    """Return the settings of a side file as a config holds them."""
    inner = content.get("quantization")
    if method == "modelopt" and isinstance(inner, Mapping):
        content = inner
    return {"quant_method": method, **content}


def beside(path: Path) -> Callable[[str], Path | None]:
    """Return a finder of the files in the folder of a ``config.json``; none for other names."""

    def find(name: str) -> Path | None:
        found = path.parent / name
        return found if path.name == "config.json" and found.exists() else None

    return find
