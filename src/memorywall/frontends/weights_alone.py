"""Models of which only the sizes of their weights are known: headers of files without a family.

Their weights are counted; answers that require the operators (FLOPs, time, cache) are refused by
``settle``, which reads the trait ``unread``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from memorywall.core.errors import UnsupportedError
from memorywall.core.forward import Forward
from memorywall.core.geometry import Experts, Gemm, Geometry, Idle
from memorywall.core.model import Family
from memorywall.core.program import Block, Op, Program
from memorywall.core.tensors import Tensor
from memorywall.core.traits import Traits


@dataclass(frozen=True, slots=True)
class WeightsAlone:
    """The weights of a model whose operators are not known.

    Attributes:
        class_name: the architecture, as the file names it.
        max_positions: those of the file.
        elements: of all weights except experts'.
        expert_elements: of all experts' weights.
        experts, chosen: the number of experts, and of those for each token; 0 where not known.
        unread: why the operators are not known, a sentence that names the next step.
    """

    class_name: str
    max_positions: int | None
    elements: int
    expert_elements: int
    experts: int
    chosen: int
    unread: str
    dtype: str = "fp16"
    notes: tuple[str, ...] = ()

    @property
    def traits(self) -> Traits:
        """A model without phases."""
        return Traits(head=False, unread=self.unread)


def _refuse(config: Mapping[str, Any], where: str) -> NoReturn:  # noqa: ARG001 - as families
    raise UnsupportedError(f"{where}: only files of weights are read like this.")


def _lower(architecture: WeightsAlone, forward: Forward) -> Program:
    """Return operators that hold the weights, of which only those of experts say which are used."""
    name = architecture.dtype
    plain = Tensor("file.weights", (("weights", architecture.elements),), forward.weights, "weight")
    ops = [Op("weights", Idle(Gemm((), (), ())), (plain,), (), name)]
    if architecture.expert_elements:
        ops.append(_hold_experts(architecture, forward))
    return Program((Block("file", tuple(ops)),))


def _hold_experts(architecture: WeightsAlone, forward: Forward) -> Op:
    count, chosen = architecture.experts, architecture.chosen
    each = architecture.expert_elements // count
    geometry: Geometry = Experts((("tokens", 1),), (), (("weights", each),), count, chosen)
    weight = Tensor(
        "file.experts", (("experts", count), ("weights", each)), forward.weights, "weight",
        touched=(("experts", chosen), ("weights", each)),
    )  # fmt: skip
    return Op("experts", geometry, (weight,), (), architecture.dtype)


WEIGHTS_ALONE = Family("weights", (), _refuse, _lower)
