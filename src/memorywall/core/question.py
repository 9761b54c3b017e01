"""A question with every parameter decided: ``settle`` makes it from a scenario."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from memorywall.core.errors import InvalidInputError
from memorywall.core.formats import Format, arithmetic_of
from memorywall.core.forward import Forward
from memorywall.core.hardware import Hardware
from memorywall.core.layout import Layout
from memorywall.core.model import Model
from memorywall.core.numbers import Number, is_array
from memorywall.core.parameters import Adjustments
from memorywall.core.phase import Load, Pass, Phase
from memorywall.core.storage import Storage


@dataclass(frozen=True, slots=True)
class Formats:
    """Formats in memory.

    Attributes:
        weights: of those not in ``storage``.
        state: of recurrent state.
        storage: formats of single weights; None if all have the format ``weights``.
        linear: the arithmetic of linear layers whose weights are quantised, and their inputs as
            well; '' for the activations'.
    """

    weights: Format
    activations: Format
    kv_cache: Format
    state: Format
    storage: Storage | None = None
    linear: str = ""


@dataclass(frozen=True, slots=True)
class Counting:
    """The counting conventions; as ``Conventions``, with every parameter decided."""

    traffic: str = "fused"
    causal: str = "half"
    logits: str = "last"
    routing: str = "uniform"
    mla: str = "auto"
    cache_page: int = 0
    ceilings: str = "calibrated"
    launch: str = "graph"


# Not frozen, since a frozen dataclass takes three times as long to make; nothing changes one.
@dataclass(slots=True, eq=False)
class Question:
    """A question with every parameter decided; only ``settle`` makes one.

    Attributes:
        seq_len: positions of each sequence.
        source_len, image_size, images, new_tokens, steps, guidance: None if they do not apply.
        arithmetic: the requested arithmetic of linear layers, a key of ``Hardware.peaks``; a
            device without it uses the twin of equal width, or the next wider one.
        adjustments: the parameters that changed the other fields by their effects.
        layout: how the model is divided among devices.
        load: of a serving engine; None in other phases.
    """

    model: Model
    hardware: Hardware
    phase: Phase
    batch_size: Number
    seq_len: Number
    source_len: Number | None
    image_size: tuple[int, int] | None
    images: Number | None
    new_tokens: int | None
    steps: int | None
    guidance: str | None
    formats: Formats
    counting: Counting
    adjustments: Adjustments = Adjustments()
    layout: Layout = Layout()
    load: Load | None = None

    @property
    def arithmetic(self) -> str:
        """The requested arithmetic of linear layers: the activations', unless they have another."""
        return self.formats.linear or arithmetic_of(self.formats.activations)

    @property
    def rows(self) -> Number:
        """Sequences of a forward pass: guidance runs each with the prompt and without it."""
        return self.batch_size * 2 if self.guidance == "on" else self.batch_size

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The forward passes of the question, in order."""
        return self.phase.passes(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """The common shape of all arrays in the question, () for a single point.

        Raises:
            InvalidInputError: the arrays do not broadcast.
        """
        sizes = (self.batch_size, self.seq_len, self.source_len, self.images)
        if all(n is None or type(n) is int for n in sizes) and not self.hardware.shapes:
            return ()
        shapes = [n.shape if is_array(n) else () for n in sizes]
        shapes += self.hardware.shapes
        from numpy import broadcast_shapes  # noqa: PLC0415 - a question of scalars needs no NumPy

        try:
            return broadcast_shapes(*shapes)
        except ValueError:
            raise InvalidInputError(
                f"The arrays of the question do not broadcast: batch_size {shapes[0]}, seq_len "
                f"{shapes[1]}, source_len {shapes[2]}, images {shapes[3]}, "
                f"hardware {', '.join(str(s) for s in shapes[4:] if s)}.",
                "Use shapes that NumPy broadcasts, such as (8, 1) and (1, 16).",
            ) from None

    def map_numbers(self, change: Callable[[Number], Number]) -> Question:
        """Return a copy with every number of workload and hardware passed through ``change``."""
        source_len, images = self.source_len, self.images
        return replace(
            self,
            batch_size=change(self.batch_size),
            seq_len=change(self.seq_len),
            source_len=None if source_len is None else change(source_len),
            images=None if images is None else change(images),
            hardware=self.hardware.map_numbers(change),
        )

    def forward(self, one: Pass, positions: Number | None = None) -> Forward:
        """Return one execution of a pass, by default the first, else at ``positions``."""
        length = one.positions if positions is None else positions
        latent_form = self.counting.mla
        if latent_form == "auto":
            # Tokens that select different latents cannot share their expansion.
            alone = one.step or bool(self.model.traits.selections)
            latent_form = "absorbed" if alone else "reexpanded"
        formats = self.formats
        return Forward(
            batch=self.rows,
            tokens=1 if one.step else length,
            past=length - 1 if one.step else 0,
            weights=formats.weights,
            activations=formats.activations,
            kv_cache=formats.kv_cache,
            full=self.counting.causal == "full",
            logits=self.counting.logits,
            routing=self.counting.routing,
            mla=latent_form,
            cache_page=self.counting.cache_page,
            source=1 if self.source_len is None else self.source_len,
            stacks=one.stacks,
            images=1 if self.images is None else self.images,
            image_size=self.image_size or (0, 0),
            storage=formats.storage,
            state=formats.state,
            linear=formats.linear,
            step=one.step,
        )
