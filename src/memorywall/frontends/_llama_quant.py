"""The format of each weight in a GGUF file of a type, as llama.cpp's llama-quantize chooses it.

The rules are those of llama.cpp's src/llama-quant.cpp (llama_tensor_get_type_impl and
tensor_type_fallback, commit 007dbbf), with an importance matrix for IQ types, which most of them
require, and without one for all others. Files made otherwise differ in few weights: IQ4_XS and
IQ4_NL without one are up to 1.2 % larger, Q4_0 and Q5_0 with one 0.4 %.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GgufModel:
    """The facts of a model that the rules depend on.

    Attributes:
        layers: of the model.
        gqa: query heads for each head of keys and values.
        experts: of a layer; 0 for a dense model.
        is_tied: whether the head is the table of embeddings.
        is_falcon: the architecture with separate rules.
        is_70b: Llama-2-70B and models of its shape.
    """

    layers: int
    gqa: int = 1
    experts: int = 0
    is_tied: bool = False
    is_falcon: bool = False
    is_70b: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A weight's kind and place.

    Attributes:
        kind: ``token_embd``, ``output``, ``attn_q``, ``attn_k``, ``attn_v``, ``attn_qkv``,
            ``attn_output``, ``ffn_gate``, ``ffn_up``, ``ffn_down`` or ``other``.
        index: its position among those of its kind.
        count: their number; for feed-forwards the number of layers.
        layer: its layer.
        is_expert: whether it stacks experts.
    """

    kind: str
    index: int = 0
    count: int = 1
    layer: int = 0
    is_expert: bool = False

    @property
    def has_more_bits(self) -> bool:
        """Whether it is in the first or last eighth of the layers, or a third one between."""
        first, last = self.count // 8, 7 * self.count // 8
        return self.index < first or self.index >= last or (self.index - first) % 3 == 2

    def is_first(self, part: int) -> bool:
        """Whether it is in the first layers, one of ``part``."""
        return self.index < self.count // part


# Types of fewer than three bits, which have one set of rules.
_SMALLEST = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M")
_SMALL_PAIR = ("IQ2_S", "IQ2_M")
_TABLES = {
    "IQ1_S": "q2_k", "IQ1_M": "q2_k", "IQ2_XXS": "q2_k", "IQ2_XS": "q2_k", "IQ2_S": "iq3_s",
    "IQ2_M": "iq3_s", "IQ3_XXS": "iq3_s", "TQ1_0": "q4_k", "TQ2_0": "q4_k", "Q2_0": "q4_k",
}  # fmt: skip
_EIGHT_EXPERTS_OUTPUT = ("Q2_K", "IQ3_XS", "IQ3_XXS", "Q3_K_S", "Q3_K_M", "IQ4_NL", "Q4_K_S",
                         "Q4_K_M", "IQ3_S", "IQ3_M", "IQ4_XS")  # fmt: skip
_OUTPUT = {
    "Q2_K": "q3_k", "IQ3_XXS": "iq3_s", "Q3_K_M": "q4_k", "Q3_K_L": "q5_k", "IQ3_M": "q4_k",
}  # fmt: skip
_FUSED = {
    "Q3_K_M": "q4_k", "Q3_K_L": "q4_k", "IQ3_M": "q4_k", "Q4_K_M": "q5_k", "Q5_K_M": "q6_k",
}  # fmt: skip
_EIGHT = 8
_FEW_HEADS = 4  # query heads for one of keys, from which its values get more bits

# Replaces a format whose blocks do not divide the rows; fp16 where these do not either.
FALLBACK = {
    "iq1_s": "iq4_nl", "iq1_m": "iq4_nl", "iq2_xxs": "iq4_nl", "iq2_xs": "iq4_nl",
    "iq2_s": "iq4_nl", "iq3_xxs": "iq4_nl", "iq3_s": "iq4_nl", "iq4_xs": "iq4_nl",
    "q2_0": "q4_0", "q2_k": "q4_0", "q3_k": "q4_0", "tq1_0": "q4_0", "tq2_0": "q4_0",
    "q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0",
}  # fmt: skip


def chosen(mixture: str, base: str, model: GgufModel, place: Place, *, is_whole: bool) -> str:
    """Return the name of the format of a weight.

    Args:
        mixture: the type of the file.
        base: the format of weights that no rule mentions.
        model: the facts.
        place: of the weight.
        is_whole: whether its rows are whole blocks of the base.
    """
    if place.kind == "output" or (place.kind == "token_embd" and model.is_tied):
        return _head(mixture, base, model, is_whole=is_whole)
    if mixture == "MXFP4_MOE":
        return "mxfp4" if place.is_expert else "q8_0"
    if place.kind == "token_embd":
        return _TABLES.get(mixture, base)
    if mixture in _SMALLEST:
        return _smallest(mixture, base, model, place)
    rule = _RULES.get(place.kind)
    return base if rule is None else rule(mixture, base, model, place)


