"""The formula of all collectives: two protocols, of low latency and of bulk, the faster one taken.

    t = min( quick_s + quick_rank_s (n - 1) + W / (quick_share L),
             bulk_s  + bulk_rank_s  (n - 1) + W / (bulk_share L) )

W are the bytes that each of n ranks sends: 2 (n - 1) / n of the payload for an all-reduce, (n - 1)
/ n for the others; L is the bandwidth of the link one way. Ranks count one by one: the error at a
number of ranks that was not measured is half as large as with log2 n.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Argument, Constant, Kernel, Shape
from memorywall.core.numbers import Number

CONSTANTS = (
    Constant("quick_s", "s", "Latency of the protocol of low latency.", 1e-7, 2e-3, 8e-6),
    Constant("quick_rank_s", "s", "The same for every further rank.", 1e-9, 1e-3, 2e-6),
    Constant("quick_share", "", "Its share of the link's bandwidth.", 1e-3, 1.0, 0.25),
    Constant("bulk_s", "s", "Latency of the protocol of bulk.", 1e-7, 1e-2, 2.5e-5),
    Constant("bulk_rank_s", "s", "The same for every further rank.", 1e-9, 1e-3, 1e-6),
    Constant("bulk_share", "", "Its share of the link's bandwidth.", 1e-3, 1.0, 0.7),
)
# Between devices without a listed link: PCIe 4.0 with 16 lanes, one way.
_NO_LINK = 32e9


def link_of(hardware: Hardware) -> Number:
    """Return the bandwidth between devices of a node, byte/s one way: of the fastest link."""
    found: Number = max((link.bandwidth for link in hardware.links), default=_NO_LINK)
    return found


def collective(name: str, doing: str, sent: float) -> Kernel:
    """Return a kind of collective.

    Args:
        name: of the kind.
        doing: its work, in one sentence.
        sent: how often the payload crosses the links, of many ranks.
    """

    def share(ranks: Any) -> Any:
        return sent * np.maximum(ranks - 1, 0) / ranks

    def prepare(
        shape: Shape, hardware: Hardware, _dtype: str, constants: Mapping[str, float]
    ) -> Callable[..., Number]:
        ranks, link = shape["ranks"], link_of(hardware)
        parts = share(ranks)
        ways = [
            (
                constants[f"{way}_s"] + constants[f"{way}_rank_s"] * (ranks - 1),
                parts / (constants[f"{way}_share"] * link),
            )
            for way in ("quick", "bulk")
        ]
        alone = np.asarray(ranks) <= 1

        def seconds(payload: Any) -> Any:
            quick, bulk = (start + payload * each for start, each in ways)
            return np.where(alone, 0.0, np.minimum(quick, bulk))

        return seconds

    def work(shape: Shape, _hardware: Hardware, _dtype: str) -> tuple[Number, Number]:
        return 0.0, share(shape["ranks"]) * shape["bytes"]

    return Kernel(
        name=name,
        help=doing,
        arguments=(
            Argument("bytes", "Payload: the bytes that one rank has whole in the group."),
            Argument("ranks", "Devices that take part."),
        ),
        constants=CONSTANTS,
        prepare=prepare,
        varying=("bytes",),
        work=work,
        over="link",
    )
