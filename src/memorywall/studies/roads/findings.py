"""The findings of the study of two roads: passes by both roads, and their totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.records import recorded, to_record

CLOSE = 0.02


@recorded(derived=("apart",))
@dataclass(frozen=True, slots=True)
class PassComparison:
    """One pass by both roads.

    Attributes:
        exact: by what is compared, (by the config, traced); all must be equal.
        fused: by class, bytes (by the config, traced).
        excess: bytes that PyTorch moves beyond, by "class: cause".
    """

    model: str
    phase: str
    exact: Mapping[str, tuple[int, int]]
    fused: Mapping[str, tuple[int, int]]
    excess: Mapping[str, int]

    @property
    def unequal(self) -> dict[str, tuple[int, int]]:
        """The quantities that should be equal and are not."""
        return {what: pair for what, pair in self.exact.items() if pair[0] != pair[1]}

    @property
    def apart(self) -> dict[str, float]:
        """By class, how far the traced bytes are from the config's, as a share of them."""
        total = sum(ours for ours, _ in self.fused.values())
        return {
            kind: (traced - ours) / (ours or total) for kind, (ours, traced) in self.fused.items()
        }

    @property
    def outside(self) -> dict[str, float]:
        """The classes that lie further apart than 2 %."""
        return {kind: share for kind, share in self.apart.items() if abs(share) > CLOSE}


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over passes.

    Attributes:
        models: that were compared.
        equal: of those, the number whose exact counts are equal in every pass.
        passes: that were compared.
        pairs: of a class in a pass.
        within: of those, the number within 2 %.
        excess: bytes that PyTorch moves beyond, by "class: cause", most first.
    """

    models: int
    equal: int
    passes: int
    pairs: int
    within: int
    excess: Mapping[str, int]


def total(passes: Iterable[PassComparison]) -> Totals:
    """Return counts over passes, and what PyTorch moves beyond, all of them together."""
    ones = list(passes)
    models = {one.model for one in ones}
    excess: Counter[str] = Counter()
    for one in ones:
        excess.update(one.excess)
    return Totals(
        models=len(models),
        equal=len(models - {one.model for one in ones if one.unequal}),
        passes=len(ones),
        pairs=sum(len(one.fused) for one in ones),
        within=sum(len(one.fused) - len(one.outside) for one in ones),
        excess=dict(excess.most_common()),
    )


@recorded(
    "memorywall.study.roads/1",
    names={"passes": "rows"},
    derived={
        "models": "totals.models",
        "equal": "totals.equal",
        "passes": "totals.passes",
        "pairs": "totals.pairs",
        "within": "totals.within",
        "excess": "totals.excess",
    },
    upgrades={0: dict},
)
@dataclass(frozen=True, slots=True)
class Roads:
    """The findings of the study.

    Attributes:
        tokens: positions of a pass.
        passes: by both roads.
        failed: passes that were not traced, and why.
    """

    tokens: int
    passes: tuple[PassComparison, ...]
    failed: Mapping[str, str]

    @property
    def totals(self) -> Totals:
        """Counts over the passes."""
        return total(self.passes)

    def to_dict(self) -> dict[str, Any]:
        """Return its record."""
        return to_record(self)
