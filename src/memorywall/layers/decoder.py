"""Decoders whose layers are attention and a feed-forward, and the one way of lowering them.

Attention may be latent, another mixer (a scan) may replace it, and experts may replace a
feed-forward; a layer may have one of the halves only. Families differ in how their configs say so,
and in where the norms stand; they read into a ``Decoder``, and ``lower`` writes its forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, TypeGuard

from memorywall.core.axes import named
from memorywall.core.forward import Forward
from memorywall.core.geometry import Elementwise, Space
from memorywall.core.program import Block, Program
from memorywall.core.tensors import Tensor
from memorywall.core.traits import State, Traits
from memorywall.layers.element_costs import ACTIVATION_FLOPS, FLOPS_PER_ELEMENT
from memorywall.layers.experts import BesideExperts, Experts, record_beside, record_experts
from memorywall.layers.latent_attention import LatentAttention, record_latent_attention
from memorywall.layers.output_head import Head, record_head
from memorywall.layers.tape import Attention, FeedForward, Tape


class Mixer(Protocol):
    """A mixer of tokens in place of attention: it keeps state in place of a cache, or beside one.

    It is hashable, as attention is.
    """

    @property
    def attends(self) -> bool:
        """Whether it keeps keys and values as well."""

    @property
    def masks(self) -> bool:
        """Whether its scan forms masked pairs of the tokens of a chunk."""

    @property
    def name(self) -> str:
        """The word for it in the names of layers."""

    def record(self, tape: Tape, x: Tensor) -> Tensor:
        """Note its operators: [B T, D] in and out."""


AnyAttention: TypeAlias = Attention | LatentAttention
AnyMixer: TypeAlias = AnyAttention | Mixer
AnyMlp: TypeAlias = FeedForward | Experts | BesideExperts


@dataclass(frozen=True, slots=True)
class PerLayerInputs:
    """Inputs of each layer beside the hidden states: rows of a second table of words.

    Attributes:
        width: elements of a token for each layer.
        vocab_size: rows of the table.
        activation: of the gate that each layer makes of its hidden states.
    """

    width: int
    vocab_size: int
    activation: str


@dataclass(frozen=True, slots=True)
class DecoderLayers:
    """Layers of one kind: their block's name, their positions, and what each is made of.

    One of the halves may be missing; ``attention`` may be another mixer. ``norms`` says where the
    norms stand, if elsewhere than in the model's other layers.
    """

    name: str
    places: tuple[int, ...]
    attention: AnyMixer | None
    mlp: AnyMlp | None
    norms: str = ""

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.places)


Halves: TypeAlias = tuple[AnyMixer | None, AnyMlp | None]


def grouped(layers: Iterable[Halves]) -> tuple[DecoderLayers, ...]:
    """Sort layers by kind, in the order in which the kinds first come."""
    return by_kind(enumerate(layers))


def by_kind(layers: Iterable[tuple[int, Halves]]) -> tuple[DecoderLayers, ...]:
    """Sort layers, each with its position, by kind."""
    places: dict[Halves, list[int]] = {}
    for place, kind in layers:
        places.setdefault(kind, []).append(place)
    kinds = tuple(places)
    return tuple(DecoderLayers(_name(kind, kinds), tuple(places[kind]), *kind) for kind in kinds)


def _name(kind: Halves, kinds: tuple[Halves, ...]) -> str:
    """Return a kind of layers' name: what may set it apart from a model's other kinds."""
    attention, mlp = kind
    words = []
    if len(kinds) > 1 and isinstance(attention, Attention):
        words += ["shared"] if attention.cache_of else []
        words += ["sliding"] if attention.window is not None else []
        words += ["chunked"] if attention.chunk is not None else []
        rotated = any(isinstance(other, Attention) and other.rotary for other, _ in kinds)
        words += ["unrotated"] if rotated and not attention.rotary else []
    if attention is not None and _is_mixer(attention):
        words.append(attention.name)
    elif isinstance(attention, LatentAttention) and attention.selected and not attention.indexer:
        words.append("sharing")  # the selection of a layer before
    if mlp is None and not words:
        words.append("attention")
    if attention is None:
        words.append("experts" if isinstance(mlp, Experts) else "mlp")
    if len(kinds) > 1 and isinstance(mlp, Experts) and mlp.hashed:
        words.insert(0, "hashed")
    sparse = any(isinstance(other, Experts | BesideExperts) for _, other in kinds)
    if attention is not None and isinstance(mlp, FeedForward) and sparse:
        words.insert(0, "dense")
    return "_".join([*words, "layers"])


def _is_mixer(attention: AnyMixer) -> TypeGuard[Mixer]:
    """Return whether something else than attention mixes the tokens."""
    return not isinstance(attention, Attention | LatentAttention)


@dataclass(frozen=True, slots=True)
class Decoder:
    """A decoder, as its config describes it.

    Attributes:
        layers: its kinds of layers, each with the positions where they stand.
        norm: the kind of all norms but those of queries and keys.
        norms: where they stand: ``before`` each half of a layer, ``after`` it, ``around`` it
            (both), on its ``input`` (before it, and before what it is added to), ``outside``
            (after the sum, as in BERT). Where both halves read the layer's input: ``shared``, one
            norm for the two, or ``each`` its own.
        positions: rows of a learned table of positions, 0 for none.
        sinusoids: whether fixed sinusoids are added to the embeddings.
        embedding_size: width of the table of words where it is not the hidden size; linear layers
            then stand between the two, at both ends.
        embedding_norm, embedding_scale: whether the embeddings are normalised, or scaled.
        residual_scale: whether each half's output is scaled before it is added; where norms stand
            on the ``input``, what it is added to as well.
        final_norm: whether a norm stands before the head.
        on_logits: ``scale`` or ``softcap``, done to every logit of the language model's head.
        per_layer: inputs of each layer beside the hidden states, if any.
        layer_scale: whether the output of each layer is scaled.
        state_dtype: the format that the recurrent state of its mixers is kept in; None where they
            keep windows of convolutions alone.
    """

    class_name: str
    head: Head | None
    dtype: str
    vocab_size: int
    hidden_size: int
    max_positions: int | None
    layers: tuple[DecoderLayers, ...]
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
    state_dtype: str | None = None
    per_layer: PerLayerInputs | None = None
    layer_scale: bool = False
    notes: tuple[str, ...] = ()

    @property
    def depth(self) -> int:
        """The number of its layers."""
        return sum(layers.count for layers in self.layers)

    @property
    def traits(self) -> Traits:
        """A generative model."""
        return decoder_traits(self)

    def with_attention(self, **changes: Any) -> Decoder:
        """Return a copy in which the attention of every layer that has one is changed alike."""
        changed = [
            replace(layers, attention=replace(layers.attention, **changes))
            if isinstance(layers.attention, Attention | LatentAttention)
            else layers
            for layers in self.layers
        ]
        return replace(self, layers=tuple(changed))


def decoder_traits(model: Decoder) -> Traits:
    """Return the traits of a generative model, from its layers' mixers and feed-forwards."""
    mixers = [layers.attention for layers in model.layers if layers.attention is not None]
    plain = plain_attention(model)
    latent = any(isinstance(mixer, LatentAttention) for mixer in mixers)
    others = [mixer for mixer in mixers if _is_mixer(mixer)]
    chunks = tuple(a.chunk for a in plain if a.chunk is not None)
    attends = bool(plain) or latent or any(mixer.attends for mixer in others)
    return Traits(
        causal=True,
        caches=attends,
        masks=attends or any(mixer.masks for mixer in others),
        head=model.head is not None,
        experts=any(isinstance(layers.mlp, Experts | BesideExperts) for layers in model.layers),
        latent=latent,
        selections=_selections(mixers),
        # Chunks are such lengths at first.
        windows=(*(a.window for a in plain if a.window is not None), *chunks),
        chunks=chunks,
        state=State(model.state_dtype) if others else None,
    )


