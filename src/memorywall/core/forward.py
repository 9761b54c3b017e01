"""One forward pass: its sizes, formats and conventions."""

from __future__ import annotations

from dataclasses import dataclass, replace

from memorywall.core.axes import Axes
from memorywall.core.formats import Format
from memorywall.core.numbers import Number, halved, maximum, minimum
from memorywall.core.storage import Storage

# Positions of a prefill that an engine takes at once: vLLM's max_num_batched_tokens is 1,024 or
# more, by the device.
_PIECE = 1024


@dataclass(slots=True, eq=False)
class Forward:
    """One forward pass: ``batch`` sequences of ``tokens`` new tokens each on ``past`` cached ones.

    Attributes:
        full: pair every token with every position, as an eager kernel under a mask does.
        logits: rows of the head: ``last``, ``all`` or ``none``.
        routing: how tokens choose experts: ``uniform`` or ``skewed``.
        mla: the form of latent attention: ``absorbed``, ``expanded`` or ``reexpanded``.
        cache_page: positions that the cache grows by; 0 for one at a time, no more than a window.
        source: positions that the encoder of an encoder-decoder makes from one source.
        stacks: the halves of an encoder-decoder that run: ``both``, ``encoder`` or ``decoder``; the
            other stays resident. For an image-text model the towers are the encoder.
        ahead: pairs of a sequence in which a token attends forwards, as those of an image may.
        ahead_in_windows: whether only layers with a window look ahead.
        windowed: pairs of a sequence whose tokens attend within windows of an image; None for no
            windows.
        images: images of each sequence.
        image_size: their height and width in pixels; zeros if there are none.
        storage: formats of single weights, if they do not all have the format ``weights``.
        state: of recurrent state; None for the activations' format.
        linear: the arithmetic of linear layers whose weights are quantised, and their inputs as
            well; '' for the activations'.
        step: whether it is a decode step, which reads the previous state and uses the recurrent
            form of a scan; else it begins a sequence, and only writes state.
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
    ahead_in_windows: bool = False
    windowed: Number | None = None
    images: Number = 1
    image_size: tuple[int, int] = (0, 0)
    storage: Storage | None = None
    state: Format | None = None
    linear: str = ""
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
        """Return the encoder's part of this pass: its tokens are the source, without a past."""
        return replace(self, tokens=self.source, past=0)

    def of_images(self, tokens: int) -> Forward:
        """Return the part of this pass over images, each of a number of tokens."""
        return replace(self, batch=self.batch * self.images, tokens=tokens, past=0)

    def keys(self, window: int | None = None, chunk: int | None = None) -> Number:
        """The union of the positions that the new tokens attend to."""
        if chunk is not None:
            # A framework processes the last positions like a window, and masks.
            past = minimum(self.past, chunk - 1) if self.full else self.past % chunk
        else:
            past = self.past if window is None else minimum(self.past, window - 1)
        return past + self.tokens

    def pairs(self, causal: bool, window: int | None = None, chunk: int | None = None) -> Number:
        """Count the (query, key) pairs of one sequence and head.

        The i-th of T tokens on P cached attends to min(P + i, window) positions: the first
        ``growing`` tokens to one more each, the rest to a full window. Bidirectional attention
        counts backward pairs twice and the token itself once. With chunks a token attends to the
        positions of its chunk up to itself.
        """
        if self.windowed is not None:
            return self.windowed
        if self.full or (not causal and window is None):
            return self.tokens * self.keys(window, chunk)
        ahead = 0 if self.ahead_in_windows and window is None else self.ahead
        if causal and type(self.tokens) is int and self.tokens == 1:
            return self.keys(window, chunk) + ahead
        if chunk is not None:
            return _chunk_pairs(self.past + self.tokens, chunk) - _chunk_pairs(self.past, chunk)
        growing = self.tokens
        if window is not None:
            growing = maximum(minimum(self.tokens, window - self.past), 0)
        pairs = growing * self.past + halved(growing * (growing + 1))
        if window is not None:
            pairs = pairs + (self.tokens - growing) * window
        return pairs + ahead if causal else 2 * pairs - self.tokens

    def chosen(self, most: int) -> Number:
        """The union of the positions that the new tokens select, each at most ``most``."""
        held = self.past + self.tokens
        return held if self.full else minimum(held, self.tokens * most)

    def chosen_pairs(self, most: int) -> Number:
        """Count the pairs of one sequence and head where a token selects ``most`` positions.

        Those before it are all selected while they are fewer, as within a window.
        """
        if self.full:
            return self.tokens * (self.past + self.tokens)
        return self.pairs(causal=True, window=most)

    def entries(self, ratio: int, most: int | None = None) -> Number:
        """The union of the compressed entries that the new tokens attend to, or select.

        There is one entry for each whole run of ``ratio`` tokens.
        """
        held = self.past + self.tokens
        if most is not None and not self.full:
            held = minimum(held, self.tokens * (most * ratio))
        return held // ratio

    def new_entries(self, ratio: int) -> Number:
        """Entries that the new tokens complete."""
        return (self.past + self.tokens) // ratio - self.past // ratio

    def entry_pairs(self, ratio: int, most: int | None = None) -> Number:
        """Count the pairs of tokens and entries of one sequence and head.

        The n-th token sees floor(n / ratio) entries, of which it selects ``most`` at the most.
        """
        if self.full:
            return self.tokens * self.entries(ratio)
        if type(self.tokens) is int and self.tokens == 1:
            return self.entries(ratio, most)
        every = _entry_pairs(self.past + self.tokens, ratio, most)
        return every - _entry_pairs(self.past, ratio, most)

    def cached(self, window: int | None = None, chunk: int | None = None) -> Number:
        """Positions of one sequence that the cache must hold after this pass.

        Args:
            window: positions that a layer looks back on, itself the last; None for all.
            chunk: positions of the chunks within which a layer attends; None for one.

        An engine that pages allocates whole pages. With a window it keeps those before it, the
        positions of a piece of a prefill, and a page more, since a window may begin within one
        (vLLM's ``SlidingWindowSpec`` and ``ChunkedLocalAttentionSpec``, v1/kv_cache_interface.py).
        """
        held, seen = self.past + self.tokens, window or chunk
        if seen is None:
            return self.paged(held)
        if not self.cache_page:
            return minimum(held, seen)
        before = seen if window is None else seen - 1 + self.cache_page
        return minimum(self.paged(held), self.paged(before + _PIECE))

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
    """Count the pairs of the first positions: 1 + ... + chunk, repeated."""
    whole, rest = positions // chunk, positions % chunk
    return whole * (chunk * (chunk + 1) // 2) + halved(rest * (rest + 1))


def _entry_pairs(positions: Number, ratio: int, most: int | None) -> Number:
    """Count the pairs of the first positions n = 1, 2, ... with floor(n / ratio) entries each.

    Past ``most`` entries each position has as many.
    """
    growing = positions if most is None else minimum(positions, most * ratio)
    whole, rest = growing // ratio, growing % ratio
    pairs = ratio * halved(whole * (whole - 1)) + whole * (rest + 1)
    return pairs if most is None else pairs + (positions - growing) * most
