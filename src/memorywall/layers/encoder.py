"""Encoders whose layers are all of one shape: BERT's, and what differs from it in few places.

Letters: B batch, T tokens, D hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from memorywall.core.axes import named, unnamed
from memorywall.core.forward import Forward
from memorywall.core.numbers import Number, minimum
from memorywall.core.program import Block, Program
from memorywall.core.tensors import Tensor
from memorywall.core.traits import Traits
from memorywall.layers.encoder_heads import Branch, record_branch
from memorywall.layers.tape import NOTHING, Attention, FeedForward, Tape, Terms


@dataclass(frozen=True, slots=True)
class Embedding:
    """Tables of which every token takes a row each, added up.

    Attributes:
        words, positions, token_types, task_types: rows of each table; 0 for none.
        width: elements of a row.
        norm: how the sum is normalised; "" for not at all.
        projected: whether a linear layer leads from there to the hidden size.
        angles: width of a row of ``max_positions`` kept for rotating; 0 where they are computed.
        unread: weights of the class that no forward pass reads.
    """

    words: int
    width: int
    positions: int = 0
    token_types: int = 0
    task_types: int = 0
    norm: str = "layernorm"
    projected: bool = False
    angles: int = 0
    unread: int = 0


@dataclass(frozen=True, slots=True)
class EncoderLayers:
    """A run of layers of one shape.

    Attributes:
        places: the positions of those that are executed.
        name: of their block.
        window: how far a token looks to each side, itself included; None for all the way.
        shared: whether they are one layer's weights, executed ``count`` times.
        bare: whether the norm before attention is left out.
    """

    places: tuple[int, ...]
    name: str = "layers"
    window: int | None = None
    shared: bool = False
    bare: bool = False

    @property
    def count(self) -> int:
        """How many are executed."""
        return len(self.places)


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder as its config describes it.

    ``norm_first``: norms stand before each half of a layer, and one after the last layer.
    """

    class_name: str
    dtype: str
    hidden_size: int
    max_positions: int
    layers: tuple[EncoderLayers, ...]
    embedding: Embedding
    attention: Attention
    mlp: FeedForward
    top: tuple[Branch, ...]
    norm: str = "layernorm"
    norm_first: bool = False
    notes: tuple[str, ...] = ()

    @property
    def traits(self) -> Traits:
        """An encoder of text; a window is a mask."""
        windows = tuple(run.window for run in self.layers if run.window is not None)
        return Traits(masks=bool(windows), head=bool(self.top), windows=windows)


def hidden_states(forward: Forward, width: int) -> Tensor:
    """Return what flows from block to block: [B T, D]."""
    return Tensor("hidden", forward.row_axes + named(hidden=width), forward.activations)


def embeddings(model: Encoder, forward: Forward, hidden: Tensor) -> Block:
    """Add the rows, normalise and project them; the table of words is the first read."""
    tape, table = Tape(forward, "embeddings"), model.embedding
    rows: list[tuple[str, tuple[str, int], Number]] = [
        ("words", ("vocab", table.words), forward.rows),
        ("positions", ("positions", table.positions), forward.tokens),
        ("token_types", ("positions", table.token_types), 1),
        ("task_types", ("positions", table.task_types), 1),
    ]
    plain = not (table.norm or table.projected)
    out = hidden if plain else tape.activation("sum", forward.row_axes + named(hidden=table.width))
    x = tape.embed("words", out, *(row for row in rows if row[1][1]))
    if table.angles:
        every = named(positions=model.max_positions, rotary=table.angles)
        some = named(positions=minimum(forward.tokens, model.max_positions), rotary=table.angles)
        angles = tape.weight("angles", every, touched=some)
        tape.ops[0].reads += (angles,)
    if table.unread:
        tape.ops[0].reads += (tape.weight("unread", unnamed(table.unread), touched=NOTHING),)
    if table.norm:
        x = tape.norm("norm", x, table.norm, out=None if table.projected else hidden)
    if table.projected:
        tape.linear("projection", x, hidden.row_axes, bias=True, out=hidden)
    return tape.close()


def layers(
    model: Encoder, run: EncoderLayers, forward: Forward, hidden: Tensor, terms: Terms | None = None
) -> Block:
    """Note one layer of a run; ``terms`` notes what is added to the scores of its attention."""
    tape = Tape(forward, run.name)
    attention = replace(model.attention, window=run.window) if run.window else model.attention
    middle = tape.like("middle", hidden)
    if model.norm_first:
        x = hidden if run.bare else tape.norm("attention_norm", hidden, model.norm)
        x = tape.self_attention(x, attention, terms=terms)
        tape.add("attention_add", hidden, x, out=middle)
        x = tape.norm("mlp_norm", middle, model.norm)
        x = tape.feed_forward(x, model.mlp)
        tape.add("mlp_add", middle, x, out=hidden)
    else:
        x = tape.self_attention(hidden, attention, terms=terms)
        x = tape.add("attention_add", hidden, x)
        tape.norm("attention_norm", x, model.norm, out=middle)
        x = tape.feed_forward(middle, model.mlp)
        x = tape.add("mlp_add", middle, x)
        tape.norm("mlp_norm", x, model.norm, out=hidden)
    return tape.close(run.count, shared=run.shared, layers=run.places)


def head(model: Encoder, forward: Forward, hidden: Tensor, words: Tensor) -> Block:
    """Note the last norm, if there is one, and what the class puts on top."""
    tape = Tape(forward, "head")
    x = tape.norm("norm", hidden, model.norm) if model.norm_first else hidden
    for branch in model.top:
        record_branch(tape, x, branch, words)
    return tape.close()


def lower(model: Encoder, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    hidden = hidden_states(forward, model.hidden_size)
    first = embeddings(model, forward, hidden)
    runs = [layers(model, run, forward, hidden) for run in model.layers]
    return Program((first, *runs, head(model, forward, hidden, first.ops[0].reads[0])))
