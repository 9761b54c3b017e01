"""From the header of a GGUF file to a config as transformers writes it, by the table of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.core.errors import InvalidInputError, UnsupportedError, near_names, shown
from memorywall.frontends._gguf_facts import Facts, facts_of
from memorywall.frontends._gguf_rows import ROWS, Row
from memorywall.frontends.gguf import Gguf

_NEEDED = ("block_count", "embedding_length")


def gguf_config(header: Gguf, where: str) -> dict[str, Any]:
    """Return the config of a GGUF file's model.

    Raises:
        UnsupportedError: the architecture has no row, or layers differ where its family's do not.
        InvalidInputError: a key or a tensor that every model has is missing.
    """
    architecture = header.metadata.get("general.architecture")
    row = ROWS.get(architecture) if isinstance(architecture, str) else None
    if row is None:
        near = near_names(str(architecture), ROWS)
        offer = f"Near names: {', '.join(near)}. " if near else ""
        raise UnsupportedError(
            f"{where}: the architecture {shown(architecture)} is not known as a GGUF.",
            f"{offer}Its config.json may be supported: pass it instead.",
        )
    facts = facts_of(header, where)
    missing = [f"{architecture}.{key}" for key in _NEEDED if facts.metadata.get(key) is None]
    if missing:
        raise InvalidInputError(
            f"{where}: the metadata has no {', '.join(missing)}.", "Convert the model again."
        )
    return _read(facts, row)


def _read(facts: Facts, row: Row) -> dict[str, Any]:
    for applies, other in row.instead:
        if applies(facts):
            return _read(facts, other)
    config: dict[str, Any] = {"model_type": row.model_type}
    for source, key in row.keys.items():
        value = facts.depth if source == "block_count" else facts.get(source)
        if value is not None:
            config[key] = value
    for key, (tensor, axis) in row.widths.items():
        length = facts.axis(tensor, axis)
        if length:
            config[key] = length
    config |= {key: facts.has(tensor) for key, tensor in row.parts.items()}
    config |= row.fixed
    for reader in row.more:
        config |= reader(facts)
    return {**config, **_common(facts)}


def _common(facts: Facts) -> Mapping[str, Any]:
    """Return the vocabulary, whether the head is tied, and the dtype.

    llama.cpp computes and caches in fp16 by default, so that is the dtype.
    """
    words = facts.shape("token_embd.weight")
    if words is None or len(words) != 2:
        raise InvalidInputError(
            f"{facts.where}: the tensor 'token_embd.weight' of two axes is missing.",
            "For a split model, put all files in one folder and pass the first.",
        )
    return {
        "vocab_size": words[0],
        "tie_word_embeddings": not facts.has("output.weight"),
        "torch_dtype": "float16",
    }
