"""Operators that bind alike, merged: what a total needs of a program.

A maximum of sums is not a sum of maxima, but max(a F, a M) is a max(F, M): operators of one dtype
whose FLOPs and bytes have one ratio at every point are one class. Operators without bytes, or
without FLOPs, have the same bound everywhere and are a plain sum. Of 20 to 70 operators some 5 to
15 classes stay. Sums in this order are equal to those by operator up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any

from memorywall.core.program import Program
from memorywall.cost.template.rows import Form, Terms, added, scaled
from memorywall.cost.template.scalars import moved_bytes


@dataclass(frozen=True, slots=True)
class Class:
    """Operators of one dtype and one ratio of FLOPs to bytes: the sums of both."""

    dtype: int
    flops: Form
    moved: Form


class Classes:
    """A program as sums over terms: totals, what is bound the same way everywhere, and classes.

    Attributes:
        terms: what all sums are over.
        dtypes: the arithmetic of the operators; an index into them is a dtype below.
        flops, moved: totals of the program.
        compute: FLOPs by dtype.
        compute_alone: FLOPs by dtype of operators without bytes.
        memory_alone: bytes of operators without FLOPs.
        classes: all others.
    """

    def __init__(self, program: Program) -> None:
        self.terms = Terms()
        self.dtypes = list(dict.fromkeys(op.dtype for _, op, _ in program.walk()))
        self.flops: Form = {}
        self.moved: Form = {}
        self.memory_alone: Form = {}
        self.compute: list[Form] = [{} for _ in self.dtypes]
        self.compute_alone: list[Form] = [{} for _ in self.dtypes]
        # By dtype and direction: how many times that direction there is.
        times: dict[tuple[Any, ...], int] = {}
        directions: dict[tuple[Any, ...], Class] = {}
        for _, op, repeat in program.walk():
            dtype = self.dtypes.index(op.dtype)
            flops = scaled(self.terms.linear(op.flops), repeat)
            moved = scaled(self.terms.linear(moved_bytes(op)), repeat)
            self.flops, self.moved = added(self.flops, flops), added(self.moved, moved)
            self.compute[dtype] = added(self.compute[dtype], flops)
            if not moved:
                self.compute_alone[dtype] = added(self.compute_alone[dtype], flops)
            elif not flops:
                self.memory_alone = added(self.memory_alone, moved)
            else:
                shared = gcd(*flops.values(), *moved.values())
                unit = Class(dtype, _divided(flops, shared), _divided(moved, shared))
                key = (dtype, frozenset(unit.flops.items()), frozenset(unit.moved.items()))
                times[key] = times.get(key, 0) + shared
                directions[key] = unit
        self.classes = [
            Class(unit.dtype, scaled(unit.flops, times[key]), scaled(unit.moved, times[key]))
            for key, unit in directions.items()
        ]


def _divided(form: Form, number: int) -> Form:
    return {place: coefficient // number for place, coefficient in form.items()}
