"""The whole question as a value: what runs, in which formats, counted how, on what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from memorywall.core.denoising import denoising_of, denoising_phase
from memorywall.core.errors import InvalidInputError, UnsupportedError, shown
from memorywall.core.formats import Format, arithmetic_of
from memorywall.core.forward import Forward
from memorywall.core.hardware import Hardware
from memorywall.core.images import images_of, length_with_images
from memorywall.core.model import Model
from memorywall.core.numbers import Number, plain
from memorywall.core.storage import Storage
from memorywall.core.workload import Conventions, Phase, Precision, Workload

# Which halves of an encoder-decoder or an image-text model run; both in any other phase.
_STACKS = {"encode": "encoder", "decode": "decoder"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A model, what it does, how it is stored and counted, and the device it runs on."""

    model: Model
    workload: Workload
    hardware: Hardware
    precision: Precision = Precision()
    conventions: Conventions = Conventions()

    def __post_init__(self) -> None:
        if self.storage is not None and self.storage.reason:
            raise UnsupportedError(
                f"{self.model.name}: {self.storage.reason}.",
                "Name the format of the weights, such as --weights int8.",
            )
        asked = self.workload
        phase, source_len = _phase_of(self.model, asked.phase), _source_of(self.model, asked)
        size, images = images_of(self.model, phase, asked.pixels, asked.images)
        steps, guidance = denoising_of(self.model, asked.steps, asked.guidance)
        if phase == asked.phase and source_len is None and size is None:
            return
        seq_len = length_with_images(self.model, phase, asked.seq_len, size, images)
        if phase == "encode" and source_len is not None:
            seq_len = source_len  # the decoder does not run, and has no length of its own
        settled = dataclasses.replace(
            asked, phase=phase, seq_len=seq_len, source_len=source_len, image_size=size,
            images=images, steps=steps, guidance=guidance,
        )  # fmt: skip
        object.__setattr__(self, "workload", settled)

    @property
    def storage(self) -> Storage | None:
        """How the weights lie; None where they all have the one format that is named."""
        return self.model.storage if self.precision.weights is None else None

    @property
    def state(self) -> Format:
        """The format of recurrent state."""
        activations = self.precision.format_of("activations", self.model.dtype)
        return self.precision.format_of("state", self.model.state_dtype or activations.name)

    @property
    def shape(self) -> tuple[int, ...]:
        """The common shape of all arrays in the question, () for a single point."""
        workload = self.workload
        sizes = (workload.batch_size, workload.seq_len, workload.source_len, workload.images)
        shapes = [n.shape if isinstance(n, np.ndarray) else () for n in sizes]
        shapes += self.hardware.shapes
        if not any(shapes):
            return ()
        try:
            return np.broadcast_shapes(*shapes)
        except ValueError:
            raise InvalidInputError(
                f"The arrays of the question do not broadcast: batch_size {shapes[0]}, seq_len "
                f"{shapes[1]}, source_len {shapes[2]}, images {shapes[3]}, "
                f"hardware {', '.join(str(s) for s in shapes[4:] if s)}.",
                "Give them shapes that NumPy broadcasts, such as (8, 1) and (1, 16).",
            ) from None

    @property
    def arithmetic(self) -> str:
        """The arithmetic that is asked for: that of the activations' format."""
        return arithmetic_of(self.precision.format_of("activations", self.model.dtype))

    def map_numbers(self, change: Callable[[Number], Number]) -> Scenario:
        """Return a copy with every number of workload and hardware passed through ``change``."""
        workload = Workload.__new__(Workload)  # already checked, and fractions of a block are too
        for field in dataclasses.fields(Workload):
            object.__setattr__(workload, field.name, getattr(self.workload, field.name))
        for name in ("batch_size", "seq_len", "source_len", "images"):
            number = getattr(self.workload, name)
            if number is not None:
                object.__setattr__(workload, name, change(number))
        return dataclasses.replace(
            self, workload=workload, hardware=self.hardware.map_numbers(change)
        )

    def forward(self, phase: str, seq_len: Number) -> Forward:
        """Return one forward pass of the question, at a phase and length of its own."""
        decoding = phase == "decode"
        latent_form: str = self.conventions.mla
        if latent_form == "auto":
            latent_form = "absorbed" if decoding else "reexpanded"
        storage = self.storage
        rows_each = 2 if self.workload.guidance == "on" else 1
        return Forward(
            batch=self.workload.batch_size * rows_each,
            tokens=1 if decoding else seq_len,
            past=seq_len - 1 if decoding else 0,
            weights=(
                self.precision.format_of("weights", self.model.dtype)
                if storage is None
                else storage.rest
            ),
            activations=self.precision.format_of("activations", self.model.dtype),
            kv_cache=self.precision.format_of("kv_cache", self.model.dtype),
            full=self.conventions.causal == "full",
            logits=self.conventions.logits,
            routing=self.conventions.routing,
            mla=latent_form,
            cache_page=self.conventions.cache_page,
            source=1 if self.workload.source_len is None else self.workload.source_len,
            stacks=_STACKS.get(phase, "both"),
            images=1 if self.workload.images is None else self.workload.images,
            image_size=self.workload.pixels or (0, 0),
            storage=storage,
            state=self.state,
            step=decoding,
        )


def _phase_of(model: Model, phase: Phase) -> Phase:
    """Return the phase by the name that it has for a model, if the model has it.

    Raises:
        UnsupportedError: an encoder generates nothing, few models denoise, and a config does not
            say how to train.
    """
    if phase == "denoise" or model.denoiser is not None:
        return denoising_phase(model, phase)
    if phase == "train" and not getattr(model.architecture, "trains", False):
        raise UnsupportedError(
            f"{model.name}: of its config the forward pass alone is known.",
            "Trace its module: memorywall trace FILE.py:make --train.",
        )
    if phase == "train" or model.reads_source or (model.causal and model.images is not None):
        return phase
    if model.causal:
        return "prefill" if phase == "encode" else phase
    if phase in ("decode", "generate"):
        raise UnsupportedError(
            f"{model.name} is an encoder: it has no phase {phase!r}.", "Use phase 'encode'."
        )
    return "encode"


def _source_of(model: Model, workload: Workload) -> Number | None:
    """Return the positions of a source, filled in where they are not given.

    Raises:
        InvalidInputError: one is given that the model cannot have, or left out and not known.
    """
    asked, fixed = workload.source_len, model.fixed_source
    if not model.reads_source:
        if asked is None:
            return None
        raise InvalidInputError(
            f"source_len is {shown(plain(asked))}, but {model.name} has no encoder beside what "
            "seq_len counts.",
            "Leave source_len out; encoder-decoders such as google-t5/t5-small have one.",
        )
    if fixed is not None:
        if asked is None or bool(np.all(asked == fixed)):
            return fixed
        raise InvalidInputError(
            f"source_len is {shown(plain(asked))}, but every source of {model.name} has {fixed} "
            "positions.",
            "Leave source_len out.",
        )
    if asked is None and not np.all(workload.seq_len):
        raise InvalidInputError(
            "seq_len 0 is a lone start token, and says nothing of the source.", "Give source_len."
        )
    return workload.seq_len if asked is None else asked
