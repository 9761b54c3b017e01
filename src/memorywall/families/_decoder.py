"""Decoders whose layers are attention and a feed-forward, and the one way of lowering them.

Attention may be latent, and experts may stand in place of a feed-forward. Families differ in how
their configs say so, and in where the norms stand; they read into a ``Decoder``, and ``lower``
writes its forward pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from memorywall.core.model import Forward
from memorywall.core.program import Block, Program
from memorywall.core.tensors import Tensor
from memorywall.families._blocks import Attention, FeedForward, Tape
from memorywall.families._experts import Experts, record_experts
from memorywall.families._heads import Head, record_head
from memorywall.families._mla import LatentAttention, record_latent_attention

AnyAttention: TypeAlias = Attention | LatentAttention
AnyMlp: TypeAlias = FeedForward | Experts


@dataclass(frozen=True, slots=True)
class Layers:
    """Layers of one kind: their block's name, how many they are, and what each is made of."""

    name: str
    count: int
    attention: AnyAttention
    mlp: AnyMlp


def grouped(layers: Iterable[tuple[AnyAttention, AnyMlp]]) -> tuple[Layers, ...]:
    """Count layers by kind, in the order in which the kinds first come."""
    counts = Counter(layers)
    kinds = tuple(counts)
    return tuple(Layers(_name(kind, kinds), counts[kind], *kind) for kind in kinds)


def _name(kind: tuple[AnyAttention, AnyMlp], kinds: tuple[tuple[AnyAttention, AnyMlp], ...]) -> str:
    """Return a kind of layers' name: what may set it apart from a model's other kinds."""
    attention, mlp = kind
    words = []
    if len(kinds) > 1 and isinstance(attention, Attention):
        words += ["sliding"] if attention.window is not None else []
        words += ["chunked"] if attention.chunk is not None else []
        rotated = any(isinstance(other, Attention) and other.rotary for other, _ in kinds)
        words += ["unrotated"] if rotated and not attention.rotary else []
    if isinstance(mlp, FeedForward) and any(isinstance(other, Experts) for _, other in kinds):
        words.insert(0, "dense")
    return "_".join([*words, "layers"])


@dataclass(frozen=True, slots=True)
class Decoder:
    """A decoder, as its config describes it.

    Attributes:
        layers: its kinds of layers; those that alternate are counted, not placed.
        norm: the kind of all norms but those of queries and keys.
        norms: where they stand: ``before`` each half of a layer, ``after`` it, ``around`` it
            (both), ``outside`` (after the sum, as in BERT). Where both halves read the layer's
            input: ``shared``, one norm for the two, or ``each`` its own.
        positions: rows of a learned table of positions, 0 for none.
        sinusoids: whether fixed sinusoids are added to the embeddings.
        embedding_size: width of the table of words where it is not the hidden size; linear layers
            then stand between the two, at both ends.
        embedding_norm, embedding_scale: whether the embeddings are normalised, or scaled.
        residual_scale: whether each half's output is scaled before it is added.
        final_norm: whether a norm stands before the head.
        on_logits: ``scale`` or ``softcap``, done to every logit of the language model's head.
    """

    class_name: str
    head: Head | None
    dtype: str
    vocab_size: int
    hidden_size: int
    max_positions: int | None
    layers: tuple[Layers, ...]
    norm: str = "rmsnorm"
    norms: str = "before"
    positions: int = 0
    sinusoids: bool = False
    embedding_size: int | None = None
    embedding_norm: bool = False
    embedding_scale: bool = False
    residual_scale: bool = False
    final_norm: bool = True
    on_logits: str = ""
    notes: tuple[str, ...] = ()
    causal: bool = True

    @property
    def windows(self) -> tuple[int, ...]:
        """Lengths past which some layer no longer looks back; chunks are such lengths at first."""
        found = [a.window for a in self._plain() if a.window is not None]
        return (*found, *self.chunks)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Lengths of the chunks that some layers attend within."""
        return tuple(a.chunk for a in self._plain() if a.chunk is not None)

    @property
    def latent(self) -> bool:
        """Whether some layer's attention is latent."""
        return any(isinstance(layers.attention, LatentAttention) for layers in self.layers)

    def with_attention(self, **changes: Any) -> Decoder:
        """Return a copy in which the attention of every layer is changed alike."""
        changed = [
            replace(layers, attention=replace(layers.attention, **changes))
            for layers in self.layers
        ]
        return replace(self, layers=tuple(changed))

    def _plain(self) -> list[Attention]:
        """Return the kinds of attention that are not latent."""
        return [a for layers in self.layers if isinstance(a := layers.attention, Attention)]