def _selections(mixers: list[AnyMixer]) -> tuple[int, ...]:
    """Return how many positions a token of latent attention selects, of each number once."""
    found = [m.selected for m in mixers if isinstance(m, LatentAttention) and m.selected]
    return tuple(dict.fromkeys(found))


def plain_attention(model: Decoder) -> list[Attention]:
    """Return the kinds of attention that are not latent."""
    return [a for layers in model.layers if isinstance(a := layers.attention, Attention)]


def lower(model: Decoder, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    hidden = hidden_states(forward, model.hidden_size)
    embeddings = record_embeddings(model, forward, hidden)
    blocks = [record_layers(model, forward, hidden, layers) for layers in model.layers]
    head = record_top(model, forward, hidden, embeddings.ops[0].reads[0])
    return Program((embeddings, *blocks, head))


def hidden_states(forward: Forward, width: int) -> Tensor:
    """Return what flows from block to block: [B T, D]."""
    return Tensor("hidden", forward.row_axes + named(hidden=width), forward.activations)


def record_embeddings(model: Decoder, forward: Forward, hidden: Tensor) -> Block:
    """Note the embeddings of words and positions: [B T, D]."""
    tape = Tape(forward, "embeddings")
    narrow, width = model.embedding_size, named(hidden=model.hidden_size)
    tables = [("words", ("vocab", model.vocab_size), forward.rows)]
    # Positions are added in the same breath, unless something is done to the words before.
    positions = ("positions", ("positions", model.positions), forward.tokens)
    every = named(tokens=forward.tokens)
    apart = narrow is not None or model.embedding_scale
    if model.positions and not apart:
        tables.append(positions)
    words = named(hidden=narrow or model.hidden_size)
    x = tape.activation("words", forward.row_axes + words)
    tape.embed("words", x, *tables)
    if narrow is not None:
        x = tape.linear("project_in", x, width)
    if model.embedding_scale:
        x = tape.each("scale", "scale", x)
    if model.positions and apart:
        rows = tape.activation("positions", every + width)
        x = tape.add("positions_add", x, tape.embed("positions", rows, positions))
    if model.sinusoids:
        waves = tape.activation("sinusoids", every + width)
        x = tape.add("sinusoids_add", x, waves)
    if model.embedding_norm:
        tape.norm("norm", x, model.norm)
    tape.ops[-1].writes = (hidden,)
    if model.per_layer is not None:
        _record_per_layer_inputs(tape, model, model.per_layer, hidden)
    return tape.close()


def _record_per_layer_inputs(
    tape: Tape, model: Decoder, inputs: PerLayerInputs, hidden: Tensor
) -> None:
    """Note the inputs of all layers: of the token's own rows, and projected from its embedding."""
    found = _per_layer_inputs(tape.forward, model.depth, inputs)
    axes = found.row_axes
    words = tape.activation("per_layer.tokens", found.axes, len(axes))
    table = ("per_layer.tokens", ("vocab", inputs.vocab_size), tape.forward.rows)
    words = tape.each(
        "per_layer.tokens_scale", "scale", tape.embed("per_layer.tokens", words, table)
    )
    projected = tape.linear("per_layer.projection", hidden, axes)
    projected = tape.each("per_layer.projection_scale", "scale", projected)
    projected = tape.norm("per_layer.norm", projected, model.norm, run=1)
    both = tape.add("per_layer.add", projected, words)
    tape.each("per_layer.scale", "scale", both, out=found)


def _per_layer_inputs(forward: Forward, layers: int, inputs: PerLayerInputs) -> Tensor:
    """Return the inputs of all layers: [B T, layers, width]."""
    axes = forward.row_axes + named(layers=layers, per_layer=inputs.width)
    return Tensor("per_layer_inputs", axes, forward.activations, row=2)


def record_layers(model: Decoder, forward: Forward, hidden: Tensor, layers: DecoderLayers) -> Block:
    """Note the layers of one kind: [B T, D] in and out."""
    tape = Tape(forward, layers.name)
    attention, mlp = layers.attention, layers.mlp
    if layers.norms:
        model = replace(model, norms=layers.norms)
    if attention is not None and mlp is not None:
        more = model.per_layer is not None or model.layer_scale
        out = tape.like("halves", hidden) if more else hidden
        _both_halves(tape, model, hidden, attention, mlp, out)
        if more:
            _finish_layer(tape, model, out, hidden)
    elif attention is not None:
        _half(
            tape, model, "attention", hidden, lambda x: record_attention(tape, x, attention), hidden
        )
    elif mlp is not None:
        _half(tape, model, "mlp", hidden, lambda x: _feed(tape, x, mlp, hidden), hidden)
    return tape.close(layers.count, layers=layers.places)


def _finish_layer(tape: Tape, model: Decoder, x: Tensor, out: Tensor) -> None:
    """Note what follows both halves: the layer's own input, gated, and the scale."""
    inputs = model.per_layer
    if inputs is not None:
        every = _per_layer_inputs(tape.forward, model.depth, inputs)
        gate = tape.linear("per_layer.gate", x, named(per_layer=inputs.width))
        own = every.part(x.rows_axes + named(layers=1, per_layer=inputs.width))
        gated = tape.like("per_layer.activation", gate)
        cost = ACTIVATION_FLOPS[inputs.activation] + FLOPS_PER_ELEMENT["gated"]
        geometry = Elementwise((Space(cost, gate.axes),), inputs.activation, (1,), gated=True)
        tape.op("per_layer.activation", geometry, (gate, own), gated)
        y = tape.linear("per_layer.layer_projection", gated, x.row_axes)
        y = tape.norm("per_layer.post_norm", y, model.norm)
        x = tape.add("per_layer.layer_add", x, y, out=None if model.layer_scale else out)
    if model.layer_scale:
        tape.each("layer_scale", "scale", x, out=out)


def _both_halves(
    tape: Tape, model: Decoder, hidden: Tensor, attention: AnyMixer, mlp: AnyMlp, out: Tensor
) -> None:
    if model.norms in ("shared", "each"):
        _both_at_once(tape, model, hidden, attention, mlp, out)
        return
    middle = tape.like("middle", hidden)
    _half(tape, model, "attention", hidden, lambda x: record_attention(tape, x, attention), middle)
    _half(tape, model, "mlp", middle, lambda x: _feed(tape, x, mlp, middle), out)


def record_attention(tape: Tape, x: Tensor, attention: AnyMixer) -> Tensor:
    """Note attention of any kind, or another mixer: [B T, D] in and out."""
    if isinstance(attention, Attention):
        return tape.self_attention(x, attention)
    if isinstance(attention, LatentAttention):
        return record_latent_attention(tape, x, attention)
    return attention.record(tape, x)


def _feed(tape: Tape, x: Tensor, mlp: AnyMlp, before: Tensor) -> Tensor:
    """Note a feed-forward of any kind on x, ``before`` without its norm: [B T, D] in and out."""
    if isinstance(mlp, BesideExperts):
        return record_beside(tape, x, before, mlp, "rmsnorm")
    if isinstance(mlp, Experts):
        return record_experts(tape, x, mlp)
    return tape.feed_forward(x, mlp)


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
    first = where in ("before", "around", "input")
    y = tape.norm(f"{name}_norm", x, model.norm) if first else x
    x = y if where == "input" else x
    y = run(y)
    if where in ("after", "around"):
        second = "_post_norm" if where == "around" else "_norm"
        y = tape.norm(f"{name}{second}", y, model.norm)
    if model.residual_scale:
        y = tape.each(f"{name}_scale", "scale", y)
        x = tape.each(f"{name}_input_scale", "scale", x) if where == "input" else x
    total = tape.add(f"{name}_add", x, y, out=None if where == "outside" else out)
    if where == "outside":
        tape.norm(f"{name}_norm", total, model.norm, out=out)


def _both_at_once(
    tape: Tape, model: Decoder, hidden: Tensor, attention: AnyMixer, mlp: AnyMlp, out: Tensor
) -> None:
    """Note x + attention(norm(x)) + mlp(norm(x)), by one norm or two."""
    normed = tape.norm("attention_norm", hidden, model.norm)
    x = record_attention(tape, normed, attention)
    if model.norms == "each":
        normed = tape.norm("mlp_norm", hidden, model.norm)
    y = _feed(tape, normed, mlp, hidden)
    tape.add("residual_add", hidden, tape.add("halves_add", x, y), out=out)


def record_top(model: Decoder, forward: Forward, hidden: Tensor, embedding: Tensor) -> Block:
    """Note the last norm and what stands on top."""
    tape = Tape(forward, "head")
    x = tape.norm("norm", hidden, model.norm) if model.final_norm else hidden
    if model.embedding_size is not None:
        x = tape.linear("project_out", x, named(hidden=model.embedding_size))
    if model.head is not None:
        record_head(tape, x, model.head, forward.head_axes, embedding)
        if model.on_logits and model.head.axis == "vocab":
            tape.each(f"logits_{model.on_logits}", model.on_logits, tape.ops[-1].writes[0])
    return tape.close()
