"""The formats of a model's weights by its files or config, if the question gives none."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from memorywall.core.formats import FORMATS, Format
from memorywall.core.numbers import Number, Shape, product
from memorywall.core.quantities import record_of

# Linear layers that no method quantises by default: routers, gates of shared experts, and heads; of
# indexers the weights of heads, of compressors what they project, and the mixing of streams
# (transformers' DeepseekV4PreTrainedModel, _keep_in_fp32_modules).
KEPT = (
    "router", "gate", "shared_gate", "lm_head", "score", "qa_outputs", "classifier", "decoder",
    "weights_proj", "compressor.kv_proj", "compressor.gate_proj", "indexer.kv_proj",
    "indexer.gate_proj", "fn",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stored:
    """The contents of a model's files, from their headers.

    Attributes:
        files, tensors, elements: their numbers; packed formats have several weights in an element.
        nbytes: of all tensors.
        bytes_by_format: the same by the files' own names for formats, the most first.
    """

    files: int
    tensors: int
    elements: int
    bytes_by_format: tuple[tuple[str, int], ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(nbytes for _, nbytes in self.bytes_by_format)

    def to_dict(self) -> dict[str, Any]:
        """Return its record, the quantities of the group ``stored``."""
        return record_of("stored", self)


@dataclass(frozen=True, slots=True)
class MeanFormat(Format):
    """The format of weights of one name in all layers, of which some may lie otherwise than others.

    ``stored_bytes`` for ``stored_elements``; rounded up to whole bytes for each layer.
    """

    stored_bytes: int = 0
    stored_elements: int = 1

    def __post_init__(self) -> None:
        each, left = divmod(self.stored_bytes, self.stored_elements)
        object.__setattr__(self, "whole_bytes", 0 if left else each)

    @property
    def bits_per_element(self) -> float:
        """Bits of one element with its share of scales."""
        return 8 * self.stored_bytes / self.stored_elements

    def nbytes(self, shape: Shape) -> Number:
        """Bytes of an array of this shape."""
        return -(-product(shape, self.stored_bytes) // self.stored_elements)


class ModuleFormats(Protocol):
    """The formats that a checkpoint states for modules by name, in some layers or in all.

    It is picklable, as ``Storage`` is.
    """

    @property
    def by_layer(self) -> bool:
        """Whether layers of one kind may differ."""

    def find(self, weight: str, layer: int | None) -> Format | None:
        """Return the format of a weight, None for no statement.

        ``weight`` is its path with the block in front; ``layer`` its position in the stack, None
        for what holds in every layer.
        """


@dataclass(frozen=True, slots=True)
class Storage:
    """Which format each weight has, and the cache.

    Attributes:
        name: the whole as text: ``GPTQ int4``.
        linear: of the weights of linear layers, experts among them.
        rest: of norms, biases, routers and heads.
        tables: of embedding tables; None for the rest's.
        kept: linear layers that have the format of the rest, each a part of their path.
        by_name: formats of single weights, by their path within a block; before all other rules.
        by_module: formats that the checkpoint states for single modules; before ``kept``.
        kv_cache: the format that the checkpoint states for its cache; None for no statement.
        notes: what to know before the numbers are used.
        reason: why the formats are not known, or nothing.
        arithmetic: of linear layers whose weights are not in the format of the rest, a key of
            ``Hardware.peaks``, where their inputs are quantised as well; empty for weight-only
            quantisation, which computes in the activations' format.
        arithmetics: the same by the format of the weights, where it differs.
    """

    name: str
    linear: Format
    rest: Format
    kept: tuple[str, ...] = KEPT
    by_name: Mapping[str, Format] = field(default_factory=dict, hash=False)
    notes: tuple[str, ...] = ()
    reason: str = ""
    tables: Format | None = None
    by_module: ModuleFormats | None = field(default=None, hash=False)
    kv_cache: Format | None = None
    arithmetic: str = ""
    arithmetics: tuple[tuple[Format, str], ...] = ()

    def computes_in(self, format_: Format) -> str:
        """Return the arithmetic of products by weights of a format, empty for the activations'."""
        if format_ == self.rest:
            return ""
        return next((name for one, name in self.arithmetics if one == format_), self.arithmetic)

    def on(self, peaks: Container[str]) -> Storage:
        """Return the storage without those of ``arithmetics`` for which a device has no peak."""
        kept = [(one, name if name in peaks else "") for one, name in self.arithmetics]
        return replace(self, arithmetics=tuple(kept))

    @property
    def products(self) -> tuple[str, ...]:
        """The kinds of arithmetic of its linear layers that are not the activations'."""
        names = (self.arithmetic, *(name for _, name in self.arithmetics))
        return tuple(dict.fromkeys(name for name in names if name))

    def format_of(
        self,
        op: str,
        weight: str,
        *,
        is_matrix: bool,
        is_table: bool = False,
        layer: int | None = None,
    ) -> Format:
        """Return the format of a weight.

        Args:
            op: path of the operator within its block.
            weight: path of the weight, with the block in front.
            is_matrix: whether it is a factor of a product.
            is_table: whether it is a table of embeddings, which a product may read too.
            layer: its position in the stack; None for what holds in every layer.
        """
        within = weight.partition(".")[2]
        own = self.by_name.get(within)
        if own is not None:
            return own
        if (is_matrix or is_table) and self.by_module is not None:
            stated = self.by_module.find(weight, layer)
            if stated is not None:
                return stated
        if is_table and self.tables is not None:
            return self.tables
        # Latents are expanded by operators that are not called as the layer that they share is.
        return self.linear if is_matrix and not self.keeps(f"{op}.{within}") else self.rest

    def keeps(self, path: str) -> bool:
        """Whether a linear layer is left as the rest is."""
        return any(f".{part}." in f".{path}." for part in self.kept)


def unread(reason: str) -> Storage:
    """Return the storage of weights whose formats are not known; ``reason`` is a clause."""
    any_format = FORMATS["bf16"]
    return Storage("not known", any_format, any_format, reason=reason)
