"""Decoders with mixtures of experts or latent attention: runs of layers of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from memorywall.core.model import Forward
from memorywall.core.program import Block, Program
from memorywall.core.tensors import Tensor
from memorywall.families._blocks import Attention, FeedForward, Tape
from memorywall.families._config import Config
from memorywall.families._experts import Experts, record_experts
from memorywall.families._heads import Head, record_head
from memorywall.families._mla import LatentAttention, record_latent_attention

AnyAttention: TypeAlias = Attention | LatentAttention
AnyMlp: TypeAlias = FeedForward | Experts


@dataclass(frozen=True, slots=True)
class Layers:
    """Layers of one kind, and how many of them there are."""

    name: str
    attention: AnyAttention
    mlp: AnyMlp
    count: int


def grouped(layers: Iterable[tuple[AnyAttention, AnyMlp]]) -> tuple[Layers, ...]:
    """Count layers by kind; kinds that alternate are counted, not placed."""
    counts = Counter(layers)
    taken: set[str] = set()
    kinds = []
    for (attention, mlp), count in counts.items():
        name = _name(attention, mlp)
        while name in taken:
            name = f"other_{name}"
        taken.add(name)
        kinds.append(Layers(name, attention, mlp, count))
    return tuple(kinds)


def _name(attention: AnyAttention, mlp: AnyMlp) -> str:
    """Return a name for a kind of layers, their block's."""
    words = ["dense"] if isinstance(mlp, FeedForward) else []
    if isinstance(attention, Attention):
        words += ["sliding"] if attention.window is not None else []
        words += ["chunked"] if attention.chunk is not None else []
    return "_".join([*words, "layers"])


@dataclass(frozen=True, slots=True)
class SparseDecoder:
    """A decoder, as its config describes it.

    Attributes:
        layers: its kinds of layers.
        norm: the kind of all norms but those of queries and keys.
        norm_after: whether norms stand after each half of a layer instead of before.
        scaled: what is multiplied by a constant: ``embeddings``, ``halves``, ``logits``.
    """

    class_name: str
    head: Head | None
    dtype: str
    vocab_size: int
    hidden_size: int
    max_positions: int
    layers: tuple[Layers, ...]
    norm: str = "rmsnorm"
    norm_after: bool = False
    scaled: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    causal: bool = True

    @property
    def windows(self) -> tuple[int, ...]:
        """Lengths past which some layer no longer looks back; chunks are such lengths at first."""
        found = [a.window for a in self._grouped() if a.window is not None]
        return (*found, *self.chunks)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Lengths of the chunks that some layers attend within."""
        return tuple(a.chunk for a in self._grouped() if a.chunk is not None)

    def _grouped(self) -> list[Attention]:
        """Return the kinds of attention that are not latent."""
        return [a for layers in self.layers if isinstance(a := layers.attention, Attention)]

    @property
    def latent(self) -> bool:
        """Whether some layer's attention is latent."""
        return any(isinstance(layers.attention, LatentAttention) for layers in self.layers)


def note_predictors(config: Config) -> None:
    """Say it where a checkpoint has layers that its class leaves out, to predict several tokens."""
    for key in ("num_nextn_predict_layers", "num_mtp_modules"):
        if config.count(key, 0):
            config.notes.append(
                f"The layers that predict several tokens at once ({key}) are not part of the "
                "class, and not counted."
            )


def lower(model: SparseDecoder, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    hidden = Tensor("hidden", (forward.rows, model.hidden_size), forward.activations)
    embeddings = Tape(forward, "embeddings")
    scaled = "embeddings" in model.scaled
    rows = embeddings.activation("words", *hidden.shape) if scaled else hidden
    embeddings.embed("words", rows, ("words", model.vocab_size, forward.rows))
    if scaled:
        embeddings.each("scale", "scale", rows, out=hidden)
    blocks = [_layer(model, forward, hidden, layers) for layers in model.layers]
    head = Tape(forward, "head")
    final = head.norm("norm", hidden, model.norm)
    if model.head is not None:
        record_head(head, final, model.head, forward.head_rows, embeddings.ops[0].reads[0])
        if "logits" in model.scaled and model.head.name == "lm_head":
            head.each("scale", "scale", head.ops[-1].writes[0])
    return Program((embeddings.close(), *blocks, head.close()))


def _layer(model: SparseDecoder, forward: Forward, hidden: Tensor, layers: Layers) -> Block:
    """Note x + attention(norm(x)), then x + mlp(norm(x)); or norms after, as in FlexOlmo."""
    tape = Tape(forward, layers.name)
    middle = tape.activation("middle", *hidden.shape)
    x = hidden if model.norm_after else tape.norm("attention_norm", hidden, model.norm)
    _close(tape, model, "attention", hidden, _attend(tape, x, layers.attention), middle)
    x = middle if model.norm_after else tape.norm("mlp_norm", middle, model.norm)
    _close(tape, model, "mlp", middle, _feed(tape, x, layers.mlp), hidden)
    return tape.close(layers.count)


def _attend(tape: Tape, x: Tensor, attention: AnyAttention) -> Tensor:
    if isinstance(attention, LatentAttention):
        return record_latent_attention(tape, x, attention)
    return tape.self_attention(x, attention)


def _feed(tape: Tape, x: Tensor, mlp: AnyMlp) -> Tensor:
    return record_experts(tape, x, mlp) if isinstance(mlp, Experts) else tape.feed_forward(x, mlp)


def _close(
    tape: Tape, model: SparseDecoder, half: str, before: Tensor, x: Tensor, out: Tensor
) -> None:
    """Add a half of a layer to what it was made from."""
    if model.norm_after:
        x = tape.norm(f"{half}_norm", x, model.norm)
    if "halves" in model.scaled:
        x = tape.each(f"{half}_scale", "scale", x)
    tape.add(f"{half}_add", before, x, out=out)
