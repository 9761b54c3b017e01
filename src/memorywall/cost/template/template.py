"""A forward pass lowered once with symbols, and asked at any point on any device."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from memorywall.core.forward import Forward
from memorywall.core.hardware import Hardware
from memorywall.core.model import Model
from memorywall.core.program import Program
from memorywall.core.results import Cost, Footprint, OpCost
from memorywall.cost.template.point import Point, symbolic
from memorywall.cost.template.resident import Residents
from memorywall.cost.template.scalars import Listing, Operators, Prices
from memorywall.cost.template.series import Run, RunListing

if TYPE_CHECKING:  # NumPy is imported where there are many points, and not before
    from memorywall.cost.template.arrays import ArrayPrices

# The pass from the lowered to the priced program, such as ``fuse``.
Rewrite: TypeAlias = Callable[[Program], Program]

# Templates kept: some 100 KiB each, and half a millisecond to make.
MOST_TEMPLATES = 256
_TEMPLATES: dict[tuple[Hashable, ...], tuple[Template, tuple[object, ...]]] = {}


class Template:
    """The program of a forward pass, its numbers symbols; one of integers is the same everywhere.

    The parts that a question needs are computed on first use: rows of coefficients, from which a
    point is then computed.

    Attributes:
        program: as it is priced, so fused where traffic is.
    """

    def __init__(self, program: Program) -> None:
        self.program = program

    def price(self, point: Point, hardware: Hardware) -> Cost:
        """Return what the pass costs at one point, as ``cost.roofline.price`` of its program.

        Raises:
            UnsupportedError: the device has no peak for the program's arithmetic or a wider one.
        """
        return self._prices.at(point, hardware)

    def price_ops(self, point: Point, hardware: Hardware) -> list[OpCost]:
        """Return what every operator costs over its repetitions, in order of execution.

        Of arrays the numbers have the shapes that they vary along, and broadcast to the others.
        """
        return self._listing.at(point, hardware)

    def price_ops_many(self, point: Point, hardware: Hardware) -> Sequence[OpCost]:
        """Return the same at many points; an operator is priced when it is read, and not kept."""
        return Operators(self._listing, point, hardware)

    def price_run(self, point: Point, steps: int, hardware: Hardware) -> Cost:
        """Return what decode steps in a row cost, the first of them at the point's length.

        FLOPs and bytes are exact, except the bytes of experts; times are exact up to rounding.

        Raises:
            UnsupportedError: the device has no peak for the program's arithmetic or a wider one.
        """
        return self._run.at(point, steps, hardware)

    def price_run_ops(self, point: Point, steps: int, hardware: Hardware) -> list[OpCost]:
        """Return the same by operator, for scalars or arrays."""
        return self._run_listing.at(point, steps, hardware)

    def footprint(self, point: Point, hardware: Hardware) -> Footprint:
        """Return the memory that the pass needs at one point."""
        return self._residents.at(point, hardware)

    def price_many(self, point: Point, hardware: Hardware) -> Cost:
        """Return what the pass costs at many points; arrays of the shape that all broadcast to.

        Each is worked out when it is first read, and may not be written to.

        Raises:
            UnsupportedError: the device has no peak for the program's arithmetic or a wider one.
        """
        return self._array_prices.at(point, hardware)

    def footprint_many(self, point: Point, hardware: Hardware) -> Footprint:
        """Return the memory that the pass needs at many points, in the same way."""
        from memorywall.cost.template.arrays import array_footprint  # noqa: PLC0415

        return array_footprint(self._residents, point, hardware)

    def price_run_many(self, point: Point, steps: int, hardware: Hardware) -> Cost:
        """Return what decode steps in a row cost at many points; arrays of their shape."""
        from memorywall.cost.template.arrays_run import run_at_points  # noqa: PLC0415

        return run_at_points(self._run, point, steps, hardware)

    @cached_property
    def _prices(self) -> Prices:
        return Prices(self.program)

    @cached_property
    def _listing(self) -> Listing:
        return Listing(self.program)

    @cached_property
    def _run(self) -> Run:
        return Run(self.program)

    @cached_property
    def _run_listing(self) -> RunListing:
        return RunListing(self.program)

    @cached_property
    def _residents(self) -> Residents:
        return Residents(self.program)

    @cached_property
    def _array_prices(self) -> ArrayPrices:
        from memorywall.cost.template.arrays import ArrayPrices  # noqa: PLC0415

        return ArrayPrices(self.program)


def template_of(model: Model, forward: Forward, rewrite: Rewrite | None = None) -> Template:
    """Return the template of a model's forward pass, made once for all of its lengths.

    Args:
        model: the lowered model; identified by its architecture.
        forward: the pass at any point: its batch, tokens, past, source and images do not matter,
            except whether there are images and whether it is a step.
        rewrite: the pass over the lowered program, such as ``fuse``; None: it is unfused.

    Raises:
        TypeError: a formula compares or converts a length, so it has no one program.
    """
    f = forward
    # The operators of a pass follow from these and its lengths; parts are known by identity.
    key = (
        id(model.family), id(model.architecture), id(rewrite),
        id(f.weights), id(f.activations), id(f.kv_cache), id(f.state), id(f.storage),
        f.linear, f.step, f.stacks, f.full, f.logits, f.routing, f.mla, f.cache_page,
        f.image_size,
        type(f.images) is int and f.images == 0,
    )  # fmt: skip
    known = _TEMPLATES.get(key)
    if known is None:
        program = model.lower(symbolic(forward))
        template = Template(program if rewrite is None else rewrite(program))
        # With what is known by identity, so that no other object takes its place in memory.
        known = template, (model, forward, rewrite)
        while len(_TEMPLATES) >= MOST_TEMPLATES:
            del _TEMPLATES[next(iter(_TEMPLATES))]
        _TEMPLATES[key] = known
    return known[0]
