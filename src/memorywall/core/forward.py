"""One forward pass: how much runs at once, in which formats, and what is counted of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from memorywall.core.axes import Axes
from memorywall.core.formats import Format
from memorywall.core.numbers import Number, halved, maximum, minimum
from memorywall.core.storage import Storage


@dataclass(slots=True, eq=False)
class Forward:
    """One forward pass: ``batch`` sequences of ``tokens`` new tokens each on ``past`` cached ones.

    Attributes:
        full: pair every token with every position, as an eager kernel under a mask does.
        logits: rows of the head: ``last``, ``all`` or ``none``.
        routing: how tokens choose experts: ``uniform`` or ``skewed``.
        mla: the form of latent attention: ``absorbed``, ``expanded`` or ``reexpanded``.
        cache_page: positions that the cache grows by; 0 for one at a time, no more than a window.
        source: positions that the encoder of an encoder-decoder makes of one source.
        stacks: which halves of an encoder-decoder run: ``both``, ``encoder`` or ``decoder``; what
            does not run stays resident. Of an image-text model the towers are the encoder.
        ahead: pairs of a sequence in which a token looks ahead, as those of an image may.
        windowed: pairs of a sequence whose tokens look within windows of an image; None for any.
        images: images of each sequence.
        image_size: their height and width in pixels; zeros where there are none.
        storage: formats of single weights, where they do not all have the format ``weights``.
        state: of recurrent state; None for the activations' format.
        step: whether it is a decode step, which reads the state that was left and goes by the
            recurrent form of a scan; else it begins a sequence, and writes state only.
    """

    batch: Number
    tokens: Number
    past: Number
    weights: Format
    activations: Format
    kv_cache: Format
    full: bool = False
    logits: str = "last"
    routing: str = "uniform"
    mla: str = "reexpanded"
    cache_page: int = 0
    source: Number = 1
    stacks: str = "both"
    ahead: Number = 0
    windowed: Number | None = None
    images: Number = 1
    image_size: tuple[int, int] = (0, 0)
    storage: Storage | None = None
    state: Format | None = None
    step: bool = False

    @property
    def encodes(self) -> bool:
        """Whether the encoder runs, and the cross-attention's keys and values are made."""
        return self.stacks != "decoder"

    @property
    def decodes(self) -> bool:
        """Whether the decoder runs."""
        return self.stacks != "encoder"

    def of_source(self) -> Forward:
        """Return the encoder's part of this pass: the source are its tokens, and it has no past."""
        return replace(self, tokens=self.source, past=0)

    def of_images(self, tokens: int) -> Forward:
        """Return the part of this pass that looks at images, each of so many tokens."""
        return replace(self, batch=self.batch * self.images, tokens=tokens, past=0)

    def keys(self, window: int | None = None, chunk: int | None = None) -> Number:
        """Positions that the new tokens attend to, all of them together."""
        if chunk is not None:
            # A framework passes over the last positions as over a window's, and masks.
            past = minimum(self.past, chunk - 1) if self.full else self.past % chunk
        else:
            past = self.past if window is None else minimum(self.past, window - 1)
        return past + self.tokens

    def pairs(self, causal: bool, window: int | None = None, chunk: int | None = None) -> Number:
        """Count the (query, key) pairs of one sequence and head.

        The i-th of T tokens on P cached attends to min(P + i, window) positions: the first
        ``growing`` tokens to one more each, the rest to a full window. Who looks both ways looks
        back twice and meets itself once. Of chunks a token attends to the positions of its own up
        to itself.
        """
        if self.windowed is not None:
            return self.windowed
        if self.full or (not causal and window is None):
            return self.tokens * self.keys(window, chunk)
        if causal and type(self.tokens) is int and self.tokens == 1:
            return self.keys(window, chunk) + self.ahead
        if chunk is not None:
            return _chunk_pairs(self.past + self.tokens, chunk) - _chunk_pairs(self.past, chunk)
        growing = self.tokens
        if window is not None:
            growing = maximum(minimum(self.tokens, window - self.past), 0)
        pairs = growing * self.past + halved(growing * (growing + 1))
        if window is not None:
            pairs = pairs + (self.tokens - growing) * window
        return pairs + self.ahead if causal else 2 * pairs - self.tokens

    def cached(self, window: int | None = None) -> Number:
        """Positions of one sequence that the cache must hold after this pass.

        An engine that pages sets whole pages aside, and in layers with a window as many as in the
        others (hf-mem#70: so does vLLM).
        """
        held = self.past + self.tokens
        if self.cache_page:
            return self.paged(held)
        return held if window is None else minimum(held, window)

    def paged(self, positions: Number) -> Number:
        """Return positions rounded up to whole pages."""
        page = self.cache_page or 1
        return -(-positions // page) * page

    @property
    def rows(self) -> Number:
        """Tokens of all sequences."""
        return self.batch * self.tokens

    @property
    def row_axes(self) -> Axes:
        """Axes of the rows of all sequences."""
        return (("batch", self.batch), ("tokens", self.tokens))

    @property
    def head_axes(self) -> Axes:
        """Axes of the rows that the head is computed for: of the last ones, no ``tokens``."""
        if self.logits == "all":
            return self.row_axes
        return (("batch", self.batch if self.logits == "last" else 0),)


def _chunk_pairs(positions: Number, chunk: int) -> Number:
    """Count the pairs of the first so many positions: 1 + ... + chunk, and again."""
    whole, rest = positions // chunk, positions % chunk
    return whole * (chunk * (chunk + 1) // 2) + halved(rest * (rest + 1))
