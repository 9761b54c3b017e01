"""Lists of a config that hold anything: read, or refused with the key; never a traceback.

Of one config of each model type, every key that is a list, and the keys of lists that any family
reads, is a list of the right length of values that a list of words or numbers never holds.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from memorywall.catalog.configs import Entry, entries
from memorywall.core.errors import MemoryWallError
from memorywall.frontends.config import model_from_config, model_type_of

KNOWN = (
    "layer_types", "mlp_layer_types", "layers_block_type", "block_types", "_block_types",
    "attention_types", "no_rope_layers", "moe_layers", "depths", "num_heads", "attn_layer_indices",
)  # fmt: skip
DEPTHS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
VALUES: tuple[Any, ...] = ([1], ["x"], {"a": 1}, None, 2**70, -1, "x", float("inf"))


def one_of_each_type() -> list[Entry]:
    found: dict[str, Entry] = {}
    for entry in entries():
        found.setdefault(str(model_type_of(entry.config)), entry)
    return list(found.values())


def hostile(value: object, length: int) -> Iterator[object]:
    """Yield lists of one value, nested ones, and those of pairs as GPT-Neo's are."""
    yield [value] * length
    yield [[value] * length]
    yield [[[value], length]]
    yield [[["global"], value]]


@pytest.mark.sampled(every=8)
@pytest.mark.parametrize("entry", one_of_each_type(), ids=lambda e: str(model_type_of(e.config)))
def test_lists_of_anything(entry: Entry) -> None:
    parts: list[tuple[tuple[str, ...], Mapping[str, Any]]] = [((), entry.config)]
    parts += [((key,), part) for key, part in entry.config.items() if isinstance(part, dict)]
    for place, part in parts:
        depth = next((int(part[key]) for key in DEPTHS if isinstance(part.get(key), int)), 4)
        lists = [key for key, value in part.items() if isinstance(value, list)]
        for key in dict.fromkeys((*lists, *KNOWN)):
            if key == "architectures":  # an unknown class is looked up in transformers
                continue
            length = len(part[key]) if key in lists else depth
            for value in VALUES:
                for spoilt in hostile(value, length):
                    config = copy.deepcopy(entry.config)
                    inner = config
                    for step in place:
                        inner = inner[step]
                    inner[key] = spoilt
                    try:
                        model_from_config(config, "spoilt", "spoilt")
                    except MemoryWallError as error:
                        assert len(error.message) < 4000  # noqa: PT017 - most are refused
