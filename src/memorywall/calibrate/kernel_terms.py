"""The terms of the formulas of kernels, and what a formula without one of them is fitted with.

A term is left out by constants at which it vanishes, while all others are fitted again: what it
buys is the error without it, less that with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from memorywall.calibrate.kernel_fit import Form

_NEVER, _NONE, _FREE = 1e3, 1e-15, 1e12  # seconds, seconds, rates or shares of rates


@dataclass(frozen=True, slots=True)
class Term:
    """A term of a formula.

    Attributes:
        name: a few words.
        without: the constants at which it vanishes.
        dropped: constants without which it vanishes.
    """

    name: str
    without: Mapping[str, float] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()

    def is_in(self, form: Form) -> bool:
        """Return whether the term is fitted in a form."""
        return bool({*self.without, *self.dropped} & {*form.shared, *form.own})

    def left_out_of(self, form: Form) -> Form:
        """Return a form without the term."""
        gone = {*self.without, *self.dropped}
        return replace(
            form,
            shared=tuple(name for name in form.shared if name not in gone),
            own=tuple(name for name in form.own if name not in gone),
            fixed={**(form.fixed or {}), **self.without},
        )


_COLLECTIVE = (
    Term("the protocol of low latency", {"quick_s": _NEVER, "quick_rank_s": 1e-9,
                                         "quick_share": 1.0}),
    Term("the protocol of bulk", {"bulk_s": _NEVER, "bulk_rank_s": 1e-9, "bulk_share": 1.0}),
    Term("ranks in the latency", {"quick_rank_s": _NONE, "bulk_rank_s": _NONE}),
)  # fmt: skip
_TERMS = {
    "gemm": (
        Term("the share of the peak", {"peak_share": 1.0}),
        Term("the share of the bandwidth", {"bandwidth_share": 1.0}),
        Term("launches", {"launch_s": 1e-9}),
        Term("the smooth maximum", {"overlap": 40.0}),
        Term("feeding of processors", {"feed": _FREE}),
        Term("prologues of tiles", {"tile_s": _NONE}),
        Term("split products", {"split_s": _NEVER}),
        Term("whole waves", {"whole_waves": _NONE}),
        Term("the L2", {}, ("l2_ratio",)),
        Term("quantising", {"quantise_share": _FREE}),
    ),
    "attention_decode": (
        Term("the share of the bandwidth", {"bandwidth_share": 1.0}),
        Term("launches", {"launch_s": 1e-9}),
        Term("feeding of processors", {"feed": _FREE}),
        Term("prologues of pieces", {"tile_s": _NONE}),
        Term("split contexts", {"split_s": _NEVER}),
        Term("scheduling of sequences", {"sequence_s": _NONE}),
        Term("other kernels of odd vectors", {"odd_factor": 1.0}),
        Term("the L2", {}, ("l2_ratio",)),
    ),
    "attention_prefill": (
        Term("the share of the peak", {"peak_share": 1.0}),
        Term("the softmax", {"softmax_width": _NONE}),
        Term("the share of the bandwidth", {"bandwidth_share": 1.0}),
        Term("launches", {"launch_s": 1e-9}),
        Term("prologues of tiles", {"tile_s": _NONE}),
        Term("the smooth maximum", {"outer": 1.0}),
        Term("other kernels of odd vectors", {"odd_factor": 1.0}),
        Term("the L2", {}, ("l2_ratio",)),
    ),
    "moe": (
        Term("the share of the peak", {"peak_share": 1.0}),
        Term("the share of the bandwidth", {"bandwidth_share": 1.0}),
        Term("launches", {"launch_s": 1e-9}),
        Term("prologues of tiles", {"tile_s": _NONE}),
        Term("the smooth maximum", {"overlap": 40.0}),
        Term("permuting of rows", {"permute_share": _FREE}),
    ),
    **dict.fromkeys(("all_reduce", "all_gather", "reduce_scatter", "all_to_all"), _COLLECTIVE),
}
TERMS: Mapping[str, tuple[Term, ...]] = MappingProxyType(_TERMS)