def _head(mixture: str, base: str, model: GgufModel, *, is_whole: bool) -> str:
    if mixture in ("MXFP4_MOE", "Q8_0") or model.is_falcon or not is_whole:
        return "q8_0"
    return "q5_k" if mixture in (*_SMALLEST, "IQ3_XXS") else "q6_k" if base != "q8_0" else base


def _smallest(mixture: str, base: str, model: GgufModel, place: Place) -> str:
    pair = mixture in _SMALL_PAIR
    if place.kind == "attn_v":
        few = model.gqa >= _FEW_HEADS or model.experts >= _FEW_HEADS
        return "q4_k" if few else "iq3_s" if pair else "q2_k"
    if place.kind == "attn_k" and model.experts == _EIGHT:
        return "q4_k"
    if place.kind == "ffn_down" and place.is_first(8):
        return "iq3_s" if pair else "q2_k"
    if place.kind == "attn_output":
        if model.experts == _EIGHT:
            return "q5_k"
        return "iq2_xxs" if mixture in ("IQ1_S", "IQ1_M") else "iq3_s" if pair else base
    return base


def _values(mixture: str, base: str, model: GgufModel, place: Place) -> str:
    found = _values_of_any(mixture, base, model, place)
    if model.is_70b and found in ("q3_k", "q4_k"):
        found = "q5_k"
    return "q8_0" if model.experts == _EIGHT else found


def _values_of_any(mixture: str, base: str, model: GgufModel, place: Place) -> str:
    is_few = model.gqa >= _FEW_HEADS
    if mixture == "Q2_K":
        return "q4_k" if is_few else "q3_k"
    if mixture in ("Q2_K_S", "IQ3_XXS", "IQ3_XS", "IQ3_S"):
        return "q4_k" if is_few else base
    if mixture in ("IQ4_NL", "IQ4_XS"):
        return "q5_k" if is_few else base
    if mixture in ("Q4_K_M", "Q5_K_M"):
        return "q6_k" if place.has_more_bits else base
    early = {"Q3_K_M": (2, "q5_k", "q4_k"), "Q4_K_S": (4, "q5_k", base)}.get(mixture)
    if early is not None:
        return early[1] if place.index < early[0] else early[2]
    return {"IQ3_M": "q4_k", "Q3_K_L": "q5_k"}.get(mixture, base)


def _queries(mixture: str, base: str, model: GgufModel, place: Place) -> str:  # noqa: ARG001
    return {"IQ3_XS": "iq3_xxs", "IQ3_XXS": "iq2_s"}.get(mixture, base)


def _keys(mixture: str, base: str, model: GgufModel, place: Place) -> str:
    return "q8_0" if model.experts == _EIGHT else _queries(mixture, base, model, place)


def _fused(mixture: str, base: str, model: GgufModel, place: Place) -> str:  # noqa: ARG001
    """Return the format of queries, keys and values in one weight.

    The commit above gives them the rules of values; published files of such models (phi-4 of
    January 2025, release b4456) have these of before.
    """
    return _FUSED.get(mixture, base)


def _attention_output(mixture: str, base: str, model: GgufModel, place: Place) -> str:  # noqa: ARG001
    if model.is_falcon:
        return "q4_k" if mixture == "Q3_K_L" else base
    if model.experts == _EIGHT:
        return "q5_k" if mixture in _EIGHT_EXPERTS_OUTPUT else base
    return _OUTPUT.get(mixture, base)


def _down(mixture: str, base: str, model: GgufModel, place: Place) -> str:
    of_falcon = _down_of_falcon(mixture, base, place) if model.is_falcon else ""
    if of_falcon:
        return of_falcon
    if mixture == "Q3_K_M":
        return "q5_k" if place.is_first(16) else "q4_k"
    if mixture in ("Q4_K_M", "Q5_K_M"):
        return "q6_k" if place.has_more_bits else base
    if mixture == "IQ3_M" and model.experts == _EIGHT and place.has_more_bits:
        return "q4_k"
    if place.is_first(8):
        base = {"Q2_K_S": "q4_k", "Q4_K_S": "q5_k", "IQ3_M": "q4_k"}.get(mixture, base)
    return {"Q2_K": "q3_k", "Q3_K_L": "q5_k"}.get(mixture, base)


def _down_of_falcon(mixture: str, base: str, place: Place) -> str:
    """Return Falcon's own choice, "" where it has none."""
    if mixture == "Q3_K_M":
        return "q5_k" if place.is_first(16) else "q4_k" if place.has_more_bits else "q3_k"
    if mixture == "Q4_K_M":
        return "q6_k" if place.is_first(16) else "q5_k" if place.has_more_bits else base
    return {"Q3_K_L": "q4_k", "Q4_K_S": base}.get(mixture, "")


def _up(mixture: str, base: str, model: GgufModel, place: Place) -> str:
    is_between = model.layers // 8 <= place.layer < 7 * model.layers // 8
    return "iq3_xxs" if mixture == "IQ3_XS" and is_between else base


_RULES = {
    "attn_q": _queries,
    "attn_k": _keys,
    "attn_v": _values,
    "attn_qkv": _fused,
    "attn_output": _attention_output,
    "ffn_down": _down,
    "ffn_gate": _up,
    "ffn_up": _up,
}
