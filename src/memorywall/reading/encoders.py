"""Read the configs of encoders: attention, positions, and the head of a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from memorywall.layers.element_costs import ACTIVATION_FLOPS
from memorywall.layers.encoder_heads import Branch, Dense
from memorywall.layers.output_head import Head
from memorywall.layers.tape import Attention
from memorywall.reading.config_values import Config


def refuse_decoder(config: Config) -> None:
    """Refuse keys that use an encoder's layers as a decoder."""
    config.leave("is_decoder", (True,), "an encoder used as a decoder is")
    config.refuse("add_cross_attention", (True,), "cross attention is not supported")
    config.refuse(
        "position_embedding_type",
        ("relative_key", "relative_key_query"),
        "relative positions are not supported",
    )


def read_attention(
    config: Config,
    *,
    bias: bool = True,
    rotary: bool = False,
    keys: tuple[str, str] = ("num_attention_heads", "hidden_size"),
) -> Attention:
    """Read heads of equal size with bidirectional attention; ``rotary`` rotates whole heads."""
    heads, hidden = (config.size(key) for key in keys)
    config.divides(keys[0], heads, keys[1], hidden)
    head_dim = max(1, hidden // heads)
    return Attention(
        heads,
        heads,
        head_dim,
        qkv_bias=bias,
        out_bias=bias,
        rotary=head_dim if rotary else 0,
        causal=False,
    )


def usable_positions(config: Config, rows: int, *, padded: bool) -> int:
    """Return the number of a table's rows for positions; RoBERTa's begin after ``pad_token_id``."""
    return max(1, rows - config.count("pad_token_id", 1) - 1) if padded else rows


LABELS = 0  # the number of labels of the config


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a class's head on an encoder, before the config's sizes are filled in.

    Attributes:
        rows: those it reads. ``each``: the tokens whose logits are requested. ``first``: the first
            of each sequence; ``mean``: the mean of each sequence. ``late``: every token, and the
            outputs are averaged. ``masked``: as ``each``, the masked-language head.
        activation: of a dense layer from D to D, the pooler if one row is read, or the config's key
            of it; "" for no such layer.
        width: of the classifier after it; LABELS for the config's; None for none.
    """

    rows: str
    activation: str = ""
    width: int | None = None


MASKED = Part("masked")
TOKENS = Part("each", width=LABELS)
Tops: TypeAlias = Mapping[str, tuple[Part, ...]]
# BERT's classes, by what follows the model's name; its siblings change a few.
BERT_TOPS: Tops = {
    "Model": (Part("first", "tanh"),),
    "ForMaskedLM": (MASKED,),
    "ForPreTraining": (Part("first", "tanh", 2), MASKED),
    "ForNextSentencePrediction": (Part("first", "tanh", 2),),
    "ForSequenceClassification": (Part("first", "tanh", LABELS),),
    "ForMultipleChoice": (Part("first", "tanh", 1),),
    "ForTokenClassification": (TOKENS,),
    "ForQuestionAnswering": (TOKENS,),
}
# RoBERTa's: without a second pretraining task.
ROBERTA_TOPS: Tops = {
    name: parts
    for name, parts in BERT_TOPS.items()
    if name not in ("ForPreTraining", "ForNextSentencePrediction")
}


def refuse_summaries(config: Config) -> None:
    """Refuse other summaries of a sequence than a projection of one row of it."""
    config.leave("summary_type", ("mean", "attn"), "several rows of a sequence are")
    config.leave("summary_use_proj", (False,), "a summary without a projection is")
    config.leave("summary_proj_to_labels", (True,), "a projection to labels is")


def read_class(config: Config, prefix: str, tops: Tops) -> tuple[str, tuple[Part, ...]]:
    """Return the class that a config names, the bare model by default, and its head."""
    name = config.class_name(f"{prefix}Model", tuple(prefix + suffix for suffix in tops))
    return name, tops[name.removeprefix(prefix)]


def branches(
    config: Config, parts: tuple[Part, ...], hidden_size: int, masked: Branch
) -> tuple[Branch, ...]:
    """Return the parts with the config's sizes; ``masked`` is the masked-language head."""
    return tuple(masked if part is MASKED else _branch(config, part, hidden_size) for part in parts)


def _branch(config: Config, part: Part, hidden_size: int) -> Branch:
    layers: list[Dense] = []
    if part.activation:
        name = "pooler" if part.rows in ("first", "mean") else "dense"
        known = part.activation in ACTIVATION_FLOPS
        activation = part.activation if known else config.activation(part.activation, "gelu")
        layers.append(Dense(Head(name, hidden_size, bias=True), activation))
    if part.width is not None:
        width = config.labels() if part.width == LABELS else part.width
        layers.append(Dense(Head("classifier", width, bias=True, axis="labels")))
    return Branch(part.rows, tuple(layers))
