"""The linear layers that a checkpoint leaves unquantised, from the names in its config."""

from __future__ import annotations

import re

from memorywall.core.errors import shown
from memorywall.reading.config_values import Config

# Each method has a different key for the same list.
_KEYS = (
    "modules_to_not_convert",
    "llm_int8_skip_modules",
    "ignored_layers",
    "ignore",
    "exclude_modules",
)
_MOST_NAMES = 100_000
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|block|blocks|layer)\.(\d{1,6}|\*)(?:\.|$)")
_PLAIN = re.compile(r"[\w.]+")
# Names of modules in files, and in this package.
_OURS = {
    "self_attn": "attention", "attn": "attention", "self_attention": "attention",
    "block_sparse_moe": "mlp", "shared_expert": "shared_experts", "shared_mlp": "shared_experts",
    "shared_expert_gate": "shared_gate", "kv_a_proj_with_mqa": "kv_a_proj",
}  # fmt: skip
_LINEAR = ("attention", "mlp", "experts")
_KNOWN = {
    *_LINEAR, "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    "embed_tokens", "q_a_proj", "q_b_proj", "kv_a_proj", "kv_b_proj", "shared_experts",
    "e_score_correction_bias",
}  # fmt: skip


def kept_layers(
    part: Config, always: tuple[str, ...], layers: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return parts of the paths of unquantised layers, and notes.

    Raises:
        ValueError: layers of one name that are quantised in some places only, or a pattern that
            cannot be read; the text is a clause.
    """
    where: dict[str, set[int] | None] = {}
    for name in _names(part):
        layer, path = _place(name)
        if layer is None:
            where[path] = None
        elif layer < layers or not layers:  # a layer past the last only drafts tokens
            found = where.setdefault(path, set())
            if found is not None:
                found.add(layer)
    for path, found in where.items():
        first = path.partition(".")[0]
        is_linear = first in _LINEAR and not set(path.split(".")) & set(always)
        is_part = found is not None and (len(found) < layers or not layers)
        if found is not None and is_part and (is_linear or not path):
            raise ValueError(
                f"its config leaves {path or 'whole layers'} unquantised in {len(found)} of "
                f"{layers} layers, and a mix is not supported"
            )
    strange = [path for path in where if not _is_known(path, always)]
    return (*always, *(path for path in where if path)), _notes(strange)


def _is_known(path: str, always: tuple[str, ...]) -> bool:
    """Whether a path belongs to a known layer, or to one that is never quantised."""
    last = path.rpartition(".")[2]
    return not path or last in _KNOWN or last in always or "norm" in last


def _notes(strange: list[str]) -> tuple[str, ...]:
    if not strange:
        return ()
    listed = ", ".join(strange[:3]) + (f" and {len(strange) - 3} more" if strange[3:] else "")
    return (f"The config leaves {listed} unquantised, which are not known layers.",)


def _names(part: Config) -> list[str]:
    names: list[str] = []
    for key in _KEYS:
        value = part.data.get(key)
        if value is None:
            continue
        if not isinstance(value, list) or len(value) > _MOST_NAMES:
            part.fault(key, f"{key!r} must be a list of names, got {shown(value)}")
            continue
        for name in value:
            if isinstance(name, str) and len(name) <= 300:
                names.append(name)
            else:
                part.fault(key, f"{key!r} must be a list of names, got one of {shown(name)}")
    return names


def _place(name: str) -> tuple[int | None, str]:
    """Return the layer of a name (None: every layer) and the path within it, in our names."""
    plain = name
    if name.startswith("re:"):  # a regular expression: only those equivalent to a glob pattern
        plain = name.removeprefix("re:").strip("^$").replace(".*", "*").replace("\\.", ".")
    found = _LAYER.search(plain)
    layer, path = None, plain
    if found is not None:
        layer = None if found[1] == "*" else int(found[1])
        path = plain[found.end() :]
    path = path.strip("*.")
    if path and not _PLAIN.fullmatch(path):
        raise ValueError(
            f"its config names layers by a pattern that is not supported, {shown(name)}"
        )
    words = [_OURS.get(word, word) for word in path.split(".") if word != "model"]
    return layer, ".".join(words)
