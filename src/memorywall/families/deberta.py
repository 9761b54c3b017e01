"""DeBERTa 1 to 3: BERT whose attention also scores distances, from a table for all layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from memorywall.core.axes import named
from memorywall.core.forward import Forward
from memorywall.core.geometry import Conv, Space
from memorywall.core.model import Family
from memorywall.core.program import Block, Program
from memorywall.core.tensors import Tensor
from memorywall.layers.disentangled_attention import Distances, record_table, scored
from memorywall.layers.encoder import (
    Embedding,
    Encoder,
    EncoderLayers,
    embeddings,
    head,
    hidden_states,
    layers,
)
from memorywall.layers.encoder_heads import masked_branch
from memorywall.layers.tape import FeedForward, Tape
from memorywall.reading.config_values import Config
from memorywall.reading.distances import is_normed, read_distances
from memorywall.reading.encoders import (
    LABELS,
    MASKED,
    TOKENS,
    Part,
    Tops,
    branches,
    read_attention,
    read_class,
    refuse_decoder,
)

_TOPS: Tops = {
    "Model": (),
    "ForMaskedLM": (MASKED,),
    "ForSequenceClassification": (Part("first", "pooler_hidden_act", LABELS),),
    "ForTokenClassification": (TOKENS,),
    "ForQuestionAnswering": (TOKENS,),
}
_TOPS_2: Tops = {**_TOPS, "ForMultipleChoice": (Part("first", "pooler_hidden_act", 1),)}


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution over the tokens beside the first layer: taps, groups, activation."""

    taps: int
    groups: int
    activation: str


@dataclass(frozen=True, slots=True)
class Deberta(Encoder):
    """A DeBERTa as its config describes it."""

    distances: Distances | None = None
    convolution: Convolution | None = None


def read(data: Mapping[str, Any], where: str) -> Deberta:
    """Read a config with ``model_type`` deberta or deberta-v2; DeBERTa 3 is of the latter."""
    config = Config(data, where)
    second = data["model_type"] == "deberta-v2"
    refuse_decoder(config)
    prefix, tops = ("DebertaV2", _TOPS_2) if second else ("Deberta", _TOPS)
    class_name, parts = read_class(config, prefix, tops)
    hidden, words = config.size("hidden_size"), config.size("vocab_size")
    _refuse_widths(config, hidden)
    legacy = config.flag("legacy", True)
    tied = config.flag("tie_word_embeddings", True) or not legacy
    activation = config.activation("hidden_act", "gelu")
    attention = replace(read_attention(config), key_bias=second)
    total = config.size("num_hidden_layers")
    convolution = _read_convolution(config) if second else None
    places = tuple(range(total))
    first = (EncoderLayers(places[:1], "first_layer"), EncoderLayers(places[1:]))
    runs = first if convolution else (EncoderLayers(places),)
    architecture = Deberta(
        class_name=class_name,
        dtype=config.dtype(),
        hidden_size=hidden,
        max_positions=config.size("max_position_embeddings", 512),
        layers=tuple(run for run in runs if run.count),
        embedding=_read_embedding(config, second=second, untied=MASKED in parts and not tied),
        attention=attention,
        mlp=FeedForward(config.size("intermediate_size"), activation, bias=True),
        top=branches(config, parts, hidden, masked_branch(hidden, words, activation, tied=tied)),
        notes=config.all_notes(),
        distances=read_distances(config, second=second),
        convolution=convolution,
    )
    config.check()
    return architecture


def _refuse_widths(config: Config, hidden: int) -> None:
    """Refuse separate widths, which no published model has."""
    config.leave("talking_head", (True,), "heads that mix their scores are")
    head_dim = hidden // config.size("num_attention_heads")
    config.only("embedding_size", hidden, "only the hidden size is supported")
    config.only("pooler_hidden_size", hidden, "only the hidden size is supported")
    if config.data["model_type"] == "deberta-v2":
        config.only("attention_head_size", max(1, head_dim), "only the heads' share is supported")


def _read_embedding(config: Config, *, second: bool, untied: bool) -> Embedding:
    """Read tables of words, and of positions and types where there are any.

    Never read are the second bias of an untied head, and the norm of a table that is not there.
    """
    words, hidden = config.size("vocab_size"), config.size("hidden_size")
    biased = config.flag("position_biased_input", True)
    idle_norm = second and is_normed(config) and not config.flag("relative_attention", False)
    return Embedding(
        words,
        hidden,
        positions=config.size("max_position_embeddings", 512) if biased else 0,
        token_types=config.count("type_vocab_size", 0),
        unread=(words if untied else 0) + (2 * hidden if idle_norm else 0),
    )


def _read_convolution(config: Config) -> Convolution | None:
    taps = config.count("conv_kernel_size", 0)
    if not taps:
        return None
    config.refuse("conv_kernel_size", (taps + taps % 2,), "an even width shortens the text")
    groups = config.size("conv_groups", 1)
    config.divides("conv_groups", groups, "hidden_size", config.size("hidden_size"))
    return Convolution(taps, groups, config.activation("conv_act", "tanh"))


def lower(model: Deberta, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    hidden = hidden_states(forward, model.hidden_size)
    first = embeddings(model, forward, hidden)
    blocks, terms = [first], None
    if model.distances is not None:
        table, rows = record_table(model.distances, model.hidden_size, forward)
        blocks.append(table)
        terms = scored(model.distances, rows)
    runs = [layers(model, run, forward, hidden, terms) for run in model.layers]
    if model.convolution is not None:
        before, after = _convolve(model.convolution, forward, hidden)
        runs[:1] = [before, runs[0], after]
    return Program((*blocks, *runs, head(model, forward, hidden, first.ops[0].reads[0])))


def _convolve(c: Convolution, forward: Forward, hidden: Tensor) -> tuple[Block, Block]:
    """Convolve what the first layer reads, and add that to what it writes."""
    width, taps = int(hidden.width), c.taps
    tape = Tape(forward, "convolution")
    inner = named(channels=width // c.groups)
    axes = (("kernel", taps), ("hidden", width), *inner)
    weights = (tape.weight("weight", axes, column=1), tape.weight("bias", hidden.row_axes))
    out = tape.like("product", hidden)
    space = Space(2 * taps, hidden.axes + inner)
    tape.op("product", Conv((space,), taps, ("channels",), "conv1d"), (hidden, *weights), out)
    convolved = tape.apply("activation", c.activation, out)
    joined = Tape(forward, "joined")
    x = joined.add("add", hidden, convolved)
    joined.norm("norm", x, "layernorm", out=hidden)
    return tape.close(layers=(0,)), joined.close(layers=(0,))


FAMILY = Family("deberta", ("deberta", "deberta-v2"), read, lower)
