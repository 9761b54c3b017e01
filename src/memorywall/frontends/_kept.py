"""The modules that a checkpoint leaves unquantised, from the names in its config."""

from __future__ import annotations

from memorywall.frontends._layouts import words_of
from memorywall.frontends._modules import Named, is_known, read_names
from memorywall.reading.config_values import Config

# Each method has a different key for the same list.
_KEYS = (
    "modules_to_not_convert",
    "llm_int8_skip_modules",
    "ignored_layers",
    "ignore",
    "exclude_modules",
    "skip_modules",
    "exclude",
    "linear_weights_not_to_quantize",
)


def kept_modules(part: Config, layers: int) -> tuple[Named, tuple[str, ...]]:
    """Return the unquantised modules, and notes.

    Raises:
        ValueError: a pattern that cannot be read; the text is a clause.
    """
    names = [name.removesuffix(".weight") for key in _KEYS for name in words_of(part, key)]
    strange = list(dict.fromkeys(name for name in names if not is_known(name)))
    return read_names(names, layers), _notes(strange)


def _notes(strange: list[str]) -> tuple[str, ...]:
    if not strange:
        return ()
    listed = ", ".join(strange[:3]) + (f" and {len(strange) - 3} more" if strange[3:] else "")
    return (f"The config leaves {listed} unquantised, which are not known layers.",)
