"""Active parameters as model cards print them, by the convention of each card.

``counts`` in ``active_parameters.csv``: ``as here``, without the table of words unless it is the
head too; ``with the table``, which a token reads a row of; ``without the head``, neither of both.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import memorywall as mw
from memorywall.core.model import Model
from memorywall.frontends.traced_class import TRACED_CLASS, read_traced

_CSV = Path(__file__).parent / "active_parameters.csv"
ROWS = list(csv.DictReader(_CSV.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['id']}-{row['counts']}")
def test_cards(row: dict[str, str]) -> None:
    """Within one unit of the last printed digit: some cards round and others cut off."""
    model = mw.model(row["id"])
    sign = {"as here": 0, "with the table": 1, "without the head": -1}[row["counts"]]
    sizes = model.config.get("text_config", model.config)
    more = sign and sign * sizes["vocab_size"] * sizes["hidden_size"]
    unit = 10.0 ** -len(row["printed"].partition(".")[2])
    assert abs((model.active_parameters + more) / 1e9 - float(row["printed"])) < unit


def test_tables_of_rows_are_left_out() -> None:
    """GPT-2: its table of 50,257 words is the head too, its 1024 positions of 768 are not.

    Llama 3.1 8B: a table of 128,256 words of 4096 beside the head. Gemma 4 E2B: a second table,
    of 262,144 words and 35 layers of 256.
    """
    gpt2, llama, gemma = (mw.model(name) for name in ("gpt2", "llama-3.1-8b", "gemma-4-e2b"))
    assert gpt2.parameters - gpt2.active_parameters == 1024 * 768
    assert llama.parameters - llama.active_parameters == 128_256 * 4096
    # Its towers and their linear layers to the decoder: 16 vision layers and 12 audio layers are
    # counted in tests/families; the rest of 4,628,569,344 less the second table.
    assert gemma.active_parameters == 4_628_569_344 - 262_144 * 35 * 256


@pytest.mark.parametrize("name", ["Qwen/Qwen3-30B-A3B", "openai/gpt-oss-20b"])
def test_a_traced_class_uses_as_many_as_its_family(name: str) -> None:
    family = mw.model(name)
    architecture = read_traced(family.config, name)
    assert architecture is not None
    traced = Model(name, TRACED_CLASS, architecture, family.config)
    assert traced.active_parameters == family.active_parameters