def lower(model: Decoder, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    hidden = Tensor("hidden", (forward.rows, model.hidden_size), forward.activations)
    embeddings = _embed(model, forward, hidden)
    blocks = [_layer(model, forward, hidden, layers) for layers in model.layers]
    head = _head(model, forward, hidden, embeddings.ops[0].reads[0])
    return Program((embeddings, *blocks, head))


def _embed(model: Decoder, forward: Forward, hidden: Tensor) -> Block:
    """Note the embeddings of words and positions: [B T, D]."""
    tape = Tape(forward, "embeddings")
    narrow = model.embedding_size
    tables = [("words", model.vocab_size, forward.rows)]
    # Positions are added in the same breath, unless something is done to the words before.
    positions = ("positions", model.positions, forward.tokens)
    apart = narrow is not None or model.embedding_scale
    if model.positions and not apart:
        tables.append(positions)
    x = tape.activation("words", forward.rows, narrow or model.hidden_size)
    tape.embed("words", x, *tables)
    if narrow is not None:
        x = tape.linear("project_in", x, model.hidden_size)
    if model.embedding_scale:
        x = tape.each("scale", "scale", x)
    if model.positions and apart:
        rows = tape.activation("positions", forward.tokens, model.hidden_size)
        x = tape.add("positions_add", x, tape.embed("positions", rows, positions))
    if model.sinusoids:
        waves = tape.activation("sinusoids", forward.tokens, model.hidden_size)
        x = tape.add("sinusoids_add", x, waves)
    if model.embedding_norm:
        tape.norm("norm", x, model.norm)
    tape.ops[-1].writes = (hidden,)
    return tape.close()


def _layer(model: Decoder, forward: Forward, hidden: Tensor, layers: Layers) -> Block:
    """Note the layers of one kind: [B T, D] in and out."""
    tape = Tape(forward, layers.name)
    if model.norms in ("shared", "each"):
        _both_at_once(tape, model, hidden, layers)
    else:
        middle = tape.activation("middle", *hidden.shape)
        _half(tape, model, "attention", hidden, lambda x: _attend(tape, x, layers), middle)
        _half(tape, model, "mlp", middle, lambda x: _feed(tape, x, layers), hidden)
    return tape.close(layers.count)


def _attend(tape: Tape, x: Tensor, layers: Layers) -> Tensor:
    if isinstance(layers.attention, LatentAttention):
        return record_latent_attention(tape, x, layers.attention)
    return tape.self_attention(x, layers.attention)


def _feed(tape: Tape, x: Tensor, layers: Layers) -> Tensor:
    if isinstance(layers.mlp, Experts):
        return record_experts(tape, x, layers.mlp)
    return tape.feed_forward(x, layers.mlp)


def _half(
    tape: Tape,
    model: Decoder,
    name: str,
    x: Tensor,
    run: Callable[[Tensor], Tensor],
    out: Tensor,
) -> None:
    """Note out = x + half(x), with the norms and the scale where the model has them."""
    where = model.norms
    y = tape.norm(f"{name}_norm", x, model.norm) if where in ("before", "around") else x
    y = run(y)
    if where in ("after", "around"):
        second = "_post_norm" if where == "around" else "_norm"
        y = tape.norm(f"{name}{second}", y, model.norm)
    if model.residual_scale:
        y = tape.each(f"{name}_scale", "scale", y)
    total = tape.add(f"{name}_add", x, y, out=None if where == "outside" else out)
    if where == "outside":
        tape.norm(f"{name}_norm", total, model.norm, out=out)


def _both_at_once(tape: Tape, model: Decoder, hidden: Tensor, layers: Layers) -> None:
    """Note x + attention(norm(x)) + mlp(norm(x)), by one norm or two."""
    normed = tape.norm("attention_norm", hidden, model.norm)
    x = _attend(tape, normed, layers)
    if model.norms == "each":
        normed = tape.norm("mlp_norm", hidden, model.norm)
    y = _feed(tape, normed, layers)
    tape.add("residual_add", hidden, tape.add("halves_add", x, y), out=hidden)


def _head(model: Decoder, forward: Forward, hidden: Tensor, embedding: Tensor) -> Block:
    """Note the last norm and what stands on top."""
    tape = Tape(forward, "head")
    x = tape.norm("norm", hidden, model.norm) if model.final_norm else hidden
    if model.embedding_size is not None:
        x = tape.linear("project_out", x, model.embedding_size)
    if model.head is not None:
        record_head(tape, x, model.head, forward.head_rows, embedding)
        if model.on_logits and model.head.name == "lm_head":
            tape.each(f"logits_{model.on_logits}", model.on_logits, tape.ops[-1].writes[0])
    return tape.close()
