"""What stands on an encoder: pooler, classifier, masked-language head, alone or together.

Letters: B batch, T tokens, D hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from memorywall.core.forward import Forward
from memorywall.core.numbers import Number
from memorywall.core.tensors import Tensor
from memorywall.families._blocks import Tape
from memorywall.families._config import Config
from memorywall.families._costs import ACTIVATION_FLOPS, FLOPS_PER_ELEMENT
from memorywall.families._heads import Head, record_head

LABELS = 0  # as wide as the config has labels


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a class puts on an encoder, before the config's sizes are filled in.

    Attributes:
        rows: which it reads. ``each``: the tokens that logits are asked for. ``first``: the first
            of each sequence; ``mean``: the mean of each sequence. ``late``: every token, and the
            mean is taken of what comes out. ``masked``: as ``each``, the masked-language head.
        activation: of a dense layer from D to D, the pooler where one row is read, or the key of
            the config that names it; "" for no such layer.
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


# RoBERTa's: no second task of pretraining.
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


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer of a top, then an activation function and a norm, "" for none."""

    head: Head
    activation: str = ""
    norm: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """Layers one after the other on ``rows`` of the hidden states, as in ``Part``."""

    rows: str
    layers: tuple[Dense, ...]


def read_class(config: Config, prefix: str, tops: Tops) -> tuple[str, tuple[Part, ...]]:
    """Return the class that a config names, the bare model by default, and what it puts on top."""
    name = config.class_name(f"{prefix}Model", tuple(prefix + suffix for suffix in tops))
    return name, tops[name.removeprefix(prefix)]


def masked_branch(
    width: int,
    vocab_size: int,
    activation: str,
    *,
    tied: bool,
    norm: str = "layernorm",
    bias: bool = True,
    decoder_bias: bool = True,
) -> Branch:
    """Return the masked-language head: dense to ``width``, activation, norm, decoder."""
    transform = Dense(Head("transform", width, bias=bias), activation, norm)
    decoder = Dense(Head("decoder", vocab_size, bias=decoder_bias, tied=tied, axis="vocab"))
    return Branch("each", (transform, decoder))


def branches(
    config: Config, parts: tuple[Part, ...], hidden_size: int, masked: Branch
) -> tuple[Branch, ...]:
    """Return the parts with the config's sizes; ``masked`` stands for the masked-language head."""
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


def record_branch(tape: Tape, hidden: Tensor, branch: Branch, embedding: Tensor) -> None:
    """Note the layers of one branch; ``embedding`` is what a tied layer multiplies by.

    One row a sequence is read whatever the convention on logits, unless there is no head at all.
    """
    rows = _rows(tape.forward, branch.rows)
    x = _mean(tape, "pool", hidden, rows) if branch.rows == "mean" else hidden
    for layer in branch.layers:
        name = layer.head.name
        x = record_head(tape, x, layer.head, rows, embedding)
        if layer.activation:
            x = tape.apply(f"{name}_activation", layer.activation, x)
        if layer.norm:
            x = tape.norm(f"{name}_norm", x, layer.norm)
    if branch.rows == "late":
        _mean(tape, "mean", x, 0 if tape.forward.logits == "none" else tape.forward.batch)


def _rows(forward: Forward, which: str) -> Number:
    """Return how many rows of all sequences a branch reads."""
    if which == "each":
        return forward.head_axes
    if forward.logits == "none":
        return 0
    return forward.rows if which == "late" else forward.batch


def _mean(tape: Tape, name: str, x: Tensor, rows: Number) -> Tensor:
    """Average x [B T, D] over the tokens of each sequence; nothing is read for no rows."""
    out = tape.activation(name, rows, x.shape[-1])
    flops = FLOPS_PER_ELEMENT["mean"] * tape.forward.tokens * out.elements
    source = Tensor(x.name, x.shape, x.format, x.role)  # its own, since no rows change it
    tape.op(name, "elementwise", flops, (source,), out, function="mean")
    return out
