"""BERT: an encoder with learned positions and layer norms after each half of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.model import Family, Forward
from memorywall.core.program import Program
from memorywall.core.tensors import Tensor
from memorywall.families._blocks import Attention, FeedForward, Tape
from memorywall.families._config import Config
from memorywall.families._heads import Head, record_head

# What each class puts on the encoder: whether the pooler, whether the masked-language head, and how
# wide a classifier, which reads the pooled row where there is a pooler, else every token.
_LABELS = 0  # as wide as the config has labels
_TOPS: dict[str, tuple[bool, bool, int | None]] = {
    "BertModel": (True, False, None),
    "BertForMaskedLM": (False, True, None),
    "BertForPreTraining": (True, True, 2),
    "BertForNextSentencePrediction": (True, False, 2),
    "BertForSequenceClassification": (True, False, _LABELS),
    "BertForMultipleChoice": (True, False, 1),
    "BertForTokenClassification": (False, False, _LABELS),
    "BertForQuestionAnswering": (False, False, _LABELS),
}


@dataclass(frozen=True, slots=True)
class Bert:
    """A BERT as its config describes it."""

    class_name: str
    dtype: str
    vocab_size: int
    type_vocab_size: int
    hidden_size: int
    max_positions: int
    layers: int
    attention: Attention
    mlp: FeedForward
    pooler: bool
    masked_head: Head | None
    classifier: Head | None
    notes: tuple[str, ...] = ()
    causal: bool = False
    windows: tuple[int, ...] = ()


def read(data: Mapping[str, Any], where: str) -> Bert:
    """Read a config with ``model_type`` bert."""
    config = Config(data, where)
    config.refuse("is_decoder", (True,), "BERT as a decoder is not covered")
    config.refuse(
        "position_embedding_type",
        ("relative_key", "relative_key_query"),
        "relative positions are not covered",
    )
    class_name = config.class_name("BertModel", tuple(_TOPS))
    pooler, masked, width = _TOPS[class_name]
    hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
    config.divides("num_attention_heads", heads, "hidden_size", hidden)
    tied = config.flag("tie_word_embeddings", True)
    vocab_size = config.size("vocab_size")
    architecture = Bert(
        class_name=class_name,
        dtype=config.dtype(),
        vocab_size=vocab_size,
        type_vocab_size=config.size("type_vocab_size", 2),
        hidden_size=hidden,
        max_positions=config.size("max_position_embeddings", 512),
        layers=config.size("num_hidden_layers"),
        attention=Attention(
            heads, heads, max(1, hidden // heads), qkv_bias=True, out_bias=True, causal=False
        ),
        mlp=FeedForward(
            config.size("intermediate_size"), config.activation("hidden_act", "gelu"), bias=True
        ),
        pooler=pooler,
        masked_head=Head("decoder", vocab_size, bias=True, tied=tied) if masked else None,
        classifier=(
            None if width is None else Head("classifier", width or config.labels(), bias=True)
        ),
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def lower(model: Bert, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    hidden = Tensor("hidden", (forward.rows, model.hidden_size), forward.activations)
    embeddings = Tape(forward, "embeddings")
    summed = embeddings.embed(
        "words",
        embeddings.activation("sum", *hidden.shape),
        ("words", model.vocab_size, forward.rows),
        ("positions", model.max_positions, forward.tokens),
        ("token_types", model.type_vocab_size, 1),
    )
    embeddings.norm("norm", summed, "layernorm", out=hidden)

    layer = Tape(forward, "layers")
    middle = layer.activation("middle", *hidden.shape)
    x = layer.self_attention(hidden, model.attention)
    x = layer.add("attention_add", hidden, x)
    layer.norm("attention_norm", x, "layernorm", out=middle)
    x = layer.feed_forward(middle, model.mlp)
    x = layer.add("mlp_add", middle, x)
    layer.norm("mlp_norm", x, "layernorm", out=hidden)

    head = Tape(forward, "head")
    _record_tops(model, forward, head, hidden, embeddings.ops[0].reads[0])
    return Program((embeddings.close(), layer.close(model.layers), head.close()))


def _record_tops(
    model: Bert, forward: Forward, tape: Tape, hidden: Tensor, embedding: Tensor
) -> None:
    """Note pooler, masked-language head and classifier, as far as the class has them.

    The pooled row is one a sequence whatever the convention on logits, unless there is no head.
    """
    rows = forward.head_rows
    pooled_rows = 0 if forward.logits == "none" else forward.batch
    last = hidden
    if model.pooler:
        record_head(
            tape, hidden, Head("pooler", model.hidden_size, bias=True), pooled_rows, embedding
        )
        last = tape.apply("pooler_activation", "tanh", tape.ops[-1].writes[0])
    if model.classifier is not None:
        source, read_rows = (last, pooled_rows) if model.pooler else (hidden, rows)
        record_head(tape, source, model.classifier, read_rows, embedding)
    if model.masked_head is not None:
        record_head(tape, hidden, Head("transform", model.hidden_size, bias=True), rows, embedding)
        x = tape.apply("transform_activation", model.mlp.activation, tape.ops[-1].writes[0])
        x = tape.norm("transform_norm", x, "layernorm")
        record_head(tape, x, model.masked_head, rows, embedding)
        if not model.masked_head.tied:
            # transformers keeps a second bias, which stands in for the first only where the two are
            # tied: resident, and never read.
            idle = tape.weight("decoder.idle_bias", model.vocab_size, touched=(0,))
            tape.ops[-1].reads += (idle,)


FAMILY = Family("bert", ("bert",), read, lower)
