"""What a model is asked to do, in which formats, and how it is counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from memorywall.core.denoising import Guidance
from memorywall.core.errors import InvalidInputError, UnknownNameError, shown
from memorywall.core.formats import Format, find_format
from memorywall.core.images import as_image_size
from memorywall.core.numbers import Number, as_count

Phase: TypeAlias = Literal["prefill", "encode", "decode", "generate", "denoise", "train"]
Traffic: TypeAlias = Literal["fused", "unfused"]
Causal: TypeAlias = Literal["half", "full"]
Logits: TypeAlias = Literal["last", "all", "none"]
Routing: TypeAlias = Literal["uniform", "skewed"]
LatentForm: TypeAlias = Literal["auto", "absorbed", "expanded", "reexpanded"]

# A step per new token is priced; past this many the answer would not come quickly.
MOST_NEW_TOKENS = 2**22
# Denoising steps are all alike, and nobody takes more than a few thousand.
MOST_STEPS = 2**20


@dataclass(frozen=True, slots=True)
class Workload:
    """What the model is asked to do.

    Attributes:
        phase: ``prefill`` (for encoders ``encode``): one pass over ``seq_len`` tokens. ``decode``:
            one token that attends to ``seq_len`` positions, itself the last. ``generate``: a
            prefill of ``seq_len`` gives the first token, then ``new_tokens - 1`` steps; with
            ``seq_len`` 0 a lone start token, so steps at 1 ... ``new_tokens``. Of an
            encoder-decoder, ``encode`` is the encoder alone; ``prefill`` the encoder, the
            cross-attention's keys and values, and the decoder; ``decode`` the decoder alone. Of
            an image-text model likewise, what looks at images being the encoder. ``denoise``:
            ``steps`` passes of a diffusion transformer, one after the other.
            ``train``, of what was traced: forward, backward and the optimizer's step.
        batch_size: sequences; of a model that reads no text, images.
        seq_len: positions of each sequence, an encoder-decoder's in its decoder; those of images
            are among them. Of a model that reads no text it is as many as an image takes.
        new_tokens: tokens that ``generate`` makes for each sequence.
        source_len: positions of each source that the encoder of an encoder-decoder reads; None:
            the model's fixed number, or as many as ``seq_len``.
        image_size: height and width of every image in pixels, or one number for both; None: what
            the model was made for.
        images: images of each sequence, of a model that reads text as well; None: one where a pass
            looks at them.
        steps: of ``denoise``; None: as many as the model is usually run for.
        guidance: whether each step is taken twice, in one batch, with what is asked for and
            without; None: as the model is usually run.
    """

    phase: Phase
    batch_size: Number = 1
    seq_len: Number = 2048
    new_tokens: int = 1
    source_len: Number | None = None
    image_size: int | tuple[int, int] | None = None
    images: Number | None = None
    steps: int | None = None
    guidance: Guidance | None = None

    def __post_init__(self) -> None:
        _choose("phase", self.phase, Phase)
        if self.guidance is not None:
            _choose("guidance", self.guidance, Guidance)
        if self.steps is not None:
            object.__setattr__(self, "steps", _one_count(self.steps, "steps", MOST_STEPS))
        least = 0 if self.phase == "generate" else 1
        object.__setattr__(self, "batch_size", as_count(self.batch_size, "batch_size"))
        object.__setattr__(self, "seq_len", as_count(self.seq_len, "seq_len", least))
        if self.source_len is not None:
            object.__setattr__(self, "source_len", as_count(self.source_len, "source_len"))
        if self.image_size is not None:
            object.__setattr__(self, "image_size", as_image_size(self.image_size))
        if self.images is not None:
            # No image at all stands alone: towers that nobody asks for are not read.
            least = 0 if isinstance(self.images, int) else 1
            object.__setattr__(self, "images", as_count(self.images, "images", least))
        new_tokens = _one_count(self.new_tokens, "new_tokens", MOST_NEW_TOKENS)
        object.__setattr__(self, "new_tokens", new_tokens)

    @property
    def pixels(self) -> tuple[int, int] | None:
        """Height and width of every image, where they are said."""
        return None if self.image_size is None else as_image_size(self.image_size)

    @property
    def alike(self) -> int:
        """How many passes of the same work follow each other: denoising steps, else one."""
        return self.steps if self.phase == "denoise" and self.steps is not None else 1


@dataclass(frozen=True, slots=True)
class Precision:
    """Formats in memory, by name; None stands for the dtype of the model's config.

    Weights that nobody names a format for lie as the model's files or its quantisation say.
    Arithmetic runs in the activations' format, and state that nobody names a format for is kept in
    what the architecture prescribes, else in the activations'. The windows of short convolutions
    are always in the activations' format.
    """

    weights: str | None = None
    activations: str | None = None
    kv_cache: str | None = None
    state: str | None = None

    def format_of(self, what: str, default: str) -> Format:
        """Return the format of ``weights``, ``activations``, ``kv_cache`` or ``state``."""
        name = getattr(self, what)
        return find_format(default if name is None else name)


@dataclass(frozen=True, slots=True)
class Conventions:
    """How things are counted.

    Attributes:
        traffic: ``unfused``: every operator reads its inputs and writes its outputs once.
            ``fused``: scores stay on chip; rotary, activation and add ride on their producer.
        causal: ``half``: a token is paired with those before it and itself. ``full``: with all.
        logits: rows of the head: ``last`` one a sequence, ``all`` every token, ``none`` no head.
        routing: which experts the tokens of a pass touch, see ``layers/experts.py``:
            ``uniform``: all experts are as likely. ``skewed``: some are more popular.
        mla: the form of latent attention, see ``layers/latent_attention.py``. ``absorbed``: heads
            attend to the cached latents. ``expanded``: keys and values of every head are cached.
            ``reexpanded``: latents are cached and projected anew in every pass. ``auto``: as
            engines do it, absorbed in decode and reexpanded in prefill.
        cache_page: positions of the cache that an engine sets aside at a time, windows or not; 0
            for exactly what the architecture needs. vLLM's pages hold 16.
    """

    traffic: Traffic = "fused"
    causal: Causal = "half"
    logits: Logits = "last"
    routing: Routing = "uniform"
    mla: LatentForm = "auto"
    cache_page: int = 0

    def __post_init__(self) -> None:
        _choose("routing", self.routing, Routing)
        _choose("mla", self.mla, LatentForm)
        _choose("traffic", self.traffic, Traffic)
        _choose("causal", self.causal, Causal)
        _choose("logits", self.logits, Logits)
        page = as_count(self.cache_page, "cache_page", 0)
        if not isinstance(page, int):
            raise InvalidInputError("cache_page: expected one whole number, got an array.")


def _one_count(value: object, name: str, most: int) -> int:
    """Check one whole number from 1 to ``most``."""
    number = as_count(value, name)
    if not isinstance(number, int) or number > most:
        raise InvalidInputError(
            f"{name}: expected one whole number from 1 to {most}, got {shown(value)}"
        )
    return number


def _choose(name: str, value: object, choices: object) -> None:
    known = get_args(choices)
    if not isinstance(value, str) or value not in known:
        raise UnknownNameError(name, value, known, f"Choose one of {', '.join(known)}.")
