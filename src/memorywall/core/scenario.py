"""The whole question as a value: what runs, in which formats, counted how, on what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from memorywall.core.errors import InvalidInputError, UnknownNameError, UnsupportedError, shown
from memorywall.core.formats import Format, arithmetic_of, find_format
from memorywall.core.hardware import Hardware
from memorywall.core.model import Forward, Model
from memorywall.core.numbers import Number, as_count, plain
from memorywall.core.storage import Storage

Phase: TypeAlias = Literal["prefill", "encode", "decode", "generate", "train"]
Traffic: TypeAlias = Literal["fused", "unfused"]
Causal: TypeAlias = Literal["half", "full"]
Logits: TypeAlias = Literal["last", "all", "none"]
Routing: TypeAlias = Literal["uniform", "skewed"]
LatentForm: TypeAlias = Literal["auto", "absorbed", "expanded", "reexpanded"]

# Which halves of an encoder-decoder run; both where it is neither of these.
_STACKS = {"encode": "encoder", "decode": "decoder"}

# A step per new token is priced; past this many the answer would not come quickly.
MOST_NEW_TOKENS = 2**22


def _choose(name: str, value: object, choices: object) -> None:
    known = get_args(choices)
    if not isinstance(value, str) or value not in known:
        raise UnknownNameError(name, value, known, f"Choose one of {', '.join(known)}.")


@dataclass(frozen=True, slots=True)
class Workload:
    """What the model is asked to do.

    Attributes:
        phase: ``prefill`` (for encoders ``encode``): one pass over ``seq_len`` tokens. ``decode``:
            one token that attends to ``seq_len`` positions, itself the last. ``generate``: a
            prefill of ``seq_len`` gives the first token, then ``new_tokens - 1`` steps; with
            ``seq_len`` 0 a lone start token, so steps at 1 ... ``new_tokens``. Of an
            encoder-decoder, ``encode`` is the encoder alone; ``prefill`` the encoder, the
            cross-attention's keys and values, and the decoder; ``decode`` the decoder alone.
            ``train``, of what was traced: forward, backward and the optimizer's step.
        batch_size: sequences.
        seq_len: positions of each sequence, an encoder-decoder's in its decoder.
        new_tokens: tokens that ``generate`` makes for each sequence.
        source_len: positions of each source that the encoder of an encoder-decoder reads; None:
            the model's fixed number, or as many as ``seq_len``.
    """

    phase: Phase
    batch_size: Number = 1
    seq_len: Number = 2048
    new_tokens: int = 1
    source_len: Number | None = None

    def __post_init__(self) -> None:
        _choose("phase", self.phase, Phase)
        least = 0 if self.phase == "generate" else 1
        object.__setattr__(self, "batch_size", as_count(self.batch_size, "batch_size"))
        object.__setattr__(self, "seq_len", as_count(self.seq_len, "seq_len", least))
        if self.source_len is not None:
            object.__setattr__(self, "source_len", as_count(self.source_len, "source_len"))
        new_tokens = as_count(self.new_tokens, "new_tokens")
        if not isinstance(new_tokens, int) or new_tokens > MOST_NEW_TOKENS:
            raise InvalidInputError(
                f"new_tokens: expected one whole number from 1 to {MOST_NEW_TOKENS}, "
                f"got {shown(self.new_tokens)}"
            )
        object.__setattr__(self, "new_tokens", new_tokens)


@dataclass(frozen=True, slots=True)
class Precision:
    """Formats in memory, by name; None stands for the dtype of the model's config.

    Weights that nobody names a format for lie as the model's files or its quantisation say.
    Arithmetic runs in the activations' format.
    """

    weights: str | None = None
    activations: str | None = None
    kv_cache: str | None = None

    def format_of(self, what: str, default: str) -> Format:
        """Return the format of ``weights``, ``activations`` or ``kv_cache``."""
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
        routing: which experts the tokens of a pass touch, see ``families/_experts.py``:
            ``uniform``: all experts are as likely. ``skewed``: some are more popular.
        mla: the form of latent attention, see ``families/_mla.py``. ``absorbed``: heads attend to
            the cached latents. ``expanded``: keys and values of every head are cached.
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
        if phase == asked.phase and source_len is None:
            return
        seq_len = asked.seq_len
        if phase == "encode" and source_len is not None:
            seq_len = source_len  # the decoder does not run, and has no length of its own
        settled = dataclasses.replace(asked, phase=phase, seq_len=seq_len, source_len=source_len)
        object.__setattr__(self, "workload", settled)

    @property
    def storage(self) -> Storage | None:
        """How the weights lie; None where they all have the one format that is named."""
        return self.model.storage if self.precision.weights is None else None

    @property
    def shape(self) -> tuple[int, ...]:
        """The common shape of all arrays in the question, () for a single point."""
        workload = self.workload
        sizes = (workload.batch_size, workload.seq_len, workload.source_len)
        shapes = [n.shape if isinstance(n, np.ndarray) else () for n in sizes]
        shapes += self.hardware.shapes
        if not any(shapes):
            return ()
        try:
            return np.broadcast_shapes(*shapes)
        except ValueError:
            raise InvalidInputError(
                f"The arrays of the question do not broadcast: batch_size {shapes[0]}, seq_len "
                f"{shapes[1]}, source_len {shapes[2]}, "
                f"hardware {', '.join(str(s) for s in shapes[3:] if s)}.",
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
        for name in ("batch_size", "seq_len"):
            object.__setattr__(workload, name, change(getattr(self.workload, name)))
        if self.workload.source_len is not None:
            object.__setattr__(workload, "source_len", change(self.workload.source_len))
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
        return Forward(
            batch=self.workload.batch_size,
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
            storage=storage,
        )


def _phase_of(model: Model, phase: Phase) -> Phase:
    """Return the phase by the name that it has for a model, if the model has it.

    Raises:
        UnsupportedError: an encoder generates nothing, and a config does not say how to train.
    """
    if phase == "train" and not getattr(model.architecture, "trains", False):
        raise UnsupportedError(
            f"{model.name}: of its config the forward pass alone is known.",
            "Trace its module: memorywall trace FILE.py:make --train.",
        )
    if model.reads_source or phase == "train":
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
