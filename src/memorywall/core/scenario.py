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
from memorywall.core.numbers import Number, as_count

Phase: TypeAlias = Literal["prefill", "encode", "decode", "generate"]
Traffic: TypeAlias = Literal["fused", "unfused"]
Causal: TypeAlias = Literal["half", "full"]
Logits: TypeAlias = Literal["last", "all", "none"]
Routing: TypeAlias = Literal["uniform", "skewed"]
LatentForm: TypeAlias = Literal["auto", "absorbed", "expanded", "reexpanded"]

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
            ``seq_len`` 0 a lone start token, so steps at 1 ... ``new_tokens``.
        batch_size: sequences.
        seq_len: positions of each sequence.
        new_tokens: tokens that ``generate`` makes for each sequence.
    """

    phase: Phase
    batch_size: Number = 1
    seq_len: Number = 2048
    new_tokens: int = 1

    def __post_init__(self) -> None:
        _choose("phase", self.phase, Phase)
        least = 0 if self.phase == "generate" else 1
        object.__setattr__(self, "batch_size", as_count(self.batch_size, "batch_size"))
        object.__setattr__(self, "seq_len", as_count(self.seq_len, "seq_len", least))
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
    """

    traffic: Traffic = "fused"
    causal: Causal = "half"
    logits: Logits = "last"
    routing: Routing = "uniform"
    mla: LatentForm = "auto"

    def __post_init__(self) -> None:
        _choose("routing", self.routing, Routing)
        _choose("mla", self.mla, LatentForm)
        _choose("traffic", self.traffic, Traffic)
        _choose("causal", self.causal, Causal)
        _choose("logits", self.logits, Logits)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A model, what it does, how it is stored and counted, and the device it runs on."""

    model: Model
    workload: Workload
    hardware: Hardware
    precision: Precision = Precision()
    conventions: Conventions = Conventions()

    def __post_init__(self) -> None:
        phase = self.workload.phase
        if self.model.causal:
            twin = {"encode": "prefill"}
        elif phase in ("decode", "generate"):
            raise UnsupportedError(
                f"{self.model.name} is an encoder: it has no phase {phase!r}.",
                "Use phase 'encode'.",
            )
        else:
            twin = {"prefill": "encode"}
        if phase in twin:
            workload = dataclasses.replace(self.workload, phase=twin[phase])  # type: ignore[arg-type]
            object.__setattr__(self, "workload", workload)

    @property
    def shape(self) -> tuple[int, ...]:
        """The common shape of all arrays in the question, () for a single point."""
        sizes = (self.workload.batch_size, self.workload.seq_len)
        shapes = [n.shape if isinstance(n, np.ndarray) else () for n in sizes]
        shapes += self.hardware.shapes
        if not any(shapes):
            return ()
        try:
            return np.broadcast_shapes(*shapes)
        except ValueError:
            raise InvalidInputError(
                f"The arrays of the question do not broadcast: batch_size {shapes[0]}, seq_len "
                f"{shapes[1]}, hardware {', '.join(str(s) for s in shapes[2:] if s)}.",
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
        return dataclasses.replace(
            self, workload=workload, hardware=self.hardware.map_numbers(change)
        )

    def forward(self, phase: str, seq_len: Number) -> Forward:
        """Return one forward pass of the question, at a phase and length of its own."""
        decoding = phase == "decode"
        latent_form: str = self.conventions.mla
        if latent_form == "auto":
            latent_form = "absorbed" if decoding else "reexpanded"
        return Forward(
            batch=self.workload.batch_size,
            tokens=1 if decoding else seq_len,
            past=seq_len - 1 if decoding else 0,
            weights=self.precision.format_of("weights", self.model.dtype),
            activations=self.precision.format_of("activations", self.model.dtype),
            kv_cache=self.precision.format_of("kv_cache", self.model.dtype),
            full=self.conventions.causal == "full",
            logits=self.conventions.logits,
            routing=self.conventions.routing,
            mla=latent_form,
        )
