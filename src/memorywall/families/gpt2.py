"""GPT-2: learned positions, layer norms before each half, a plain feed-forward, all biases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.axes import named
from memorywall.core.forward import Forward
from memorywall.core.model import Family
from memorywall.core.program import Program
from memorywall.core.tensors import Tensor
from memorywall.core.traits import Traits
from memorywall.layers.output_head import Head, record_head
from memorywall.layers.tape import Attention, FeedForward, Tape
from memorywall.reading.config_values import Config
from memorywall.reading.heads import decoder_classes, decoder_head


@dataclass(frozen=True, slots=True)
class Gpt2:
    """A GPT-2 as its config describes it."""

    class_name: str
    head: Head | None
    dtype: str
    vocab_size: int
    hidden_size: int
    max_positions: int
    layers: int
    attention: Attention
    mlp: FeedForward
    notes: tuple[str, ...] = ()

    @property
    def traits(self) -> Traits:
        """A generative model."""
        return Traits(causal=True, caches=True, masks=True, head=self.head is not None)


def read(data: Mapping[str, Any], where: str) -> Gpt2:
    """Read a config with ``model_type`` gpt2; a null or absent ``n_inner`` is 4 ``n_embd``."""
    config = Config(data, where)
    config.refuse("add_cross_attention", (True,), "a GPT-2 that reads an encoder is not supported")
    class_name = config.class_name("GPT2LMHeadModel", decoder_classes("GPT2", "GPT2LMHeadModel"))
    hidden, heads = config.size("n_embd"), config.size("n_head")
    config.divides("n_head", heads, "n_embd", hidden)
    architecture = Gpt2(
        class_name=class_name,
        head=decoder_head(config, class_name, tied=config.flag("tie_word_embeddings", True)),
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size"),
        hidden_size=hidden,
        max_positions=config.size("n_positions", 1024),
        layers=config.size("n_layer"),
        attention=Attention(heads, heads, max(1, hidden // heads), qkv_bias=True, out_bias=True),
        mlp=FeedForward(
            config.size("n_inner", 4 * hidden),
            config.activation("activation_function", "gelu_new"),
            bias=True,
        ),
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def lower(model: Gpt2, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    width = named(hidden=model.hidden_size)
    hidden = Tensor("hidden", forward.row_axes + width, forward.activations)
    embeddings = Tape(forward, "embeddings")
    embeddings.embed(
        "words",
        hidden,
        ("words", ("vocab", model.vocab_size), forward.rows),
        ("positions", ("positions", model.max_positions), forward.tokens),
    )

    layer = Tape(forward, "layers", product="conv1d")
    middle = layer.like("middle", hidden)
    x = layer.norm("attention_norm", hidden, "layernorm")
    x = layer.self_attention(x, model.attention)
    layer.add("attention_add", hidden, x, out=middle)
    x = layer.norm("mlp_norm", middle, "layernorm")
    x = layer.feed_forward(x, model.mlp)
    layer.add("mlp_add", middle, x, out=hidden)

    head = Tape(forward, "head")
    x = head.norm("norm", hidden, "layernorm")
    if model.head is not None:
        record_head(head, x, model.head, forward.head_axes, embeddings.ops[0].reads[0])
    return Program(
        (
            embeddings.close(),
            layer.close(model.layers, layers=tuple(range(model.layers))),
            head.close(),
        )
    )


FAMILY = Family("gpt2", ("gpt2",), read, lower)
