"""Traits: the properties of a model that its family states; no other code asks an architecture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from memorywall.core.training import TrainingMemory


@dataclass(frozen=True, slots=True)
class Source:
    """An encoder that reads a source for a decoder.

    Attributes:
        fixed: positions of every source (Whisper: 1500); None if they follow from the text.
    """

    fixed: int | None = None


def _no_notes(height: int, width: int) -> tuple[str, ...]:  # noqa: ARG001 - the common signature
    return ()


def _as_given(height: int, width: int) -> tuple[int, int]:
    return height, width


@dataclass(frozen=True, slots=True)
class Images:
    """Images that a model reads, or that a diffusion model generates.

    Attributes:
        size: the model's height and width in pixels, or a usual one.
        tokens: height and width in; positions of one image out (in the decoder, if there is one).
            Raises InvalidInputError for a size that the model cannot take.
        with_text: whether the model reads a text as well; else an image is the whole sequence.
        notes: height and width in; remarks on images of that size out.
        resized: height and width in; the size that the model resizes such an image to.
    """

    size: tuple[int, int]
    tokens: Callable[[int, int], int]
    with_text: bool = False
    notes: Callable[[int, int], tuple[str, ...]] = _no_notes
    resized: Callable[[int, int], tuple[int, int]] = _as_given


@dataclass(frozen=True, slots=True)
class DenoisingSteps:
    """A model that generates images from noise, step by step.

    Attributes:
        steps: denoising steps of the usual pipeline.
        guided: whether the usual pipeline runs each step with and without the prompt
            (classifier-free guidance, Ho and Salimans, 2022).
    """

    steps: int
    guided: bool = True


@dataclass(frozen=True, slots=True)
class State:
    """State that layers keep between steps.

    Attributes:
        dtype: the format of recurrent state; None if only windows of convolutions are kept, which
            have the activations' format.
    """

    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class TracedPass:
    """The one pass of a traced module, with its parameters.

    Attributes:
        phase, batch_size, seq_len, causal: as traced.
        arithmetic: the format of most of its FLOPs.
        inputs: shapes and dtypes of the inputs, as text.
        unit: what one input row is: ``tokens`` or ``samples``.
        memory: memory by role over a training step; None for a single pass.
    """

    phase: str
    batch_size: int
    seq_len: int
    causal: str
    arithmetic: str
    inputs: tuple[str, ...]
    unit: str
    memory: TrainingMemory | None = None


@dataclass(frozen=True, slots=True)
class Traits:
    """The traits of a model.

    Attributes:
        causal: it generates text, and has the phases prefill, decode and generate.
        caches: it keeps keys and values of past tokens.
        masks: some layer masks pairs of tokens, by causality or by a window.
        head: it has a head, whose rows ``logits`` selects.
        experts: some layer is a mixture of experts.
        latent: some layer has latent attention.
        windows: attention windows of layers, in positions.
        chunks: lengths of the chunks that some layers attend within.
        selections: lengths at which a token of some layers starts to select what it attends to.
        runs: numbers of tokens that some layers compress into one entry of their cache.
        state: recurrent state that layers keep instead of a cache, or in addition to one.
        source: the source that an encoder reads for the decoder.
        images: the images that it reads or generates.
        images_left_out: it has vision towers, which its trace leaves out.
        denoising: the steps by which it generates images.
        fixed_words: parameters that its class is traced without, so that they have no effect.
        traced: whether its operators are PyTorch's.
        traced_pass: the one pass of a traced module.
        unread: why its operators are not known and only its weights are, with the next step.
    """

    causal: bool = False
    caches: bool = False
    masks: bool = False
    head: bool = True
    experts: bool = False
    latent: bool = False
    windows: tuple[int, ...] = ()
    chunks: tuple[int, ...] = ()
    selections: tuple[int, ...] = ()
    runs: tuple[int, ...] = ()
    state: State | None = None
    source: Source | None = None
    images: Images | None = None
    images_left_out: bool = False
    denoising: DenoisingSteps | None = None
    fixed_words: frozenset[str] = frozenset()
    traced: bool = False
    traced_pass: TracedPass | None = None
    unread: str = ""

    @property
    def reads_text(self) -> bool:
        """Whether ``seq_len`` counts a text; else the tokens of an image are the sequence."""
        return self.images is None or self.images.with_text

    @property
    def encoder_apart(self) -> bool:
        """Whether the phase encode runs an encoder alone, without the decoder that follows."""
        return self.source is not None or (self.causal and self.images is not None)
