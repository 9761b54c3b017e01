"""Formats of weights by the kind of weight, as tools that quantise whole models name them.

A recipe is a name for a mixture: which format each weight has, follows from the model
(``frontends/recipe_storage.py``). The names of llama.cpp are the types of its ``llama-quantize``
(https://github.com/ggml-org/llama.cpp, tools/quantize/quantize.cpp and src/llama-quant.cpp).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

from memorywall.core.errors import UnknownNameError
from memorywall.core.formats import (
    FORMATS,
    Format,
    find_arithmetic_format,
    find_cache_format,
    find_format,
)
from memorywall.core.storage import MeanFormat

Tool: TypeAlias = Literal["llama.cpp", "exllama", "bitsandbytes"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A mixture of formats.

    Attributes:
        name: in questions and answers.
        tool: whose rules choose the formats.
        base: of weights that no rule mentions.
        mixture: the type of llama-quantize, where the name is a variation of it.
        tables: of embeddings and head, where they differ from the type's; "" for the type's.
    """

    name: str
    tool: Tool
    base: Format
    mixture: str = ""
    tables: str = ""


# The format of weights that no rule mentions, by the type of llama-quantize.
_MIXTURES = {
    "Q4_0": "q4_0", "Q4_1": "q4_1", "Q5_0": "q5_0", "Q5_1": "q5_1", "Q8_0": "q8_0",
    "Q2_K": "q2_k", "Q2_K_S": "q2_k", "Q3_K_S": "q3_k", "Q3_K_M": "q3_k", "Q3_K_L": "q3_k",
    "Q4_K_S": "q4_k", "Q4_K_M": "q4_k", "Q5_K_S": "q5_k", "Q5_K_M": "q5_k", "Q6_K": "q6_k",
    "IQ1_S": "iq1_s", "IQ1_M": "iq1_m", "IQ2_XXS": "iq2_xxs", "IQ2_XS": "iq2_xs",
    "IQ2_S": "iq2_xs", "IQ2_M": "iq2_s", "IQ3_XXS": "iq3_xxs", "IQ3_XS": "iq3_s",
    "IQ3_S": "iq3_s", "IQ3_M": "iq3_s", "IQ4_NL": "iq4_nl", "IQ4_XS": "iq4_xs",
    "TQ1_0": "tq1_0", "TQ2_0": "tq2_0", "Q1_0": "q1_0", "Q2_0": "q2_0", "MXFP4_MOE": "mxfp4",
}  # fmt: skip

# Published variations, with embeddings and head in Q8_0.
_LARGE = {
    "Q2_K_L": "Q2_K", "Q3_K_XL": "Q3_K_L", "Q4_K_L": "Q4_K_M", "Q5_K_L": "Q5_K_M",
    "Q6_K_L": "Q6_K",
}  # fmt: skip

_RECIPES = (
    *(Recipe(name, "llama.cpp", FORMATS[base], name) for name, base in _MIXTURES.items()),
    *(
        Recipe(name, "llama.cpp", FORMATS[_MIXTURES[mixture]], mixture, "q8_0")
        for name, mixture in _LARGE.items()
    ),
    *(
        Recipe(name, "bitsandbytes", FORMATS[name])
        for name in ("nf4", "nf4-double", "bnb-fp4", "bnb-fp4-double")
    ),
)
RECIPES = {recipe.name: recipe for recipe in _RECIPES}
_BY_NAME = {name.casefold(): recipe for name, recipe in RECIPES.items()}
# llama-quantize's own short names.
_SHORT = {"q3_k": "q3_k_m", "q4_k": "q4_k_m", "q5_k": "q5_k_m"}

# ExLlamaV2 and V3 search formats layer by layer for a mean number of bits a weight.
_EXL = re.compile(r"(exl[23])-([0-9]{1,2}(?:\.[0-9]{1,4})?)(?:bpw)?")
_MOST_BITS = 16


def find_weights(name: object) -> Format | Recipe:
    """Return what weights are stored in: a format for all of them, or a recipe.

    Raises:
        UnknownNameError: neither has that name.
    """
    if isinstance(name, str):
        folded = name.casefold()
        recipe = _BY_NAME.get(_SHORT.get(folded, folded)) or _exl(folded)
        if recipe is not None:
            return recipe
    try:
        found = find_format(name)
    except UnknownNameError:
        known = (*FORMATS, *(name for name in RECIPES if name.casefold() not in FORMATS))
        raise UnknownNameError(
            "number format", name, known,
            f"Formats: {', '.join(known)}; and spellings as int4-g64 and exl2-4.65bpw.",
        ) from None  # fmt: skip
    return _BY_NAME.get(found.name, found)


def _exl(name: str) -> Recipe | None:
    found = _EXL.fullmatch(name)
    if found is None or not 1 <= Fraction(found[2]) <= _MOST_BITS:
        return None
    bits = Fraction(found[2])
    part = bits / 8
    mean = MeanFormat(
        name, int(bits), stored_bytes=part.numerator, stored_elements=part.denominator
    )
    return Recipe(f"{found[1]}-{found[2]}bpw", "exllama", mean)


# Each word for a format reads its names so.
FORMAT_READERS: dict[str, Callable[[object], Format | Recipe]] = {
    "weights": find_weights,
    "activations": find_arithmetic_format,
    "kv_cache": find_cache_format,
    "state": find_cache_format,
}


def format_names(word: str) -> tuple[str, ...]:
    """Return the names that a word for a format takes, except those with a number inside."""
    if word == "weights":
        return (*FORMATS, *(name for name in RECIPES if name.casefold() not in FORMATS))
    if word == "activations":
        return tuple(name for name, found in FORMATS.items() if found.computes)
    return tuple(name for name, found in FORMATS.items() if not found.beside)
