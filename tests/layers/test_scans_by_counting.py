"""FLOPs of scans, counted by running them on numbers that count their own arithmetic.

The loops follow the papers' equations and no implementation; recurrent and chunked forms must give
the same values, so that the counts belong to the stated equations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorywall.core.axes import unnamed
from memorywall.core.formats import FORMATS
from memorywall.core.forward import Forward
from memorywall.core.numbers import Array
from memorywall.layers.recurrent import selective_scan, ssd_chunked, ssd_step

BF16 = FORMATS["bf16"]


@dataclass
class Machine:
    """Does arithmetic and counts it: a product, a sum, a quotient or a function is one."""

    flops: int = 0

    def add(self, a: float, b: float) -> float:
        self.flops += 1
        return a + b

    def mul(self, a: float, b: float) -> float:
        self.flops += 1
        return a * b

    def do(self, function: Callable[[float], float], a: float) -> float:
        self.flops += 1
        return function(a)

    def softplus(self, a: float, bias: float) -> float:
        return self.do(math.log, self.add(self.do(math.exp, self.add(a, bias)), 1))

    def silu(self, a: float) -> float:
        return self.mul(a, self.do(lambda x: 1 / x, self.add(self.do(math.exp, -a), 1)))


def test_mamba() -> None:
    rng, machine = np.random.default_rng(0), Machine()
    tokens, channels, states = 3, 2, 4
    for _ in range(channels):
        h = [0.0] * states
        for _ in range(tokens):
            raw, bias, x, skip, gate = rng.normal(size=5)
            a, b, c = rng.normal(size=(3, states))
            step = machine.softplus(raw, bias)
            fed, y = machine.mul(step, x), 0.0
            for n in range(states):
                decay = machine.do(math.exp, machine.mul(step, a[n]))
                h[n] = machine.add(machine.mul(decay, h[n]), machine.mul(fed, b[n]))
                y = machine.add(y, machine.mul(c[n], h[n]))
            y = machine.add(y, machine.mul(skip, x))
            machine.mul(y, machine.silu(gate))
    assert machine.flops == selective_scan(unnamed(tokens), unnamed(channels), states).flops


class Inputs:
    """The inputs of Mamba-2's scan for one sequence: H heads of P, N numbers, G groups."""

    def __init__(self, tokens: int, heads: int, head_dim: int, states: int, groups: int) -> None:
        rng = np.random.default_rng(1)
        self.tokens, self.heads, self.head_dim = tokens, heads, head_dim
        self.states, self.groups = states, groups
        self.x = rng.normal(size=(tokens, heads, head_dim))
        self.raw = rng.normal(size=(tokens, heads))
        self.b, self.c = rng.normal(size=(2, tokens, groups, states))
        self.a = -np.exp(rng.normal(size=heads))
        self.skip, self.bias = rng.normal(size=(2, heads))
        self.group = [head * groups // heads for head in range(heads)]


def recurrent(i: Inputs, machine: Machine) -> Array:
    y = np.zeros_like(i.x)
    h = np.zeros((i.heads, i.head_dim, i.states))
    for t in range(i.tokens):
        for head, group in enumerate(i.group):
            step = machine.softplus(i.raw[t, head], i.bias[head])
            decay = machine.do(math.exp, machine.mul(step, i.a[head]))
            for p in range(i.head_dim):
                fed = machine.mul(step, i.x[t, head, p])
                for n in range(i.states):
                    new = machine.mul(fed, i.b[t, group, n])
                    h[head, p, n] = machine.add(machine.mul(decay, h[head, p, n]), new)
                    out = machine.mul(i.c[t, group, n], h[head, p, n])
                    y[t, head, p] = machine.add(y[t, head, p], out)
                out = machine.mul(i.skip[head], i.x[t, head, p])
                y[t, head, p] = machine.add(y[t, head, p], out)
    return y


def chunked(i: Inputs, machine: Machine, chunk: int) -> Array:
    y = np.zeros_like(i.x)
    h = np.zeros((i.heads, i.head_dim, i.states))
    for start in range(0, i.tokens, chunk):
        rows = range(start, min(start + chunk, i.tokens))
        met = {
            (t, s, g): dot(machine, i.c[t, g], i.b[s, g])
            for g in range(i.groups) for t in rows for s in rows if s <= t
        }  # fmt: skip
        for head, group in enumerate(i.group):
            of_group = {(t, s): score for (t, s, g), score in met.items() if g == group}
            one_head(i, machine, rows, head, of_group, y, h)
    return y


def dot(machine: Machine, a: Array, b: Array) -> float:
    total = 0.0
    for left, right in zip(a, b, strict=True):
        total = machine.add(total, machine.mul(left, right))
    return total


def one_head(
    i: Inputs,
    machine: Machine,
    rows: range,
    head: int,
    met: dict[tuple[int, int], float],
    y: Array,
    h: Array,
) -> None:
    """Add one head's outputs of a chunk to y, and carry its state h over the chunk."""
    group, total = i.group[head], 0.0
    steps, sums = {}, {}
    for t in rows:
        steps[t] = machine.softplus(i.raw[t, head], i.bias[head])
        sums[t] = total = machine.add(total, machine.mul(steps[t], i.a[head]))
    to_end = {t: machine.do(math.exp, machine.add(total, -sums[t])) for t in rows}
    from_start = {t: machine.do(math.exp, sums[t]) for t in rows}
    fed = {t: [machine.mul(steps[t], x) for x in i.x[t, head]] for t in rows}
    for (t, s), score in met.items():
        weight = machine.mul(score, machine.do(math.exp, machine.add(sums[t], -sums[s])))
        for p in range(i.head_dim):
            y[t, head, p] = machine.add(y[t, head, p], machine.mul(weight, fed[s][p]))
    for t in rows:
        for p in range(i.head_dim):
            before = machine.mul(dot(machine, i.c[t, group], h[head, p]), from_start[t])
            y[t, head, p] = machine.add(y[t, head, p], before)
            out = machine.mul(i.skip[head], i.x[t, head, p])
            y[t, head, p] = machine.add(y[t, head, p], out)
    late = {t: [machine.mul(x, to_end[t]) for x in fed[t]] for t in rows}
    carry(machine, h[head], late, {t: i.b[t, group] for t in rows}, machine.do(math.exp, total))


def carry(
    machine: Machine,
    h: Array,
    late: dict[int, list[float]],
    b: dict[int, Array],
    decay: float,
) -> None:
    """Replace a head's state by the decayed one and the sum of outer products."""
    for p, n in np.ndindex(*h.shape):
        made = 0.0
        for t, fed in late.items():
            made = machine.add(made, machine.mul(fed[p], float(b[t][n])))
        h[p, n] = machine.add(machine.mul(decay, float(h[p, n])), made)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 9), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(2, 5)
)
def test_mamba2_in_both_forms(
    tokens: int, per_group: int, head_dim: int, states: int, chunk: int
) -> None:
    heads, groups = 2 * per_group, 2
    inputs = Inputs(tokens, heads, head_dim, states, groups)
    by_token, by_chunk = Machine(), Machine()
    y = recurrent(inputs, by_token)
    assert chunked(inputs, by_chunk, chunk) == pytest.approx(y)
    assert by_token.flops == ssd_step(unnamed(tokens), heads, head_dim, states).flops
    forward = Forward(1, tokens, 0, BF16, BF16, BF16)
    scan = ssd_chunked(forward, heads, head_dim, states, groups, chunk)
    assert by_chunk.flops == scan.flops
